//! Simple values of a stage: flags, counts, sizes and durations, and the options made of them.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::reader::{Reader, Value, kind};
use crate::error::did_you_mean;
use crate::pipeline::{Problem, Resources, Retries, Tokens};

pub(in crate::pipeline) const RESOURCES: [&str; 4] = ["cpus", "mem", "gpus", "time"];
pub(in crate::pipeline) const RETRIES: [&str; 2] = ["count", "delay"];

impl Reader {
    pub(super) fn flag(&mut self, table: &DeTable<'_>, key: &str, of: &str, default: bool) -> bool {
        match table.get(key).map(|value| (value, value.get_ref().as_bool())) {
            None => default,
            Some((_, Some(flag))) => flag,
            Some((value, None)) => {
                let what = format!("`{key}` of {of} must be true or false, not {}", kind(value));
                self.problem(value, what);
                default
            }
        }
    }

    pub(super) fn integer(
        &mut self,
        value: &Value<'_>,
        what: &str,
        range: RangeInclusive<u64>,
    ) -> Option<u64> {
        let digits = value.get_ref().as_integer();
        let number =
            digits.and_then(|digits| u64::from_str_radix(digits.as_str(), digits.radix()).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let found = match digits {
                Some(digits) => digits.as_str(),
                None => kind(value),
            };
            let (start, end) = (range.start(), range.end());
            let what = format!("{what} must be an integer from {start} to {end}, not {found}");
            self.problem(value, what);
        }
        number
    }

    /// Reads `"90s"`, `"30m"`, `"2h"`, `"1d"`, or a number of seconds.
    pub(super) fn duration(&mut self, value: &Value<'_>, what: &str) -> Option<Duration> {
        let seconds = match value.get_ref() {
            DeValue::String(text) => parse_duration(text).map(|duration| duration.as_secs()),
            DeValue::Integer(digits) => digits.as_str().parse().ok(),
            _ => None,
        };
        let seconds = seconds.filter(|seconds| (1..=1_000_000_000).contains(seconds));
        if seconds.is_none() {
            self.problem(
                value,
                format!("{what} must be a duration such as \"90s\", \"30m\", \"2h\" or \"1d\""),
            );
        }
        seconds.map(Duration::from_secs)
    }

    /// Reads `"4G"`, `"512M"`: units are powers of 1024.
    fn size(&mut self, value: &Value<'_>, what: &str) -> Option<u64> {
        const UNITS: [(&str, u64); 5] =
            [("B", 1), ("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40)];
        let text = value.get_ref().as_str().map(|text| text.trim_end_matches("iB"));
        let bytes = text.and_then(|text| parse_with_unit(text, &UNITS)).filter(|bytes| *bytes > 0);
        if bytes.is_none() {
            self.problem(value, format!("{what} must be a size such as \"512M\" or \"4G\""));
        }
        bytes
    }

    pub(super) fn resources(
        &mut self,
        table: &DeTable<'_>,
        of: &str,
        tokens: &Tokens,
    ) -> Resources {
        let mut resources = Resources::default();
        let what = format!("`resources` of {of}");
        if let Some(table) = table.get("resources").and_then(|value| self.table(value, &what)) {
            self.reject_unknown_keys(table, &what, &RESOURCES);
            let get = |key| table.get(key);
            resources.cpus = get("cpus")
                .and_then(|v| self.integer(v, &format!("`cpus` of {of}"), 1..=4096))
                .unwrap_or(1);
            resources.gpus = get("gpus")
                .and_then(|v| self.integer(v, &format!("`gpus` of {of}"), 0..=4096))
                .unwrap_or(0);
            resources.mem =
                get("mem").and_then(|v| self.size(v, &format!("`mem` of {of}"))).unwrap_or(0);
            resources.time = get("time").and_then(|v| self.duration(v, &format!("`time` of {of}")));
        }
        for (name, at) in self.strings(table, "uses", of) {
            let Some(&count) = tokens.get(name) else {
                let problem = Problem::new(
                    self.line(at),
                    format!("{of} uses token `{name}`, which is not declared"),
                );
                self.problems.push(match did_you_mean(name, tokens.keys().map(String::as_str)) {
                    Some(suggestion) => problem.did_you_mean(Some(suggestion)),
                    None => problem.hint(format!("declare its count: [tokens] {name} = 1")),
                });
                continue;
            };
            let used = resources.tokens.entry(name.to_owned()).or_insert(0);
            *used += 1;
            if *used > count {
                self.problem(
                    at,
                    format!("{of} uses token `{name}` {used} times, but its count is {count}"),
                );
            }
        }
        resources
    }

    /// Reads `retries = 3` or `retries = { count = 3, delay = "10s" }`.
    pub(super) fn retries(&mut self, table: &DeTable<'_>, of: &str) -> Retries {
        let mut retries = Retries::default();
        let what = format!("`retries` of {of}");
        let Some(value) = table.get("retries") else {
            return retries;
        };
        let count = match value.get_ref() {
            DeValue::Table(options) => {
                self.reject_unknown_keys(options, &what, &RETRIES);
                if let Some(delay) = options
                    .get("delay")
                    .and_then(|value| self.duration(value, &format!("`delay` of {what}")))
                {
                    retries.delay = delay;
                }
                options
                    .get("count")
                    .and_then(|value| self.integer(value, &format!("`count` of {what}"), 0..=1000))
            }
            _ => self.integer(value, &what, 0..=1000),
        };
        retries.count = count.unwrap_or(0);
        retries
    }

    /// Reads `shell = "bash -euo pipefail -c"`, or the same as a list; empty if not set.
    pub(super) fn shell(&mut self, table: &DeTable<'_>, of: &str) -> Vec<String> {
        let Some(value) = table.get("shell") else {
            return Vec::new();
        };
        let found = self.problems.len();
        let words: Vec<String> = match value.get_ref() {
            DeValue::String(text) => text.split_whitespace().map(str::to_owned).collect(),
            _ => self
                .strings(table, "shell", of)
                .into_iter()
                .map(|(word, _)| word.to_owned())
                .collect(),
        };
        if words.is_empty() || words.iter().any(|word| word.contains('\0')) {
            // Values that are not strings have been reported.
            if self.problems.len() == found {
                let what = "must be a command such as \"bash -euo pipefail -c\"";
                self.problem(value, format!("`shell` of {of} {what}"));
            }
            return Vec::new();
        }
        words
    }
}

/// Parses `90s`, `30m`, `2h` or `1d`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let seconds = parse_with_unit(text, &[("s", 1), ("m", 60), ("h", 3600), ("d", 86400)])?;
    Some(Duration::from_secs(seconds))
}

/// Parses a number with a unit; `None` if it is malformed or too large.
fn parse_with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (unit, factor) = units.iter().find(|(unit, _)| text.ends_with(unit))?;
    text.strip_suffix(unit)?.trim_end().parse::<u64>().ok()?.checked_mul(*factor)
}
