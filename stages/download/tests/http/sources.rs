//! Hubs with credentials and redirects; manifests; checksums.

use std::fs;
use std::path::Path;

use crate::make::{gzip, noise, tar, zip};
use crate::server::{Reply, Server};
use crate::{CLIPS, FILES, check_clips, command, download, stderr};

#[test]
fn secret_is_sent_only_to_its_host() {
    let dir = tempfile::tempdir().unwrap();
    let archive = tar(&[("x/a.wav", &noise(1, 300_000))]);
    // A signed address that expires after its first use.
    let storage = Server::start(move |request, before| match before {
        1 => Reply::status("403 Forbidden"),
        _ => Reply::ranged(request, &archive, "\"1\""),
    });
    let to = format!("http://localhost:{}/signed?signature=s3cret", storage.port);
    let hub = Server::start(move |_, _| Reply::redirect(&to));
    let mut command = command(dir.path(), "kaggle://someone/music", &[]);
    command
        .env("KAGGLE_API_ENDPOINT", &hub.address)
        .env("KAGGLE_USERNAME", "me")
        .env("KAGGLE_KEY", "k3y");
    let output = deadline::output(&mut command);
    check_clips(dir.path(), &output, &[("x/a.wav", &noise(1, 300_000))]);
    // The first part; the second from the expired address; the second from a new address.
    assert_eq!((hub.requests().len(), storage.requests().len()), (2, 3));
    assert_eq!(hub.requests()[0].path, "/api/v1/datasets/download/someone/music");
    // Base64 of `me:k3y`.
    assert_eq!(hub.requests()[0].header("authorization"), Some("Basic bWU6azN5"));

    assert!(storage.requests().iter().all(|request| request.header("authorization").is_none()));

    let printed = [&output.stdout[..], &output.stderr].concat();
    let visible = String::from_utf8(printed).unwrap() + &all_files(dir.path());
    for secret in ["k3y", "bWU6azN5", "s3cret"] {
        assert!(!visible.contains(secret), "{visible}");
    }
}

/// Returns the contents of all files below a folder.
fn all_files(folder: &Path) -> String {
    let texts = fs::read_dir(folder).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all_files(&path)
        } else {
            String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()
        }
    });
    texts.collect()
}

#[test]
fn gtzan_falls_back_to_mirror() {
    let dir = tempfile::tempdir().unwrap();
    let kaggle = Server::start(|_, _| Reply::status("404 Not Found"));
    let mirror = Server::start(|request, _| Reply::ranged(request, &gzip(&tar(FILES)), "\"1\""));
    let run = |mirror: &str| {
        let mut command = command(dir.path(), "gtzan", &[]);
        command
            .env("KAGGLE_API_ENDPOINT", &kaggle.address)
            .env("HF_ENDPOINT", mirror)
            .env("HF_TOKEN", "hf_s3cret");
        deadline::output(&mut command)
    };
    let output = run(&mirror.address);
    check_clips(dir.path(), &output, CLIPS);
    let dataset =
        "/api/v1/datasets/download/andradaolteanu/gtzan-dataset-music-genre-classification";
    assert_eq!(kaggle.requests()[0].path, dataset);
    assert_eq!(
        mirror.requests()[0].path,
        "/datasets/marsyas/gtzan/resolve/main/data/genres.tar.gz"
    );
    assert_eq!(mirror.requests()[0].header("authorization"), Some("Bearer hf_s3cret"));
    assert!(stderr(&output).contains("404 Not Found; set KAGGLE_API_TOKEN"), "{}", stderr(&output));

    let output = run(&kaggle.address);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("error: `") && !stderr(&output).contains("s3cret"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn enforces_recorded_checksums() {
    let dir = tempfile::tempdir().unwrap();
    let changed = [("genres/rock/b.wav", "rock B"), FILES[1], FILES[3]];
    let new: Vec<_> = [CLIPS[0], CLIPS[1], ("rock/b.wav", "rock B")].to_vec();
    let server = Server::start(move |request, before| match before {
        0 => Reply::ranged(request, &zip(FILES), "\"1\""),
        _ => Reply::ranged(request, &zip(&changed), "\"2\""),
    });
    let source = format!("{}/a.zip?token=s3cret", server.address);
    let output = download(dir.path(), &source, &[]);
    check_clips(dir.path(), &output, CLIPS);
    let lock = dir.path().join("download.lock");
    let text = fs::read_to_string(&lock).unwrap();
    let digest = blake3::hash(b"rock b");
    assert!(text.contains(&format!("{}/a.zip,rock/b.wav,{digest}\n", server.address)), "{text}");
    assert!(!text.contains("s3cret"), "{text}");

    for _ in 0..2 {
        let output = download(dir.path(), &source, &[]);
        assert_eq!(output.status.code(), Some(1));
        let message = stderr(&output);
        assert!(message.contains("`rock/b.wav` from `http://127.0.0.1"), "{message}");
        assert!(message.contains("to accept it, remove the lines of the source"), "{message}");
        assert_eq!(fs::read_to_string(&lock).unwrap(), text);
    }
    // Unchanged clips are not an error.
    let output = download(dir.path(), &source, &["download.per_genre=1"]);
    check_clips(dir.path(), &output, &new[..2]);
    fs::remove_file(&lock).unwrap();
    let output = download(dir.path(), &source, &[]);
    check_clips(dir.path(), &output, &new);
}

#[test]
fn manifest_clips() {
    let dir = tempfile::tempdir().unwrap();
    let digest = blake3::hash(b"/clips/a.wav");
    let manifest = format!(
        "url,label,blake3,path\n/clips/a.wav,rock,{digest},\n\
         b.ogg,rock,,disc 1/second.ogg\nc.wav?x=1,blues,,\n"
    );
    let text = manifest.clone();
    let server = Server::start(move |request, _| match request.path.as_str() {
        "/set/all.csv?v=1" => Reply::ranged(request, text.as_bytes(), "\"m\""),
        path => Reply::ranged(request, path.as_bytes(), "\"c\""),
    });
    let expected: &[(&str, &str)] = &[
        ("blues/c.wav", "/set/c.wav?x=1"),
        ("rock/a.wav", "/clips/a.wav"),
        ("rock/disc 1/second.ogg", "/set/b.ogg"),
    ];
    let source = format!("{}/set/all.csv?v=1", server.address);
    let output = download(dir.path(), &source, &[]);
    check_clips(dir.path(), &output, expected);
    let output = download(dir.path(), &source, &["download.per_genre=1"]);
    check_clips(dir.path(), &output, &expected[..2]);

    // A local manifest: URLs relative to it, or absolute.
    let local = dir.path().join("sets");
    kit::files::write_atomic(local.join("clips/c.wav"), "c").unwrap();
    let manifest = format!("url,label\nclips/c.wav,blues\n{}/clips/a.wav,rock\n", server.address);
    fs::write(local.join("all.csv"), &manifest).unwrap();
    let output = download(dir.path(), "sets/all.csv", &[]);
    check_clips(dir.path(), &output, &[("blues/c.wav", "c"), ("rock/a.wav", "/clips/a.wav")]);
}

#[test]
fn invalid_manifest() {
    let digest = blake3::hash(b"other");
    for (manifest, part) in [
        (
            format!("url,label,blake3\na.wav,x,{digest}\n"),
            "does not match the manifest: its blake3 is ",
        ),
        ("url,label\na.wav,../x\n".to_owned(), "the label `../x`"),
        ("url\na.wav\n".to_owned(), "no column `label`"),
        ("url,label\nabsent.wav,x\n".to_owned(), "404 Not Found"),
        ("url,label\nftp://h/a.wav,x\n".to_owned(), "ftp://h/a.wav"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(move |request, _| match request.path.as_str() {
            "/m.csv" => Reply::ranged(request, manifest.as_bytes(), "\"m\""),
            "/absent.wav" => Reply::status("404 Not Found"),
            path => Reply::ranged(request, path.as_bytes(), "\"c\""),
        });
        let output = download(dir.path(), &format!("{}/m.csv", server.address), &[]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(part), "{part}: {}", stderr(&output));
        assert!(!dir.path().join("download.lock").exists());
    }
}
