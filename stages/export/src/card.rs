//! The model card: what a model is, what it learnt from and how good it is, for whoever gets the file alone.
//!
//! The same model, measures and params make the same text. Knows nothing about files.

use std::fmt::Write as _;

use kit::without_secrets;
use model::checkpoint::Manifest;
use model::config::Architecture;
use model::split::{Part, indices};
use serde_json::{Map, Value};

use crate::front::WAVEFORM;

/// What is told of a model.
#[derive(Debug)]
pub(crate) struct Card<'a> {
    pub(crate) manifest: &'a Manifest,
    /// How many numbers the network is made of.
    pub(crate) weights: usize,
    /// The digest of the file that has them.
    pub(crate) digest: String,
    /// The part of each clip.
    pub(crate) parts: &'a [Part],
    /// `evaluate.json`.
    pub(crate) scores: &'a Value,
    /// The params by section, as the pipeline has them.
    pub(crate) params: &'a Map<String, Value>,
    /// Samples a second of a waveform, where there is a model that takes one.
    pub(crate) waveform: Option<u32>,
}

impl Card<'_> {
    /// The text, as Markdown.
    pub(crate) fn text(&self) -> String {
        let sections = [self.model(), self.data(), self.measures(), self.limits(), self.params()];
        sections.join("\n")
    }

    fn model(&self) -> String {
        let network = &self.manifest.network;
        let kind = match network.model {
            Architecture::Baseline => "Two convolutions and two linear layers",
            Architecture::ResNet => "A residual network",
        };
        let [channels, rows, columns] = network.input;
        let columns = match network.model {
            Architecture::Baseline => columns.to_string(),
            Architecture::ResNet => "T".to_owned(),
        };
        let mut text = format!(
            "# Which of {} genres a recording is\n\n{kind} of {} weights, file digest blake3 `{}`.\n\n\
             | file | input | outputs |\n|---|---|---|\n\
             | `genre.onnx` | `spectrograms` [N, {channels}, {rows}, {columns}], made with the params below | `logits`, `probabilities` [N, {0}] |\n",
            network.classes, self.weights, self.digest
        );
        if let Some(rate) = self.waveform {
            let _ = writeln!(
                text,
                "| `genre_waveform.onnx` | `{WAVEFORM}` [N, samples]: mono, {rate} Hz, full scale 1 | the same |"
            );
        }
        let _ = writeln!(
            text,
            "\nThe outputs are, in this order: {}.",
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
            "## Data\n\n{}\n\nClips: {}; `split.csv` has which. No clip is in two parts.\n",
            source.map_or(
                "The audio was not made by this pipeline; its licence is not known here."
                    .to_owned(),
                origin
            ),
            counts.join(", ")
        )
    }

    fn measures(&self) -> String {
        let held_out = match self.parts.contains(&Part::Test) {
            true => "that neither taught it nor chose its epoch",
            false => "that did not teach it, but chose its epoch, so that they flatter it",
        };
        let mut text = format!(
            "## Measures\n\nOn {} clips {held_out}; the interval is the middle 95 % over clips drawn anew.\n\n\
             | measure | value | interval |\n|---|---|---|\n",
            self.scores["clips"]
        );
        for name in ["accuracy", "balanced_accuracy", "macro_f1", "top3_accuracy"] {
            let [value, low, high] = [
                &self.scores[name],
                &self.scores["interval"][name]["low"],
                &self.scores["interval"][name]["high"],
            ]
            .map(number);
            let _ = writeln!(text, "| {name} | {value} | {low} to {high} |");
        }
        let _ = writeln!(text, "| calibration error | {} | |", number(&self.scores["ece"]));
        text
    }

    fn limits(&self) -> String {
        "## Use\n\nIt gives every sound one of these genres, speech and silence too, and knows no others. The \
         measures are those of recordings like the ones above; on others it is worse, and surer of itself than right.\n"
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

/// Where the audio is from, and who has rights in it.
fn origin(source: &str) -> String {
    let lower = source.to_lowercase();
    match lower.as_str() {
        "synth" => {
            "Music by this project's synthesizer, under the project's own licence: no recording of anybody's."
                .to_owned()
        }
        _ if lower.contains("gtzan") => format!(
            "GTZAN (Tzanetakis and Cook 2002), from `{}`: excerpts of commercial recordings, whose rights are with their \
             owners and which came without a licence. It is used for research; whether you may pass on what was \
             trained on it is for you to find out.",
            without_secrets(source)
        ),
        _ => format!(
            "Audio from `{}`. Its licence is that of its source: name it when you pass the model on.",
            without_secrets(source)
        ),
    }
}

/// `key = value` for all values below `key`.
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
    fn sources_are_told_with_their_licence_and_without_their_secrets() {
        for (source, words) in [
            ("synth", "the project's own licence"),
            ("gtzan", "whose rights are with their owners"),
            (
                "hf://datasets/marsyas/gtzan/data/genres.tar.gz",
                "whose rights are with their owners",
            ),
            (
                "https://me:secret@example.org/a.zip?signature=secret",
                "Audio from `https://example.org/a.zip`. Its",
            ),
            ("/data/mine", "Audio from `/data/mine`. Its licence is that of its source"),
        ] {
            let text = origin(source);
            assert!(text.contains(words) && !text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn params_are_lines_by_their_dotted_keys() {
        let mut text = String::new();
        lines(
            "train",
            &serde_json::json!({ "epochs": 3, "augment": { "gain": 8.0 }, "model": "resnet" }),
            &mut text,
        );
        assert_eq!(text, "train.augment.gain = 8.0\ntrain.epochs = 3\ntrain.model = \"resnet\"\n");
    }
}
