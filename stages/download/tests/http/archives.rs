//! Unpacking archives of all formats, including damaged and hostile ones.

use std::fs;
use std::path::Path;

use crate::make::{append, clip, gzip, large_zip, overlapping_zip, tar, zip};
use crate::server::{Reply, Server};
use crate::{CLIPS, FILES, check_clips, download, stderr};

#[test]
fn unpacks_all_formats() {
    for (name, bytes) in [
        ("a.tar", tar(FILES)),
        ("a.tar.gz", gzip(&tar(FILES))),
        ("a.tgz?download=1&x=a.zip", gzip(&tar(FILES))),
        ("a.zip", zip(FILES)),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let archive = bytes.clone();
        let server = Server::start(move |_, _| Reply::file(&archive, "\"1\""));
        let output = download(dir.path(), &format!("{}/{name}", server.address), &[]);
        check_clips(dir.path(), &output, CLIPS);
        assert_eq!(server.requests()[0].path, format!("/{name}"));
        let output =
            download(dir.path(), &format!("{}/{name}", server.address), &["download.per_genre=1"]);
        check_clips(dir.path(), &output, &CLIPS[..2]);
        // Again from a local file.
        fs::write(dir.path().join("local"), &bytes).unwrap();
        let output = download(dir.path(), "local", &["download.per_genre=all"]);
        check_clips(dir.path(), &output, CLIPS);
    }
}

/// The zip has stored and deflated members, data descriptors and zip64 fields.
#[test]
fn zip_fetches_only_wanted_members() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = large_zip();
    let length = bytes.len();
    let server =
        Server::start(move |request, _| Reply::ranged(request, &bytes, "\"1\"").in_slices_of(9999));
    let source = format!("{}/a", server.address);
    let clips = |count: u64| -> Vec<(String, String)> {
        let of = |class: &'static str| {
            (0..count).map(move |number| {
                (format!("{class}/{class}.{number:05}.wav"), clip(class, number))
            })
        };
        ["blues", "classical", "metal"].into_iter().flat_map(of).collect()
    };
    let check = |count: u64, params: &[&str]| {
        let output = download(dir.path(), &source, params);
        let clips = clips(count);
        let clips: Vec<_> =
            clips.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        check_clips(dir.path(), &output, &clips);
    };
    check(2, &["download.per_genre=2"]);
    // The start, the directory, and two clips of three classes with the images between them.
    let first = server.bytes_requested(length);
    assert!(first < 3 * (2 * 200_000 + 50_000) + 200_000, "{first} of {length}");
    assert_eq!(server.requests().len(), 5, "{:?}", server.requests());

    // Only the start is fetched again.
    check(2, &["download.per_genre=2"]);
    assert!(server.bytes_requested(length) - first <= 1 << 16);
    check(10, &["download.per_genre=all"]);
    assert!(
        server.bytes_requested(length) < length + (3 << 16),
        "{} of {length}",
        server.bytes_requested(length)
    );
}

#[test]
fn unusable_archives() {
    let bomb = "\0".repeat(100 << 20);
    let whole = zip(FILES);
    let directory = whole.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    // The whole end record, but only half of the directory that it describes.
    let end = whole.windows(4).position(|window| window == b"PK\x05\x06").unwrap();
    let no_directory = [&whole[..directory], &whole[directory + 100..]].concat();
    for (bytes, part) in [
        (b"<html>log in first</html>".to_vec(), "it is not a .tar.gz, .tgz, .tar or .zip"),
        (b"PK\x03\x04 but no zip".to_vec(), "it is damaged"),
        (whole[..end].to_vec(), "it is damaged"),
        (whole[..whole.len() - 10].to_vec(), "it is damaged"),
        (no_directory, "it is damaged"),
        (overlapping_zip(FILES), "its members overlap"),
        (gzip(&tar(FILES))[..200].to_vec(), "cannot unpack the clips"),
        (
            tar(&[("README.md", "words"), ("a.wav", "in no folder")]),
            "has no audio in class folders",
        ),
        (gzip(&tar(&[("x/a.wav", &bomb)])), "unpacks to more than 100 times its size"),
        (zip(&[("x/a.wav", &bomb)]), "unpacks to more than 100 times its size"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(move |request, _| Reply::ranged(request, &bytes, "\"1\""));
        let output = download(dir.path(), &format!("{}/a.tar.gz", server.address), &[]);
        assert_eq!(output.status.code(), Some(1), "{part}");
        assert!(stderr(&output).contains(part), "{part}: {}", stderr(&output));
    }
}

#[test]
fn hostile_entries_stay_inside_output() {
    use tar::EntryType;
    let mut builder = tar::Builder::new(Vec::new());
    for name in
        ["../evil/a.wav", "/tmp/evil/a.wav", "rock/../../../evil/b.wav", "rock/..", "../../x.wav"]
    {
        append(&mut builder, name, EntryType::Regular, b"evil");
    }
    for (name, kind) in [
        ("rock/link.wav", EntryType::Symlink),
        ("rock/hard.wav", EntryType::Link),
        ("rock/device.wav", EntryType::Block),
        ("rock/pipe.wav", EntryType::Fifo),
        // A link to a folder, and a file behind it.
        ("pop", EntryType::Symlink),
    ] {
        append(&mut builder, name, kind, b"");
    }
    append(&mut builder, "pop/a.wav", EntryType::Regular, b"pop a");
    append(&mut builder, "pop/a.wav", EntryType::Regular, b"twice");
    let hostile_zip = zip(&[
        ("../evil/a.wav", "evil"),
        ("/tmp/evil/a.wav", "evil"),
        ("pop/a.wav", "pop a"),
        ("..\\evil\\a.wav", "evil"),
        ("C:\\evil\\a.wav", "evil"),
        ("./pop/a.wav", "twice"),
    ]);

    for bytes in [builder.into_inner().unwrap(), hostile_zip] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("a/b/project");
        fs::create_dir_all(&root).unwrap();
        let server = Server::start(move |request, _| Reply::ranged(request, &bytes, "\"1\""));
        let output = download(&root, &format!("{}/a", server.address), &[]);
        check_clips(&root, &output, &[("pop/a.wav", "pop a")]);
        assert!(stderr(&output).contains("an unsafe path"), "{}", stderr(&output));
        let above: Vec<_> = fs::read_dir(root.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(above, ["project"]);
        assert!(!Path::new("/tmp/evil").exists());
    }
}
