//! Resolves a source to an HTTP address, and decides which host gets which credentials.
//!
//! Credentials are read from the environment, sent in one header, and never printed or written to
//! disk.

use std::fmt;

use anyhow::{Result, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// An HTTP address, and the authorization for its host.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: String,
    pub(crate) authorization: Option<Secret>,
    /// Appended to the error if the server refuses access.
    pub(crate) hint: &'static str,
}

/// The value of an `Authorization` header.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Secret {
    /// Returns the header's value. Use it only to build the request.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

const KAGGLE: &str = "https://www.kaggle.com";
const HUGGING_FACE: &str = "https://huggingface.co";

/// Supported URL schemes.
pub(crate) const SCHEMES: [&str; 4] = ["http", "https", "kaggle", "hf"];

impl Endpoint {
    /// Resolves a source; `env` reads an environment variable.
    ///
    /// Accepts `http://`, `https://`, `kaggle://OWNER/NAME` and
    /// `hf://datasets/OWNER/NAME[@REVISION]/PATH`.
    ///
    /// # Errors
    /// If the path does not have the form above.
    pub(crate) fn of(source: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Endpoint> {
        let base = |name: &str, default: &str| {
            let base = env(name).unwrap_or_else(|| default.to_owned());
            base.trim_end_matches('/').to_owned()
        };
        let endpoint = match source.split_once("://") {
            Some(("kaggle", rest)) => {
                let parts: Vec<&str> = rest.split('/').collect();
                let [owner, name] = parts[..] else {
                    bail!("`{source}` is not `kaggle://OWNER/NAME`")
                };
                check_names(source, [owner, name])?;
                let base = base("KAGGLE_API_ENDPOINT", KAGGLE);
                let address = format!("{base}/api/v1/datasets/download/{owner}/{name}");
                let basic = || {
                    let pair = format!("{}:{}", env("KAGGLE_USERNAME")?, env("KAGGLE_KEY")?);
                    Some(format!("Basic {}", BASE64_STANDARD.encode(pair)))
                };
                let token =
                    env("KAGGLE_API_TOKEN").map(|token| format!("Bearer {token}")).or_else(basic);
                let hint = "; set KAGGLE_API_TOKEN, or KAGGLE_USERNAME and KAGGLE_KEY, \
                            if it is not public";
                Endpoint { address, authorization: token.map(Secret), hint }
            }
            Some(("hf", rest)) => {
                let parts: Vec<&str> = rest.splitn(4, '/').collect();
                let ["datasets", owner, name, path] = parts[..] else {
                    bail!("`{source}` is not `hf://datasets/OWNER/NAME/PATH`");
                };
                let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
                check_names(source, [owner, name, revision])?;
                let base = base("HF_ENDPOINT", HUGGING_FACE);
                let address = format!("{base}/datasets/{owner}/{name}/resolve/{revision}/{path}");
                let token = env("HF_TOKEN").map(|token| Secret(format!("Bearer {token}")));
                Endpoint {
                    address,
                    authorization: token,
                    hint: "; set HF_TOKEN if it is not public",
                }
            }
            _ => Endpoint {
                address: source.to_owned(),
                authorization: None,
                hint: "; is `download.source` correct?",
            },
        };
        let may_authorize = is_confidential(&endpoint.address);
        Ok(Endpoint { authorization: endpoint.authorization.filter(|_| may_authorize), ..endpoint })
    }

    /// Returns the address without secrets, for messages.
    pub(crate) fn shown(&self) -> String {
        kit::without_secrets(&self.address)
    }
}

fn check_names<const N: usize>(source: &str, names: [&str; N]) -> Result<()> {
    let plain = |name: &str| {
        !name.is_empty()
            && name != ".."
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    ensure!(
        names.into_iter().all(plain),
        "`{source}` contains a name that is empty or has invalid characters"
    );
    Ok(())
}

/// Reports whether the address uses https or is on this machine.
fn is_confidential(address: &str) -> bool {
    let Some((scheme, rest)) = address.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    scheme.eq_ignore_ascii_case("https") || ["localhost", "127.0.0.1", "[::1]"].contains(&host)
}

/// Resolves `relative` against the document at `base`; returns absolute addresses unchanged.
pub(crate) fn join(base: &str, relative: &str) -> String {
    if relative.contains("://") {
        return relative.to_owned();
    }
    let base = base.split(['?', '#']).next().unwrap_or_default();
    let path_at = base.find("://").map_or(0, |at| at + 3);
    let path_at = base[path_at..].find('/').map_or(base.len(), |at| path_at + at);
    if relative.starts_with('/') {
        return format!("{}{relative}", &base[..path_at]);
    }
    let folder = base[path_at..].rfind('/').map_or(path_at, |at| path_at + at);
    format!("{}/{relative}", &base[..folder])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(source: &str, variables: &[(&str, &str)]) -> Result<Endpoint> {
        let find = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, it)| (*it).to_owned())
        };
        Endpoint::of(source, &find)
    }

    #[test]
    fn hub_addresses() {
        for (source, address) in [
            ("https://h/a.zip?x=1", "https://h/a.zip?x=1"),
            ("kaggle://o/n-1", "https://www.kaggle.com/api/v1/datasets/download/o/n-1"),
            (
                "hf://datasets/o/n/d/a.tgz",
                "https://huggingface.co/datasets/o/n/resolve/main/d/a.tgz",
            ),
            ("hf://datasets/o/n@v1.0/a", "https://huggingface.co/datasets/o/n/resolve/v1.0/a"),
        ] {
            assert_eq!(endpoint(source, &[]).unwrap().address, address);
        }
        for source in [
            "kaggle://o",
            "kaggle://o/n/x",
            "kaggle://o/",
            "kaggle://../n",
            "hf://o/n/x",
            "hf://datasets/o/n",
        ] {
            let error = endpoint(source, &[]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{source}`")), "{error}");
        }
    }

    #[test]
    fn secrets_are_sent_only_to_their_host() {
        let variables = [("KAGGLE_USERNAME", "me"), ("KAGGLE_KEY", "key"), ("HF_TOKEN", "hf_1")];
        let secret = |source: &str, more: &[(&str, &str)]| {
            let variables: Vec<_> = variables.iter().chain(more).copied().collect();
            let found = endpoint(source, &variables).unwrap().authorization;
            found.map(|secret| secret.reveal().to_owned())
        };
        assert_eq!(secret("kaggle://o/n", &[]).unwrap(), "Basic bWU6a2V5");
        assert_eq!(secret("kaggle://o/n", &[("KAGGLE_API_TOKEN", "k1")]).unwrap(), "Bearer k1");
        assert_eq!(secret("hf://datasets/o/n/a", &[]).unwrap(), "Bearer hf_1");
        assert_eq!(secret("https://www.kaggle.com/a.zip", &[]), None);
        assert_eq!(
            secret("hf://datasets/o/n/a", &[("HF_ENDPOINT", "http://mirror.example")]),
            None
        );
        assert!(
            secret("hf://datasets/o/n/a", &[("HF_ENDPOINT", "http://127.0.0.1:8080/")]).is_some()
        );
        let shown = format!("{:?}", endpoint("kaggle://o/n", &variables).unwrap());
        assert!(shown.contains("Secret(…)") && !shown.contains("bWU6a2V5"), "{shown}");
    }

    #[test]
    fn resolves_relative_addresses() {
        for (base, relative, address) in [
            ("https://h/d/m.csv?x=a/b", "a.wav", "https://h/d/a.wav"),
            ("https://h/d/m.csv", "c/a.wav", "https://h/d/c/a.wav"),
            ("https://h/d/m.csv", "/a.wav", "https://h/a.wav"),
            ("https://h", "a.wav", "https://h/a.wav"),
            ("https://h/m.csv", "http://o/a.wav", "http://o/a.wav"),
        ] {
            assert_eq!(join(base, relative), address);
        }
    }
}
