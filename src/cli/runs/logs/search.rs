//! `repro runs logs --grep`: the lines of logs that contain a text.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use super::stages::open;
use crate::error::{Error, Result, exit};
use crate::runs::{Run, StageRecord};
use crate::terminal::{self, stdout, style, wording};

/// Longest part of a line that is searched and printed.
const LONGEST_LINE: u64 = 1 << 16;

/// Prints the lines that contain `text`, each after its stage and line number.
///
/// # Errors
/// A log cannot be read.
pub(super) fn search(root: &Path, run: &Run, stages: &[&StageRecord], text: &str) -> Result<u8> {
    let mut found = false;
    for stage in stages {
        let Some(log) = open(root, run, stage)? else { continue };
        let mut log = BufReader::new(log);
        let mut line = Vec::new();
        let (mut number, mut begins) = (0_u64, true);
        loop {
            line.clear();
            let read = log.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
            if read.map_err(|err| Error::environment("cannot read the log").because(err))? == 0 {
                break;
            }
            number += u64::from(begins);
            begins = line.ends_with(b"\n");
            let shown = String::from_utf8_lossy(&line);
            let shown = shown.trim_end_matches(['\n', '\r']);
            if shown.contains(text) {
                let dim = style::DIM;
                let shown = wording::visible(shown);
                stdout::say!("{dim}{}:{number}:{dim:#} {shown}", stage.stage);
                found = true;
            }
        }
    }
    if !found {
        terminal::note(&format!("no line contains `{text}`"));
    }
    Ok(exit::OK)
}
