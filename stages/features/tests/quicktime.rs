//! Samples without compression in QuickTime, written here byte by byte: each coding in each order
//! of bytes, in chunks.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use features::{Length, decode};

const RATE: u32 = 8000;
const FRAMES: usize = 1000;
/// Frames in a chunk; the last one has fewer.
const CHUNK: usize = 300;

fn atom(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&(body.len() as u32 + 8).to_be_bytes()[..], kind, &body].concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// Returns a file with a sample entry and the bytes of all frames, of which chunks lie apart.
fn mov(entry: &[u8], data: &[u8], frame: usize) -> Vec<u8> {
    let chunks: Vec<&[u8]> = data.chunks(CHUNK * frame).collect();
    let table = |first: u32| {
        let offsets: Vec<u32> =
            (0..chunks.len() as u32).map(|n| first + n * (CHUNK * frame + 7) as u32).collect();
        let last = (FRAMES % CHUNK) as u32;
        atom(
            b"stbl",
            &[
                &atom(b"stsd", &[&words(&[0, 1]), entry]),
                &atom(b"stts", &[&words(&[0, 1, FRAMES as u32, 1])]),
                &atom(
                    b"stsc",
                    &[&words(&[0, 2, 1, CHUNK as u32, 1, chunks.len() as u32, last, 1])],
                ),
                &atom(b"stsz", &[&words(&[0, frame as u32, FRAMES as u32])]),
                &atom(b"stco", &[&words(&[0, chunks.len() as u32]), &words(&offsets)]),
            ],
        )
    };
    let movie = |first: u32| {
        let media = atom(
            b"mdia",
            &[
                &atom(b"mdhd", &[&words(&[0, 0, 0, RATE, FRAMES as u32, 0])]),
                &atom(b"hdlr", &[&words(&[0, 0]), b"soun", &[0; 13]]),
                &atom(b"minf", &[&table(first)]),
            ],
        );
        let track = atom(b"trak", &[&atom(b"tkhd", &[&words(&[0, 0, 0, 1])]), &media]);
        atom(b"moov", &[&atom(b"mvhd", &[&words(&[0, 0, 0, RATE, FRAMES as u32])]), &track])
    };
    let kind = atom(b"ftyp", &[b"qt  \0\0\0\0"]);
    let first = (kind.len() + movie(0).len() + 8) as u32;
    // What lies between the chunks is loud.
    let sound = chunks.join(&[0x7f; 7][..]);
    [kind, movie(first), atom(b"mdat", &[&sound])].concat()
}

/// Returns a sample entry of version 1.
fn entry(kind: &[u8; 4], channels: usize, bits: usize, little: Option<u8>) -> Vec<u8> {
    let fields = words(&[0x1_0000, 0, (channels << 16 | bits) as u32, 0, RATE << 16, 1, 0, 0, 0]);
    let order = little.map_or(vec![], |little| atom(b"enda", &[&[0, little]]));
    let wave = atom(b"wave", &[&atom(b"frma", &[kind]), &order]);
    atom(kind, &[&[0, 0, 0, 0, 0, 0, 0, 1], &fields, &wave])
}

/// Returns a sample entry of version 2.
fn linear(channels: u32, bits: u32, flags: u32) -> Vec<u8> {
    let rate = f64::from(RATE).to_be_bytes();
    let fields = [
        &words(&[0x2_0000, 0, 0x3_0010, 0xfffe_0000, 0x1_0000, 72])[..],
        &rate,
        &words(&[channels, 0x7f00_0000, bits, flags, bits / 8 * channels, 1]),
    ];
    atom(b"lpcm", &[&[0, 0, 0, 0, 0, 0, 0, 1], &fields.concat()])
}

/// Returns the value of a frame, a multiple of 1/128.
fn value(n: usize) -> i8 {
    ((n * 7) % 201) as u8 as i8
}

/// Returns all frames; `write` gives the big-endian bytes of a value.
fn data(channels: usize, little: bool, write: impl Fn(i8) -> Vec<u8>) -> Vec<u8> {
    let sample = |value: i8| {
        let mut bytes = write(value);
        if little {
            bytes.reverse();
        }
        bytes
    };
    (0..FRAMES).flat_map(|n| sample(value(n)).repeat(channels)).collect()
}

fn signed(bytes: usize) -> impl Fn(i8) -> Vec<u8> {
    move |value| [&[value as u8][..], &vec![0; bytes - 1]].concat()
}

fn check(what: &str, bytes: &[u8], frames: usize) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    std::fs::write(&path, bytes).unwrap();
    let audio = decode(&path, Length::All).unwrap_or_else(|error| panic!("{what}: {error:#}"));
    assert_eq!((audio.samples.len(), audio.sample_rate), (frames, RATE), "{what}");
    for (n, found) in audio.samples.iter().enumerate() {
        let expected = f32::from(value(n)) / 128.0;
        assert!((found - expected).abs() < 1e-6, "{what}: {found} is not {expected} at {n}");
    }
}

#[test]
fn codings_and_orders() {
    for channels in [1, 2, 6] {
        let file = |kind: &[u8; 4], bytes: usize, little: bool, order: Option<u8>| {
            let entry = entry(kind, channels, 8 * bytes, order);
            mov(&entry, &data(channels, little, signed(bytes)), bytes * channels)
        };
        for (what, bytes) in [
            ("twos, 8", file(b"twos", 1, false, None)),
            ("twos, 16", file(b"twos", 2, false, None)),
            ("sowt, 16", file(b"sowt", 2, true, None)),
            ("in24", file(b"in24", 3, false, None)),
            ("in24, little", file(b"in24", 3, true, Some(1))),
            ("in24, big", file(b"in24", 3, false, Some(0))),
            ("in32", file(b"in32", 4, false, None)),
            ("in32, little", file(b"in32", 4, true, Some(1))),
        ] {
            check(&format!("{what} × {channels}"), &bytes, FRAMES);
        }
        let unsigned = data(channels, false, |value| vec![value as u8 ^ 0x80]);
        check("raw", &mov(&entry(b"raw ", channels, 8, None), &unsigned, channels), FRAMES);
        for (little, order) in [(false, None), (true, Some(1))] {
            let share = |value: i8| f32::from(value) / 128.0;
            let single = data(channels, little, |value| share(value).to_be_bytes().to_vec());
            let double =
                data(channels, little, |value| f64::from(share(value)).to_be_bytes().to_vec());
            let of = |kind, bits| entry(kind, channels, bits, order);
            check("fl32", &mov(&of(b"fl32", 16), &single, 4 * channels), FRAMES);
            check("fl64", &mov(&of(b"fl64", 16), &double, 8 * channels), FRAMES);
            // Flags: float 1, big-endian 2, signed 4.
            let big = if little { 0 } else { 2 };
            let count = channels as u32;
            check("lpcm", &mov(&linear(count, 64, 1 | big), &double, 8 * channels), FRAMES);
            let three = data(channels, little, signed(3));
            check("lpcm, 24", &mov(&linear(count, 24, 4 | big), &three, 3 * channels), FRAMES);
        }
    }
}

#[test]
fn movie_that_was_cut_off() {
    let entry = entry(b"twos", 2, 16, None);
    let whole = mov(&entry, &data(2, false, signed(2)), 4);
    check("whole", &whole, FRAMES);
    // The last chunk has 100 frames.
    check("cut off", &whole[..whole.len() - 4 * 30 - 1], FRAMES - 31);
    check("in the third chunk", &whole[..whole.len() - 4 * 150 - 7], FRAMES - 150);
}
