//! Reads MPEG audio of layers 1 to 3 frame by frame.
//!
//! A stream has no length of its own. Counts in its tag frame are wrong in files that were cut,
//! joined or written to a pipe, so every frame that is there is decoded. The tag's delay and
//! padding are removed, the padding only where the count of frames shows that the end is the
//! encoder's.

use anyhow::Result;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3};
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters};

use super::block::Block;
use super::codec::Codec;
use super::id3;
use super::mpeg_header::{Header, Spec, Tag};
use super::reader::Reader;
use super::source::Source;

/// Bytes searched for the first frame of a file that does not begin with one.
pub(crate) const SEARCHED: u64 = 1 << 20;

/// Consecutive frames that tell a stream from other bytes.
const CONVINCING: usize = 4;

/// Reads the frames between two positions.
pub(crate) struct MpegReader {
    source: Source,
    end: u64,
    /// Header of the last frame, if the next one must follow directly.
    last: Option<Header>,
    codec: Option<(Spec, Codec)>,
    /// Tag of the current stream; joined files have several.
    tag: Tag,
    /// Frames of the current stream so far.
    count: u32,
    /// Samples to drop before the next one that is kept.
    delay: usize,
    /// Decoded, but held back because they may be padding.
    held: Block,
    /// Seconds that the tags announce; `None` if none does.
    announced: Option<f64>,
    has_sound: bool,
    /// Frames that could not be decoded, behind others.
    lost: u64,
}

impl MpegReader {
    pub(crate) fn new(mut source: Source, start: u64, end: u64) -> Result<MpegReader> {
        source.seek(start)?;
        let end = end.min(source.length());
        Ok(MpegReader {
            source,
            end,
            last: None,
            codec: None,
            tag: Tag::default(),
            count: 0,
            delay: 0,
            held: Block::default(),
            announced: None,
            has_sound: false,
            lost: 0,
        })
    }

    /// Moves to the next frame and returns its header; `None` at the end.
    fn find(&mut self) -> Result<Option<Header>> {
        loop {
            let left = self.end.saturating_sub(self.source.position());
            let bytes = self.source.peek(left.min(id3::HEAD as u64) as usize)?;
            let tag = id3::length(bytes);
            if tag > 0 {
                self.source.skip(tag.min(left))?;
                continue;
            }
            if bytes.len() < 4 {
                return Ok(None);
            }
            if let Some(header) = Header::parse(bytes)
                && header.size as u64 <= left
                && (self.last.is_some_and(|last| last.goes_with(&header))
                    || self.confirm(&header, left)?)
            {
                self.last = Some(header);
                return Ok(Some(header));
            }
            self.last = None;
            self.skip_to_candidate(left)?;
        }
    }

    /// Moves by at least one byte, to one that may begin a frame or a tag.
    fn skip_to_candidate(&mut self, left: u64) -> Result<()> {
        let bytes = self.source.peek(left.min(4096) as usize)?;
        let begins = |byte: &u8| matches!(byte, 0xff | b'I' | b'A');
        let next = bytes.iter().skip(1).position(begins).map_or(bytes.len(), |at| at + 1);
        Ok(self.source.skip(next as u64)?)
    }

    /// Checks whether a frame ends where another one, a tag or the end is.
    fn confirm(&mut self, header: &Header, left: u64) -> Result<bool> {
        let wanted = left.min(header.size as u64 + 16) as usize;
        let next = self.source.peek(wanted)?.get(header.size..).unwrap_or_default();
        let goes_on = Header::parse(next).is_some_and(|next| header.goes_with(&next));
        Ok(next.is_empty() || goes_on || id3::begins(next))
    }

    /// Moves the samples of the current stream that are kept to `block`, at its end.
    fn finish_stream(&mut self, block: &mut Block) -> Result<()> {
        // Some encoders count the tag frame, too.
        let is_whole = self.tag.frames == 0
            || (self.count..=self.count.saturating_add(1)).contains(&self.tag.frames);
        if is_whole {
            let kept = self.held.frames().saturating_sub(self.tag.padding);
            self.held.truncate(kept);
        }
        self.release(0, block)
    }

    /// Moves all samples but the last `keep` frames from `held` to `block`.
    fn release(&mut self, keep: usize, block: &mut Block) -> Result<()> {
        let frames = self.held.frames().saturating_sub(keep);
        if frames > 0 {
            block.begin(self.held.channels, self.held.rate)?;
            block.samples.extend_from_slice(&self.held.samples[..frames * self.held.channels]);
            self.held.drop_front(frames);
        }
        Ok(())
    }

    fn begin_stream(&mut self, tag: Tag, header: &Header) {
        (self.tag, self.count, self.delay) = (tag, 0, tag.delay);
        if tag.frames > 0 {
            let frames = f64::from(tag.frames) * f64::from(header.frames);
            let seconds = (frames - (tag.delay + tag.padding) as f64) / f64::from(header.spec.rate);
            self.announced = Some(self.announced.unwrap_or(0.0) + seconds);
        }
    }

    /// Decodes the frame at the position into `held`.
    fn decode(&mut self, header: &Header) -> Result<()> {
        if self.codec.as_ref().is_none_or(|(spec, _)| *spec != header.spec) {
            self.codec = Some((header.spec, codec(&header.spec)?));
        }
        self.count = self.count.saturating_add(1);
        let before = self.held.frames();
        let frame = self.source.take(header.size)?;
        let Some((_, codec)) = &mut self.codec else { return Ok(()) };
        if let Err(fault) = codec.decode(frame, u64::from(header.frames), &mut self.held) {
            self.lost += u64::from(header.frames) * u64::from(self.has_sound);
            return Err(fault);
        }
        self.has_sound = true;
        self.held.replace_lost(before, &mut self.lost);
        let dropped = self.delay.min(self.held.frames() - before);
        self.held.drop_front(dropped);
        self.delay -= dropped;
        Ok(())
    }
}

impl Reader for MpegReader {
    fn next(&mut self, block: &mut Block) -> Result<bool> {
        block.samples.clear();
        while let Some(header) = self.find()? {
            let frame = self.source.peek(header.size)?;
            if let Some(tag) = Tag::parse(frame, &header) {
                self.finish_stream(block)?;
                self.begin_stream(tag, &header);
                self.source.skip(header.size as u64)?;
            } else if self.held.frames() > 0
                && (self.held.channels, self.held.rate) != (header.spec.channels, header.spec.rate)
            {
                self.finish_stream(block)?;
            } else {
                self.decode(&header)?;
                self.release(self.tag.padding, block)?;
            }
            if !block.samples.is_empty() {
                return Ok(true);
            }
        }
        self.finish_stream(block)?;
        Ok(!block.samples.is_empty())
    }

    fn announced(&self) -> Option<f64> {
        self.announced
    }
}

fn codec(spec: &Spec) -> Result<Codec> {
    let mut params = AudioCodecParameters::new();
    params.for_codec(codec_of(spec.layer));
    Codec::new(&params)
}

fn codec_of(layer: u8) -> AudioCodecId {
    match layer {
        1 => CODEC_ID_MP1,
        2 => CODEC_ID_MP2,
        _ => CODEC_ID_MP3,
    }
}

/// Returns the codec of a frame that a container delivers.
pub(crate) fn codec_id(frame: &[u8]) -> AudioCodecId {
    codec_of(Header::parse(frame).map_or(3, |header| header.spec.layer))
}

/// Finds a stream in a file that begins with something else; returns the position of its first
/// frame.
pub(crate) fn search(source: &mut Source) -> Result<Option<u64>> {
    let start = source.position();
    let mut reader = Search { source, start };
    reader.run()
}

struct Search<'a> {
    source: &'a mut Source,
    start: u64,
}

impl Search<'_> {
    fn run(&mut self) -> Result<Option<u64>> {
        while self.source.position() < self.start + SEARCHED {
            let position = self.source.position();
            if self.source.left() < 4 {
                break;
            }
            if self.chain()? {
                return Ok(Some(position));
            }
            self.source.seek(position + 1)?;
        }
        Ok(None)
    }

    /// Checks whether several frames follow each other from the position on.
    fn chain(&mut self) -> Result<bool> {
        let mut first: Option<Header> = None;
        for count in 0..CONVINCING {
            let Some(header) = Header::parse(self.source.peek(4)?) else {
                // A short file may end before.
                return Ok(count > 1 && self.source.left() == 0);
            };
            if first.is_some_and(|first| !first.goes_with(&header)) {
                return Ok(false);
            }
            first = Some(header);
            if header.size as u64 > self.source.left() {
                return Ok(count > 1);
            }
            self.source.skip(header.size as u64)?;
        }
        Ok(true)
    }
}
