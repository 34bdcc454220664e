//! Transfers that break, stall, are refused, or change meanwhile.

use crate::make::{noise, tar};
use crate::server::{Reply, Server};
use crate::{CLIPS, FILES, check_clips, command, download, stderr};

/// Returns an archive of one clip that takes several requests, and the clip.
fn large(seed: u64) -> (Vec<u8>, String) {
    let clip = noise(seed, 300_000);
    (tar(&[("x/a.wav", &clip)]), clip)
}

fn ranges(server: &Server) -> Vec<Option<usize>> {
    server.requests().iter().map(|request| request.range().map(|(first, _)| first)).collect()
}

const PROBE: usize = 1 << 16;

#[test]
fn resumes_broken_transfer() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, clip) = large(1);
    let server = Server::start(move |request, before| {
        let reply = Reply::ranged(request, &archive, "\"1\"");
        match before {
            0 => reply.broken_after(1000),
            2 => reply.broken_after(5000).in_slices_of(7),
            _ => reply,
        }
    });
    let output = download(dir.path(), &format!("{}/a.tar", server.address), &[]);
    check_clips(dir.path(), &output, &[("x/a.wav", &clip)]);
    // The first request is repeated; the second resumes where it broke.
    assert_eq!(ranges(&server), [Some(0), Some(0), Some(PROBE), Some(PROBE + 5000)]);
    assert_eq!(server.requests()[3].header("if-range"), Some("\"1\""));
    assert!(stderr(&output).contains("; retrying"), "{}", stderr(&output));
}

#[test]
fn later_run_resumes() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, clip) = large(1);
    let server = Server::start(move |request, before| match before {
        1 => Reply::ranged(request, &archive, "\"1\"").broken_after(100_000),
        2..=6 => Reply::status("503 Service Unavailable"),
        _ => Reply::ranged(request, &archive, "\"1\""),
    });
    let source = format!("{}/a.tar", server.address);
    let output = download(dir.path(), &source, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("5 consecutive attempts failed"), "{}", stderr(&output));
    assert_eq!(server.requests().len(), 7);
    let output = download(dir.path(), &source, &[]);
    check_clips(dir.path(), &output, &[("x/a.wav", &clip)]);
    assert_eq!(ranges(&server)[7..], [Some(0), Some(PROBE + 100_000)]);
}

#[test]
fn server_without_ranges() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, clip) = large(1);
    let server = Server::start(move |_, before| {
        let reply = Reply::file(&archive, "\"1\"");
        if before == 0 { reply.broken_after(100_000) } else { reply.in_slices_of(8000) }
    });
    for _ in 0..2 {
        let output = download(dir.path(), &format!("{}/a.tar", server.address), &[]);
        check_clips(dir.path(), &output, &[("x/a.wav", &clip)]);
    }
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn file_without_length() {
    let dir = tempfile::tempdir().unwrap();
    let archive = tar(FILES);
    let server =
        Server::start(move |_, _| Reply::new("200 OK", &archive).with_head("HTTP/1.1 200 OK\r\n"));
    let output = download(dir.path(), &format!("{}/a.tar", server.address), &[]);
    check_clips(dir.path(), &output, CLIPS);
}

#[test]
fn replaced_file_starts_over() {
    let dir = tempfile::tempdir().unwrap();
    let ((old, _), (new, clip)) = (large(1), large(2));
    let server = Server::start(move |request, before| match before {
        0 => Reply::ranged(request, &old, "\"1\""),
        _ => Reply::ranged(request, &new, "\"2\""),
    });
    let output = download(dir.path(), &format!("{}/a.tar", server.address), &[]);
    check_clips(dir.path(), &output, &[("x/a.wav", &clip)]);
    assert_eq!(ranges(&server), [Some(0), Some(PROBE), Some(0), Some(PROBE)]);

    // Replaced with every second request: parts are never mixed, and the transfer gives up.
    let dir = tempfile::tempdir().unwrap();
    let files = [large(1).0, large(2).0];
    let server = Server::start(move |request, before| {
        Reply::ranged(request, &files[before % 2], &format!("\"{}\"", before % 2))
    });
    let output = download(dir.path(), &format!("{}/a.tar", server.address), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("was replaced repeatedly"), "{}", stderr(&output));
    assert_eq!(server.requests().len(), 6);
}

#[test]
fn inconsistent_ranges_are_rejected() {
    let (archive, _) = large(1);
    let length = archive.len();
    // A range other than the requested one; another length than before; another file, although the
    // request had an `If-Range`.
    for (first, total, etag) in [(10, length, 1), (PROBE, length + 1, 1), (PROBE, length, 2)] {
        let dir = tempfile::tempdir().unwrap();
        let archive = archive.clone();
        let server = Server::start(move |request, _| match request.range() {
            Some((0, _)) => Reply::ranged(request, &archive, "\"1\""),
            _ => {
                let range = format!("Content-Range: bytes {first}-{}/{total}", length - 1);
                let head = format!("206 Partial Content\r\nETag: \"{etag}\"\r\n{range}");
                Reply::new(&head, &archive[first..])
            }
        });
        let output = download(dir.path(), &format!("{}/a.tar", server.address), &[]);
        assert!(stderr(&output).contains("was replaced repeatedly"), "{}", stderr(&output));
    }
}

#[test]
fn body_length_mismatch() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = large(1);
    let server = Server::start(move |_, _| Reply::file(&archive, "\"1\"").broken_after(299_000));
    let output = download(dir.path(), &format!("{}/a.tar", server.address), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("5 consecutive attempts failed"), "{}", stderr(&output));

    let dir = tempfile::tempdir().unwrap();
    let mut archive = tar(FILES);
    let length = archive.len();
    archive.extend(b"more");
    let server = Server::start(move |_, _| {
        Reply::new("200 OK", &archive)
            .with_head(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n"))
    });
    let output = download(dir.path(), &format!("{}/a.tar", server.address), &[]);
    check_clips(dir.path(), &output, CLIPS);
}

#[test]
fn parts_need_validators() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, clip) = large(1);
    let server = Server::start(move |request, before| match request.range() {
        Some((first, last)) => Reply::new(
            &format!(
                "206 Partial Content\r\nContent-Range: bytes {first}-{last}/{}",
                archive.len()
            ),
            &archive[first..=last],
        ),
        None => {
            let reply = Reply::new("200 OK", &archive);
            if before == 1 { reply.broken_after(100_000) } else { reply }
        }
    });
    let output = download(dir.path(), &format!("{}/a.tar", server.address), &[]);
    check_clips(dir.path(), &output, &[("x/a.wav", &clip)]);
    assert_eq!(ranges(&server), [Some(0), None, Some(0), None]);
}

#[test]
fn stalled_connection_times_out() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, clip) = large(1);
    let server = Server::start(move |request, before| {
        let reply = Reply::ranged(request, &archive, "\"1\"");
        if before == 1 { reply.held_after(1000) } else { reply }
    });
    let source = format!("{}/a.tar", server.address);
    let output =
        deadline::output(command(dir.path(), &source, &[]).args(["--stall-timeout", "0.3"]));
    check_clips(dir.path(), &output, &[("x/a.wav", &clip)]);
    assert_eq!(ranges(&server), [Some(0), Some(PROBE), Some(PROBE + 1000)]);
}

#[test]
fn retry_after_is_respected() {
    for line in ["429 Too Many Requests", "503 Service Unavailable", "408 Request Timeout"] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(move |request, before| match before {
            0..4 => Reply::status(&format!("{line}\r\nRetry-After: 0")),
            _ => Reply::ranged(request, &tar(FILES), "\"1\""),
        });
        let output = download(dir.path(), &format!("{}/a.tar", server.address), &[]);
        check_clips(dir.path(), &output, CLIPS);
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Reply::status("429 Too Many Requests\r\nRetry-After: 86400"));
    let output = download(dir.path(), &format!("{}/a.tar", server.address), &[]);
    assert!(stderr(&output).contains("the server asks to wait for 86400 s"), "{}", stderr(&output));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn not_found_is_final() {
    let dir = tempfile::tempdir().unwrap();
    kit::files::write_atomic(dir.path().join("data/audio/blues/a.wav"), "kept").unwrap();
    let server = Server::start(|_, _| Reply::status("404 Not Found"));
    let output = download(dir.path(), &format!("{}/a.tar?token=secret", server.address), &[]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.contains("answered 404 Not Found; is `download.source` correct?"), "{message}");
    assert!(!message.contains("secret"), "{message}");
    assert_eq!(server.requests().len(), 1);
    assert!(dir.path().join("data/audio/blues/a.wav").exists());
}

#[test]
fn reports_progress_in_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let archive = tar(&[("x/a.wav", &noise(1, 3_000_000))]);
    let length = archive.len();
    let server = Server::start(move |request, _| Reply::ranged(request, &archive, "\"1\""));
    let events = dir.path().join("events.jsonl");
    let source = format!("{}/a.tar", server.address);
    let output = deadline::output(command(dir.path(), &source, &[]).env("REPRO_EVENTS", &events));
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = std::fs::read_to_string(&events).unwrap();
    assert!(lines.contains(&format!("{{\"progress\":{length},\"total\":{length}}}")), "{lines}");
    assert!(lines.lines().count() >= 4, "{lines}");
}
