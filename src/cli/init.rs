//! `repro init`: creates a small working pipeline that explains itself.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::engine::project;
use crate::error::{Error, Result, exit};
use crate::pipeline;
use crate::regular_file;
use crate::terminal::stdout;
use crate::terminal::style::{DIM, GOOD, STAGE};
use crate::terminal::text::{Pad, pad};
use crate::workspace::ignore::{self, GitignoreChange};

/// Create a small working pipeline in a new or an existing directory
///
/// Writes `pipeline.toml` and a sample text, and adds lines to `.gitignore`. Existing files are
/// never overwritten.
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// Directory of the pipeline; created if missing
    #[arg(value_name = "DIR", default_value = ".")]
    path: PathBuf,
}

const PIPELINE: &str = r#"# A small pipeline to start from: it counts the words of a text.
# `repro run` brings everything up to date.

[params]
top = 5     # how many words the report lists

# A stage is a command with the files it reads (deps) and writes (outs). Commands run in the
# directory of this file. A stage runs after the stages whose outs it reads: the order in this file
# does not matter.
[stages.words]
desc = "Split the text into words, one per line"
cmd = "tr -cs 'A-Za-z' '\\n' < example/text.txt | tr 'A-Z' 'a-z' | grep . > example/words.txt"
deps = ["example/text.txt"]
outs = ["example/words.txt"]

[stages.count]
desc = "Count how often each word occurs, most frequent first"
cmd = "sort example/words.txt | uniq -c | sort -k1,1nr -k2 > example/counts.txt"
env = { LC_ALL = "C" }      # the same sort order on every machine
deps = ["example/words.txt"]
outs = ["example/counts.txt"]

# Params are substituted into commands. A stage that lists a param under `params` is out of date
# when its value changes; programs can read their params from the JSON file $REPRO_PARAMS.
# A metrics file is JSON; its numbers are recorded with each run.
# A shell continues after a failed line unless `set -e` is given.
[stages.report]
desc = "List the most frequent words and measure the text"
cmd = '''
set -e
head -n {{ params.top }} example/counts.txt > example/report.txt
words=$(wc -l < example/words.txt)
distinct=$(wc -l < example/counts.txt)
printf '{"words": %d, "distinct": %d}\n' "$words" "$distinct" > example/metrics.json
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

/// The example's text.
const INPUT: &str = "example/text.txt";
/// Files that the example's stages write.
const OUTS: [&str; 4] =
    ["example/words.txt", "example/counts.txt", "example/report.txt", "example/metrics.json"];
impl InitArgs {
    /// Runs the command. A relative path starts at `here`.
    pub(super) fn execute(self, here: &Path) -> Result<u8> {
        let dir = here.join(&self.path);
        refuse_to_overwrite(&dir, &self.path)?;
        let input = dir.join(INPUT);
        let folder = input.parent().unwrap_or(&dir);
        fs::create_dir_all(folder).map_err(|err| Error::io("create", folder, &err))?;
        if !input.exists() {
            create(&input, TEXT)?;
        }
        let patterns = OUTS.map(|name| format!("/{name}"));
        let ignored = ignore::add_outs(&dir, &patterns, &project::staging(&dir))?;
        // Written last, so that its presence implies a complete pipeline.
        create(&dir.join(pipeline::FILE), PIPELINE)?;
        stdout::write(&next_steps(&self.path, ignored))?;
        Ok(exit::OK)
    }
}

/// Checks that no existing file has a name that the example uses.
///
/// The text left behind by an interrupted `init` is recognized and reused.
fn refuse_to_overwrite(dir: &Path, typed: &Path) -> Result<()> {
    let taken = |name: &str| dir.join(name).symlink_metadata().is_ok();
    let shown = |name: &str| {
        if is_here(typed) { name.to_owned() } else { typed.join(name).display().to_string() }
    };
    if taken(pipeline::FILE) {
        return Err(Error::usage(format!("`{}` already exists", shown(pipeline::FILE))).hint(
            "`repro run` brings it up to date; `repro init DIR` creates another pipeline in DIR",
        ));
    }
    let ours = |name: &str| {
        name == INPUT
            && regular_file::read(&dir.join(name)).is_ok_and(|bytes| bytes == TEXT.as_bytes())
    };
    match [INPUT].into_iter().chain(OUTS).find(|name| taken(name) && !ours(name)) {
        Some(name) => Err(Error::usage(format!(
            "`{}` already exists, and the example would use it",
            shown(name)
        ))
        .hint("move it, or create the pipeline elsewhere: `repro init DIR`")),
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

fn next_steps(path: &Path, ignored: GitignoreChange) -> String {
    let mut text = format!("{GOOD}✓{GOOD:#} created a pipeline of three stages\n\n");
    let mut line = |name: &str, what: &str| {
        let name = pad(name, 17, Pad::Right);
        text.push_str(&format!("  {STAGE}{name}{STAGE:#} {DIM}{what}{DIM:#}\n"));
    };
    line(pipeline::FILE, "stages and params, explained in comments");
    line(INPUT, "the text whose words are counted");
    match ignored {
        GitignoreChange::Created => line(".gitignore", "keeps generated files out of git"),
        GitignoreChange::Extended => {
            line(".gitignore", "extended to keep generated files out of git");
        }
        GitignoreChange::Unchanged => {}
    }
    text.push_str("\nnext:\n\n");
    if !is_here(path) {
        text.push_str(&format!("  cd {}\n", path.display()));
    }
    let mut step = |command: &str, what: &str| {
        let command = pad(command, 23, Pad::Right);
        text.push_str(&format!("  {command} {DIM}{what}{DIM:#}\n"));
    };
    step("repro run", "bring everything up to date");
    step("repro params set top=3", "change a param …");
    step("repro status", "… see which stages are out of date …");
    step("repro run", "… and run only those");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo_path::RepoPath;

    #[test]
    fn example_loads_and_ignores_outs() {
        let exists = |path: Option<&RepoPath>| path.is_some_and(|path| path.as_str() == INPUT);
        let files = pipeline::FileSource { exists: &exists, ..Default::default() };
        let pipeline = pipeline::parse(PIPELINE, &[], files).unwrap();
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
    fn existing_files_are_kept() {
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
    fn init_in_new_directory() {
        let dir = tempfile::tempdir().unwrap();
        let init = || InitArgs { path: "a/b".into() }.execute(dir.path());
        assert_eq!(init().unwrap(), exit::OK);
        assert_eq!(fs::read_to_string(dir.path().join("a/b/pipeline.toml")).unwrap(), PIPELINE);
        assert!(init().unwrap_err().what.ends_with("already exists"));
        // After an interruption before the pipeline was written, init can be repeated.
        fs::remove_file(dir.path().join("a/b/pipeline.toml")).unwrap();
        assert_eq!(init().unwrap(), exit::OK);
    }
}
