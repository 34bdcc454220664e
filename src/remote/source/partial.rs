//! A file that is being transferred, with what is needed to continue it later: the version that its
//! bytes belong to, and its total size.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::plan::SourceVersion;

/// The origin of the bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) version: SourceVersion,
    /// Value that the server accepts in `If-Range`: a strong ETag, or a date that is old enough.
    pub(super) validator: Option<String>,
    pub(super) total: Option<u64>,
    /// The bytes are compressed with gzip.
    pub(super) is_gzipped: bool,
}

/// The file `part` in a folder, and its head in `part.json`.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    head: Head,
    length: u64,
}

impl Partial {
    /// Opens what an earlier transfer left in `folder`.
    pub(super) fn open(folder: &Path) -> Partial {
        let path = folder.join("part");
        let head = fs::read(path.with_extension("json")).ok();
        let head: Option<Head> = head.and_then(|json| serde_json::from_slice(&json).ok());
        let length = path.metadata().map_or(0, |meta| meta.len());
        match head.filter(|head| head.total.is_none_or(|total| length <= total)) {
            Some(head) => Partial { path, head, length },
            None => Partial { path, head: Head::default(), length: 0 },
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Reports whether all bytes are there.
    pub(super) fn is_whole(&self) -> bool {
        self.head.total == Some(self.length)
    }

    /// Returns the position and the validator with which the transfer can go on.
    pub(super) fn resumable(&self) -> Option<(u64, &str)> {
        self.head
            .validator
            .as_deref()
            .map(|validator| (self.length, validator))
            .filter(|(length, _)| *length > 0)
    }

    /// Starts again with another head.
    pub(super) fn restart(&mut self, head: Head) -> Result<()> {
        let failed = |path: &Path, err| Error::io("write", path, &err);
        self.length = 0;
        File::create(&self.path).map_err(|err| failed(&self.path, err))?;
        let json = self.path.with_extension("json");
        let bytes = serde_json::to_vec(&head).unwrap_or_default();
        fs::write(&json, bytes).map_err(|err| failed(&json, err))?;
        self.head = head;
        Ok(())
    }

    /// Returns a writer that appends.
    pub(super) fn append(&mut self) -> Result<Appending<'_>> {
        let file = OpenOptions::new().append(true).open(&self.path);
        let file = file.map_err(|err| Error::io("write", &self.path, &err))?;
        Ok(Appending { file, partial: self })
    }
}

/// Appends bytes to a partial file.
#[derive(Debug)]
pub(super) struct Appending<'a> {
    file: File,
    partial: &'a mut Partial,
}

impl Appending<'_> {
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|err| Error::io("write", &self.partial.path, &err))?;
        self.partial.length += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn length(&self) -> u64 {
        self.partial.length
    }
}
