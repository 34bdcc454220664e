//! `url` and its options: the place from which the outs of a stage without `cmd` come.

use toml::de::DeTable;

use super::reader::{Reader, Scope, Value};
use super::texts::Form;
use crate::error::did_you_mean;
use crate::pipeline::{
    Cached, Origin, Out, Persist, Problem, RemoteSpec, Role, Stage, Url, UrlOrigin,
};

/// The keys that a stage with `url` can have.
const WITH_URL: [&str; 7] = ["url", "extract", "sha256", "md5", "outs", "desc", "frozen"];
/// The keys that need `url`.
const NEED_URL: [&str; 3] = ["extract", "sha256", "md5"];

impl Reader {
    /// Reads `url`, `extract`, `sha256` and `md5`; `None` if the stage has no `url`.
    pub(super) fn origin(
        &mut self,
        table: &DeTable<'_>,
        of: &str,
        outs: &[Out],
        scope: Scope<'_>,
    ) -> Option<Origin> {
        let Some(value) = table.get("url") else {
            for (key, _) in table.iter().filter(|(key, _)| NEED_URL.contains(&&**key.get_ref())) {
                let what = format!("{of} has `{}` but no `url`", key.get_ref());
                self.problems.push(
                    Problem::new(self.line(key), what)
                        .hint("add url = \"https://…\", or remove the key"),
                );
            }
            return None;
        };
        for (key, _) in table {
            let name: &str = key.get_ref();
            if super::stage::KEYS.contains(&name) && !WITH_URL.contains(&name) {
                let what = format!("{of} has `url` and `{name}`");
                let hint = format!(
                    "a stage that downloads can only have {}; read its outs in another stage",
                    WITH_URL.join(", ")
                );
                self.problems.push(Problem::new(self.line(key), what).hint(hint));
            }
        }
        self.check_outs_of_url(value, outs, of);
        let what = format!("`url` of {of}");
        let text = self.text_without_variables(value, &what, scope, Form::Text)?;
        let url = match Url::parse(&text) {
            Ok(url) => url,
            Err(bad) => {
                let what = format!("{what} {bad}");
                self.problems.push(Problem::new(self.line(value), what).hint(bad.hint));
                return None;
            }
        };
        Some(Origin::Url(UrlOrigin {
            url,
            extract: self.flag(table, "extract", of, false),
            sha256: self.sum(table, "sha256", 64, of, scope),
            md5: self.sum(table, "md5", 32, of, scope),
        }))
    }

    /// Reports URLs that name a remote which is not declared.
    pub(super) fn check_remotes_of_urls(&mut self, stages: &[Stage], remotes: &[RemoteSpec]) {
        for stage in stages {
            let Some(Origin::Url(UrlOrigin { url, .. })) = &stage.origin else { continue };
            let Some(name) = url.remote() else { continue };
            if remotes.iter().any(|remote| remote.name == name) {
                continue;
            }
            let what = format!(
                "stage `{}` downloads from remote `{name}`, which is not declared",
                stage.name
            );
            let names = remotes.iter().map(|remote| remote.name.as_str());
            let hint = match did_you_mean(name, names) {
                Some(meant) => format!("did you mean `remote://{meant}/…`?"),
                None => format!("add a table `[remotes.{name}]` with its `url`"),
            };
            self.problems.push(Problem::new(stage.line, what).hint(hint));
        }
    }

    /// A stage with `url` has one plain out.
    fn check_outs_of_url(&mut self, at: &Value<'_>, outs: &[Out], of: &str) {
        let is_plain = |out: &Out| {
            out.role == Role::Data
                && out.cached == Cached::Yes
                && out.persist == Persist::No
                && out.presence == crate::pipeline::Presence::Required
        };
        let what = match outs {
            [out] if is_plain(out) => return,
            [out] => format!("out `{}` of {of} has options, but the stage has `url`", out.path),
            _ => format!("{of} has `url` and {} outs, not one", outs.len()),
        };
        let hint = "write outs = [\"PATH\"]: the file or the folder";
        self.problems.push(Problem::new(self.line(at), what).hint(hint));
    }

    /// Reads a digest of `digits` hexadecimal digits.
    fn sum(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        digits: usize,
        of: &str,
        scope: Scope<'_>,
    ) -> Option<String> {
        let value = table.get(key)?;
        let what = format!("`{key}` of {of}");
        let text = self.rendered_string(value, &what, scope, Form::Text)?.to_ascii_lowercase();
        if text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Some(text);
        }
        self.problem(value, format!("{what} must have {digits} hexadecimal digits"));
        None
    }
}
