//! `url` with its options, and `import`: the place from which the outs of a stage without `cmd`
//! come.

use toml::de::DeTable;

use super::reader::{Reader, Scope, Value};
use super::texts::Form;
use crate::error::did_you_mean;
use crate::pipeline::{
    Cached, GitUrl, Origin, Out, Persist, Problem, ProjectOrigin, RemoteSpec, Role, Stage, Url,
    UrlOrigin,
};
use crate::repo_path::RepoPath;

/// The keys that a stage with `url` can have.
const WITH_URL: [&str; 7] = ["url", "extract", "sha256", "md5", "outs", "desc", "frozen"];
/// The keys that a stage with `import` can have.
const WITH_IMPORT: [&str; 4] = ["import", "outs", "desc", "frozen"];
/// The keys of `import`.
const IMPORT: [&str; 3] = ["repo", "path", "rev"];
/// The keys that need `url`.
const NEED_URL: [&str; 3] = ["extract", "sha256", "md5"];

impl Reader {
    /// Reads `url`, `extract`, `sha256` and `md5`, or `import`; `None` if the stage has neither.
    pub(super) fn origin(
        &mut self,
        table: &DeTable<'_>,
        of: &str,
        outs: &[Out],
        scope: Scope<'_>,
    ) -> Option<Origin> {
        if let Some(value) = table.get("import") {
            self.reject_keys_beside(table, "import", &WITH_IMPORT, of);
            self.check_outs_of(("import", value), outs, of);
            return self.import(value, of, scope);
        }
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
        self.reject_keys_beside(table, "url", &WITH_URL, of);
        self.check_outs_of(("url", value), outs, of);
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

    /// Reads the table `import`.
    fn import(&mut self, value: &Value<'_>, of: &str, scope: Scope<'_>) -> Option<Origin> {
        let of = format!("`import` of {of}");
        let table = self.table(value, &of)?;
        self.reject_unknown_keys(table, &of, &IMPORT);
        let missing = ["repo", "path"].into_iter().find(|key| !table.contains_key(*key));
        if let Some(key) = missing {
            let hint = "import = { repo = \"https://…\", path = \"data/x\", rev = \"v1\" }";
            let problem = Problem::new(self.line(value), format!("{of} has no `{key}`"));
            self.problems.push(problem.hint(hint));
            return None;
        }
        let mut text = |key: &str| {
            let value = table.get(key)?;
            let what = format!("`{key}` in {of}");
            let text = self.text_without_variables(value, &what, scope, Form::Text)?;
            Some((text, what, self.line(value)))
        };
        let (repo, path, rev) = (text("repo"), text("path"), text("rev"));
        let ((repo, of_repo, line), (path, of_path, line_of_path)) = (repo?, path?);
        let repo = GitUrl::parse(&repo).map_err(|bad| {
            self.problems.push(Problem::new(line, format!("{of_repo} {bad}")).hint(bad.hint));
        });
        let path = RepoPath::parse(&path).map_err(|bad| {
            self.problems.push(Problem::new(line_of_path, format!("{of_path} {bad}")));
        });
        let rev = match rev {
            Some((rev, what, line)) if !is_rev(&rev) => {
                let problem = Problem::new(line, format!("{what} is not a git revision"));
                self.problems.push(problem.hint("write a branch, a tag or a commit"));
                return None;
            }
            rev => rev.map(|(rev, ..)| rev),
        };
        Some(Origin::Project(ProjectOrigin { repo: repo.ok()?, path: path.ok()?, rev }))
    }

    /// Refuses what a stage with `key` cannot have.
    fn reject_keys_beside(&mut self, table: &DeTable<'_>, key: &str, allowed: &[&str], of: &str) {
        for (other, _) in table {
            let name: &str = other.get_ref();
            if super::stage::KEYS.contains(&name) && !allowed.contains(&name) {
                let what = format!("{of} has `{key}` and `{name}`");
                let hint = format!(
                    "a stage that downloads can only have {}; read its outs in another stage",
                    allowed.join(", ")
                );
                self.problems.push(Problem::new(self.line(other), what).hint(hint));
            }
        }
    }

    /// A stage with an origin has one plain out.
    fn check_outs_of(&mut self, (key, at): (&str, &Value<'_>), outs: &[Out], of: &str) {
        let is_plain = |out: &Out| {
            out.role == Role::Data
                && out.cached == Cached::Yes
                && out.persist == Persist::No
                && out.presence == crate::pipeline::Presence::Required
        };
        let what = match outs {
            [out] if is_plain(out) => return,
            [out] => format!("out `{}` of {of} has options, but the stage has `{key}`", out.path),
            _ => format!("{of} has `{key}` and {} outs, not one", outs.len()),
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

/// Reports whether a text can be a revision and not an option of git.
fn is_rev(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('-') && !text.contains(|c: char| c.is_control())
}
