//! Streams of frames and packets (MP3, FLAC, Ogg, AAC), written here: what is there is decoded,
//! whatever headers say.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use features::decode::{Outcome, decode_chunks};
use features::{Audio, Length, decode};

fn file(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sound");
    std::fs::write(&path, bytes).unwrap();
    (dir, path)
}

fn decoded(bytes: &[u8]) -> anyhow::Result<Audio> {
    let (_dir, path) = file(bytes);
    decode(&path, Length::All)
}

fn outcome(bytes: &[u8]) -> Outcome {
    let (_dir, path) = file(bytes);
    decode_chunks(&path, Length::All, |_, _| {}).unwrap()
}

/// Returns the length in frames, and 0 if nothing is decoded.
fn length(bytes: &[u8]) -> usize {
    decoded(bytes).map_or(0, |audio| audio.samples.len())
}

/// Returns a silent frame of MP3: MPEG-1, 44.1 kHz, mono, 64 kbit/s (5) to 320 kbit/s (14).
fn mp3_frame(bit_rate: u8) -> Vec<u8> {
    let kilobits = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    let size = 144_000 * kilobits[usize::from(bit_rate)] / 44_100;
    let mut frame = vec![0; size];
    frame[..4].copy_from_slice(&[0xff, 0xfb, bit_rate << 4, 0xc0]);
    frame
}

/// Returns frames whose sizes differ, as variable bit rates have them.
fn mp3(count: usize) -> Vec<u8> {
    (0..count).flat_map(|n| mp3_frame(if n < 20 { 14 } else { 5 + (n % 9) as u8 })).collect()
}

/// Returns a tag frame with a count of frames, and the delay and padding of LAME.
fn mp3_tag(frames: u32, gaps: Option<(u32, u32)>) -> Vec<u8> {
    let mut frame = mp3_frame(9);
    let mut tag = b"Xing\0\0\0\x01".to_vec();
    tag.extend(frames.to_be_bytes());
    if let Some((delay, padding)) = gaps {
        tag.extend(b"LAME3.100");
        tag.extend([0; 12]);
        tag.extend((delay << 12 | padding).to_be_bytes().into_iter().skip(1));
    }
    frame[21..21 + tag.len()].copy_from_slice(&tag);
    frame
}

const ID3V2: &[u8] = b"ID3\x04\0\0\0\0\0\x0a\xff\xfb\x90\xc0\0\0\0\0\0\0";

/// Returns a tag with a picture.
fn large_id3v2() -> Vec<u8> {
    [&b"ID3\x04\0\0\0\x0c\0\0"[..], &[0xd8; 12 << 14]].concat()
}

/// Returns an APE tag with a header.
fn ape(size: u32) -> Vec<u8> {
    let body = vec![0xff; size as usize];
    [b"APETAGEX\xd0\x07\0\0", &size.to_le_bytes()[..], b"\x01\0\0\0\0\0\0\xa0", &[0; 8], &body]
        .concat()
}

fn id3v1() -> Vec<u8> {
    [&b"TAG"[..], &[b' '; 125]].concat()
}

#[test]
fn every_mp3_frame_counts() {
    let sound = mp3(200);
    let all = 200 * 1152;
    for (what, bytes) in [
        ("plain", sound.clone()),
        ("ID3v2", [ID3V2, &sound].concat()),
        ("ID3v1", [&sound[..], &id3v1()].concat()),
        ("APE", [&sound[..], b"APETAGEX", &[0; 24]].concat()),
        ("junk before", [&[0; 777][..], &sound].concat()),
        ("much before", [vec![0; 500_000], sound.clone()].concat()),
        ("junk between", [&mp3(150)[..], &[1; 999], &mp3(50)].concat()),
        ("count of 0", [mp3_tag(0, None), sound.clone()].concat()),
        ("half the count", [mp3_tag(100, None), sound.clone()].concat()),
        ("twice the count", [mp3_tag(400, None), sound.clone()].concat()),
        ("joined", [mp3_tag(150, None), mp3(150), mp3_tag(50, None), mp3(50)].concat()),
        ("two ID3v2", [ID3V2, &large_id3v2(), &sound].concat()),
        ("APE before", [&ape(200_000), &sound[..]].concat()),
        ("APE between", [&mp3(150)[..], &ape(2000), &mp3(50)].concat()),
        ("joined with tags", [ID3V2, &mp3(150), &id3v1(), ID3V2, &mp3(50), &id3v1()].concat()),
    ] {
        assert_eq!(length(&bytes), all, "{what}");
    }
    // A last frame that was cut off is not one.
    assert_eq!(length(&sound[..sound.len() - 10]), all - 1152);
}

#[test]
fn gaps_of_mp3_encoders() {
    let (delay, padding) = (576 + 529, 1000 - 529);
    let gaps = Some((576, 1000));
    let all = 50 * 1152;
    for (what, bytes, expected) in [
        ("whole", [mp3_tag(50, gaps), mp3(50)].concat(), all - delay - padding),
        ("counts its tag", [mp3_tag(51, gaps), mp3(50)].concat(), all - delay - padding),
        ("no count", [mp3_tag(0, gaps), mp3(50)].concat(), all - delay - padding),
        // The padding is gone with the end.
        ("cut off", [mp3_tag(80, gaps), mp3(50)].concat(), all - delay),
        (
            "joined",
            [mp3_tag(50, gaps), mp3(50), mp3_tag(50, gaps), mp3(50)].concat(),
            2 * (all - delay - padding),
        ),
    ] {
        assert_eq!(length(&bytes), expected, "{what}");
    }
}

/// Bit rates of layer 2 that encoders write for one channel, although the standard has none.
#[test]
fn mp2_of_high_rates() {
    let frame = |header: [u8; 4]| [&header[..], &vec![0; 1254 - 4]].concat();
    let sound = frame([0xff, 0xfd, 0xe2, 0xc0]).repeat(20);
    match decoded(&sound) {
        Ok(audio) => assert_eq!((audio.samples.len(), audio.sample_rate), (20 * 1152, 44_100)),
        Err(error) => {
            let message = format!("{error:#}");
            assert!(message.contains("MPEG layer 2 with this bit rate needs"), "{message}");
        }
    }
}

#[test]
fn free_bit_rate_is_named() {
    let frame = [&[0xff, 0xfb, 0x00, 0xc0][..], &[0; 300]].concat();
    for bytes in [frame.repeat(10), [ID3V2, &frame.repeat(10)].concat()] {
        let message = format!("{:#}", decoded(&bytes).unwrap_err());
        assert!(message.contains("with a free bit rate is not supported: convert"), "{message}");
    }
}

#[test]
fn lengths_that_differ_are_reported() {
    let announced = |bytes: &[u8]| outcome(bytes).doubt().unwrap_or_default();
    assert_eq!(announced(&[mp3_tag(50, None), mp3(50)].concat()), "");
    assert_eq!(
        announced(&[mp3_tag(100, None), mp3(50)].concat()),
        "1.31 s of sound, but its header announces 2.61 s"
    );
    let flac = flac(&[0; 10].map(|_| FlacFrame::new(8000, 1)), 100_000);
    assert_eq!(announced(&flac), "0.24 s of sound, but its header announces 12.50 s");
    // Sound that is not decoded to its end is not compared.
    let (_dir, path) = file(&flac);
    let part = decode_chunks(&path, Length::Seconds(0.1), |_, _| {}).unwrap();
    assert_eq!((part.announced, part.doubt()), (None, None));
}

/// A frame of 192 constant samples.
#[derive(Clone, Copy)]
struct FlacFrame {
    rate: u32,
    channels: u8,
    bits: u8,
    /// Value in 8 bits.
    value: i8,
}

impl FlacFrame {
    fn new(rate: u32, channels: u8) -> FlacFrame {
        FlacFrame { rate, channels, bits: 16, value: 32 }
    }

    fn bytes(&self, number: u8) -> Vec<u8> {
        let rate = match self.rate {
            8000 => 4,
            16_000 => 5,
            _ => 9,
        };
        let bits = match self.bits {
            8 => 1,
            16 => 4,
            _ => 6,
        };
        let mut frame =
            vec![0xff, 0xf8, 1 << 4 | rate, (self.channels - 1) << 4 | bits << 1, number];
        frame.push(crc(&frame, 8, 0x07) as u8);
        for _ in 0..self.channels {
            frame.push(0);
            frame.push(self.value as u8);
            frame.resize(frame.len() + usize::from(self.bits / 8 - 1), 0);
        }
        let crc = crc(&frame, 16, 0x8005);
        frame.extend((crc as u16).to_be_bytes());
        frame
    }
}

/// Returns a checksum of `width` bits, high bit first.
fn crc(bytes: &[u8], width: u32, polynomial: u64) -> u64 {
    let top = 1 << width;
    let bits =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| u64::from(byte >> bit & 1)));
    let padding = std::iter::repeat_n(0, width as usize);
    bits.chain(padding).fold(0, |crc, bit| {
        let crc = crc << 1 | bit;
        if crc & top == 0 { crc } else { crc & (top - 1) ^ polynomial }
    })
}

fn stream_info(frame: &FlacFrame, total: u64) -> Vec<u8> {
    let bits = u64::from(frame.rate) << 44
        | u64::from(frame.channels - 1) << 41
        | u64::from(frame.bits - 1) << 36
        | total;
    let mut block = vec![0, 192, 0, 192, 0, 0, 0, 0, 0, 0];
    block.extend(bits.to_be_bytes());
    block.resize(34, 0);
    block
}

fn metadata(kind: u8, body: &[u8]) -> Vec<u8> {
    let size = (body.len() as u32).to_be_bytes();
    [&[kind], &size[1..], body].concat()
}

fn frames(frames: &[FlacFrame]) -> Vec<u8> {
    frames.iter().enumerate().flat_map(|(n, frame)| frame.bytes(n as u8)).collect()
}

fn flac(sound: &[FlacFrame], total: u64) -> Vec<u8> {
    let info = metadata(0x80, &stream_info(&sound[0], total));
    [b"fLaC", &info[..], &frames(sound)].concat()
}

#[test]
fn flac_with_faults_around_frames() {
    let sound = [FlacFrame::new(8000, 2); 20];
    let (info, frames) = (stream_info(&sound[0], 3840), frames(&sound));
    let first = metadata(0, &info);
    // A cue sheet of a CD whose track does not begin at a multiple of 588.
    let mut sheet = vec![0; 396 + 36];
    (sheet[136], sheet[395], sheet[396 + 7], sheet[396 + 8]) = (0x80, 1, 5, 1);
    for (what, bytes) in [
        ("plain", [b"fLaC", &metadata(0x80, &info)[..], &frames].concat()),
        ("cue sheet", [b"fLaC", &first[..], &metadata(0x85, &sheet), &frames].concat()),
        ("unknown block", [b"fLaC", &first[..], &metadata(0xfe, &[7; 9]), &frames].concat()),
        ("comment", [b"fLaC", &first[..], &metadata(0x84, &[0xff; 9]), &frames].concat()),
        ("no last block", [b"fLaC", &first[..], &frames].concat()),
        ("size too large", [b"fLaC", &first[..], &[0x84, 0xff, 0xff, 0xff], &frames].concat()),
        ("no description", [b"fLaC", &metadata(0x84, &[0; 8])[..], &frames].concat()),
        ("no header", frames.clone()),
        ("junk before", [&[0x55; 300][..], b"fLaC", &metadata(0x80, &info), &frames].concat()),
        ("ID3v2 before", [ID3V2, b"fLaC", &metadata(0x80, &info), &frames].concat()),
        ("ID3v1 behind", [b"fLaC", &metadata(0x80, &info)[..], &frames, &id3v1()].concat()),
        ("junk behind", [b"fLaC", &metadata(0x80, &info)[..], &frames, &[9; 77]].concat()),
    ] {
        let audio = decoded(&bytes).unwrap_or_else(|error| panic!("{what}: {error:#}"));
        assert_eq!((audio.samples.len(), audio.sample_rate), (3840, 8000), "{what}");
        assert!(audio.samples.iter().all(|sample| *sample == 0.25), "{what}");
    }
}

#[test]
fn flac_that_changes() {
    let plain = FlacFrame::new(8000, 1);
    for (what, other, expected) in [
        ("rate up", FlacFrame { rate: 16_000, ..plain }, 1920 + 960),
        ("more channels", FlacFrame { channels: 3, ..plain }, 3840),
        ("more bits", FlacFrame { bits: 24, ..plain }, 3840),
        ("fewer bits", FlacFrame { bits: 8, ..plain }, 3840),
    ] {
        let sound: Vec<_> = (0..20).map(|n| if n < 10 { plain } else { other }).collect();
        let audio = decoded(&flac(&sound, 0)).unwrap();
        assert_eq!((audio.samples.len(), audio.sample_rate), (expected, 8000), "{what}");
        assert!((audio.samples[1000] - 0.25).abs() < 1e-6, "{what}");
        assert!((audio.samples[expected - 400] - 0.25).abs() < 1e-3, "{what}");
    }
}

#[test]
fn damaged_flac_frames_are_silent() {
    let sound = [FlacFrame::new(8000, 1); 20];
    let mut bytes = flac(&sound, 3840);
    // The type of the subframe of the sixth frame, which must not be reserved.
    let frame = sound[0].bytes(0).len();
    bytes[42 + 5 * frame + 6] = 0x04;
    let audio = decoded(&bytes).unwrap();
    assert_eq!(audio.samples.len(), 3840);
    assert_eq!(audio.samples[5 * 192..6 * 192], [0.0; 192]);
    assert_eq!(outcome(&bytes).doubt().as_deref(), Some("one damaged part was skipped"));
}

/// Returns pages of Ogg with a packet each, given the position and the flags of each.
fn ogg(pages: &[(&[u8], i64, u8)]) -> Vec<u8> {
    let page = |(number, (packet, granule, flags)): (usize, &(&[u8], i64, u8))| {
        let mut page = b"OggS\0".to_vec();
        page.push(*flags);
        page.extend(granule.to_le_bytes());
        page.extend([7, 0, 0, 0]);
        page.extend((number as u32).to_le_bytes());
        page.extend([0; 4]);
        let full = packet.len() / 255;
        page.push(full as u8 + 1);
        page.extend(std::iter::repeat_n(255, full));
        page.push((packet.len() % 255) as u8);
        page.extend(*packet);
        let crc = crc(&page, 32, 0x04c1_1db7) as u32;
        page[22..26].copy_from_slice(&crc.to_le_bytes());
        page
    };
    pages.iter().enumerate().flat_map(page).collect()
}

#[test]
fn ogg_pages_without_positions() {
    let sound = FlacFrame::new(8000, 1);
    let mut head = b"\x7fFLAC\x01\0\0\x01fLaC".to_vec();
    head.extend(metadata(0, &stream_info(&sound, 0)));
    let comment = metadata(0x84, &[0; 8]);
    let packets: Vec<_> = (0..20).map(|n| sound.bytes(n)).collect();
    let file = |granule: &dyn Fn(i64) -> i64, last: u8| {
        let mut pages: Vec<(&[u8], i64, u8)> = vec![(&head, 0, 2), (&comment, 0, 0)];
        for (n, packet) in packets.iter().enumerate() {
            let end = (n as i64 + 1) * 192;
            pages.push((packet, granule(end), if n == 19 { last } else { 0 }));
        }
        ogg(&pages)
    };
    let every_other = |value: i64| move |end: i64| if end % 384 == 0 { end } else { value };
    for (what, bytes, expected) in [
        ("plain", file(&|end| end, 4), 3840),
        ("−1", file(&every_other(-1), 4), 3840),
        ("0", file(&every_other(0), 4), 3840),
        ("only −1", file(&|_| -1, 4), 3840),
        ("only 0", file(&|_| 0, 4), 3840),
        ("padding", file(&|end| if end == 3840 { 3800 } else { end }, 4), 3800),
        ("padding without an end mark", file(&|end| if end == 3840 { 3800 } else { end }, 0), 3800),
        ("delay", file(&|end| end - 100, 4), 3740),
        ("begins late", file(&|end| end + 100_000, 4), 3840),
        ("chained", file(&|end| end, 4).repeat(2), 7680),
    ] {
        assert_eq!(length(&bytes), expected, "{what}");
    }
    let whole = file(&|end| end, 4);
    assert_eq!(length(&whole[..whole.len() - 3]), 3840 - 192, "cut off");
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let outcome = outcome(&damaged);
    let doubt = outcome.doubt().unwrap();
    assert!(doubt.contains("its header announces 0.48 s; one damaged part was skipped"), "{doubt}");
}

/// A packet that cannot be decoded is reported even if its page has others.
#[test]
fn damaged_packet_beside_others() {
    let sound = FlacFrame::new(8000, 1);
    let mut head = b"\x7fFLAC\x01\0\0\x01fLaC".to_vec();
    head.extend(metadata(0x80, &stream_info(&sound, 0)));
    let packets: Vec<Vec<u8>> = (0..20).map(|n| sound.bytes(n)).collect();
    let mut pages: Vec<(&[u8], i64, u8)> = vec![(&head, 0, 2)];
    pages.extend(packets.iter().map(|packet| (&packet[..], -1, 0)));
    let bytes = ogg(&pages);
    assert_eq!(outcome(&bytes).doubt(), None);
    // One page for the last two packets, of which the first is damaged.
    let [.., one, other] = &packets[..] else { panic!("twenty") };
    let (mut both, sizes) = ([&one[..], other].concat(), [one.len() as u8, other.len() as u8]);
    both[6] = 0x04;
    let mut page =
        b"OggS\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x07\0\0\0\x13\0\0\0\0\0\0\0\x02".to_vec();
    page.extend(sizes);
    page.extend(both);
    let crc = crc(&page, 32, 0x04c1_1db7) as u32;
    page[22..26].copy_from_slice(&crc.to_le_bytes());
    pages.truncate(19);
    let outcome = outcome(&[ogg(&pages), page].concat());
    assert_eq!(outcome.damaged, 1, "{outcome:?}");
    assert!((outcome.seconds - 19.0 * 192.0 / 8000.0).abs() < 1e-9, "{outcome:?}");
}

/// A silent packet of AAC with one channel, and its configuration.
const AAC: (&[u8], [u8; 2]) = (&[0x00, 0xc8, 0x00, 0x80, 0x23, 0x80], [0x12, 0x08]);

fn adts(count: usize) -> Vec<u8> {
    let size = AAC.0.len() + 7;
    let header = [0xff, 0xf1, 0x50, 0x40, (size >> 3) as u8, (size << 5) as u8 | 0x1f, 0xfc];
    [&header, AAC.0].concat().repeat(count)
}

#[test]
fn aac_without_its_delay() {
    let all = 49 * 1024;
    for (what, bytes) in [
        ("plain", adts(50)),
        ("ID3v2", [ID3V2, &adts(50)].concat()),
        ("ID3v1", [&adts(50)[..], &id3v1()].concat()),
        ("junk between", [&adts(30)[..], &[1; 99], &adts(20)].concat()),
        ("junk before", [&[7; 999], &adts(50)[..]].concat()),
        ("from within a frame", adts(51).split_off(5)),
        ("two ID3v2", [ID3V2, &large_id3v2(), &adts(50)].concat()),
    ] {
        let audio = decoded(&bytes).unwrap_or_else(|error| panic!("{what}: {error:#}"));
        assert_eq!((audio.samples.len(), audio.sample_rate), (all, 44_100), "{what}");
    }
}

fn atom(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&(body.len() as u32 + 8).to_be_bytes()[..], kind, &body].concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// Returns an M4A file of `count` packets with its description first.
fn m4a(count: u32, edit: Option<(u32, u32)>, comment: &str) -> Vec<u8> {
    let config = [&[5, 2][..], &AAC.1].concat();
    let decoder = [&[4, 13 + config.len() as u8, 0x40, 0x15][..], &[0; 11], &config].concat();
    let stream = [&[3, 3 + decoder.len() as u8, 0, 1, 0][..], &decoder].concat();
    let esds = atom(b"esds", &[&[0; 4], &stream]);
    let entry = atom(
        b"mp4a",
        &[&[0, 0, 0, 0, 0, 0, 0, 1], &[0; 8], &words(&[0x1_0010, 0, 44_100 << 16]), &esds],
    );
    let size = AAC.0.len() as u32;
    let table = |offset: u32| {
        atom(
            b"stbl",
            &[
                &atom(b"stsd", &[&words(&[0, 1]), &entry]),
                &atom(b"stts", &[&words(&[0, 1, count, 1024])]),
                &atom(b"stsc", &[&words(&[0, 1, 1, 10, 1])]),
                &atom(b"stsz", &[&words(&[0, size, count])]),
                &atom(
                    b"stco",
                    &[&words(&[0, count / 10]), &words(&offsets(offset, count / 10, 10 * size))],
                ),
            ],
        )
    };
    let edits = edit.map_or(vec![], |(start, length)| {
        atom(b"edts", &[&atom(b"elst", &[&words(&[0, 1, length, start, 0x1_0000])])])
    });
    let movie = |offset: u32| {
        let media = atom(
            b"mdia",
            &[
                &atom(b"mdhd", &[&words(&[0, 0, 0, 44_100, count * 1024, 0])]),
                &atom(b"hdlr", &[&words(&[0, 0]), b"soun", &[0; 13]]),
                &atom(b"minf", &[&table(offset)]),
            ],
        );
        let track = atom(b"trak", &[&atom(b"tkhd", &[&words(&[0, 0, 0, 1])]), &edits, &media]);
        let header = atom(b"mvhd", &[&words(&[0, 0, 0, 44_100, count * 1024])]);
        let comment = atom(
            b"udta",
            &[b"\0\0\0\x10nameiTunSMPB\0\0\0\x80data\0\0\0\x01\0\0\0\0", comment.as_bytes()],
        );
        atom(b"moov", &[&header, &track, if comment.len() > 40 { &comment } else { &[] }])
    };
    let kind = atom(b"ftyp", &[b"M4A \0\0\0\0"]);
    let offset = (kind.len() + movie(0).len() + 8) as u32;
    let sound = AAC.0.repeat(count as usize);
    [kind, movie(offset), atom(b"mdat", &[&sound])].concat()
}

fn offsets(first: u32, count: u32, step: u32) -> Vec<u32> {
    (0..count).map(|n| first + n * step).collect()
}

#[test]
fn parts_of_m4a() {
    let itunes = " 00000000 00000840 000001CA 0000000000009000 00000000";
    for (what, bytes, expected) in [
        ("no edit", m4a(50, None, ""), 49 * 1024),
        ("edit", m4a(50, Some((1024, 48_000)), ""), 48_001),
        ("edit to the end", m4a(50, Some((2112, 0)), ""), 50 * 1024 - 2112),
        ("edit from 0", m4a(50, Some((0, 0)), ""), 50 * 1024),
        ("comment of iTunes", m4a(50, None, itunes), 0x9000),
    ] {
        assert_eq!(length(&bytes), expected, "{what}");
    }
}

/// Times and lengths in the description that do not count all packets.
#[test]
fn m4a_with_wrong_lengths() {
    let whole = m4a(50, None, "");
    let at = |name: &[u8]| whole.windows(4).position(|window| window == name).unwrap();
    let mut half = whole.clone();
    // The second word of the first run: its packets; then its ticks.
    half[at(b"stts") + 12..][..4].copy_from_slice(&25_u32.to_be_bytes());
    assert_eq!(length(&half), 49 * 1024);
    assert!(outcome(&half).doubt().unwrap().ends_with("its header announces 0.56 s"));
    let mut short = whole.clone();
    short[at(b"stts") + 16..][..4].copy_from_slice(&1000_u32.to_be_bytes());
    assert_eq!(length(&short), 49 * 1024);
    // Padding of the last packet.
    short[at(b"stts") + 16..][..4].copy_from_slice(&1010_u32.to_be_bytes());
    assert_eq!(length(&short), 50 * 1010 - 1024);
}

/// Packets in the movie's own tables and in a fragment behind it.
#[test]
fn m4a_with_a_fragment() {
    for edit in [None, Some((1024, 20 * 1024))] {
        let first = m4a(20, edit, "");
        let run = |offset: u32| {
            let header = atom(b"tfhd", &[&words(&[0x10, 1, AAC.0.len() as u32])]);
            let run = atom(b"trun", &[&words(&[1, 30, offset])]);
            atom(b"moof", &[&atom(b"traf", &[&header, &run])])
        };
        let offset = run(0).len() as u32 + 8;
        let bytes = [first, run(offset), atom(b"mdat", &[&AAC.0.repeat(30)])].concat();
        assert_eq!(length(&bytes), 49 * 1024, "{edit:?}");
    }
}

#[test]
fn m4a_that_was_cut_off() {
    let whole = m4a(50, None, "");
    for packets in [2, 20, 49] {
        let bytes = &whole[..whole.len() - (50 - packets) * AAC.0.len()];
        assert_eq!(length(bytes), (packets - 1) * 1024);
        let doubt = outcome(bytes).doubt().unwrap();
        assert!(doubt.ends_with("s of sound, but its header announces 1.14 s"), "{doubt}");
    }
    let message = format!("{:#}", decoded(&whole[..60]).unwrap_err());
    assert!(message.contains("has no description of its sound"), "{message}");
}

/// Files that are cut off at each sixteenth, and with bytes flipped: what is there is decoded, and
/// nothing panics.
#[test]
fn cut_and_damaged_files() {
    let sound = FlacFrame::new(8000, 1);
    for (what, whole) in [
        ("MP3", [mp3_tag(100, Some((576, 1000))), mp3_frame(9).repeat(100)].concat()),
        ("FLAC", flac(&[sound; 100], 19_200)),
        ("ADTS", adts(100)),
        ("M4A", m4a(100, Some((1024, 90_000)), "")),
    ] {
        let all = length(&whole);
        for part in 0..16 {
            let cut = length(&whole[..whole.len() * part / 16]);
            // A header and the last frame are lost.
            let least = (all * part / 16).saturating_sub(all / 8);
            let is_headless = what == "M4A" && part < 12;
            assert!(is_headless || cut >= least, "{what}: {cut} of {all} at {part}/16");
        }
        for seed in 0..64_usize {
            let mut bytes = whole.clone();
            for change in 0..8 {
                let at = (seed * 7919 + change * 104_729 + seed * change) % bytes.len();
                let at = if change % 2 == 0 { at % 64 } else { at };
                bytes[at] ^= 1 << ((seed + change) % 8);
            }
            if let Ok(audio) = decoded(&bytes) {
                assert!(audio.samples.iter().all(|sample| sample.is_finite()), "{what} {seed}");
                assert!(audio.samples.len() <= 20 * all, "{what} {seed}: {}", audio.samples.len());
            }
        }
    }
}
