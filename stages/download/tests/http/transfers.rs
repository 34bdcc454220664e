//! Transfers that break, change, stall, and are refused.

use crate::make::{noise, tar};
use crate::server::{Reply, Server};
use crate::{CLIPS, FILES, check_clips, command, download, stderr};

/// An archive of one clip that takes several requests, and the clip.
fn large(seed: u64) -> (Vec<u8>, String) {
    let clip = noise(seed, 300_000);
    (tar(&[("x/a.wav", &clip)]), clip)
}

fn ranges(server: &Server) -> Vec<Option<usize>> {
    server.requests().iter().map(|request| request.range().map(|(first, _)| first)).collect()
}

const PROBE: usize = 1 << 16;

#[test]
fn a_broken_transfer_is_continued() {
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
    // The first request is made anew, the second goes on where it broke.
    assert_eq!(ranges(&server), [Some(0), Some(0), Some(PROBE), Some(PROBE + 5000)]);
    assert_eq!(server.requests()[3].header("if-range"), Some("\"1\""));
    assert!(stderr(&output).contains("trying again"), "{}", stderr(&output));
}

#[test]
fn a_later_run_continues_what_an_earlier_one_left() {
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
    assert!(stderr(&output).contains("5 attempts in a row failed"), "{}", stderr(&output));
    assert_eq!(server.requests().len(), 7);
    let output = download(dir.path(), &source, &[]);
    check_clips(dir.path(), &output, &[("x/a.wav", &clip)]);
    assert_eq!(ranges(&server)[7..], [Some(0), Some(PROBE + 100_000)]);
}

#[test]
fn a_server_without_ranges_starts_over_and_is_asked_once_while_it_has_the_same() {
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
fn a_file_without_a_length_ends_with_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let archive = tar(FILES);
    let server =
        Server::start(move |_, _| Reply::new("200 OK", &archive).with_head("HTTP/1.1 200 OK\r\n"));
    let output = download(dir.path(), &format!("{}/a.tar", server.address), &[]);
    check_clips(dir.path(), &output, CLIPS);
}

#[test]
fn a_file_that_is_replaced_meanwhile_is_fetched_anew() {
    let dir = tempfile::tempdir().unwrap();
    let ((old, _), (new, clip)) = (large(1), large(2));
    let server = Server::start(move |request, before| match before {
        0 => Reply::ranged(request, &old, "\"1\""),
        _ => Reply::ranged(request, &new, "\"2\""),
    });
    let output = download(dir.path(), &format!("{}/a.tar", server.address), &[]);
    check_clips(dir.path(), &output, &[("x/a.wav", &clip)]);
    assert_eq!(ranges(&server), [Some(0), Some(PROBE), Some(0), Some(PROBE)]);

    // With every second request another one: it is never put together, and does not go on for ever.
    let dir = tempfile::tempdir().unwrap();
    let files = [large(1).0, large(2).0];
    let server = Server::start(move |request, before| {
        Reply::ranged(request, &files[before % 2], &format!("\"{}\"", before % 2))
    });
    let output = download(dir.path(), &format!("{}/a.tar", server.address), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("was replaced again and again"), "{}", stderr(&output));
    assert_eq!(server.requests().len(), 6);
}

#[test]
fn a_server_that_lies_about_ranges_is_not_believed() {
    let (archive, _) = large(1);
    let length = archive.len();
    // Another range than was asked for; another length than before; another file, as if nobody had asked for
    // the same.
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
        assert!(stderr(&output).contains("was replaced again and again"), "{}", stderr(&output));
    }
}

#[test]
fn a_body_that_is_shorter_than_its_length_is_an_error_and_a_longer_one_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = large(1);
    let server = Server::start(move |_, _| Reply::file(&archive, "\"1\"").broken_after(299_000));
    let output = download(dir.path(), &format!("{}/a.tar", server.address), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("5 attempts in a row failed"), "{}", stderr(&output));

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
fn a_file_without_validators_is_never_put_together_of_parts() {
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
fn a_connection_that_says_nothing_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, clip) = large(1);
    let server = Server::start(move |request, before| {
        let reply = Reply::ranged(request, &archive, "\"1\"");
        if before == 1 { reply.held_after(1000) } else { reply }
    });
    let source = format!("{}/a.tar", server.address);
    let output = command(dir.path(), &source, &[]).args(["--patience", "0.3"]).output().unwrap();
    check_clips(dir.path(), &output, &[("x/a.wav", &clip)]);
    assert_eq!(ranges(&server), [Some(0), Some(PROBE), Some(PROBE + 1000)]);
}

#[test]
fn a_busy_server_is_asked_again_when_it_wishes() {
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
fn answers_that_will_not_change_are_final() {
    let dir = tempfile::tempdir().unwrap();
    kit::files::write_atomic(dir.path().join("data/audio/blues/a.wav"), "kept").unwrap();
    let server = Server::start(|_, _| Reply::status("404 Not Found"));
    let output = download(dir.path(), &format!("{}/a.tar?token=secret", server.address), &[]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.contains("answered 404 Not Found; is `download.source` right?"), "{message}");
    assert!(!message.contains("secret"), "{message}");
    assert_eq!(server.requests().len(), 1);
    assert!(dir.path().join("data/audio/blues/a.wav").exists());
}

#[test]
fn progress_is_told_in_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let archive = tar(&[("x/a.wav", &noise(1, 3_000_000))]);
    let length = archive.len();
    let server = Server::start(move |request, _| Reply::ranged(request, &archive, "\"1\""));
    let events = dir.path().join("events.jsonl");
    let source = format!("{}/a.tar", server.address);
    let output = command(dir.path(), &source, &[]).env("REPRO_EVENTS", &events).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = std::fs::read_to_string(&events).unwrap();
    assert!(lines.contains(&format!("{{\"progress\":{length},\"total\":{length}}}")), "{lines}");
    assert!(lines.lines().count() >= 4, "{lines}");
}
