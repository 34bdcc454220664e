//! `repro init`: a small pipeline to start from, that works and explains itself.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::{Error, Result, exit};
use crate::pipeline;
use crate::terminal::stdout;
use crate::terminal::style::{DIM, GOOD, STAGE};
use crate::workspace::ignore::{self, GitignoreChange};

/// Start a small pipeline that works, in a new or an existing folder
///
/// Writes `pipeline.toml`, a text for it to work on, and lines of `.gitignore`. Nothing that is there is
/// changed.
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The folder; it is made if need be
    #[arg(value_name = "DIR", default_value = ".")]
    path: PathBuf,
}

const PIPELINE: &str = r#"# A small pipeline to start from: it counts the words of a text. `repro run` brings everything up to date.

[params]
top = 5     # how many words the report lists

# A stage is a command, and what that reads (deps) and writes (outs). Commands run here, beside this file.
# Who reads what another writes comes after it: the order in this file does not matter.
[stages.words]
desc = "Split the text into words, one a line"
cmd = "tr -cs 'A-Za-z' '\\n' < example/text.txt | tr 'A-Z' 'a-z' | grep . > example/words.txt"
deps = ["example/text.txt"]
outs = ["example/words.txt"]

[stages.count]
desc = "Count how often each word occurs, the most frequent first"
cmd = "sort example/words.txt | uniq -c | sort -k1,1nr -k2 > example/counts.txt"
env = { LC_ALL = "C" }      # sorts alike on every machine
deps = ["example/words.txt"]
outs = ["example/counts.txt"]

# Params are filled into commands. A stage that lists one under `params` is out of date when its value changes;
# stages in other languages find theirs in the JSON file that $REPRO_PARAMS names.
# A metrics file is JSON; its numbers are recorded with each run.
# A shell goes on after a line that fails, unless told otherwise by `set -e`.
[stages.report]
desc = "List the most frequent words and measure the text"
cmd = '''
set -e
head -n {{ params.top }} example/counts.txt > example/report.txt
printf '{"words": %d, "distinct": %d}\n' "$(wc -l < example/words.txt)" "$(wc -l < example/counts.txt)" > example/metrics.json
cat example/report.txt
'''
params = ["top"]
deps = ["example/words.txt", "example/counts.txt"]
outs = ["example/report.txt"]
metrics = ["example/metrics.json"]
"#;

const TEXT: &str = "\
The quick brown fox jumps over the lazy dog.
The dog barks, and the fox runs over the hill and into the wood.
In the wood it is quiet; the fox rests, and the dog goes home.
";

/// Where the example's text lies, and what its stages write.
const INPUT: &str = "example/text.txt";
const OUTS: [&str; 4] =
    ["example/words.txt", "example/counts.txt", "example/report.txt", "example/metrics.json"];
const HEADING: &str = "# What `repro run` makes: the cache keeps it.";
/// The engine's own folders.
const FOLDERS: [&str; 2] = ["cache/", "runs/"];

impl InitArgs {
    /// `here` is where a relative path starts from.
    pub(super) fn execute(self, here: &Path) -> Result<u8> {
        let dir = here.join(&self.path);
        refuse_to_overwrite(&dir, &self.path)?;
        let input = dir.join(INPUT);
        let folder = input.parent().unwrap_or(&dir);
        fs::create_dir_all(folder).map_err(|err| Error::io("create", folder, &err))?;
        if !input.exists() {
            create(&input, TEXT)?;
        }
        let patterns: Vec<String> =
            FOLDERS.into_iter().chain(OUTS).map(|name| format!("/{name}")).collect();
        let ignored = ignore::add(&dir, HEADING, &patterns)?;
        // Last: whoever sees it sees a pipeline that is complete.
        create(&dir.join(pipeline::FILE), PIPELINE)?;
        stdout::write(&told(&self.path, ignored))?;
        Ok(exit::OK)
    }
}

/// The example's names may be taken by files that have nothing to do with it. What an `init` that was cut
/// short left behind is its own.
fn refuse_to_overwrite(dir: &Path, typed: &Path) -> Result<()> {
    let taken = |name: &str| dir.join(name).symlink_metadata().is_ok();
    let shown = |name: &str| {
        if is_here(typed) { name.to_owned() } else { typed.join(name).display().to_string() }
    };
    if taken(pipeline::FILE) {
        return Err(Error::usage(format!("`{}` exists already", shown(pipeline::FILE))).hint(
            "`repro run` brings it up to date; `repro init DIR` starts another one elsewhere",
        ));
    }
    let ours = |name: &str| {
        name == INPUT && fs::read(dir.join(name)).is_ok_and(|bytes| bytes == TEXT.as_bytes())
    };
    match [INPUT].into_iter().chain(OUTS).find(|name| taken(name) && !ours(name)) {
        Some(name) => {
            Err(Error::usage(format!("`{}` exists, and the example would use it", shown(name)))
                .hint("move it away, or start elsewhere with `repro init DIR`"))
        }
        None => Ok(()),
    }
}

fn is_here(typed: &Path) -> bool {
    typed == Path::new(".")
}

fn create(path: &Path, text: &str) -> Result<()> {
    let written = File::create_new(path).and_then(|mut file| {
        file.write_all(text.as_bytes()).inspect_err(|_| {
            let _ = fs::remove_file(path);
        })
    });
    written.map_err(|err| Error::io("write", path, &err))
}

fn told(path: &Path, ignored: GitignoreChange) -> String {
    let mut text = format!("{GOOD}✓{GOOD:#} started a pipeline of three stages\n\n");
    let mut line = |name: &str, what: &str| {
        text.push_str(&format!("  {STAGE}{name:<17}{STAGE:#} {DIM}{what}{DIM:#}\n"))
    };
    line(pipeline::FILE, "stages and params; its comments explain them");
    line(INPUT, "the text whose words it counts");
    match ignored {
        GitignoreChange::Created => line(".gitignore", "keeps out of git what a run makes"),
        GitignoreChange::Extended => line(".gitignore", "now also keeps out of git what a run makes"),
        GitignoreChange::Unchanged => {}
    }
    text.push_str("\nnext:\n\n");
    if !is_here(path) {
        text.push_str(&format!("  cd {}\n", path.display()));
    }
    let mut step =
        |command: &str, what: &str| text.push_str(&format!("  {command:<23} {DIM}{what}{DIM:#}\n"));
    step("repro run", "bring everything up to date");
    step("repro params set top=3", "change a param …");
    step("repro status", "… see what that makes stale …");
    step("repro run", "… and run just that");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo_path::RepoPath;

    #[test]
    fn the_example_is_a_valid_pipeline_and_all_its_outs_are_ignored() {
        let exists = |path: Option<&RepoPath>| path.is_some_and(|path| path.as_str() == INPUT);
        let world = pipeline::FileSource {
            exists: &exists,
            read: &|_| Err(String::new()),
            list: &|_| Vec::new(),
        };
        let pipeline = pipeline::parse(PIPELINE, &[], world).unwrap();
        let mut outs: Vec<&str> = pipeline
            .stages
            .iter()
            .flat_map(|stage| &stage.outs)
            .map(|out| out.path.as_str())
            .collect();
        let mut ignored = OUTS.to_vec();
        outs.sort_unstable();
        ignored.sort_unstable();
        assert_eq!(outs, ignored);
        let cmd = pipeline.stages[2].cmd.as_deref().unwrap();
        assert!(cmd.contains("head -n 5 "), "{cmd}");
    }

    #[test]
    fn nothing_of_the_users_is_overwritten() {
        for name in [pipeline::FILE, INPUT, OUTS[1]] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "mine").unwrap();
            let error = InitArgs { path: ".".into() }.execute(dir.path()).unwrap_err();
            assert_eq!(error.exit_code(), exit::USAGE);
            assert_eq!(fs::read(&path).unwrap(), b"mine");
            assert!(!dir.path().join(".gitignore").exists());
        }
    }

    #[test]
    fn a_new_folder_is_made_and_a_second_time_refused() {
        let dir = tempfile::tempdir().unwrap();
        let init = || InitArgs { path: "a/b".into() }.execute(dir.path());
        assert_eq!(init().unwrap(), exit::OK);
        assert_eq!(fs::read_to_string(dir.path().join("a/b/pipeline.toml")).unwrap(), PIPELINE);
        assert!(init().unwrap_err().what.ends_with("exists already"));
        // Cut short before the pipeline was written, it can be done again.
        fs::remove_file(dir.path().join("a/b/pipeline.toml")).unwrap();
        assert_eq!(init().unwrap(), exit::OK);
    }
}
