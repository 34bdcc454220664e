//! Faults of a data set: clips in doubt, silent clips, the same clip in two classes, classes
//! without clips, and mel bands that are always silent.
//!
//! Reads all arrays and images, whether this run computed them or an earlier one.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use anyhow::Result;
use features::mel::MelBank;
use features::{Kind, SpectrogramParams};
use kit::files::ClassFile;
use rayon::prelude::*;
use serde::Serialize;

use crate::preview::Doubt;

/// Number of names in a warning.
const SHOWN: usize = 5;
/// Number of doubts that are printed.
const DOUBTS_SHOWN: usize = 10;

/// Findings in the clips of a data set.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Clips that may not be whole, or are silent without reason, with the doubt.
    doubtful: Vec<[String; 2]>,
    /// Clips of one level, and those whose channels cancel each other.
    silent: Vec<String>,
    /// Clips that are equal to a clip of another class, in groups.
    in_two_classes: Vec<Vec<String>>,
    /// Classes with files of which none can be decoded.
    empty_classes: Vec<String>,
    /// Number of mel bands without a frequency bin.
    empty_bands: usize,
}

/// The numbers of findings, for the metrics.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    doubtful: usize,
    silent: usize,
    in_two_classes: usize,
    empty_classes: usize,
    empty_bands: usize,
}

/// Properties of a clip's array that are compared with those of other clips.
struct Content {
    label: String,
    name: String,
    is_silent: bool,
    doubt: Option<String>,
    digest: u64,
}

impl Findings {
    /// Examines the arrays and images below two folders, and the classes of the files that could
    /// not be decoded.
    ///
    /// An array that cannot be read is passed over; training reports it.
    pub(crate) fn of(
        roots: [&Path; 2],
        arrays: &[ClassFile],
        faults: &[ClassFile],
        params: &SpectrogramParams,
    ) -> Findings {
        let contents: Vec<Content> =
            arrays.par_iter().filter_map(|file| Content::read(roots, file).ok()).collect();
        let classes: BTreeSet<&str> = arrays.iter().map(|file| file.label.as_str()).collect();
        let mut empty: Vec<String> = faults
            .iter()
            .map(|file| file.label.clone())
            .filter(|label| !classes.contains(label.as_str()))
            .collect();
        empty.dedup();
        let empty_bands = match params.kind {
            Kind::LogMel => MelBank::of(params).empty_bands(),
            Kind::LogPower => 0,
        };
        let silent = contents.iter().filter(|clip| clip.is_silent).map(|clip| clip.name.clone());
        let doubt = |clip: &Content| Some([clip.name.clone(), clip.doubt.clone()?]);
        Findings {
            doubtful: contents.iter().filter_map(doubt).collect(),
            silent: silent.collect(),
            in_two_classes: in_two_classes(&contents),
            empty_classes: empty,
            empty_bands,
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            doubtful: self.doubtful.len(),
            silent: self.silent.len(),
            in_two_classes: self.in_two_classes.iter().map(Vec::len).sum(),
            empty_classes: self.empty_classes.len(),
            empty_bands: self.empty_bands,
        }
    }

    /// Prints a warning for each kind of finding.
    pub(crate) fn warn(&self) {
        for [name, doubt] in self.doubtful.iter().take(DOUBTS_SHOWN) {
            kit::warn!("`{name}`: {doubt}");
        }
        if let Some(more @ 1..) = self.doubtful.len().checked_sub(DOUBTS_SHOWN) {
            kit::warn!("{more} more clips are in doubt, as the text chunks of their images say");
        }
        if !self.empty_classes.is_empty() {
            kit::warn!(
                "no clip of these classes can be decoded, so the model will not know them: {}",
                listed(&self.empty_classes)
            );
        }
        if !self.silent.is_empty() {
            kit::warn!(
                "silent clips, maybe because the channels of a stereo file cancel each other: {}",
                listed(&self.silent)
            );
        }
        if !self.in_two_classes.is_empty() {
            let groups: Vec<String> =
                self.in_two_classes.iter().map(|group| group.join(" = ")).collect();
            kit::warn!("the same clip is in two classes: {}", listed(&groups));
        }
        if self.empty_bands > 0 {
            kit::warn!(
                "{} mel bands lie between two frequency bins and are always silent: lower \
                 `spectrogram.n_mels` or raise `spectrogram.n_fft`",
                self.empty_bands
            );
        }
    }
}

impl Content {
    fn read([root, images]: [&Path; 2], file: &ClassFile) -> Result<Content> {
        let array = kit::npy::read(&file.path)?;
        let mut hash = DefaultHasher::new();
        array.shape.hash(&mut hash);
        array.data.iter().for_each(|value| value.to_bits().hash(&mut hash));
        let inside = file.path.strip_prefix(root).unwrap_or(&file.path);
        let image = images.join(inside).with_extension("png");
        let Doubt { text: doubt, is_cancelled } = Doubt::read(&image).unwrap_or_default();
        let is_still = array.data.windows(2).all(|pair| pair[0] == pair[1]);
        Ok(Content {
            label: file.label.clone(),
            name: inside.with_extension("").display().to_string(),
            is_silent: is_cancelled || is_still,
            doubt,
            digest: hash.finish(),
        })
    }
}

/// Groups equal clips that have different labels. Silent clips are equal for another reason.
fn in_two_classes(contents: &[Content]) -> Vec<Vec<String>> {
    let mut by_digest: HashMap<u64, Vec<&Content>> = HashMap::new();
    for clip in contents.iter().filter(|clip| !clip.is_silent) {
        by_digest.entry(clip.digest).or_default().push(clip);
    }
    let differ = |group: &Vec<&Content>| group.iter().any(|clip| clip.label != group[0].label);
    let groups = by_digest.into_values().filter(differ);
    let mut groups: Vec<Vec<String>> =
        groups.map(|group| group.iter().map(|clip| clip.name.clone()).collect()).collect();
    groups.sort();
    groups
}

fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(SHOWN);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    shown.join(", ") + &rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_of_a_data_set() {
        let dir = tempfile::tempdir().unwrap();
        for (name, data) in [
            ("rock/a", [0.0, 1.0]),
            ("rock/b", [0.0, 1.0]),
            ("jazz/x", [0.0, 1.0]),
            ("jazz/silent", [-100.0, -100.0]),
            ("rock/silent", [-100.0, -100.0]),
            ("rock/c", [0.0, 2.0]),
        ] {
            kit::npy::write(dir.path().join(format!("{name}.npy")), &[1, 2], &data).unwrap();
        }
        let arrays = kit::files::class_files(dir.path(), |_| true).unwrap();
        let fault = |label: &str| ClassFile { label: label.to_owned(), path: "x.txt".into() };
        let faults = ["opera", "opera", "rock"].map(fault);
        let params = SpectrogramParams {
            kind: Kind::LogMel,
            n_mels: 256,
            n_fft: 256,
            hop_length: 128,
            ..SpectrogramParams::default()
        };
        let found = Findings::of([dir.path(); 2], &arrays, &faults, &params);
        assert_eq!(found.silent, ["jazz/silent", "rock/silent"]);
        assert_eq!(found.in_two_classes, [["jazz/x", "rock/a", "rock/b"]]);
        assert_eq!(found.empty_classes, ["opera"]);
        assert!(found.empty_bands > 0);
        let power = SpectrogramParams::default();
        let found = Findings::of([dir.path(); 2], &arrays[..1], &[], &power).counts();
        let expected =
            Counts { doubtful: 0, silent: 1, in_two_classes: 0, empty_classes: 0, empty_bands: 0 };
        assert_eq!(found, expected);
    }

    #[test]
    fn long_lists_are_cut() {
        let names = ["1", "2", "3", "4", "5", "6", "7"].map(str::to_owned);
        assert_eq!(listed(&names), "`1`, `2`, `3`, `4`, `5` and 2 more");
    }
}
