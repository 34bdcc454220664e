//! Parses the param `download.source`. Does not know how a source is fetched.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use kit::files::has_extension;
use kit::without_secrets;

use crate::endpoint::SCHEMES;

/// Addresses of GTZAN: a .zip, from which single clips can be fetched, and a .tar.gz.
const GTZAN: [&str; 2] = [
    "kaggle://andradaolteanu/gtzan-dataset-music-genre-classification",
    "hf://datasets/marsyas/gtzan/data/genres.tar.gz",
];

/// Description of the valid values of `download.source`, for messages.
pub(crate) const KINDS: &str = "`synth`, `gtzan`, a folder, an archive, a manifest (.csv), or an \
                                address (http, https, kaggle, hf) of an archive or a manifest";

/// A parsed `download.source`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The synthesizer.
    Synth,
    /// A folder of class folders, an archive or a manifest, relative to the project root.
    Local(PathBuf),
    /// Alternative addresses of the same clips, tried in order.
    Remote(Vec<String>),
}

impl Source {
    /// Parses a source.
    ///
    /// # Errors
    /// If the text is empty, or the scheme of the address is not supported.
    pub(crate) fn parse(text: &str) -> Result<Source> {
        let text = text.trim();
        ensure!(!text.is_empty(), "param `download.source` is empty; it must be {KINDS}");
        match text {
            "synth" => return Ok(Source::Synth),
            "gtzan" => return Ok(Source::Remote(GTZAN.map(str::to_owned).to_vec())),
            _ => {}
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(Source::Local(text.into()));
        };
        let scheme = scheme.to_ascii_lowercase();
        if !SCHEMES.contains(&scheme.as_str()) {
            bail!(
                "param `download.source`: `{scheme}://` is not supported; use {}",
                SCHEMES.map(|it| format!("{it}://")).join(", ")
            );
        }
        Ok(Source::Remote(vec![format!("{scheme}://{rest}")]))
    }
}

/// Reports whether a path or an address is a manifest, by its extension.
pub(crate) fn is_manifest(text: &str) -> bool {
    has_extension(Path::new(text.split(['?', '#']).next().unwrap_or_default()), &["csv"])
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Synth => write!(f, "the synthesizer"),
            Source::Local(path) => write!(f, "`{}`", path.display()),
            Source::Remote(addresses) => {
                let shown: Vec<_> =
                    addresses.iter().map(|it| format!("`{}`", without_secrets(it))).collect();
                f.write_str(&shown.join(" or "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_source() {
        for (text, source) in [
            ("synth", Source::Synth),
            (" synth ", Source::Synth),
            ("clips", Source::Local("clips".into())),
            ("../my clips/synth", Source::Local("../my clips/synth".into())),
            ("http://h/a.zip", Source::Remote(vec!["http://h/a.zip".to_owned()])),
            ("HTTPS://h/a.tgz?x=1", Source::Remote(vec!["https://h/a.tgz?x=1".to_owned()])),
            ("kaggle://o/n", Source::Remote(vec!["kaggle://o/n".to_owned()])),
        ] {
            assert_eq!(Source::parse(text).unwrap(), source, "{text}");
        }
        let Source::Remote(addresses) = Source::parse("gtzan").unwrap() else {
            panic!("addresses")
        };
        assert!(addresses[0].starts_with("kaggle://") && addresses[1].starts_with("hf://"));
        assert!(Source::parse("").is_err());
        assert!(Source::parse("ftp://h/a.zip").is_err());
    }

    #[test]
    fn manifest_extensions() {
        for (text, expected) in [
            ("a/b.csv", true),
            ("http://h/b.CSV?x=1", true),
            ("http://h/a.zip?b.csv", false),
            ("a.tar", false),
        ] {
            assert_eq!(is_manifest(text), expected, "{text}");
        }
    }
}
