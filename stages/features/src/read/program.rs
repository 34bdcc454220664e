//! Decodes with the program `ffmpeg`, for codecs that no maintained library in Rust decodes fully.
//!
//! The program gets the open file, the container that was found here, and no access to other files
//! or to the network. Its version decides about the samples.

use std::io::{ErrorKind, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, bail};

use super::block::Block;
use super::reader::Reader;
use super::source::Source;

/// Bytes converted at a time.
const BLOCK: usize = 64 * 1024;

/// Bytes of the program's messages that are kept.
const MESSAGES: u64 = 4096;

/// Starts the program; `container` is its name there, and `codec` is for messages.
///
/// # Errors
/// The program is missing, or it finds no sound.
pub(crate) fn open(source: Source, container: &str, codec: &str) -> Result<Box<dyn Reader>> {
    let started = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-protocol_whitelist", "file", "-f", container])
        .args(["-i", "file:/dev/stdin", "-map", "0:a:0", "-c:a", "pcm_f32le"])
        .args(["-f", "wav", "-fflags", "+bitexact", "pipe:1"])
        .stdin(source.into_file()?)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match started {
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "{codec} needs the program `ffmpeg`, which is not installed: install it, \
             or convert the file to WAV, FLAC, MP3 or Ogg Vorbis"
        ),
        started => started.context("cannot start `ffmpeg`")?,
    };
    let output = child.stdout.take().context("BUG: `ffmpeg` has no output")?;
    let errors = child.stderr.take().context("BUG: `ffmpeg` has no messages")?;
    let messages = std::thread::spawn(move || {
        let (mut errors, mut text) = (errors, Vec::new());
        let _ = errors.by_ref().take(MESSAGES).read_to_end(&mut text);
        let _ = std::io::copy(&mut errors, &mut std::io::sink());
        String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
    });
    let mut reader = ProgramReader { child, output, messages: Some(messages), spec: (0, 0) };
    match read_header(&mut reader.output) {
        Some(spec) => reader.spec = spec,
        None => bail!(reader.failure(codec)),
    }
    Ok(Box::new(reader))
}

struct ProgramReader {
    child: Child,
    output: ChildStdout,
    messages: Option<JoinHandle<String>>,
    /// Number of channels and sample rate.
    spec: (usize, u32),
}

impl ProgramReader {
    fn failure(&mut self, codec: &str) -> String {
        let message =
            self.messages.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let reason = if message.is_empty() { "no message" } else { message.trim() };
        format!(
            "`ffmpeg` finds no sound in it ({codec}; {reason}): \
             convert it to WAV, FLAC, MP3 or Ogg Vorbis, or remove it"
        )
    }
}

impl Reader for ProgramReader {
    fn next(&mut self, block: &mut Block) -> Result<bool> {
        let (channels, rate) = self.spec;
        block.begin(channels, rate)?;
        let frame = 4 * channels;
        let mut bytes = Vec::new();
        let wanted = (BLOCK / frame).max(1) * frame;
        self.output.by_ref().take(wanted as u64).read_to_end(&mut bytes)?;
        let whole = bytes.len() - bytes.len() % frame;
        let samples = bytes[..whole].as_chunks::<4>().0.iter();
        block.samples.extend(samples.map(|sample| f32::from_le_bytes(*sample)));
        Ok(!block.samples.is_empty())
    }

    fn announced(&self) -> Option<f64> {
        None
    }
}

impl Drop for ProgramReader {
    /// Ends a program whose output is no longer of interest.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a WAV header from a pipe; returns the channels and the rate.
fn read_header(output: &mut impl Read) -> Option<(usize, u32)> {
    let mut array = [0; 12];
    output.read_exact(&mut array).ok()?;
    let mut spec = None;
    loop {
        let mut header = [0; 8];
        output.read_exact(&mut header).ok()?;
        let [a, b, c, d, size @ ..] = header;
        if [a, b, c, d] == *b"data" {
            return spec;
        }
        let mut body = Vec::new();
        output.by_ref().take(u64::from(u32::from_le_bytes(size))).read_to_end(&mut body).ok()?;
        if [a, b, c, d] == *b"fmt " {
            let [_, _, c0, c1, r0, r1, r2, r3] = *body.first_chunk()?;
            let channels = usize::from(u16::from_le_bytes([c0, c1]));
            spec = Some((channels, u32::from_le_bytes([r0, r1, r2, r3])));
        }
    }
}
