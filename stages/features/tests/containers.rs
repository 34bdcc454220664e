//! Uncompressed sound in every container, coding and number of channels, and headers with wrong
//! sizes, all written here byte by byte.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use features::{Audio, Length, decode};

const RATE: u32 = 8000;
const FRAMES: usize = 1000;

/// A coding of samples: bits of a container, and how a value is written to it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Coding {
    Unsigned8,
    Signed(u16),
    Float(u16),
}

impl Coding {
    fn bytes(self) -> usize {
        match self {
            Coding::Unsigned8 => 1,
            Coding::Signed(bits) | Coding::Float(bits) => usize::from(bits / 8),
        }
    }

    /// Writes a value from −128 to 127, where 128 is full scale.
    fn write(self, value: i8, big_endian: bool) -> Vec<u8> {
        let mut bytes = match self {
            Coding::Unsigned8 => vec![value as u8 ^ 0x80],
            Coding::Signed(_) => {
                let wide = (i32::from(value) << 24).to_le_bytes();
                wide[4 - self.bytes()..].to_vec()
            }
            Coding::Float(32) => (f32::from(value) / 128.0).to_le_bytes().to_vec(),
            Coding::Float(_) => (f64::from(value) / 128.0).to_le_bytes().to_vec(),
        };
        if big_endian {
            bytes.reverse();
        }
        bytes
    }
}

/// Returns the values of a frame; the mean over the channels is a multiple of 1/128.
fn frame(n: usize, channels: usize) -> Vec<i8> {
    let middle = ((n * 7) % 201) as i8 as i32 - 100 + 50 * (n % 2) as i32;
    let middle = middle.clamp(-100, 100);
    (0..channels)
        .map(|channel| match (channels, channel) {
            (2, 0) | (3, 0) => (middle + 9) as i8,
            (2, 1) | (3, 1) => (middle - 9) as i8,
            _ => middle as i8,
        })
        .collect()
}

fn data(coding: Coding, channels: usize, big_endian: bool) -> Vec<u8> {
    let values = (0..FRAMES).flat_map(|n| frame(n, channels));
    values.flat_map(|value| coding.write(value, big_endian)).collect()
}

fn expected(frames: usize, channels: usize) -> Vec<f32> {
    let mean = |n| frame(n, channels).iter().map(|v| f32::from(*v)).sum::<f32>() / channels as f32;
    (0..frames).map(|n| mean(n) / 128.0).collect()
}

fn decoded(name: &str, bytes: &[u8]) -> anyhow::Result<Audio> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    decode(&path, Length::All)
}

fn check(what: &str, bytes: &[u8], frames: usize, channels: usize) {
    // The name must not matter.
    let audio = decoded("sound.bin", bytes).unwrap_or_else(|error| panic!("{what}: {error:#}"));
    assert_eq!(audio.sample_rate, RATE, "{what}");
    let expected = expected(frames, channels);
    assert_eq!(audio.samples.len(), expected.len(), "{what}");
    for (found, expected) in audio.samples.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-6, "{what}: {found} is not {expected}");
    }
}

fn chunk(id: &[u8; 4], body: &[u8], big_endian: bool) -> Vec<u8> {
    let size = body.len() as u32;
    let size = if big_endian { size.to_be_bytes() } else { size.to_le_bytes() };
    let padding = vec![0; body.len() % 2];
    [id, &size[..], body, &padding].concat()
}

/// Returns the body of a format chunk of 16 bytes.
fn format(tag: u16, channels: usize, frame: usize, bits: u16, big_endian: bool) -> Vec<u8> {
    let two = |value: u16| if big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
    let four = |value: u32| if big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
    [
        &two(tag)[..],
        &two(channels as u16),
        &four(RATE),
        &four(RATE * frame as u32),
        &two(frame as u16),
        &two(bits),
    ]
    .concat()
}

fn tag(coding: Coding) -> u16 {
    if matches!(coding, Coding::Float(_)) { 3 } else { 1 }
}

fn wav(coding: Coding, channels: usize) -> Vec<u8> {
    riff(b"RIFF", coding, channels, false)
}

fn riff(magic: &[u8; 4], coding: Coding, channels: usize, big_endian: bool) -> Vec<u8> {
    let bits = coding.bytes() as u16 * 8;
    let format = format(tag(coding), channels, coding.bytes() * channels, bits, big_endian);
    let chunks = [
        &b"WAVE"[..],
        &chunk(b"fmt ", &format, big_endian),
        &chunk(b"data", &data(coding, channels, big_endian), big_endian),
    ]
    .concat();
    chunk(magic, &chunks, big_endian)
}

const LINEAR: [Coding; 6] = [
    Coding::Unsigned8,
    Coding::Signed(16),
    Coding::Signed(24),
    Coding::Signed(32),
    Coding::Float(32),
    Coding::Float(64),
];

#[test]
fn wav_codings() {
    for coding in LINEAR {
        for channels in [1, 2, 3, 6] {
            let what = format!("{coding:?} × {channels}");
            check(&what, &wav(coding, channels), FRAMES, channels);
            check(
                &format!("RIFX {what}"),
                &riff(b"RIFX", coding, channels, true),
                FRAMES,
                channels,
            );
            check(&format!("W64 {what}"), &wave64(coding, channels), FRAMES, channels);
            check(&format!("RF64 {what}"), &rf64(coding, channels), FRAMES, channels);
        }
    }
}

/// Positions of the sizes in a plain file: of the whole and of the data.
const SIZES: [usize; 2] = [4, 40];

#[test]
fn wrong_sizes() {
    for coding in LINEAR {
        let whole = wav(coding, 2);
        for sizes in
            [[0, 0], [0, 8000], [u32::MAX; 2], [8000, u32::MAX], [8000, 0], [1, 0x7fff_ffff]]
        {
            let mut bytes = whole.clone();
            for (at, size) in SIZES.into_iter().zip(sizes) {
                // 8000 stands for the right size.
                if size != 8000 {
                    bytes[at..at + 4].copy_from_slice(&size.to_le_bytes());
                }
            }
            check(&format!("{coding:?} {sizes:x?}"), &bytes, FRAMES, 2);
        }
    }
}

#[test]
fn empty_data_before_chunks() {
    let format = format(1, 1, 2, 16, false);
    let list = chunk(b"LIST", b"INFOISFT\x04\0\0\0test", false);
    let chunks =
        [&b"WAVE"[..], &chunk(b"fmt ", &format, false), &chunk(b"data", b"", false), &list]
            .concat();
    assert!(decoded("a.wav", &chunk(b"RIFF", &chunks, false)).is_err());
}

#[test]
fn chunks_around_data() {
    let list = chunk(b"LIST", b"INFOISFT\x05\0\0\0test\0", false);
    let format = format(1, 2, 4, 16, false);
    let format = chunk(b"fmt ", &format, false);
    let data = chunk(b"data", &data(Coding::Signed(16), 2, false), false);
    for (what, chunks) in [
        ("before", [&list, &format, &list, &data]),
        ("behind", [&format, &data, &list, &list]),
        ("format last", [&data, &format, &list, &list]),
    ] {
        let bytes =
            chunk(b"RIFF", &[&b"WAVE"[..], &chunks.map(Vec::as_slice).concat()].concat(), false);
        check(what, &bytes, FRAMES, 2);
    }
}

#[test]
fn cut_off_files() {
    let whole = wav(Coding::Signed(24), 2);
    for frames in [1, 10, 999] {
        check("cut", &whole[..44 + 6 * frames + 5], frames, 2);
    }
    let aiff = aiff(Coding::Signed(24), 2, None);
    check("AIFF", &aiff[..aiff.len() - 6 * 400], 600, 2);
    let caf = caf(Coding::Signed(24), 2, false);
    check("CAF", &caf[..caf.len() - 6 * 400], 600, 2);
    let au = au(Coding::Signed(24), 2);
    check("AU", &au[..au.len() - 6 * 400], 600, 2);
    let wave64 = wave64(Coding::Signed(24), 2);
    check("W64", &wave64[..wave64.len() - 6 * 400], 600, 2);
}

#[test]
fn twenty_four_bits_in_four_bytes() {
    for (what, in_high) in [("high", true), ("low", false)] {
        for extensible in [false, true] {
            let sample = |value: i8| {
                let mut bytes = Coding::Signed(24).write(value, false);
                // The lowest bit shows the place.
                bytes[0] = 1;
                let sign = if value < 0 { 0xff } else { 0 };
                if in_high { [vec![0], bytes].concat() } else { [bytes, vec![sign]].concat() }
            };
            let data: Vec<u8> = (0..FRAMES).flat_map(|n| frame(n, 2)).flat_map(sample).collect();
            let mut format = format(if extensible { 0xfffe } else { 1 }, 2, 8, 24, false);
            if extensible {
                format[14] = 32;
                format.extend([22, 0, 24, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0]);
                format.extend([0, 0xaa, 0, 0x38, 0x9b, 0x71]);
            }
            // With 32 bits in the format, only the high bits are meant.
            if extensible && !in_high {
                continue;
            }
            let chunks =
                [&b"WAVE"[..], &chunk(b"fmt ", &format, false), &chunk(b"data", &data, false)];
            check(what, &chunk(b"RIFF", &chunks.concat(), false), FRAMES, 2);
        }
    }
}

/// Bytes of G.711 and their values in 16 bits.
const MU_LAW: [(u8, i16); 4] = [(0x00, -32124), (0x80, 32124), (0xf0, 120), (0x7f, 0)];
const A_LAW: [(u8, i16); 4] = [(0x2a, -32256), (0xaa, 32256), (0xd5, 8), (0x55, -8)];

#[test]
fn logarithmic_codings() {
    for (tags, name, table) in [([7, 1], *b"ulaw", MU_LAW), ([6, 27], *b"alaw", A_LAW)] {
        let bytes: Vec<u8> = table.iter().map(|(byte, _)| *byte).collect();
        let expected: Vec<f32> =
            table.iter().map(|(_, value)| f32::from(*value) / 32768.0).collect();
        let extensible = |mut format: Vec<u8>| {
            format[..2].copy_from_slice(&0xfffe_u16.to_le_bytes());
            format.extend([22, 0, 8, 0, 4, 0, 0, 0, tags[0], 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0]);
            format.extend([0, 0xaa, 0, 0x38, 0x9b, 0x71]);
            format
        };
        let format = format(u16::from(tags[0]), 1, 1, 8, false);
        let in_wav = |format: &[u8]| {
            let chunks =
                [&b"WAVE"[..], &chunk(b"fmt ", format, false), &chunk(b"data", &bytes, false)];
            chunk(b"RIFF", &chunks.concat(), false)
        };
        for (what, file) in [
            ("format of 16 bytes", in_wav(&format)),
            ("format of 18 bytes", in_wav(&[&format[..], &[0, 0]].concat())),
            ("extensible", in_wav(&extensible(format.clone()))),
            ("AIFF-C", aiff_of(&bytes, 1, 16, bytes.len(), Some(name))),
            ("CAF", caf_of(&bytes, name, 0, 1, 1, 8)),
            ("AU", au_of(&bytes, u32::from(tags[1]), 1)),
        ] {
            let audio = decoded("a", &file).unwrap_or_else(|error| panic!("{what}: {error:#}"));
            assert_eq!(audio.samples, expected, "{what}");
        }
    }
}

/// Returns a Wave64 file, whose ids are GUIDs.
fn wave64(coding: Coding, channels: usize) -> Vec<u8> {
    let guid = |id: &[u8; 4]| match id {
        b"riff" => *b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0",
        [a, b, c, d] => {
            [*a, *b, *c, *d, 0xf3, 0xac, 0xd3, 0x11, 0x8c, 0xd1, 0, 0xc0, 0x4f, 0x8e, 0xdb, 0x8a]
        }
    };
    let part = |id: &[u8; 4], body: &[u8]| {
        let padding = vec![0; body.len().next_multiple_of(8) - body.len()];
        [&guid(id)[..], &(body.len() as u64 + 24).to_le_bytes(), body, &padding].concat()
    };
    let bits = coding.bytes() as u16 * 8;
    let format = format(tag(coding), channels, coding.bytes() * channels, bits, false);
    let body = [
        &guid(b"wave")[..],
        &part(b"fmt ", &format),
        &part(b"data", &data(coding, channels, false)),
    ]
    .concat();
    [&guid(b"riff")[..], &(body.len() as u64 + 24).to_le_bytes(), &body].concat()
}

/// Returns an RF64 file, whose sizes are in a chunk of their own.
fn rf64(coding: Coding, channels: usize) -> Vec<u8> {
    let plain = wav(coding, channels);
    let size = (plain.len() - 44) as u64;
    let sizes =
        [&(plain.len() as u64 + 28).to_le_bytes()[..], &size.to_le_bytes(), &[0; 12]].concat();
    let mut bytes =
        [b"RF64\xff\xff\xff\xffWAVE", &chunk(b"ds64", &sizes, false)[..], &plain[12..]].concat();
    let at = bytes.len() - size as usize - 4;
    bytes[at..at + 4].copy_from_slice(&[0xff; 4]);
    // What follows the data shows that their size counts.
    bytes.extend(chunk(b"LIST", &[0; 400], false));
    bytes
}

#[test]
fn aiff_codings() {
    for channels in [1, 2, 3] {
        for bits in [8, 16, 24, 32] {
            let coding = Coding::Signed(bits);
            check(&format!("AIFF {bits}"), &aiff(coding, channels, None), FRAMES, channels);
            check(
                &format!("NONE {bits}"),
                &aiff(coding, channels, Some(*b"NONE")),
                FRAMES,
                channels,
            );
            let little = data(coding, channels, false);
            let file = aiff_of(&little, channels, bits, FRAMES, Some(*b"sowt"));
            check(&format!("sowt {bits}"), &file, FRAMES, channels);
        }
        for (coding, name) in [
            (Coding::Float(32), *b"fl32"),
            (Coding::Float(64), *b"fl64"),
            (Coding::Unsigned8, *b"raw "),
        ] {
            check(&format!("{coding:?}"), &aiff(coding, channels, Some(name)), FRAMES, channels);
        }
    }
}

fn aiff(coding: Coding, channels: usize, kind: Option<[u8; 4]>) -> Vec<u8> {
    let bits = coding.bytes() as u16 * 8;
    aiff_of(&data(coding, channels, true), channels, bits, FRAMES, kind)
}

fn aiff_of(
    data: &[u8],
    channels: usize,
    bits: u16,
    frames: usize,
    kind: Option<[u8; 4]>,
) -> Vec<u8> {
    // 8000 as an 80-bit float: 1.953125 × 2¹².
    let rate = [0x40, 0x0b, 0xfa, 0, 0, 0, 0, 0, 0, 0];
    let mut common = (channels as u16).to_be_bytes().to_vec();
    common.extend((frames as u32).to_be_bytes());
    common.extend(bits.to_be_bytes());
    common.extend(rate);
    if let Some(kind) = kind {
        common.extend(kind);
        common.extend([0, 0]);
    }
    let form: &[u8] = if kind.is_some() { b"AIFC" } else { b"AIFF" };
    let sound = [&[0; 8], data].concat();
    let chunks = [form, &chunk(b"COMM", &common, true), &chunk(b"SSND", &sound, true)].concat();
    chunk(b"FORM", &chunks, true)
}

#[test]
fn caf_codings() {
    for channels in [1, 2, 3] {
        for coding in
            [8, 16, 24, 32].map(Coding::Signed).into_iter().chain([32, 64].map(Coding::Float))
        {
            for big_endian in [true, false] {
                let file = caf(coding, channels, big_endian);
                check(&format!("CAF {coding:?} {big_endian}"), &file, FRAMES, channels);
            }
        }
    }
}

fn caf(coding: Coding, channels: usize, big_endian: bool) -> Vec<u8> {
    let is_float = matches!(coding, Coding::Float(_));
    let flags = u32::from(is_float) | u32::from(!big_endian) << 1;
    let frame = coding.bytes() * channels;
    let bits = coding.bytes() as u32 * 8;
    caf_of(&data(coding, channels, big_endian), *b"lpcm", flags, frame, channels, bits)
}

fn caf_of(
    data: &[u8],
    kind: [u8; 4],
    flags: u32,
    frame: usize,
    channels: usize,
    bits: u32,
) -> Vec<u8> {
    let part =
        |id: &[u8; 4], body: &[u8]| [id, &(body.len() as i64).to_be_bytes()[..], body].concat();
    let mut description = f64::from(RATE).to_be_bytes().to_vec();
    description.extend(kind);
    for word in [flags, frame as u32, 1, channels as u32, bits] {
        description.extend(word.to_be_bytes());
    }
    let sound = [&[0; 4], data].concat();
    [b"caff\0\x01\0\0", &part(b"desc", &description)[..], &part(b"data", &sound)].concat()
}

#[test]
fn au_codings() {
    for channels in [1, 2, 3] {
        for coding in
            [8, 16, 24, 32].map(Coding::Signed).into_iter().chain([32, 64].map(Coding::Float))
        {
            let mut file = au(coding, channels);
            check(&format!("AU {coding:?}"), &file, FRAMES, channels);
            // Written to a pipe.
            file[8..12].copy_from_slice(&[0xff; 4]);
            check(&format!("AU {coding:?}, unknown size"), &file, FRAMES, channels);
        }
    }
}

fn au(coding: Coding, channels: usize) -> Vec<u8> {
    let encoding = match coding {
        Coding::Signed(bits) => u32::from(bits / 8 + 1),
        Coding::Float(bits) => u32::from(bits / 32 + 5),
        Coding::Unsigned8 => unreachable!("AU has none"),
    };
    au_of(&data(coding, channels, true), encoding, channels)
}

fn au_of(data: &[u8], encoding: u32, channels: usize) -> Vec<u8> {
    let words = [28, data.len() as u32, encoding, RATE, channels as u32, 0];
    let header: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    [b".snd", &header[..], data].concat()
}

#[test]
fn ima_adpcm_in_aiff_and_caf() {
    // Packets of silence: a predictor of 0 and steps that change nothing but a little.
    for channels in [1, 2] {
        let packets = vec![0_u8; 34 * channels * 10];
        let aiff = aiff_of(&packets, channels, 16, 10, Some(*b"ima4"));
        let caf = caf_of(&packets, *b"ima4", 0, 34 * channels, channels, 0);
        for (what, file) in [("AIFF-C", aiff), ("CAF", caf)] {
            let audio = decoded("a", &file).unwrap_or_else(|error| panic!("{what}: {error:#}"));
            assert_eq!(audio.samples.len(), 640, "{what} × {channels}");
            assert!(audio.samples.iter().all(|sample| sample.abs() < 0.01), "{what}");
        }
    }
}

/// Counts of frames trim the last packet; one that leaves out more is wrong, and reported.
#[test]
fn wrong_counts_of_packets() {
    use features::decode::decode_chunks;
    let packets = vec![0_u8; 34 * 10];
    let caf = |valid: i64| {
        let table = [&10_i64.to_be_bytes()[..], &valid.to_be_bytes(), &[0; 8]].concat();
        let table = [b"pakt", &24_i64.to_be_bytes()[..], &table].concat();
        [caf_of(&packets, *b"ima4", 0, 34, 1, 0), table].concat()
    };
    let aiff = |count| aiff_of(&packets, 1, 16, count, Some(*b"ima4"));
    // ADPCM of Microsoft: blocks of 7 + 25 bytes have 52 frames.
    let wav = |count: u32| {
        let mut format = format(2, 1, 32, 4, false);
        format.extend([32, 0, 52, 0, 7, 0]);
        for pair in [[256, 0], [512, -256], [0, 0], [192, 64], [240, 0], [460, -208], [392, -232]] {
            format.extend(pair.into_iter().flat_map(i16::to_le_bytes));
        }
        let chunks = [
            &b"WAVE"[..],
            &chunk(b"fmt ", &format, false),
            &chunk(b"fact", &count.to_le_bytes(), false),
            &chunk(b"data", &[0; 32 * 10], false),
        ];
        chunk(b"RIFF", &chunks.concat(), false)
    };
    for (what, bytes, frames, announced) in [
        ("AIFF-C", aiff(10), 640, None),
        ("AIFF-C, half", aiff(5), 640, Some("0.04 s")),
        ("AIFF-C, twice", aiff(20), 640, Some("0.16 s")),
        ("AIFF-C, none", aiff(0), 640, None),
        ("CAF", caf(600), 600, None),
        ("CAF, half", caf(320), 640, Some("0.04 s")),
        ("CAF, none", caf(0), 640, None),
        ("WAV", wav(500), 500, None),
        ("WAV, half", wav(260), 520, Some("0.03 s")),
        ("WAV, one", wav(1), 520, Some("0.00 s")),
        ("WAV, none", wav(0), 520, None),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, bytes).unwrap();
        let mut count = 0;
        let outcome = decode_chunks(&path, Length::All, |chunk, _| count += chunk.len()).unwrap();
        assert_eq!(count, frames, "{what}");
        let doubt = outcome.doubt();
        let expected = announced.map(|length| format!("its header announces {length}"));
        match expected {
            Some(expected) => assert!(doubt.unwrap().ends_with(&expected), "{what}: {outcome:?}"),
            None => assert_eq!(doubt, None, "{what}"),
        }
    }
}

/// A packet without sound, such as one that only holds its end mark, is not an end and no panic.
#[test]
fn packets_without_sound() {
    let cookie = [
        &4096_u32.to_be_bytes()[..],
        &[0, 16, 40, 10, 14, 1, 0, 255],
        &[0; 8],
        &RATE.to_be_bytes(),
    ]
    .concat();
    let table =
        [&3_i64.to_be_bytes()[..], &(3 * 4096_i64).to_be_bytes(), &[0; 8], &[1; 3]].concat();
    let part =
        |id: &[u8; 4], body: &[u8]| [id, &(body.len() as i64).to_be_bytes()[..], body].concat();
    // 111 in the highest bits is the end mark.
    let mut file = caf_of(&[0xe0; 3], *b"alac", 0, 0, 1, 16);
    let description = 20 + 20;
    file[description..description + 4].copy_from_slice(&4096_u32.to_be_bytes());
    let bytes = [file, part(b"kuki", &cookie), part(b"pakt", &table)].concat();
    let error = decoded("a", &bytes).unwrap_err();
    assert!(format!("{error:#}").contains("replace or remove it"), "{error:#}");
}

#[test]
fn silence_before_24_bits_in_four_bytes() {
    let silence = vec![0; 4 * 50_000];
    let loud: Vec<u8> = (0..FRAMES)
        .flat_map(|n| {
            [1, 0, if n % 2 == 0 { 0x40 } else { 0xc0 }, if n % 2 == 0 { 0 } else { 0xff }]
        })
        .collect();
    let format = format(1, 1, 4, 24, false);
    let chunks = [
        &b"WAVE"[..],
        &chunk(b"fmt ", &format, false),
        &chunk(b"data", &[silence, loud].concat(), false),
    ];
    let audio = decoded("a.wav", &chunk(b"RIFF", &chunks.concat(), false)).unwrap();
    assert_eq!(audio.samples.len(), 50_000 + FRAMES);
    assert!((audio.samples[50_000] - 0.5).abs() < 1e-6, "{}", audio.samples[50_000]);
    assert!((audio.samples[50_001] + 0.5).abs() < 1e-6, "{}", audio.samples[50_001]);
}

/// Returns the cancellation of channels that are noise: one for all, and one for each.
fn cancellation(channels: usize, signs: [f32; 2], own: f32) -> Option<f64> {
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 2.0_f32.powi(24) - 0.5
    };
    let mut samples = Vec::new();
    for _ in 0..8000 {
        let shared = noise();
        samples.extend((0..channels).map(|channel| shared * signs[channel % 2] + own * noise()));
    }
    let data: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let format = format(3, channels, 4 * channels, 32, false);
    let chunks = [&b"WAVE"[..], &chunk(b"fmt ", &format, false), &chunk(b"data", &data, false)];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wav");
    std::fs::write(&path, chunk(b"RIFF", &chunks.concat(), false)).unwrap();
    features::decode::decode_chunks(&path, Length::All, |_, _| {}).unwrap().cancellation
}

#[test]
fn channels_that_cancel() {
    for (channels, signs, own) in [
        (1, [1.0, -1.0], 0.0),
        (2, [1.0, 1.0], 0.0),
        (2, [0.0, 0.0], 1.0),
        (2, [1.0, 0.0], 0.0),
        (2, [1.0, -1.0], 0.5),
        (64, [0.0, 0.0], 1.0),
        // Silence.
        (2, [0.0, 0.0], 0.0),
    ] {
        assert_eq!(cancellation(channels, signs, own), None, "{channels} {signs:?} {own}");
    }
    assert_eq!(cancellation(2, [1.0, -1.0], 0.0), Some(f64::INFINITY));
    for (own, expected) in [(0.1, 23.0), (0.01, 43.0)] {
        let found = cancellation(2, [1.0, -1.0], own).unwrap();
        assert!((found - expected).abs() < 0.5, "{own}: {found}");
    }
}

#[test]
fn nan_in_one_channel() {
    let samples =
        [[0.5, f32::NAN, 0.25], [f32::INFINITY, 0.5, -0.5], [f32::NAN; 3], [0.0, 0.3, 0.6]];
    let data: Vec<u8> = samples.iter().flatten().flat_map(|sample| sample.to_le_bytes()).collect();
    let format = format(3, 3, 12, 32, false);
    let chunks = [&b"WAVE"[..], &chunk(b"fmt ", &format, false), &chunk(b"data", &data, false)];
    let audio = decoded("a.wav", &chunk(b"RIFF", &chunks.concat(), false)).unwrap();
    assert_eq!(audio.samples, [0.375, 0.0, 0.0, 0.3]);
}

/// Files that are cut off at each sixteenth, and with bytes flipped in their headers.
#[test]
fn cut_and_damaged_headers() {
    let coding = Coding::Signed(24);
    for (what, whole) in [
        ("WAV", wav(coding, 2)),
        ("RF64", rf64(coding, 2)),
        ("W64", wave64(coding, 2)),
        ("AIFF", aiff(coding, 2, None)),
        ("CAF", caf(coding, 2, true)),
        ("AU", au(coding, 2)),
        ("IMA 4:1", aiff_of(&[0x35; 34 * 100], 1, 16, 100, Some(*b"ima4"))),
    ] {
        let all = decoded("a", &whole).unwrap().samples.len();
        for part in 1..16 {
            let cut = decoded("a", &whole[..whole.len() * part / 16]).unwrap().samples.len();
            assert!(cut + all / 8 >= all * part / 16, "{what}: {cut} of {all} at {part}/16");
        }
        for at in 0..120 {
            for value in [0, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                if let Ok(audio) = decoded("a", &bytes) {
                    assert!(audio.samples.len() <= 2 * whole.len(), "{what}: {value} at {at}");
                }
            }
        }
    }
}
