//! Properties of a model file: the information needed to classify an audio file.
//!
//! Does not know about the network or the meaning of the spectrogram params.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

const LABELS: &str = "labels";
const SPECTROGRAM: &str = "spectrogram";
const VERSION: &str = "version";
/// Version of the model interface: input, outputs and properties.
const CURRENT: &str = "1";

/// Properties of a model file.
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    /// Names of the classes, in the order of the outputs.
    pub labels: Vec<String>,
    /// The `spectrogram` params that the inputs of the model were made with, as a JSON object.
    /// `features` interprets them.
    pub spectrogram: Value,
}

impl Metadata {
    /// Returns `labels` and `spectrogram` as JSON text, and `version`.
    ///
    /// # Errors
    /// None in practice: the values are JSON already.
    pub fn to_properties(&self) -> Result<BTreeMap<&'static str, String>> {
        Ok(BTreeMap::from([
            (LABELS, serde_json::to_string(&self.labels)?),
            (SPECTROGRAM, serde_json::to_string(&self.spectrogram)?),
            (VERSION, CURRENT.to_owned()),
        ]))
    }

    /// Parses the properties of a file, which `property` returns by key.
    ///
    /// # Errors
    /// A property is missing or invalid.
    pub fn from_properties<'a>(property: impl Fn(&str) -> Option<&'a str>) -> Result<Metadata> {
        let text = |key: &str| {
            property(key).with_context(|| {
                format!("it has no property `{key}`: `repro run export` writes one")
            })
        };
        let version = text(VERSION)?;
        ensure!(version == CURRENT, "unsupported model version `{version}`: expected `{CURRENT}`");
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
    fn properties_round_trip() {
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
