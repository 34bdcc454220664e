//! Which clips are held out, and the table that says so.
//!
//! Each class gives the same share, so that small classes are measured too. Knows nothing about what the
//! clips contain.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use crate::dataset::Clip;
use crate::random::{Purpose, Random};

/// What a clip is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The network learns from it.
    Train,
    /// Held out: the network never learns from it.
    Validation,
}

impl Part {
    /// The word in the table.
    pub fn name(self) -> &'static str {
        match self {
            Part::Train => "train",
            Part::Validation => "val",
        }
    }

    fn from_name(name: &str) -> Result<Part> {
        match name {
            "train" => Ok(Part::Train),
            "val" => Ok(Part::Validation),
            _ => bail!("`{name}` is neither `train` nor `val`"),
        }
    }
}

/// The part of every clip, in their order.
///
/// Of a class with n clips, n · `val_size` are held out, rounded, but one at least, and one at least is
/// left to train. A class with one clip trains with it. With a `val_size` of 0 nothing is held out. The
/// choice depends on `seed`, the class's name and its clips alone.
///
/// # Errors
/// A `val_size` that is not from 0 to 1, without 1.
pub fn assign(clips: &[Clip], labels: &[String], val_size: f64, seed: u64) -> Result<Vec<Part>> {
    ensure!(
        (0.0..1.0).contains(&val_size),
        "param `train.val_size`: {val_size} is not from 0 to 1, without 1"
    );
    let mut parts = vec![Part::Train; clips.len()];
    for (label, name) in labels.iter().enumerate() {
        let mut members: Vec<usize> = (0..clips.len()).filter(|index| clips[*index].label == label).collect();
        let held_out = held_out(members.len(), val_size);
        Random::new(seed, Purpose::Split(name)).shuffle(&mut members);
        for index in members.into_iter().take(held_out) {
            parts[index] = Part::Validation;
        }
    }
    Ok(parts)
}

/// The indices of the clips of one part.
pub fn indices(parts: &[Part], part: Part) -> Vec<usize> {
    (0..parts.len()).filter(|index| parts[*index] == part).collect()
}

/// Writes the table `path,label,split`.
///
/// # Errors
/// Any failure of the file system.
pub fn write(path: impl AsRef<Path>, clips: &[Clip], labels: &[String], parts: &[Part]) -> Result<()> {
    let rows = clips.iter().zip(parts).map(|(clip, part)| {
        [clip.path.as_str(), labels.get(clip.label).map_or("", String::as_str), part.name()]
    });
    kit::csv::write(path, &["path", "label", "split"], rows)
}

/// The clips that the table at `path` lists, and their parts.
///
/// # Errors
/// No such file or column; a label that is none of `labels`; a part that is neither `train` nor `val`.
pub fn read(path: impl AsRef<Path>, labels: &[String]) -> Result<(Vec<Clip>, Vec<Part>)> {
    let path = path.as_ref();
    let shown = path.display();
    let table = kit::csv::read(path)
        .with_context(|| format!("no usable split in `{shown}`: `repro run train` makes it"))?;
    let columns = ["path", "label", "split"].map(|name| table.column(name));
    let [path_at, label_at, part_at] = columns;
    let (path_at, label_at, part_at) = (path_at?, label_at?, part_at?);
    let (mut clips, mut parts) = (Vec::new(), Vec::new());
    for (row, line) in table.rows.iter().zip(2..) {
        let label = labels.iter().position(|label| *label == row[label_at]).with_context(|| {
            format!(
                "`{shown}` line {line}: the model does not know the label `{}`: `repro run train`",
                row[label_at]
            )
        })?;
        clips.push(Clip { path: row[path_at].clone(), label });
        parts.push(Part::from_name(&row[part_at]).with_context(|| format!("`{shown}` line {line}"))?);
    }
    Ok((clips, parts))
}

fn held_out(count: usize, val_size: f64) -> usize {
    if count < 2 || val_size == 0.0 {
        return 0;
    }
    ((count as f64 * val_size).round() as usize).clamp(1, count - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clips(counts: &[usize]) -> (Vec<Clip>, Vec<String>) {
        let labels: Vec<String> = (0..counts.len()).map(|label| format!("genre {label}")).collect();
        let clips = counts
            .iter()
            .enumerate()
            .flat_map(|(label, count)| {
                (0..*count).map(move |index| Clip { path: format!("{label}/{index}.npy"), label })
            })
            .collect();
        (clips, labels)
    }

    #[test]
    fn each_class_gives_its_share() {
        for (count, val_size, expected) in [
            (5, 0.4, 2),
            (10, 0.4, 4),
            (100, 0.2, 20),
            (2, 0.01, 1),
            (2, 0.99, 1),
            (3, 0.99, 2),
            (1, 0.5, 0),
            (0, 0.5, 0),
            (50, 0.0, 0),
        ] {
            assert_eq!(held_out(count, val_size), expected, "{count} × {val_size}");
        }
    }

    #[test]
    fn the_seed_decides_and_every_class_keeps_both_parts() {
        let (clips, labels) = clips(&[5, 2, 30, 1]);
        let of = |seed| assign(&clips, &labels, 0.4, seed).unwrap();
        assert_eq!(of(3), of(3));
        assert_ne!(of(3), of(4));
        for seed in 0..50 {
            let parts = of(seed);
            let held = |label: usize| {
                clips
                    .iter()
                    .zip(&parts)
                    .filter(|(clip, part)| clip.label == label && **part == Part::Validation)
                    .count()
            };
            assert_eq!([held(0), held(1), held(2), held(3)], [2, 1, 12, 0]);
        }
    }

    #[test]
    fn another_class_does_not_move_the_others() {
        let (more, labels) = clips(&[5, 8, 5]);
        let (fewer, _) = clips(&[5, 8]);
        let all = assign(&more, &labels, 0.4, 1).unwrap();
        assert_eq!(all[..13], assign(&fewer, &labels[..2], 0.4, 1).unwrap());
    }

    #[test]
    fn shares_out_of_range_are_refused() {
        let (clips, labels) = clips(&[5]);
        for val_size in [-0.1, 1.0, 1.5, f64::NAN, f64::INFINITY] {
            let error = assign(&clips, &labels, val_size, 1).unwrap_err().to_string();
            assert!(error.contains("`train.val_size`"), "{error}");
        }
    }

    #[test]
    fn the_table_survives_a_round_trip() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("split.csv");
        let (mut clips, labels) = clips(&[3, 4]);
        clips[0].path = "0/a, \"b\".npy".to_owned();
        let parts = assign(&clips, &labels, 0.5, 9).unwrap();
        write(&path, &clips, &labels, &parts).unwrap();
        assert_eq!(read(&path, &labels).unwrap(), (clips, parts));
        let error = format!("{:#}", read(&path, &labels[..1]).unwrap_err());
        assert!(error.contains("does not know the label `genre 1`"), "{error}");
        std::fs::write(&path, "path,label,split\na.npy,genre 0,test\n").unwrap();
        let error = format!("{:#}", read(&path, &labels).unwrap_err());
        assert!(error.contains("line 2: `test` is neither"), "{error}");
    }
}
