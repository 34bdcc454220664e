//! A track of an MP4 file: its codec, its packets, and the part that is the sound.
//!
//! Unaware of the file; descriptions come as bytes. ISO/IEC 14496-12 and -14 name the atoms.

use std::ops::Range;

use super::atoms::{each, find, long, word};
use super::mp4_pcm::Pcm;

/// The codec of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Aac,
    Alac,
    Mp3,
    Pcm(Pcm),
    Flac,
    /// A codec that only a program decodes, by its name.
    Other(&'static str),
}

/// The first track with sound.
#[derive(Debug)]
pub(crate) struct Track {
    id: u32,
    pub(crate) kind: Kind,
    /// Configuration of the decoder.
    pub(crate) config: Box<[u8]>,
    /// Packets, or chunks of PCM.
    pub(crate) packets: Vec<Range<u64>>,
    /// Ticks per second of the track.
    clock: u32,
    /// Ticks of all packets; 0 if the packets are in fragments.
    ticks: u64,
    edit: Edit,
    /// Default size of a packet in fragments.
    default_size: u32,
}

/// Seconds of the decoded packets to drop, and those to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Edit {
    start: Option<f64>,
    length: Option<f64>,
}

impl Track {
    /// Finds the track in the contents of `moov`; `length` is that of the file.
    pub(crate) fn parse(movie: &[u8], length: u64) -> Option<Track> {
        let tracks = || each(movie).filter(|(kind, _)| kind == b"trak").map(|(_, track)| track);
        let is_sound = |track: &&[u8]| {
            find(track, &[b"mdia", b"hdlr"]).and_then(|handler| handler.get(8..12)) == Some(b"soun")
        };
        let track = tracks().find(is_sound)?;
        let header = find(track, &[b"tkhd"])?;
        let id = word(header, if header.first() == Some(&1) { 20 } else { 12 })?;
        let media = find(track, &[b"mdia", b"mdhd"])?;
        let clock = word(media, if media.first() == Some(&1) { 20 } else { 12 })?;
        let table = find(track, &[b"mdia", b"minf", b"stbl"])?;
        let (kind, config) = codec(find(table, &[b"stsd"])?.get(8..)?)?;
        let clocks = find(movie, &[b"mvhd"])
            .and_then(|header| word(header, if header.first() == Some(&1) { 20 } else { 12 }));
        let edit = itunes(movie, clock)
            .or_else(|| edit(find(track, &[b"edts", b"elst"])?, clock, clocks?))
            .unwrap_or_default();
        let fragments = find(movie, &[b"mvex"]).unwrap_or_default();
        let default_size = each(fragments)
            .filter(|(kind, _)| kind == b"trex")
            .find(|(_, defaults)| word(defaults, 4) == Some(id))
            .and_then(|(_, defaults)| word(defaults, 16));
        let packets = match kind {
            Kind::Pcm(pcm) => chunks(table, pcm.frame() as u64, length),
            _ => packets(table, length),
        };
        Some(Track {
            id,
            kind,
            config: config.into(),
            packets: packets.unwrap_or_default(),
            clock: clock.max(1),
            ticks: ticks(find(table, &[b"stts"]).unwrap_or_default()),
            edit,
            default_size: default_size.unwrap_or(0),
        })
    }

    /// Adds the packets of a fragment, given the contents of `moof` and its position.
    ///
    /// Lengths in the movie's description do not count the fragments.
    pub(crate) fn add_fragment(&mut self, start: u64, fragment: &[u8], length: u64) {
        let before = self.packets.len();
        for (_, track) in each(fragment).filter(|(kind, _)| kind == b"traf") {
            let Some(header) = find(track, &[b"tfhd"]) else { continue };
            if word(header, 4) == Some(self.id) {
                let _ = self.add_runs(start, header, track, length);
            }
        }
        if self.packets.len() > before {
            (self.ticks, self.edit.length) = (0, None);
        }
    }

    fn add_runs(&mut self, start: u64, header: &[u8], track: &[u8], length: u64) -> Option<()> {
        let flags = word(header, 0)?;
        let (mut base, mut at) = (start, 8);
        if flags & 1 != 0 {
            (base, at) = (long(header, at)?, at + 8);
        }
        at += 4 * (flags & 2 != 0) as usize + 4 * (flags & 8 != 0) as usize;
        let size = if flags & 16 != 0 { word(header, at)? } else { self.default_size };
        let mut position = base;
        for (_, run) in each(track).filter(|(kind, _)| kind == b"trun") {
            let (flags, count) = (word(run, 0)?, word(run, 4)?);
            let mut at = 8;
            if flags & 1 != 0 {
                position = base.checked_add_signed(i64::from(word(run, at)? as i32))?;
                at += 4;
            }
            at += 4 * (flags & 4 != 0) as usize;
            let before = 4 * (flags & 0x100 != 0) as usize;
            let step = 4 * (flags >> 8 & 15).count_ones() as usize;
            for _ in 0..count {
                let size = if flags & 0x200 != 0 { word(run, at + before)? } else { size };
                at += step;
                let packet = position..position.checked_add(u64::from(size))?;
                position = packet.end;
                if packet.start >= length || packet.is_empty() {
                    return None;
                }
                self.packets.push(packet);
            }
        }
        Some(())
    }

    /// Returns where the sound begins, in seconds; `None` if the file does not say.
    pub(crate) fn start(&self) -> Option<f64> {
        self.edit.start
    }

    /// Returns where the sound ends by the edit list, in seconds from the first packet.
    pub(crate) fn end(&self) -> f64 {
        let start = self.edit.start.unwrap_or(0.0);
        self.edit.length.map_or(f64::INFINITY, |length| start + length)
    }

    /// Returns the length of all packets in seconds.
    pub(crate) fn length(&self) -> f64 {
        match self.ticks {
            0 => f64::INFINITY,
            ticks => ticks as f64 / f64::from(self.clock),
        }
    }
}

/// Returns the codec of the first sample entry, and its configuration.
fn codec(entry: &[u8]) -> Option<(Kind, &[u8])> {
    let kind: [u8; 4] = *entry.get(4..)?.first_chunk()?;
    // QuickTime's versions 1 and 2 have more fields before the atoms.
    let fields = match entry.get(16..18)? {
        [0, 1] => 16,
        [0, 2] => 36,
        _ => 0,
    };
    let end = word(entry, 0).map_or(entry.len(), |size| entry.len().min(size as usize));
    let atoms = entry.get(36 + fields..end)?;
    let inner = find(atoms, &[b"wave"]).unwrap_or(atoms);
    let none: &[u8] = &[];
    Some(match &kind {
        b"mp4a" => match find(atoms, &[b"esds"]).or(find(inner, &[b"esds"])).and_then(descriptor) {
            Some((0x40 | 0x66..=0x68, config)) => (Kind::Aac, config),
            Some((0x69 | 0x6b, _)) => (Kind::Mp3, none),
            _ => (Kind::Other("MPEG-4 audio of an unknown kind"), none),
        },
        b".mp3" | b"ms\0\x55" => (Kind::Mp3, none),
        b"alac" => (Kind::Alac, find(inner, &[b"alac"])?.get(4..)?),
        b"fLaC" => (Kind::Flac, none),
        b"Opus" => (Kind::Other("Opus"), none),
        b"ac-3" | b"ec-3" => (Kind::Other("Dolby Digital"), none),
        _ if let Some(pcm) = Pcm::parse(entry, inner) => (Kind::Pcm(pcm), none),
        _ => (Kind::Other("an unknown codec in MP4"), none),
    })
}

/// Returns the kind of stream and the configuration in the contents of `esds`.
fn descriptor(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (3, stream) = tagged(bytes.get(4..)?)? else { return None };
    let flags = *stream.get(2)?;
    let mut at = 3 + 2 * usize::from(flags >> 7) + 2 * usize::from(flags >> 5 & 1);
    if flags & 0x40 != 0 {
        at += 1 + usize::from(*stream.get(at)?);
    }
    let (4, decoder) = tagged(stream.get(at..)?)? else { return None };
    let config = tagged(decoder.get(13..)?).filter(|(tag, _)| *tag == 5).map(|(_, config)| config);
    Some((*decoder.first()?, config.unwrap_or_default()))
}

/// Splits a descriptor into its tag and its contents; sizes have seven bits to a byte.
fn tagged(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (tag, mut rest) = bytes.split_first()?;
    let mut size = 0;
    for _ in 0..4 {
        let (byte, after) = rest.split_first()?;
        rest = after;
        size = size << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some((*tag, &rest[..size.min(rest.len())]))
}

/// Returns the position of each chunk, and the number of samples in it.
fn places(table: &[u8]) -> Option<impl Iterator<Item = (u64, u32)>> {
    let (short, long_offsets) = (find(table, &[b"stco"]), find(table, &[b"co64"]));
    let offset = move |chunk: usize| match short {
        Some(offsets) => word(offsets, 8 + 4 * chunk).map(u64::from),
        None => long(long_offsets?, 8 + 8 * chunk),
    };
    let groups = find(table, &[b"stsc"])?.get(8..)?.as_chunks::<12>().0;
    let group = move |index: usize| {
        groups.get(index).and_then(|group| Some((word(group, 0)?, word(group, 4)?)))
    };
    let mut index = 0;
    Some((0..).map_while(move |chunk| {
        let next = group(index + 1).is_some_and(|(first, _)| first as usize == chunk + 1);
        index += usize::from(next && chunk > 0);
        Some((offset(chunk)?, group(index)?.1))
    }))
}

/// Returns the chunks of PCM, whose samples are frames, as far as they are in the file.
fn chunks(table: &[u8], frame: u64, length: u64) -> Option<Vec<Range<u64>>> {
    let chunk = |(start, samples): (u64, u32)| {
        start..start.saturating_add(u64::from(samples).saturating_mul(frame)).min(length)
    };
    Some(places(table)?.map(chunk).filter(|chunk| !chunk.is_empty()).collect())
}

/// Returns the packets of the tables that begin in the file.
fn packets(table: &[u8], length: u64) -> Option<Vec<Range<u64>>> {
    let sizes = find(table, &[b"stsz"])?;
    let (constant, count) = (word(sizes, 4)?, word(sizes, 8)?);
    // Packets of less than four bytes on average are not real.
    let most = (length / 4 + 16).min(u64::from(count)) as usize;
    let mut packets = Vec::new();
    for (mut position, in_chunk) in places(table)? {
        for _ in 0..in_chunk {
            let size = match constant {
                0 => word(sizes, 12 + 4 * packets.len()),
                size => Some(size),
            };
            let Some(size) = size.filter(|_| packets.len() < most) else { return Some(packets) };
            let packet = position..position.saturating_add(u64::from(size));
            position = packet.end;
            packets.push(packet);
        }
        if packets.len() >= most {
            break;
        }
    }
    packets.retain(|packet| packet.start < length);
    Some(packets)
}

/// Returns the sum of the lengths of all packets.
fn ticks(times: &[u8]) -> u64 {
    let runs = times.get(8..).unwrap_or_default().as_chunks::<8>().0.iter();
    let product = |run: &[u8; 8]| Some(u64::from(word(run, 0)?) * u64::from(word(run, 4)?));
    runs.filter_map(product).fold(0, u64::saturating_add)
}

/// Reads an edit list: where the sound begins, and how long it is.
fn edit(list: &[u8], clock: u32, movie_clock: u32) -> Option<Edit> {
    let is_long = list.first()? == &1;
    let size = if is_long { 20 } else { 12 };
    let mut edit = Edit::default();
    let (mut ticks, mut count) = (0_u64, 0);
    for entry in list.get(8..)?.chunks_exact(size).take(word(list, 4)? as usize) {
        let (duration, start) = match is_long {
            true => (long(entry, 0)?, long(entry, 8)? as i64),
            false => (u64::from(word(entry, 0)?), i64::from(word(entry, 4)? as i32)),
        };
        // An empty edit delays the sound.
        if start >= 0 {
            edit.start = edit.start.or(Some(start as f64 / f64::from(clock.max(1))));
            ticks = ticks.saturating_add(duration);
            count += 1;
        }
    }
    // The movie's clock is coarse, so the end is known to a tick. Fragments leave 0.
    if count == 1 && ticks > 0 {
        edit.length = Some((ticks as f64 + 1.0) / f64::from(movie_clock.max(1)));
    }
    Some(edit)
}

/// Reads the comment of iTunes: samples of delay and of padding, and of the sound.
fn itunes(movie: &[u8], clock: u32) -> Option<Edit> {
    let at = movie.windows(8).position(|name| name == b"iTunSMPB")?;
    let rest = movie.get(at..at + 256).or(movie.get(at..))?;
    let data = rest.windows(4).position(|name| name == b"data")?;
    let text = std::str::from_utf8(rest.get(data + 12..)?.split(|byte| *byte == 0).next()?).ok();
    let text = text.unwrap_or_default();
    let mut numbers = text.split_whitespace().skip(1).map(|hex| u64::from_str_radix(hex, 16));
    let mut number = || numbers.next()?.ok();
    let (delay, _padding, count) = (number()?, number()?, number()?);
    let seconds = |samples: u64| samples as f64 / f64::from(clock.max(1));
    Some(Edit {
        start: Some(seconds(delay)),
        length: Some(seconds(count)).filter(|length| *length > 0.0),
    })
}
