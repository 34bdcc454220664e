//! Decides whether the last line that a failed command printed may be the cause of the failure.
//! Ordinary output, such as `epoch 3: loss 0.12`, is not.

/// Parts of words that name a problem.
const PROBLEMS: [&str; 32] = [
    "error",
    "exception",
    "fail",
    "fatal",
    "panic",
    "cannot",
    "can't",
    "could not",
    "couldn't",
    "not found",
    "no such",
    "not a ",
    "is not",
    "does not",
    "denied",
    "refused",
    "invalid",
    "illegal",
    "undefined",
    "unbound",
    "unexpected",
    "unknown",
    "unable",
    "missing",
    "killed",
    "abort",
    "core dumped",
    "segmentation",
    "traceback",
    "assert",
    "out of memory",
    "usage:",
];

/// Words that name a problem only by themselves.
const WORDS: [&str; 3] = ["nan", "inf", "bad"];

/// Phrases that count problems and found none.
const NONE: [&str; 9] = [
    "0 error",
    "no error",
    "0 fail",
    "no fail",
    "without error",
    "errors: 0",
    "errors=0",
    "failed: 0",
    "failures: 0",
];

/// Reports whether a line of output looks like the message of a problem.
pub(super) fn names_a_problem(line: &str) -> bool {
    let mut line = line.to_lowercase();
    for phrase in NONE {
        line = line.replace(phrase, "");
    }
    let is_word =
        |word: &&str| line.split(|c: char| !c.is_alphanumeric()).any(|other| other == *word);
    PROBLEMS.iter().any(|part| line.contains(part)) || WORDS.iter().any(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_and_ordinary_output() {
        for line in [
            "NameError: name 'mean' is not defined",
            "loss is NaN at step 1200",
            "cat: x: No such file or directory",
            "sh: 1: nosuch: not found",
            "Segmentation fault (core dumped)",
            "thread 'main' panicked at src/main.rs:2:5:",
            "make: *** [all] Error 2",
            "2 failed, 10 passed",
            "usage: train.py [-h] --data DATA",
            "curl: (7) Connection refused",
        ] {
            assert!(names_a_problem(line), "{line}");
        }
        for line in [
            "epoch 3: loss 0.12",
            "ordinary",
            "done",
            "saved model.bin",
            "10 passed; 0 failed",
            "finished with 0 errors",
            "information about finance",
            "100%|████████| 3/3",
        ] {
            assert!(!names_a_problem(line), "{line}");
        }
    }
}
