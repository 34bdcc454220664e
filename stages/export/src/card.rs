//! Writes the model card: the model, its training data, its scores and its limits, for readers who
//! have only the file.
//!
//! The same model, scores and params give the same text.

use std::fmt::Write as _;

use kit::without_secrets;
use model::checkpoint::Manifest;
use model::config::Architecture;
use model::split::{Part, indices};
use serde_json::{Map, Value};

use crate::frontend::WAVEFORM;

/// Contents of a model card.
#[derive(Debug)]
pub(crate) struct Card<'a> {
    pub(crate) manifest: &'a Manifest,
    /// Number of trained weights of the network, without the statistics of its batch norms.
    pub(crate) weights: usize,
    /// Digest of the file of weights.
    pub(crate) digest: String,
    /// Part of each clip.
    pub(crate) parts: &'a [Part],
    /// Contents of `evaluate.json`.
    pub(crate) scores: &'a Value,
    /// Params of the pipeline, by section.
    pub(crate) params: &'a Map<String, Value>,
    /// Sample rate of the waveform model, if there is one.
    pub(crate) waveform: Option<u32>,
}

impl Card<'_> {
    /// Renders the card as Markdown.
    pub(crate) fn text(&self) -> String {
        let sections = [self.model(), self.data(), self.scores(), self.limits(), self.params()];
        sections.join("\n")
    }

    fn model(&self) -> String {
        let network = &self.manifest.network;
        let kind = match network.model {
            Architecture::Baseline => {
                "A convolutional network (two convolutions, two linear layers)"
            }
            Architecture::ResNet => "A residual network",
        };
        let statistics = match network.statistics {
            true => " and a linear classifier of statistics over time",
            false => "",
        };
        let [channels, rows, columns] = network.input;
        let columns = match network.model {
            Architecture::Baseline => columns.to_string(),
            Architecture::ResNet => "T".to_owned(),
        };
        let mut text = format!(
            "# Audio classifier ({} classes)\n\n\
             {kind}{statistics} with {} weights. BLAKE3 digest of the weights file: `{}`.\n\n\
             | file | input | outputs |\n|---|---|---|\n\
             | `genre.onnx` | `spectrograms` [N, {channels}, {rows}, {columns}], computed with the \
             params below | `logits`, `probabilities` [N, {0}] |\n",
            network.classes, self.weights, self.digest
        );
        if let Some(rate) = self.waveform {
            let _ = writeln!(
                text,
                "| `genre_waveform.onnx` | `{WAVEFORM}` [N, samples]: mono, {rate} Hz, \
                 full scale 1 | the same |"
            );
        }
        let _ = writeln!(
            text,
            "\nThe classes, in the order of the outputs: {}.",
            self.manifest.labels.join(", ")
        );
        text
    }

    fn data(&self) -> String {
        let counts = [Part::Train, Part::Validation, Part::Test]
            .map(|part| (part.name(), indices(self.parts, part).len()))
            .map(|(name, count)| format!("{count} {name}"));
        let source = self.params.get("download").and_then(|section| section["source"].as_str());
        format!(
            "## Data\n\n{}\n\nClips: {}; `split.csv` lists them. No clip is in two parts.\n",
            source.map_or(
                "The audio was not collected by this pipeline; its licence is unknown.".to_owned(),
                origin
            ),
            counts.join(", ")
        )
    }

    fn scores(&self) -> String {
        let chose_epoch = !self.parts.contains(&Part::Test);
        let clips = match chose_epoch {
            false => "test clips, which were not used for training or to choose the epoch",
            true => {
                "validation clips. They were not used for training but chose the epoch, so the \
                 scores of the best epoch are too high; those of the last epoch are not"
            }
        };
        let epoch = self.manifest.epoch.map_or(String::new(), |epoch| {
            format!(" The weights are those of epoch {} of {}.", epoch.kept, epoch.of)
        });
        let mut text = format!(
            "## Scores\n\nMeasured on {} {clips}.{epoch} Intervals contain the score of all such \
             recordings in 95 % of samples of this size.\n\n\
             | score | value | interval |\n|---|---|---|\n",
            self.scores["clips"]
        );
        let of_best = if chose_epoch { ", best epoch" } else { "" };
        for (name, key) in [
            ("accuracy", "accuracy"),
            ("balanced_accuracy", "balanced_accuracy"),
            ("macro_f1", "macro_f1"),
            ("top3_accuracy", "top3_accuracy"),
            ("expected calibration error", "ece"),
        ] {
            row(&mut text, &format!("{name}{of_best}"), key, self.scores);
        }
        let last = &self.scores["last_epoch"];
        if last.is_object() {
            row(&mut text, "accuracy, last epoch", "accuracy", last);
        }
        let calibrated = &self.scores["calibrated"];
        if calibrated.is_object() {
            let _ = writeln!(
                text,
                "\nWith logits divided by {}, the calibration error is {}.",
                number(&calibrated["temperature"]),
                number(&calibrated["ece"])
            );
        }
        text
    }

    fn limits(&self) -> String {
        "## Limits\n\nThe model assigns one of these classes to any sound, including speech and \
         silence. The scores hold for recordings like the ones above; on others it is less \
         accurate, and overconfident.\n"
            .to_owned()
    }

    fn params(&self) -> String {
        let mut text = "## Params\n\n```toml\n".to_owned();
        for (section, value) in self.params {
            lines(section, value, &mut text);
        }
        text + "```\n"
    }
}

/// Appends a row of the table of scores.
fn row(text: &mut String, name: &str, key: &str, scores: &Value) {
    let interval = &scores["interval"][key];
    let interval = match [&interval["low"], &interval["high"]].map(Value::as_f64) {
        [Some(low), Some(high)] => format!("{low:.3} to {high:.3}"),
        _ => String::new(),
    };
    let _ = writeln!(text, "| {name} | {} | {interval} |", number(&scores[key]));
}

/// Describes the source of the audio and its licence.
fn origin(source: &str) -> String {
    let lower = source.to_lowercase();
    match lower.as_str() {
        "synth" => {
            "Music from this project's synthesizer, under the project's own licence. It contains \
             no recordings."
                .to_owned()
        }
        _ if lower.contains("gtzan") => format!(
            "GTZAN (Tzanetakis and Cook 2002), from `{}`: excerpts of commercial recordings, \
             published without a licence; the rights remain with their owners. It is used for \
             research. Check whether you may distribute a model that was trained on it.",
            without_secrets(source)
        ),
        _ => format!(
            "Audio from `{}`. Its licence is that of the source: state it when you distribute the \
             model.",
            without_secrets(source)
        ),
    }
}

/// Appends `key = value` for all values below `key`.
fn lines(key: &str, value: &Value, text: &mut String) {
    match value {
        Value::Object(values) => {
            values.iter().for_each(|(part, value)| lines(&format!("{key}.{part}"), value, text));
        }
        Value::String(word) if word.contains("://") => {
            let _ = writeln!(text, "{key} = {:?}", without_secrets(word));
        }
        value => {
            let _ = writeln!(text, "{key} = {value}");
        }
    }
}

fn number(value: &Value) -> String {
    value.as_f64().map_or("?".to_owned(), |value| format!("{value:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_states_licence_without_secrets() {
        for (source, words) in [
            ("synth", "the project's own licence"),
            ("gtzan", "the rights remain with their owners"),
            (
                "hf://datasets/marsyas/gtzan/data/genres.tar.gz",
                "the rights remain with their owners",
            ),
            (
                "https://me:secret@example.org/a.zip?signature=secret",
                "Audio from `https://example.org/a.zip`. Its",
            ),
            ("/data/mine", "Audio from `/data/mine`. Its licence is that of the source"),
        ] {
            let text = origin(source);
            assert!(text.contains(words) && !text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn params_as_dotted_keys() {
        let mut text = String::new();
        lines(
            "train",
            &serde_json::json!({ "epochs": 3, "augment": { "gain": 8.0 }, "model": "resnet" }),
            &mut text,
        );
        assert_eq!(text, "train.augment.gain = 8.0\ntrain.epochs = 3\ntrain.model = \"resnet\"\n");
    }
}
