//! Decodes with the program `ffmpeg`, for codecs that no maintained library in Rust decodes fully.
//!
//! The program gets the open file, the container that was found here, and no access to other files
//! or to the network. Its version decides about the samples. Its messages tell which parts it could
//! not decode, and how long the sound should be.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, bail};

use super::block::Block;
use super::reader::Reader;
use super::source::Source;

/// Bytes converted at a time.
const BLOCK: usize = 64 * 1024;

/// Seconds of a few packets of any codec.
const PACKETS: f64 = 0.2;

/// Starts the program; `container` is its name there, and `codec` is for messages.
///
/// # Errors
/// The program is missing, or it finds no sound.
pub(crate) fn open(source: Source, container: &str, codec: &str) -> Result<Box<dyn Reader>> {
    let started = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-nostats", "-v", "level+info"])
        .args(["-protocol_whitelist", "file", "-f", container, "-i", "file:/dev/stdin"])
        .args(["-map", "0:a:0", "-c:a", "pcm_f32le"])
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
    let messages = std::thread::spawn(move || Messages::read(BufReader::new(errors)));
    let mut reader = ProgramReader {
        child,
        output,
        messages: Some(messages),
        spec: (0, 0),
        frames: 0,
        announced: None,
    };
    match read_header(&mut reader.output) {
        Some(spec) => reader.spec = spec,
        None => bail!(reader.failure(codec)),
    }
    Ok(Box::new(reader))
}

/// Messages of the program about a file.
#[derive(Debug, Default, PartialEq)]
struct Messages {
    /// The first error.
    error: Option<String>,
    /// Length in seconds by the header of the file; `None` if it is only estimated.
    seconds: Option<f64>,
}

impl Messages {
    /// Reads all lines, which begin with a level, or with the name of a part and a level.
    fn read(mut lines: impl BufRead) -> Messages {
        let (mut messages, mut line, mut is_estimate) = (Messages::default(), Vec::new(), false);
        while lines.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&line);
            let part = text.split_once(" @ ").filter(|(name, _)| name.starts_with('['));
            let text =
                part.and_then(|(_, rest)| rest.split_once("] ")).map_or(&*text, |(_, it)| it);
            match text.split_once("] ") {
                Some(("[error" | "[fatal", error)) => {
                    messages.error.get_or_insert_with(|| error.trim().to_owned());
                }
                Some(("[warning", warning)) => {
                    is_estimate |= warning.starts_with("Estimating duration");
                }
                Some(("[info", info)) if !is_estimate => {
                    let time = info.trim_start().strip_prefix("Duration: ").and_then(seconds);
                    messages.seconds = messages.seconds.or(time);
                }
                _ => {}
            }
            line.clear();
        }
        messages
    }
}

/// Parses a time such as `00:01:02.50, start: 0`.
fn seconds(text: &str) -> Option<f64> {
    let time = text.split(',').next()?;
    time.split(':').try_fold(0.0, |sum, part| Some(60.0 * sum + part.parse::<f64>().ok()?))
}

struct ProgramReader {
    child: Child,
    output: ChildStdout,
    /// `None` once they were read.
    messages: Option<JoinHandle<Messages>>,
    /// Number of channels and sample rate.
    spec: (usize, u32),
    /// Frames so far.
    frames: u64,
    announced: Option<f64>,
}

impl ProgramReader {
    fn messages(&mut self) -> Messages {
        self.messages.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }

    fn failure(&mut self, codec: &str) -> String {
        let reason = self.messages().error.unwrap_or_else(|| "no message".to_owned());
        format!(
            "`ffmpeg` finds no sound in it ({codec}; {reason}): \
             convert it to WAV, FLAC, MP3 or Ogg Vorbis, or remove it"
        )
    }

    /// Takes note of the messages behind the last frame.
    ///
    /// # Errors
    /// The program could not decode a part of the file.
    fn finish(&mut self) -> Result<()> {
        if self.messages.is_none() {
            return Ok(());
        }
        let Messages { error, seconds } = self.messages();
        let decoded = self.frames as f64 / f64::from(self.spec.1);
        // The program may keep the padding of an encoder, and a header may count whole packets and
        // the encoder's delay. So only missing sound counts, and not of a few packets.
        self.announced = seconds.filter(|seconds| *seconds > decoded + PACKETS);
        match error {
            Some(error) => bail!("`ffmpeg` cannot decode a part: {error}"),
            None => Ok(()),
        }
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
        self.frames += block.frames() as u64;
        if block.samples.is_empty() {
            self.finish()?;
        }
        Ok(!block.samples.is_empty())
    }

    fn announced(&self) -> Option<f64> {
        self.announced
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_lengths_in_messages() {
        let read = |text: &str| {
            let Messages { error, seconds } = Messages::read(text.as_bytes());
            (error, seconds)
        };
        let whole = "[info] Input #0, mov, from 'file:/dev/stdin':\n\
                     [info]     comment         : [error] in a tag\n\
                     [info]   Duration: 01:00:02.50, start: 0.000000, bitrate: 122 kb/s\n\
                     [info] Output #0, wav, to 'pipe:1':\n";
        assert_eq!(read(whole), (None, Some(3602.5)));
        let damaged = "[aac @ 0x55ac2054c8c0] [warning] Estimating duration from bitrate\n\
                       [info]   Duration: 00:00:02.06, bitrate: 126 kb/s\n\
                       [aac @ 0x5590adc3e300] [error] Input buffer exhausted\n\
                       [error] Error while decoding stream #0:0\n";
        assert_eq!(read(damaged), (Some("Input buffer exhausted".to_owned()), None));
        assert_eq!(read("[info]   Duration: N/A, start: 0\n\n[info"), (None, None));
    }
}
