//! Fixed splits: the published partition of GTZAN, or a user's table.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use super::part::{Part, clip_name};
use crate::dataset::Clip;

const FAULT_FILTERED: &str = include_str!("fault_filtered.txt");

/// Assigns the published partition of GTZAN. Clips that it leaves out are unused.
///
/// # Errors
/// One of the three parts has no clips.
pub(super) fn fault_filtered(clips: &[Clip]) -> Result<Vec<Part>> {
    let listed = parse(FAULT_FILTERED).context("BUG: the built-in list is damaged")?;
    let parts = assign(clips, &listed);
    for part in [Part::Train, Part::Validation, Part::Test] {
        ensure!(
            parts.contains(&part),
            "param `train.split`: `fault_filtered` needs all of GTZAN, \
             but none of its `{}` clips exist: \
             set `download.source` = `gtzan` and `download.per_genre` = `all`",
            part.name()
        );
    }
    Ok(parts)
}

/// Assigns the parts after which the folders below the class folders are named, as in
/// `rock/test/a.npy`.
///
/// # Errors
/// A clip is in no such folder, or there are no clips to train on.
pub(super) fn folders(clips: &[Clip]) -> Result<Vec<Part>> {
    let part = |clip: &Clip| {
        let mut folders = clip.path.split('/').skip(1);
        let part = folders.next().and_then(|folder| Part::from_name(folder).ok());
        part.with_context(|| {
            format!(
                "param `train.split`: `folders` needs each clip in a folder `train`, `val` or \
                 `test` below its class folder, but `{}` is not in one",
                clip.path
            )
        })
    };
    let parts: Vec<Part> = clips.iter().map(part).collect::<Result<_>>()?;
    ensure!(
        parts.contains(&Part::Train),
        "param `train.split`: `folders` found no clips in folders `train`"
    );
    Ok(parts)
}

/// Assigns the parts of a table with the columns `path` and `split`. Clips not listed are unused.
///
/// # Errors
/// The table is missing or invalid, a part is unknown, or there are no clips to train on.
pub(super) fn table(path: &Path, clips: &[Clip]) -> Result<Vec<Part>> {
    let explain = || {
        format!(
            "param `train.split`: `{}` is not a usable table; \
             valid values are `stratified`, `fault_filtered`, `folders` or a `.csv` file",
            path.display()
        )
    };
    let table = kit::csv::read(path).with_context(explain)?;
    let (path_at, part_at) =
        (table.column("path").with_context(explain)?, table.column("split").with_context(explain)?);
    let row = |(row, line): (&Vec<String>, usize)| {
        let part = Part::from_name(&row[part_at]).with_context(|| format!("line {line}"))?;
        Ok((clip_name(&row[path_at]).to_owned(), part))
    };
    let listed =
        table.rows.iter().zip(2..).map(row).collect::<Result<_>>().with_context(explain)?;
    let parts = assign(clips, &listed);
    ensure!(
        parts.contains(&Part::Train),
        "param `train.split`: `{}` lists no clips to train on; \
         its paths must be relative to the folder of spectrograms",
        path.display()
    );
    Ok(parts)
}

fn assign(clips: &[Clip], listed: &BTreeMap<String, Part>) -> Vec<Part> {
    clips
        .iter()
        .map(|clip| listed.get(clip_name(&clip.path)).copied().unwrap_or(Part::Unused))
        .collect()
}

/// Parses lines of the form `class part number first-last …`; `#` starts a comment.
fn parse(text: &str) -> Result<BTreeMap<String, Part>> {
    let mut listed = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let (Some(class), Some(part)) = (words.next(), words.next()) else {
            bail!("`{line}` has no part")
        };
        let part = Part::from_name(part)?;
        for word in words {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            for number in first.parse::<u32>()?..=last.parse()? {
                listed.insert(format!("{class}/{class}.{number:05}"), part);
            }
        }
    }
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gtzan() -> Vec<Clip> {
        let genres = [
            "blues",
            "classical",
            "country",
            "disco",
            "hiphop",
            "jazz",
            "metal",
            "pop",
            "reggae",
            "rock",
        ];
        let clip = |(label, genre): (usize, &str)| {
            let genre = genre.to_owned();
            (0..100)
                .map(move |number| Clip { path: format!("{genre}/{genre}.{number:05}.npy"), label })
        };
        genres.into_iter().enumerate().flat_map(clip).collect()
    }

    #[test]
    fn parts_by_folder() {
        let clips = |paths: &[&str]| -> Vec<Clip> {
            paths.iter().map(|path| Clip { path: (*path).to_owned(), label: 0 }).collect()
        };
        let found = folders(&clips(&["a/train/1.npy", "a/val/cd/2.npy", "b/test/1.npy"])).unwrap();
        assert_eq!(found, [Part::Train, Part::Validation, Part::Test]);
        for (paths, words) in [
            (&["a/train/1.npy", "a/2.npy"][..], "but `a/2.npy` is not in one"),
            (&["a/test/1.npy"], "found no clips in folders `train`"),
        ] {
            let error = folders(&clips(paths)).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn fault_filtered_counts() {
        let clips = gtzan();
        let parts = fault_filtered(&clips).unwrap();
        let count = |wanted| parts.iter().filter(|part| **part == wanted).count();
        let parts_of = [Part::Train, Part::Validation, Part::Test, Part::Unused].map(count);
        assert_eq!(parts_of, [443, 197, 290, 70]);
        let of = |name: &str| parts[clips.iter().position(|clip| clip.path == name).unwrap()];
        for (name, part) in [
            ("blues/blues.00029.npy", Part::Train),
            ("blues/blues.00000.npy", Part::Validation),
            ("rock/rock.00090.npy", Part::Test),
            // jazz 54 is corrupt only in Kaggle's copy. pop 54 is a duplicate of pop 60.
            ("jazz/jazz.00054.npy", Part::Train),
            ("pop/pop.00054.npy", Part::Unused),
            ("pop/pop.00060.npy", Part::Validation),
        ] {
            assert_eq!(of(name), part, "{name}");
        }
    }

    #[test]
    fn incomplete_gtzan_is_an_error() {
        let few = &gtzan()[..5];
        let error = fault_filtered(few).unwrap_err().to_string();
        assert!(error.contains("none of its `train` clips exist"), "{error}");
    }

    #[test]
    fn table_ignores_extensions() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.csv");
        std::fs::write(&path, "split,path\ntrain,pop/a.1.wav\ntest,pop/b.npy\nval,c.ogg\n")
            .unwrap();
        let clips = ["pop/a.1.npy", "pop/b.npy", "pop/c.npy"]
            .map(|path| Clip { path: path.to_owned(), label: 0 });
        assert_eq!(table(&path, &clips).unwrap(), [Part::Train, Part::Test, Part::Unused]);
        for (text, part) in [
            ("path,split\npop/a.1.wav,dev\n", "line 2"),
            ("path,part\n", "no column `split`"),
            ("path,split\npop/b.wav,train\npop/c.wav,val\n", ""),
            ("path,split\npop/x.wav,train\n", "lists no clips to train on"),
        ] {
            std::fs::write(&path, text).unwrap();
            let answer = table(&path, &clips);
            if part.is_empty() {
                answer.unwrap();
            } else {
                let error = format!("{:#}", answer.unwrap_err());
                assert!(error.contains(part), "{error}");
            }
        }
        let error = format!("{:#}", table(&dir.path().join("statified"), &clips).unwrap_err());
        assert!(
            error
                .contains("valid values are `stratified`, `fault_filtered`, `folders` or a `.csv`"),
            "{error}"
        );
    }
}
