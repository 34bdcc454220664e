use super::*;
use proptest::prelude::*;
use std::process::Command;

/// Fills `@` in a command with a value.
fn fill(command: &str, value: &str) -> Result<String, &'static str> {
    let mut scanner = Scanner::default();
    let mut filled = String::new();
    for (at, text) in command.split('@').enumerate() {
        if at > 0 {
            filled.push_str(&scanner.value(value)?);
        }
        scanner.read(text);
        filled.push_str(text);
    }
    Ok(filled)
}

fn output(command: &str) -> String {
    let output = deadline::output(Command::new("sh").args(["-c", command]));
    String::from_utf8(output.stdout).unwrap()
}

/// Commands that print the value, and a line `end` after it.
const PLACES: [&str; 14] = [
    "printf %s @; echo; echo end",
    "printf %s 'x @' | cut -c3-; echo end",
    "printf %s \"@\"; echo; echo end",
    "printf %s \"$(printf %s @)\"; echo; echo end",
    "printf %s \"$(printf %s \"@\")\"; echo; echo end",
    "# don't stop\nprintf %s @; echo; echo end",
    "printf %s 'it'\\''s' >/dev/null; printf %s @; echo; echo end",
    "printf %s a#b\\\" >/dev/null; printf %s @; echo; echo end",
    "cat <<E\n@\nE\necho end",
    "cat <<-'E'\n@\n\tE\necho end",
    "cat <<'A B' >/dev/null\nit's\nA B\nprintf %s @; echo; echo end",
    "cat <<\"A\" >/dev/null; cat <<B\nit's\nA\n@\nB\necho end",
    "echo $((1 << 2)) >/dev/null\nprintf %s @; echo; echo end",
    "(echo x) >/dev/null; case x in x) printf %s @; echo; echo end;; esac",
];

#[test]
fn literal_in_every_place() {
    for value in ["x; touch pwned #", "it's", "a \"b\" $HOME `id` \\", "*", "~", "a=$(id)", "é"] {
        for place in PLACES {
            let command = fill(place, value).unwrap();
            assert_eq!(output(&command), format!("{value}\nend\n"), "{command}");
        }
    }
}

#[test]
fn plain_values_stay() {
    for value in ["", "a.b-c/d_e", "1e-5", "a=b:c,d", "é"] {
        for place in PLACES {
            assert_eq!(fill(place, value).unwrap(), place.replace('@', value));
        }
    }
}

#[test]
fn places_without_an_escape() {
    for (command, place) in [
        ("echo `echo @`", "in backquotes"),
        ("echo ${x:-@}", "in `${…}`"),
        ("echo \"${x:-don't @}\"", "in `${…}`"),
        ("echo $((@))", "in an arithmetic expression"),
        ("echo \\@", "after a backslash"),
        ("echo \"$(case x in x) echo;; esac; echo @)\"", "after `case` in brackets"),
        ("echo $'it\\'s' @", "after `$'`"),
        ("echo \"$@\"", "after `$`"),
        ("echo $((echo a); @)", "in an arithmetic expression"),
        ("cat <<E$x\n@", "after the end of this here-document"),
        ("cat <<E\n$(echo @)\nE", "in a substitution in a here-document"),
        ("cat <<E\n\\@\nE", "after a backslash"),
        ("cat <<@\nx\n", "in the end of a here-document"),
        ("cat <<E\n$(echo \"x\")@\nE", "after this substitution in a here-document"),
    ] {
        assert_eq!(fill(command, "a b"), Err(place), "{command}");
        assert!(fill(command, "ab").is_ok(), "{command}");
    }
    assert_eq!(fill("# @", "a\nb"), Err("in a comment"));
    assert_eq!(fill("cat <<E\n@\nE", "a\nE"), Err("in a here-document that it would end"));
}

#[test]
fn shells() {
    assert!(is_shell(["/usr/bin/env", "bash", "-c"]));
    assert!(is_shell(["sh", "-c"]));
    assert!(!is_shell(["python3", "-c"]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_value_is_literal(value in "[ -~\u{e9}\n]{0,12}", at in 0usize..14) {
        // Command substitution drops line ends, and `cut` splits lines.
        prop_assume!(!value.contains('\n') || ![1, 3, 4].contains(&at));
        if let Ok(command) = fill(PLACES[at], &value) {
            prop_assert_eq!(output(&command), format!("{value}\nend\n"), "{}", command);
        }
    }
}

/// Pieces of commands in any order: most commands are nonsense, and some are almost right.
const PIECES: &[&str] = &[
    "@",
    "@",
    "@",
    "@",
    "@",
    " ",
    " ",
    "\n",
    "\n",
    "'",
    "\"",
    "\\",
    "`",
    "$",
    "$(",
    "${x:-",
    "$((",
    "((",
    "(",
    ")",
    "))",
    "}",
    "{",
    "#",
    " # it's ",
    "\\\n",
    "$'",
    "$\"",
    "$$",
    "$[",
    "]",
    "a[",
    "<<E",
    "<<-E",
    "<<'E'",
    "<<\\E",
    " <<E\n",
    "\nE\n",
    "\n\tE\n",
    "E",
    "cat <<E\n",
    "echo ",
    "echo x ",
    ";",
    " | cat ",
    " && ",
    "case x in x) ",
    "case x in (x) ",
    ";; esac",
    "=",
    "a=",
    "a=(",
    "<",
    "<(",
    ">",
    "<<<",
    "-",
    "it\\'s",
    "x",
    "printf %s ",
    "\"$(",
    "\"`",
    "${x%",
    "${#x}",
    "${ ",
    "$(case x in x) ",
    "\u{a0}",
    "\r",
    "if true; then ",
    "; fi",
    "!",
    "*",
    "?",
    "f() { ",
    "; }",
    "$x",
    "\\\\",
    "\"$x\"",
    "date: $(echo ",
    "$(date)",
    "`date`",
    "echo $'it\\'s' ",
    "\\ #'",
    "a\\\n#'",
    "$(date)#'",
];

/// Complete constructs around an inner command `%`.
const SHAPES: &[&str] = &[
    "cat <<E\nd: $(%)\n@\nE\n%",
    "cat <<E\n${x:-@} `%` @\nE\n%",
    "cat <<-'E'\n$(% @\n\tE\n%",
    "echo $'a @' \n%",
    "echo $'it\\'s' @; %",
    "echo \"$(%)\" @",
    "echo \"a ${x:-@}\" @ \"$(% )\"",
    "echo ${x:-'@'} \"${x#'@'}\"; %",
    "echo $((1 + 2)) @; %",
    "echo $((@)); %",
    "((1<<2))\n%",
    "case x in @) %;; x) %;; esac",
    "echo \"$(case x in x) echo;; esac; %)\"",
    "# it's @\n%",
    "a\\\n#'@'\n%",
    "echo \\ #'@'\n%",
    "echo `date`#'@'\n%",
    "echo $(date)#'@'; %",
    "(%) @",
    "echo \"$$(x\" @ \"y)\"; %",
    "echo \"$@\"; %",
    "echo $@; %",
    "`%` @",
    "echo @ \\@ \"\\@\"; %",
    "cat <<@\nx\nE\n%",
    "cat <<E; %\n@\nE\n",
    "cat <<E $(%) @\n@\nE\n%",
    "echo 'a'@\"b\"; %",
    "cat <<O@\n@\nOE\n%",
    "cat <<E\n@\\\nE\n%\nE\n%",
    "echo \"`echo \"@\"`\" @; %",
    "echo @",
    "%; @; %",
];

const HOSTILE: &[&str] = &[
    "now; touch pwned; echo",
    "\\'; touch pwned #",
    "x; touch pwned #",
    "$(touch pwned)",
    "(touch pwned)",
    "{x:-$(touch pwned)}",
    "`touch pwned`",
    "'; touch pwned; '",
    "\"; touch pwned; \"",
    "'\"; touch pwned #",
    "\n touch pwned\n",
    "\nE\ntouch pwned\n",
    "E\ntouch pwned\n",
    ")\ntouch pwned\n#",
    "))\ntouch pwned;((",
    "}; touch pwned; {",
    "\\",
    "\\\n touch pwned",
    "a[$(touch pwned)]",
    "# \n touch pwned",
    "| touch pwned",
    ";; esac; touch pwned",
    "x) touch pwned",
    "'$(touch pwned)'",
    "\"$(touch pwned)\"",
    "\\$(touch pwned)",
    "E",
    "se",
    "-",
    "",
    "\n",
    "'",
    "`touch pwned;",
    "' `touch pwned` $(touch pwned) '",
    "\" `touch pwned` ; touch pwned; \"",
];

/// Fills each `@` with the next of the values.
fn filled(command: &str, values: &[&str]) -> Option<String> {
    let mut scanner = Scanner::default();
    let mut filled = String::new();
    for (at, text) in command.split('@').enumerate() {
        if at > 0 {
            filled.push_str(&scanner.value(values[at % values.len()]).ok()?);
        }
        scanner.read(text);
        filled.push_str(text);
    }
    Some(filled)
}

/// Reports whether a shell runs `touch pwned` when it runs the command.
fn runs_value(command: &str) -> Option<&'static str> {
    let folder = tempfile::tempdir().unwrap();
    // The function is called in place of the program; nothing else in the path can be run.
    let command =
        format!("PATH=/nowhere\ntouch() {{ : > {0}/$1; }}\n{command}", folder.path().display());
    ["sh", "bash"].into_iter().find(|shell| {
        let mut process = Command::new(shell);
        process.args(["-c", &command]).current_dir(&folder);
        process.stdin(std::process::Stdio::null());
        deadline::output(&mut process);
        folder.path().join("pwned").exists()
    })
}

fn shaped() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(PIECES);
    let noise = prop::collection::vec(piece, 1..9).prop_map(|pieces| pieces.concat());
    let leaf = prop_oneof![noise, Just("echo @".to_owned())];
    leaf.prop_recursive(3, 8, 2, |inner| {
        let shape = prop::sample::select(SHAPES);
        (shape, inner).prop_map(|(shape, inner)| shape.replace('%', &inner))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300)
    ))]
    #[test]
    fn no_value_is_run(
        command in shaped(),
        values in prop::collection::vec(prop::sample::select(HOSTILE), 1..4),
    ) {
        if let Some(command) = filled(&command, &values) {
            prop_assert_eq!(runs_value(&command), None, "{}", command);
        }
    }
}

#[test]
fn no_value_is_run_in_shapes() {
    for shape in SHAPES {
        for value in HOSTILE {
            if let Some(command) = filled(&shape.replace('%', "echo @"), &[value]) {
                assert_eq!(runs_value(&command), None, "{command}");
            }
        }
    }
}
