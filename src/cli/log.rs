//! `repro log`: reports metrics, artifacts and progress of the stage whose command calls it.
//!
//! Stages call it in loops, so it loads nothing of the project.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::data;
use crate::error::{Error, Result, exit};
use crate::exec::event_file::{self, StageEvent};
use crate::number::Number;
use crate::terminal;
use crate::workspace::root;

const AFTER_HELP: &str = "\
`repro runs list` shows the history, `repro runs logs RUN STAGE` the output of a stage.";

/// Report metrics, files and progress from inside a stage
///
/// The command of a stage calls it, and the run records the report. Outside a stage it prints what
/// it would report, and succeeds. A report that cannot be written is a warning.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct LogArgs {
    #[command(subcommand)]
    report: Report,
}

#[derive(Debug, Subcommand)]
enum Report {
    /// Report values of metrics: `repro log metric loss=0.41 accuracy=0.8 --step 3`
    Metric {
        /// Metrics with their values: numbers, `nan`, `inf` or `-inf`
        #[arg(value_name = "KEY=VALUE", required = true)]
        values: Vec<String>,
        /// Step of the series to which the values belong
        #[arg(long, value_name = "N", default_value_t = 0, value_parser = whole)]
        #[arg(allow_negative_numbers = true)]
        step: u64,
    },
    /// Report files or directories that are worth looking at
    Artifact {
        /// Files or directories in the project
        #[arg(value_name = "PATH", required = true)]
        paths: Vec<PathBuf>,
    },
    /// Report how much of the work is done: `repro log progress 3 100`
    Progress {
        /// Units of work that are done
        #[arg(value_name = "DONE", value_parser = whole)]
        done: u64,
        /// Units of work in all
        #[arg(value_name = "TOTAL", value_parser = whole)]
        total: u64,
    },
    /// Report items whose outs are complete, in a stage that reads `$REPRO_ITEMS`
    Item {
        /// Items, spelt as in `$REPRO_ITEMS`
        #[arg(value_name = "ITEM", required = true)]
        items: Vec<String>,
    },
}

impl LogArgs {
    /// Runs the command. Relative paths start at `here`.
    pub(super) fn execute(self, here: &Path) -> Result<u8> {
        let Some(file) = variable("REPRO_EVENTS") else {
            for event in self.report.events(|path| existing(here, path))? {
                terminal::eprint(&format!("{} (not recorded: not in a stage)\n", text(&event)));
            }
            return Ok(exit::OK);
        };
        let events = self.report.events(|path| project_path(here, path))?;
        // A stage does not fail because its report cannot be written.
        if let Err(err) = event_file::append(Path::new(&file), &events) {
            terminal::warn_of(&Error::io("write", Path::new(&file), &err));
        }
        Ok(exit::OK)
    }
}

impl Report {
    fn events(self, locate: impl Fn(PathBuf) -> Result<String>) -> Result<Vec<StageEvent>> {
        match self {
            Report::Metric { values, step } => values
                .iter()
                .map(|text| {
                    let (metric, value) = assignment(text)?;
                    Ok(StageEvent::Metric { metric: metric.to_owned(), step, value })
                })
                .collect(),
            Report::Artifact { paths } => paths
                .into_iter()
                .map(|path| Ok(StageEvent::Artifact { artifact: locate(path)? }))
                .collect(),
            Report::Progress { done, total } => {
                Ok(vec![StageEvent::Progress { progress: done, total }])
            }
            Report::Item { items } => {
                Ok(items.into_iter().map(|item| StageEvent::Item { item }).collect())
            }
        }
    }
}

/// Returns the value of an environment variable; `None` if it is unset or empty.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Parses a step or an amount of work.
fn whole(text: &str) -> Result<u64, &'static str> {
    text.parse().map_err(|_| "it is not a whole number from 0")
}

/// Splits `KEY=VALUE`.
fn assignment(text: &str) -> Result<(&str, Number)> {
    let (key, value) =
        text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
            Error::usage(format!("`{text}` does not give a metric and its value"))
                .hint("write `KEY=VALUE`, for example `accuracy=0.8`")
        })?;
    let number = number(value).ok_or_else(|| {
        let error = Error::usage(format!("`{value}`, the value of `{key}`, is not a number"));
        match value.replace(',', ".") {
            point if number(&point).is_some() => error.hint(format!("write `{key}={point}`")),
            _ => error,
        }
    })?;
    Ok((key, number))
}

/// Parses a number: an integer of up to 64 bits exactly, anything else as a double.
fn number(text: &str) -> Option<Number> {
    let text = text.trim();
    match text.parse::<i128>() {
        Ok(integer) => Some(integer.into()),
        Err(_) => data::not_finite(text).or_else(|| text.parse().ok()).map(Number::from),
    }
}

/// Returns the path as it was typed, if a file exists there.
fn existing(here: &Path, path: PathBuf) -> Result<String> {
    let full = here.join(&path);
    match full.symlink_metadata() {
        Ok(_) => Ok(path.display().to_string()),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::usage(format!("`{}` does not exist", path.display()))
                .hint("report an artifact after writing it"))
        }
        Err(err) => Err(Error::io("read", &full, &err)),
    }
}

/// Returns the path of an existing file relative to the project root.
fn project_path(here: &Path, path: PathBuf) -> Result<String> {
    existing(here, path.clone())?;
    let root = match variable("REPRO_ROOT") {
        Some(root) => PathBuf::from(root),
        None => root::find(here)?,
    };
    Ok(root::to_repo_path(&root, here, &path)?.to_string())
}

/// Returns the event as a line for people.
fn text(event: &StageEvent) -> String {
    match event {
        StageEvent::Metric { metric, step: 0, value } => format!("{metric} = {value:?}"),
        StageEvent::Metric { metric, step, value } => format!("{metric} = {value:?}, step {step}"),
        StageEvent::Progress { progress, total } => format!("progress {progress} of {total}"),
        StageEvent::Artifact { artifact } => format!("artifact {artifact}"),
        StageEvent::Item { item } => format!("item {item}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments() {
        for (text, key, value) in [
            ("accuracy=0.8", "accuracy", Number::from(0.8)),
            ("a b.c=-1e-3", "a b.c", (-1e-3).into()),
            ("n=9007199254740993", "n", 9_007_199_254_740_993_i128.into()),
            ("n=-9223372036854775808", "n", i128::from(i64::MIN).into()),
            ("n=18446744073709551615", "n", i128::from(u64::MAX).into()),
            ("n= 7 ", "n", 7.0.into()),
            ("x=+Infinity", "x", f64::INFINITY.into()),
            ("x=-inf", "x", f64::NEG_INFINITY.into()),
        ] {
            assert_eq!(assignment(text).unwrap(), (key, value), "{text}");
        }
        assert!(assignment("x=nan").unwrap().1.is_nan());
        for (text, what, hint) in [
            ("loss", "`loss` does not give a metric and its value", Some("write `KEY=VALUE`")),
            ("=3", "`=3` does not give a metric and its value", Some("write `KEY=VALUE`")),
            ("loss=", "``, the value of `loss`, is not a number", None),
            ("loss=low", "`low`, the value of `loss`, is not a number", None),
            ("loss==1", "`=1`, the value of `loss`, is not a number", None),
            ("x=0,5", "`0,5`, the value of `x`, is not a number", Some("write `x=0.5`")),
        ] {
            let error = assignment(text).unwrap_err();
            assert_eq!(error.what, what);
            let begins =
                |hint: &str| error.hint.as_deref().is_some_and(|all| all.starts_with(hint));
            assert!(hint.map_or(error.hint.is_none(), begins), "{:?}", error.hint);
        }
    }
}
