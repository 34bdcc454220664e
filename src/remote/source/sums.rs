//! The digests of a file that a user states.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use md5::Md5;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::pipeline::UrlOrigin;

/// Compares the bytes of a file with the digests stated for its origin.
pub(super) fn check(origin: &UrlOrigin, path: &Path) -> Result<()> {
    let UrlOrigin { url, sha256, md5, .. } = origin;
    if sha256.is_none() && md5.is_none() {
        return Ok(());
    }
    let failed = |err| Error::io("read", path, &err);
    let mut file = File::open(path).map_err(failed)?;
    let (mut of_sha256, mut of_md5) = (Sha256::new(), Md5::new());
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = file.read(&mut buffer).map_err(failed)?;
        if count == 0 {
            break;
        }
        if sha256.is_some() {
            of_sha256.update(&buffer[..count]);
        }
        if md5.is_some() {
            of_md5.update(&buffer[..count]);
        }
    }
    let found =
        [("sha256", sha256, hex(&of_sha256.finalize())), ("md5", md5, hex(&of_md5.finalize()))];
    for (name, expected, found) in found {
        if let Some(expected) = expected.as_ref().filter(|expected| **expected != found) {
            return Err(Error::usage(format!("`{url}` does not have the expected {name}"))
                .because(format!("pipeline.toml has {expected}, the file has {found}"))
                .hint(format!(
                    "if you trust the file, correct `{name}`; else ask who publishes it"
                )));
        }
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
