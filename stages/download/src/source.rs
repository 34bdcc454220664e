//! Where the audio comes from: what the param `download.source` can say. Knows nothing about how it is got.

use std::fmt;
use std::path::PathBuf;

use anyhow::{Result, ensure};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The synthesizer.
    Synth,
    /// A folder of class folders, relative to the project root.
    Folder(PathBuf),
    /// An archive behind `http://` or `https://`.
    Address(String),
}

impl Source {
    /// # Errors
    /// Nothing at all; an address of another scheme.
    pub(crate) fn parse(text: &str) -> Result<Source> {
        let text = text.trim();
        ensure!(
            !text.is_empty(),
            "param `download.source` is empty; it is `synth`, a folder, or an http(s) address"
        );
        if text == "synth" {
            return Ok(Source::Synth);
        }
        match text.split_once("://") {
            None => Ok(Source::Folder(PathBuf::from(text))),
            Some((scheme, _)) => {
                let known = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
                ensure!(known, "param `download.source`: `{scheme}://` is not http:// or https://");
                Ok(Source::Address(text.to_owned()))
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Synth => write!(f, "the synthesizer"),
            Source::Folder(folder) => write!(f, "`{}`", folder.display()),
            Source::Address(address) => write!(f, "`{}`", without_secrets(address)),
        }
    }
}

/// An address fit for messages: without a password before the host, without the query, which may hold a
/// signature.
pub(crate) fn without_secrets(address: &str) -> String {
    let plain = address.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = plain.split_once("://") else { return plain.to_owned() };
    let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
    let host = host.rsplit('@').next().unwrap_or_default();
    match path {
        Some(path) => format!("{scheme}://{host}/{path}"),
        None => format!("{scheme}://{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_apart() {
        for (text, source) in [
            ("synth", Source::Synth),
            (" synth ", Source::Synth),
            ("clips", Source::Folder("clips".into())),
            ("../my clips/synth", Source::Folder("../my clips/synth".into())),
            ("http://h/a.zip", Source::Address("http://h/a.zip".to_owned())),
            ("HTTPS://h/a.tgz?x=1", Source::Address("HTTPS://h/a.tgz?x=1".to_owned())),
        ] {
            assert_eq!(Source::parse(text).unwrap(), source, "{text}");
        }
        assert!(Source::parse("").is_err());
        assert!(Source::parse("ftp://h/a.zip").is_err());
    }

    #[test]
    fn addresses_are_shown_without_secrets() {
        for (address, shown) in [
            ("https://h/a.zip", "https://h/a.zip"),
            ("https://u:p@h:8/a@b.zip?sig=x#y", "https://h:8/a@b.zip"),
            ("https://h?token=x", "https://h"),
        ] {
            assert_eq!(without_secrets(address), shown);
        }
    }
}
