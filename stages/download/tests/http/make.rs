//! Builds valid and hostile archives for the server.

use std::io::{Cursor, Write as _};

use zip::CompressionMethod::{Deflated, Stored};
use zip::write::SimpleFileOptions;

/// Appends an entry with any name, including names that `tar` refuses to write.
pub(crate) fn append(
    tar: &mut tar::Builder<Vec<u8>>,
    name: &str,
    kind: tar::EntryType,
    content: &[u8],
) {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    if kind.is_symlink() || kind.is_hard_link() {
        header.as_old_mut().linkname[..11].copy_from_slice(b"/etc/passwd");
    }
    header.set_cksum();
    tar.append(&header, content).unwrap();
}

pub(crate) fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        append(&mut tar, name, tar::EntryType::Regular, content.as_bytes());
    }
    tar.into_inner().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(Deflated)).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.add_symlink("rock/link.wav", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    zip.finish().unwrap().into_inner()
}

/// Returns incompressible text, determined by `seed`.
pub(crate) fn noise(seed: u64, length: usize) -> String {
    let mut state = seed;
    let mut draw = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b' ' + (state >> 33) as u8 % 95)
    };
    (0..length).map(|_| draw()).collect()
}

/// Returns the content of a member of [`large_zip`].
pub(crate) fn clip(class: &str, number: u64) -> String {
    noise(number + class.len() as u64 * 1000, 200_000)
}

/// Builds a zip like GTZAN's: three classes of ten clips of 200 kB, and as many images.
///
/// Members are stored or deflated, with or without zip64 fields, and have data descriptors because
/// they are written as a stream.
pub(crate) fn large_zip() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut zip = zip::ZipWriter::new_stream(&mut bytes);
    for class in ["blues", "metal", "classical"] {
        for number in 0..10 {
            let method = if number % 2 == 0 { Stored } else { Deflated };
            let options =
                SimpleFileOptions::default().compression_method(method).large_file(number % 3 == 0);
            zip.start_file(format!("Data/genres/{class}/{class}.{number:05}.wav"), options)
                .unwrap();
            zip.write_all(clip(class, number).as_bytes()).unwrap();
            zip.start_file(format!("Data/images/{class}/{class}{number:05}.png"), options).unwrap();
            zip.write_all(noise(number, 50_000).as_bytes()).unwrap();
        }
    }
    zip.finish().unwrap();
    bytes
}

/// Builds a zip with a directory that places every member at the start of the archive.
pub(crate) fn overlapping_zip(files: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = zip(files);
    let entries: Vec<usize> =
        (0..bytes.len() - 4).filter(|at| bytes[*at..].starts_with(b"PK\x01\x02")).collect();
    for at in entries {
        bytes[at + 42..at + 46].fill(0);
    }
    bytes
}
