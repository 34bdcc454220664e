//! Parses `[remotes.NAME]`: stores to which objects, traces and runs travel.

use toml::de::DeTable;

use super::reader::{Reader, Value};
use crate::pipeline::{Auto, BadName, Problem, RemoteSpec, check_name};

pub(in crate::pipeline) const KEYS: [&str; 9] =
    ["url", "default", "auto", "region", "endpoint", "profile", "path_style", "jobs", "timeout"];

impl Reader {
    pub(super) fn remotes(&mut self, root: &DeTable<'_>) -> Vec<RemoteSpec> {
        let Some(table) = root.get("remotes").and_then(|value| self.table(value, "`[remotes]`"))
        else {
            return Vec::new();
        };
        let mut remotes: Vec<RemoteSpec> = Vec::new();
        for (name, value) in table {
            if check_name(name.get_ref()).is_err() {
                let what = format!("`{}` is not a valid name of a remote", name.get_ref());
                let problem = Problem::new(self.line(name), what);
                self.problems.push(problem.hint(BadName::HINT));
                continue;
            }
            let Some(remote) = self.remote(name.get_ref(), value) else { continue };
            let other = remotes.iter().find(|other| other.is_default && remote.is_default);
            if let Some(other) = other {
                let what =
                    format!("remotes `{}` and `{}` are both the default", other.name, remote.name);
                let problem = Problem::new(self.line(name), what);
                self.problems.push(problem.hint("keep `default = true` in one of them"));
            }
            remotes.push(remote);
        }
        remotes
    }

    fn remote(&mut self, name: &str, value: &Value<'_>) -> Option<RemoteSpec> {
        let of = format!("remote `{name}`");
        let table = self.table(value, &of)?;
        if !self.reject_secrets(table, name) {
            self.reject_unknown_keys(table, &of, &KEYS);
        }
        let Some(url) = table.get("url") else {
            let problem = Problem::new(self.line(value), format!("{of} has no `url`"));
            self.problems.push(problem.hint("add one, such as `url = \"s3://bucket/project\"`"));
            return None;
        };
        let at = url;
        let url = self.string(at, &format!("`url` of {of}"))?;
        if url.trim().is_empty() || url.chars().any(char::is_control) {
            self.problem(at, format!("`url` of {of} is neither a URL nor the path of a folder"));
            return None;
        }
        self.check_location(table, at, url, name);
        let flag = |reader: &mut Reader, key| {
            table.contains_key(key).then(|| reader.flag(table, key, &of, false))
        };
        let text = |reader: &mut Reader, key: &str| {
            let value = table.get(key)?;
            reader.string(value, &format!("`{key}` of {of}")).map(str::to_owned)
        };
        Some(RemoteSpec {
            name: name.to_owned(),
            url: url.to_owned(),
            is_default: flag(self, "default").unwrap_or_default(),
            auto: self.auto(table, &of),
            region: text(self, "region"),
            endpoint: text(self, "endpoint"),
            profile: text(self, "profile"),
            path_style: flag(self, "path_style"),
            jobs: table
                .get("jobs")
                .and_then(|value| self.integer(value, &format!("`jobs` of {of}"), 1..=1024))
                .and_then(|jobs| usize::try_from(jobs).ok()),
            timeout: table
                .get("timeout")
                .and_then(|value| self.duration(value, &format!("`timeout` of {of}"))),
        })
    }

    fn auto(&mut self, table: &DeTable<'_>, of: &str) -> Auto {
        let Some(value) = table.get("auto") else { return Auto::Off };
        match value.get_ref().as_str() {
            Some("pull") => Auto::Pull,
            _ => {
                let problem = Problem::new(self.line(value), format!("`auto` of {of} is unknown"));
                let hint = "the only value is \"pull\": `repro run` fetches what the remote has";
                self.problems.push(problem.hint(hint));
                Auto::Off
            }
        }
    }
}
