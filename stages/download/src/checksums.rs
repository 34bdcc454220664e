//! Records the digests of a source's clips on first use and enforces them afterwards.
//!
//! The table `source,path,blake3` should be committed, like a lock file of dependencies. Does not
//! know how clips are fetched.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

const COLUMNS: [&str; 3] = ["source", "path", "blake3"];

/// Digests of one source's clips, by path below the output folder.
pub(crate) type Found = BTreeMap<String, blake3::Hash>;

/// The checksum table, `download.lock`.
#[derive(Debug)]
pub(crate) struct Checksums {
    path: PathBuf,
    rows: BTreeMap<(String, String), String>,
}

impl Checksums {
    /// Reads the table at `path`; a missing file is an empty table.
    ///
    /// # Errors
    /// If the table cannot be read, or lacks a column.
    pub(crate) fn read(path: &Path) -> Result<Checksums> {
        let mut rows = BTreeMap::new();
        if path.exists() {
            let explain = || format!("cannot use `{}`", path.display());
            let table = kit::csv::read(path)?;
            let at = |name: &str| table.column(name).with_context(explain);
            let [source, clip, digest] = [at(COLUMNS[0])?, at(COLUMNS[1])?, at(COLUMNS[2])?];
            for row in &table.rows {
                rows.insert((row[source].clone(), row[clip].clone()), row[digest].clone());
            }
        }
        Ok(Checksums { path: path.to_owned(), rows })
    }

    /// Compares the clips of `source` with the recorded ones, and records new clips.
    ///
    /// # Errors
    /// If the digest of a clip differs (then nothing is recorded), or the table cannot be written.
    pub(crate) fn enforce(&mut self, source: &str, found: &Found) -> Result<()> {
        let key = |path: &String| (source.to_owned(), path.clone());
        let differ = |(path, digest): &(&String, &blake3::Hash)| {
            self.rows.get(&key(path)).is_some_and(|known| *known != digest.to_string())
        };
        let changed: Vec<_> = found.iter().filter(differ).map(|(path, _)| path.as_str()).collect();
        if let Some(first) = changed.first() {
            let more = if changed.len() > 1 {
                format!(" and {} more", changed.len() - 1)
            } else {
                String::new()
            };
            bail!(
                "`{first}`{more} from `{source}` does not match the checksum in `{}`: the source \
                 changed or was tampered with; to accept it, remove the lines of the source from \
                 that file",
                self.path.display()
            );
        }
        let before = self.rows.len();
        self.rows.extend(found.iter().map(|(path, digest)| (key(path), digest.to_string())));
        if self.rows.len() > before {
            let rows = self.rows.iter().map(|((source, path), digest)| [source, path, digest]);
            kit::csv::write(&self.path, &COLUMNS, rows)?;
            kit::say!(
                "{} checksums recorded in `{}`",
                self.rows.len() - before,
                self.path.display()
            );
        }
        Ok(())
    }
}

/// Copies all of `content` to `file` and returns its digest.
///
/// # Errors
/// If reading or writing fails.
pub(crate) fn copy(content: &mut dyn Read, file: &mut File) -> Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize()),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                file.write_all(&buffer[..count])?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(clips: &[(&str, &str)]) -> Found {
        clips
            .iter()
            .map(|(path, text)| ((*path).to_owned(), blake3::hash(text.as_bytes())))
            .collect()
    }

    #[test]
    fn enforces_recorded_and_records_new() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("download.lock");
        let read = || Checksums::read(&path).unwrap();
        read().enforce("https://h/a.zip", &found(&[("x/a.wav", "1"), ("x/b.wav", "2")])).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("source,path,blake3\nhttps://h/a.zip,x/a.wav,"), "{text}");
        read().enforce("https://h/a.zip", &found(&[("x/b.wav", "2"), ("x/c.wav", "3")])).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 4);

        let text = std::fs::read_to_string(&path).unwrap();
        let other = found(&[("x/a.wav", "other"), ("x/c.wav", "other"), ("x/d.wav", "new")]);
        let error = read().enforce("https://h/a.zip", &other).unwrap_err().to_string();
        assert!(
            error.starts_with("`x/a.wav` and 1 more from `https://h/a.zip` does not match"),
            "{error}"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        read().enforce("https://other/a.zip", &other).unwrap();
    }
}
