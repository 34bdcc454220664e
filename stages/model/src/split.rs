//! Split of the clips into training, validation and test parts, and its CSV file.
//!
//! A clip is a whole track: crops inherit the part of their clip, so a split never cuts through a
//! track.

mod balance;
mod config;
mod groups;
mod lists;
mod part;

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use self::balance::Pool;
pub use self::config::{Rule, SplitConfig};
pub use self::groups::Groups;
pub use self::part::Part;
use crate::dataset::Clip;

/// Returns the part of each clip, in order.
///
/// The stratified rule puts the clips of one fold, if there are folds, into the test part. From the
/// rest of each class it holds out the share `val_size` for validation: rounded, but at least one
/// clip, and at least one remains for training. The only clip of a class is used for training. The
/// choice depends on `seed` and, without groups and folds, only on the name and the clips of the
/// class.
///
/// # Errors
/// The params are inconsistent or do not fit the clips, or a table cannot be used.
pub fn assign(
    clips: &[Clip],
    labels: &[String],
    config: &SplitConfig,
    seed: u64,
) -> Result<Vec<Part>> {
    config.check()?;
    match &config.rule {
        Rule::Stratified => stratified(clips, labels, config, seed),
        Rule::FaultFiltered => lists::fault_filtered(clips),
        Rule::Folders => lists::folders(clips),
        Rule::Table(path) => lists::table(path, clips),
    }
}

fn stratified(
    clips: &[Clip],
    labels: &[String],
    config: &SplitConfig,
    seed: u64,
) -> Result<Vec<Part>> {
    let classes: Vec<usize> = clips.iter().map(|clip| clip.label).collect();
    let groups = config.groups.of(clips)?;
    let pool = Pool { classes: &classes, groups: &groups, names: labels };
    let mut parts = vec![Part::Train; clips.len()];
    if config.folds > 0 {
        let count = groups.iter().max().map_or(0, |last| last + 1);
        ensure!(
            config.folds <= count,
            "param `train.folds` must be at most the number of groups of clips, {count}, not {}",
            config.folds
        );
        let fold_of = balance::folds(pool, config.folds, seed);
        for (part, group) in parts.iter_mut().zip(&groups) {
            if fold_of[*group] + 1 == config.fold {
                *part = Part::Test;
            }
        }
    }
    let rest = indices(&parts, Part::Train);
    let held_out = balance::hold_out(pool, &rest, config.val_size, seed);
    for clip in rest {
        if held_out.contains(&groups[clip]) {
            parts[clip] = Part::Validation;
        }
    }
    Ok(parts)
}

/// Returns the part to measure a finished model on: the test part, or validation if that is empty.
pub fn measured_part(parts: &[Part]) -> Part {
    if parts.contains(&Part::Test) { Part::Test } else { Part::Validation }
}

/// Returns the clips of the [`measured_part`].
pub fn measured(parts: &[Part]) -> Vec<usize> {
    indices(parts, measured_part(parts))
}

/// Returns the indices of the clips of one part.
pub fn indices(parts: &[Part], part: Part) -> Vec<usize> {
    (0..parts.len()).filter(|index| parts[*index] == part).collect()
}

/// Writes the CSV table `path,label,split`.
///
/// # Errors
/// The file cannot be written.
pub fn write(
    path: impl AsRef<Path>,
    clips: &[Clip],
    labels: &[String],
    parts: &[Part],
) -> Result<()> {
    let rows = clips.iter().zip(parts).map(|(clip, part)| {
        [clip.path.as_str(), labels.get(clip.label).map_or("", String::as_str), part.name()]
    });
    kit::csv::write(path, &["path", "label", "split"], rows)
}

/// Reads a table written by [`write()`]: the clips and their parts.
///
/// # Errors
/// The file or a column is missing, a label is not in `labels`, or a part is unknown.
pub fn read(path: impl AsRef<Path>, labels: &[String]) -> Result<(Vec<Clip>, Vec<Part>)> {
    let path = path.as_ref();
    let shown = path.display();
    let table = kit::csv::read(path)
        .with_context(|| format!("`{shown}` is not a usable split: `repro run train` makes it"))?;
    let columns = ["path", "label", "split"].map(|name| table.column(name));
    let [path_at, label_at, part_at] = columns;
    let (path_at, label_at, part_at) = (path_at?, label_at?, part_at?);
    let (mut clips, mut parts) = (Vec::new(), Vec::new());
    for (row, line) in table.rows.iter().zip(2..) {
        let label = labels.iter().position(|label| *label == row[label_at]).with_context(|| {
            format!(
                "`{shown}` line {line}: the label `{}` is not one of the model's: \
                 run `repro run train`",
                row[label_at]
            )
        })?;
        clips.push(Clip { path: row[path_at].clone(), label });
        parts.push(
            Part::from_name(&row[part_at]).with_context(|| format!("`{shown}` line {line}"))?,
        );
    }
    Ok((clips, parts))
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

    fn share(val_size: f64) -> SplitConfig {
        SplitConfig { val_size, ..SplitConfig::default() }
    }

    #[test]
    fn stratified_split_depends_on_seed() {
        let (clips, labels) = clips(&[5, 2, 30, 1]);
        let of = |seed| assign(&clips, &labels, &share(0.4), seed).unwrap();
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
    fn classes_are_split_independently() {
        let (more, labels) = clips(&[5, 8, 5]);
        let (fewer, _) = clips(&[5, 8]);
        let all = assign(&more, &labels, &share(0.4), 1).unwrap();
        assert_eq!(all[..13], assign(&fewer, &labels[..2], &share(0.4), 1).unwrap());
    }

    /// File names as in ESC-10, where the first number is the fold.
    #[test]
    fn folds_with_groups() {
        let labels: Vec<String> = ["dog", "rain"].map(str::to_owned).into();
        let clips: Vec<Clip> = (0..80)
            .map(|index| Clip {
                path: format!("x/{}-{index}-A.npy", 1 + index % 5),
                label: index / 40,
            })
            .collect();
        let groups = Groups::try_from("{}-*".to_owned()).unwrap();
        let mut tested = vec![0; clips.len()];
        for fold in 1..=5 {
            let config = SplitConfig {
                folds: 5,
                fold,
                groups: groups.clone(),
                val_size: 0.25,
                ..share(0.0)
            };
            let parts = assign(&clips, &labels, &config, 3).unwrap();
            for index in indices(&parts, Part::Test) {
                assert!(clips[index].path.starts_with(&format!("x/{fold}-")));
                tested[index] += 1;
            }
            let folds_of = |part| -> std::collections::BTreeSet<_> {
                indices(&parts, part)
                    .into_iter()
                    .map(|index| clips[index].path[..4].to_owned())
                    .collect()
            };
            assert_eq!(folds_of(Part::Validation).len(), 1);
            assert!(folds_of(Part::Validation).is_disjoint(&folds_of(Part::Train)));
        }
        assert_eq!(tested, [1; 80]);
        let config = SplitConfig { folds: 6, fold: 1, groups, ..share(0.0) };
        let error = assign(&clips, &labels, &config, 3).unwrap_err().to_string();
        assert!(error.contains("at most the number of groups of clips, 5, not 6"), "{error}");
    }

    #[test]
    fn folds_without_groups_are_stratified() {
        let (clips, labels) = clips(&[20, 10, 3]);
        let mut tested = vec![0; clips.len()];
        for fold in 1..=4 {
            let config = SplitConfig { folds: 4, fold, ..share(0.0) };
            let parts = assign(&clips, &labels, &config, 9).unwrap();
            let held = indices(&parts, Part::Test);
            assert_eq!(held.iter().filter(|index| clips[**index].label == 0).count(), 5);
            assert_eq!(measured(&parts), held);
            held.into_iter().for_each(|index| tested[index] += 1);
        }
        assert_eq!(tested, [1; 33]);
    }

    #[test]
    fn measured_falls_back_to_validation() {
        use Part::{Test, Train, Unused, Validation};
        assert_eq!(measured(&[Train, Validation, Unused, Validation]), [1, 3]);
        assert_eq!(measured(&[Train, Validation, Test]), [2]);
    }

    #[test]
    fn table_round_trip() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("split.csv");
        let (mut clips, labels) = clips(&[3, 4]);
        clips[0].path = "0/a, \"b\".npy".to_owned();
        let parts = assign(&clips, &labels, &share(0.5), 9).unwrap();
        write(&path, &clips, &labels, &parts).unwrap();
        assert_eq!(read(&path, &labels).unwrap(), (clips, parts));
        let error = format!("{:#}", read(&path, &labels[..1]).unwrap_err());
        assert!(error.contains("the label `genre 1` is not one of the model's"), "{error}");
        std::fs::write(&path, "path,label,split\na.npy,genre 0,dev\n").unwrap();
        let error = format!("{:#}", read(&path, &labels).unwrap_err());
        assert!(error.contains("line 2: `dev` is not one of"), "{error}");
    }
}
