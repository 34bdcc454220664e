//! What a model file says beside its network: enough to get from an audio file to a named genre.
//!
//! Knows nothing about the network, nor about what the spectrogram params mean.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

const LABELS: &str = "labels";
const SPECTROGRAM: &str = "spectrogram";
const VERSION: &str = "version";
/// The version of what a model promises: its input, its outputs and these properties.
const CURRENT: &str = "1";

/// The properties of a model file.
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    /// The names of the classes, in the order of the outputs.
    pub labels: Vec<String>,
    /// The params of the section `spectrogram` that the model's inputs were made with: an object, for the
    /// crate that makes them to judge.
    pub spectrogram: Value,
}

impl Metadata {
    /// As key and text: `labels` and `spectrogram` as JSON, `version`.
    ///
    /// # Errors
    /// None that can be met: the values are JSON already.
    pub fn to_properties(&self) -> Result<BTreeMap<&'static str, String>> {
        Ok(BTreeMap::from([
            (LABELS, serde_json::to_string(&self.labels)?),
            (SPECTROGRAM, serde_json::to_string(&self.spectrogram)?),
            (VERSION, CURRENT.to_owned()),
        ]))
    }

    /// From the properties of a file.
    ///
    /// # Errors
    /// A property that is missing or is not what [`Metadata::to_properties`] writes.
    pub fn from_properties<'a>(property: impl Fn(&str) -> Option<&'a str>) -> Result<Metadata> {
        let text = |key: &str| {
            property(key).with_context(|| {
                format!("it has no property `{key}`: `repro run export` writes one")
            })
        };
        let version = text(VERSION)?;
        ensure!(
            version == CURRENT,
            "its version is `{version}`, but this program knows `{CURRENT}`"
        );
        let labels = serde_json::from_str(text(LABELS)?).context("its property `labels`")?;
        let spectrogram =
            serde_json::from_str(text(SPECTROGRAM)?).context("its property `spectrogram`")?;
        Ok(Metadata { labels, spectrogram })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_survive_a_round_trip() {
        let spectrogram = serde_json::from_str(r#"{"n_fft":1024,"resize":true}"#).unwrap();
        let metadata =
            Metadata { labels: vec!["hip \"hop\"".to_owned(), "é".to_owned()], spectrogram };
        let properties = metadata.to_properties().unwrap();
        let of = |key: &str| properties.get(key).map(String::as_str);
        assert_eq!(Metadata::from_properties(of).unwrap(), metadata);
        for missing in [LABELS, SPECTROGRAM, VERSION] {
            let error =
                Metadata::from_properties(|key| of(key).filter(|_| key != missing)).unwrap_err();
            assert!(
                format!("{error:#}").contains(&format!("no property `{missing}`")),
                "{error:#}"
            );
        }
    }
}
