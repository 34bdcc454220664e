//! Checks the settings of a remote against its URL, and that none of them is a secret: the file is
//! committed.

use toml::de::DeTable;

use super::reader::{Reader, Value};
use crate::pipeline::{Location, Problem, own_variable};

/// Settings that only some stores have, with their schemes.
const OF_SCHEMES: [(&str, &[&str]); 5] = [
    ("endpoint", &["s3", "gs", "az"]),
    ("region", &["s3"]),
    ("path_style", &["s3"]),
    ("profile", &["s3"]),
    ("timeout", &["s3", "gs", "az", "sftp", "webdav", "webdavs", "http", "https", "gdrive"]),
];

/// Names that other tools give to secrets, and the variables to use instead.
const SECRETS: [(&str, &str); 9] = [
    ("access_key_id", "AWS_ACCESS_KEY_ID"),
    ("access_key", "AWS_ACCESS_KEY_ID"),
    ("secret_access_key", "AWS_SECRET_ACCESS_KEY"),
    ("secret_key", "AWS_SECRET_ACCESS_KEY"),
    ("session_token", "AWS_SESSION_TOKEN"),
    ("account_key", "AZURE_STORAGE_ACCOUNT_KEY"),
    ("sas_token", "AZURE_STORAGE_SAS_TOKEN"),
    ("connection_string", "AZURE_STORAGE_CONNECTION_STRING"),
    ("credentialpath", "GOOGLE_APPLICATION_CREDENTIALS"),
];

/// Parts of the names of secrets.
const SECRET_PARTS: [&str; 7] =
    ["secret", "password", "passphrase", "token", "credential", "key", "user"];

impl Reader {
    /// Reports the secrets in a table, and returns whether it has some.
    pub(super) fn reject_secrets(&mut self, table: &DeTable<'_>, name: &str) -> bool {
        let mut has_some = false;
        for (key, _) in table {
            let Some(instead) = instead_of(key.get_ref(), table, name) else { continue };
            has_some = true;
            let what = format!(
                "`{}` of remote `{name}` is a secret, which must not stand in pipeline.toml",
                key.get_ref()
            );
            self.problems.push(Problem::new(self.line(key), what).hint(instead));
        }
        has_some
    }

    /// Reports a URL that names no place, and settings that its store does not have.
    pub(super) fn check_location(
        &mut self,
        table: &DeTable<'_>,
        url: &Value<'_>,
        text: &str,
        name: &str,
    ) {
        let location = match Location::parse(text) {
            Ok(location) => location,
            Err(bad) => {
                let hint = bad.hint.replace("REPRO_REMOTE_<NAME>_", &own_variable(name, ""));
                let problem =
                    Problem::new(self.line(url), format!("remote `{name}`: {}", bad.what));
                self.problems.push(problem.hint(hint));
                return;
            }
        };
        for (key, schemes) in OF_SCHEMES {
            let Some((at, _)) = table.get_key_value(key) else { continue };
            if !schemes.contains(&location.scheme()) {
                let schemes: Vec<String> =
                    schemes.iter().map(|scheme| format!("`{scheme}://`")).collect();
                let what = format!("`{key}` of remote `{name}` has no effect on `{location}`");
                let hint = format!("remove it; it is a setting of {}", schemes.join(", "));
                self.problems.push(Problem::new(self.line(at), what).hint(hint));
            }
        }
        self.check_endpoint(table, name);
    }

    fn check_endpoint(&mut self, table: &DeTable<'_>, name: &str) {
        let Some(value) = table.get("endpoint") else { return };
        let Some(text) = value.get_ref().as_str() else { return };
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let is_plain = |host: &str| {
            !host.is_empty() && !host.contains(['@', '?', '#', ' ']) && !host.starts_with('/')
        };
        if host.is_some_and(is_plain) {
            return;
        }
        let what = format!("`endpoint` of remote `{name}` is not the URL of a server");
        let hint = match text.contains('@') {
            true => "write it without a user; credentials come from the environment".to_owned(),
            false if host.is_none() && !text.contains("://") && is_plain(text) => {
                format!("did you mean `https://{text}`?")
            }
            false => "write one such as `https://s3.example.com`".to_owned(),
        };
        self.problems.push(Problem::new(self.line(value), what).hint(hint));
    }
}

/// Returns what to do instead of giving a secret in the file; `None` if a key is not a secret.
fn instead_of(key: &str, table: &DeTable<'_>, name: &str) -> Option<String> {
    let lower = key.to_ascii_lowercase();
    let in_environment = |variable: &str| {
        format!("remove it, and set the variable `{variable}` in the environment instead")
    };
    if let Some((_, variable)) = SECRETS.iter().find(|(secret, _)| *secret == lower) {
        return Some(in_environment(variable));
    }
    let part = SECRET_PARTS.iter().find(|part| lower.contains(**part))?;
    let url = table.get("url").and_then(|url| url.get_ref().as_str()).unwrap_or_default();
    Some(match (url.split("://").next().unwrap_or_default(), *part) {
        ("sftp" | "ssh", "key" | "user") => return None,
        ("sftp" | "ssh", _) => {
            "remove it; `ssh` must work without a question: use a key".to_owned()
        }
        ("s3", _) => in_environment("AWS_SECRET_ACCESS_KEY"),
        ("gs" | "gcs", _) => in_environment("GOOGLE_APPLICATION_CREDENTIALS"),
        ("az" | "azblob", _) => in_environment("AZURE_STORAGE_ACCOUNT_KEY"),
        (_, "user") => in_environment(&own_variable(name, "USER")),
        ("gdrive", "secret") => in_environment(&own_variable(name, "CLIENT_SECRET")),
        ("gdrive", "token") => in_environment(&own_variable(name, "REFRESH_TOKEN")),
        (_, "token") => in_environment(&own_variable(name, "TOKEN")),
        _ => in_environment(&own_variable(name, "PASSWORD")),
    })
}
