//! The bytes of a file over SFTP: many requests are under way at once, so that the speed does not
//! depend on the distance.

use std::collections::HashMap;
use std::ops::Range;

use super::connection::{Connection, Failure, Refusal, checked};
use super::packet::{
    ATTRS, CLOSE, DATA, END, EXTENDED, FSTAT, HANDLE, Incoming, OPEN, READ, SHORT, TO_READ,
    TO_WRITE, WRITE,
};
use crate::remote::backend::{Fault, FaultKind, MAX_FILE};

/// Bytes of one request; every server accepts as many.
const PIECE: usize = 32 << 10;
/// Requests under way.
const WINDOW: usize = 64;

/// Opens a file to write, and returns its handle.
pub(super) fn create(to: &mut Connection, path: &str) -> Result<Vec<u8>, Failure> {
    let opened = to.ask(OPEN, |packet| packet.text(path.as_bytes()).number(TO_WRITE).number(0))?;
    handle(&opened)
}

/// Returns the handle in an answer.
pub(super) fn handle(answer: &Incoming) -> Result<Vec<u8>, Failure> {
    let handle = answer.fields().text().filter(|_| answer.kind == HANDLE);
    handle.map(<[u8]>::to_vec).ok_or_else(unexpected)
}

/// Writes all bytes and closes the file.
pub(super) fn upload(to: &mut Connection, handle: &[u8], bytes: &[u8]) -> Result<(), Failure> {
    let mut waiting = 0;
    let mut refused = None;
    let mut pieces = bytes.chunks(PIECE).enumerate();
    loop {
        let piece = pieces.next().filter(|_| refused.is_none());
        if let Some((index, piece)) = piece {
            let offset = (index * PIECE) as u64;
            to.send(WRITE, |packet| packet.text(handle).long(offset).text(piece))?;
            waiting += 1;
        }
        if waiting == WINDOW || (piece.is_none() && waiting > 0) {
            match checked(to.receive().map_err(Failure::Lost)?) {
                Err(Failure::Refused(refusal)) => refused = Some(refusal),
                answer => drop(answer?),
            }
            waiting -= 1;
        } else if piece.is_none() {
            break;
        }
    }
    let synced = "fsync@openssh.com";
    if refused.is_none() && to.has(synced) {
        let synced = to.ask(EXTENDED, |packet| packet.text(synced.as_bytes()).text(handle));
        if let Err(Failure::Refused(refusal)) = synced {
            refused = Some(refusal);
        }
    }
    let closed = to.ask(CLOSE, |packet| packet.text(handle));
    match refused {
        Some(refusal) => Err(Failure::Refused(refusal)),
        None => closed.map(drop),
    }
}

/// Reads a file or a part of it.
pub(super) fn download(
    from: &mut Connection,
    path: &str,
    range: Option<Range<u64>>,
) -> Result<Vec<u8>, Failure> {
    let opened = from.ask(OPEN, |packet| packet.text(path.as_bytes()).number(TO_READ).number(0))?;
    let handle = handle(&opened)?;
    let read = read(from, &handle, range);
    if !matches!(read, Err(Failure::Lost(_))) {
        from.ask(CLOSE, |packet| packet.text(&handle))?;
    }
    read
}

fn read(
    from: &mut Connection,
    handle: &[u8],
    range: Option<Range<u64>>,
) -> Result<Vec<u8>, Failure> {
    let answer = from.ask(FSTAT, |packet| packet.text(handle))?;
    let attributes = answer.fields().attributes().filter(|_| answer.kind == ATTRS);
    let length = attributes.and_then(|attributes| attributes.bytes).ok_or_else(unexpected)?;
    let range = range.unwrap_or(0..length);
    if range.end > length {
        return Err(short());
    }
    let wanted = usize::try_from(range.end - range.start).ok();
    let Some(wanted) = wanted.filter(|_| range.end - range.start <= MAX_FILE) else {
        let message = "the file is larger than any file of a remote".to_owned();
        return Err(Failure::Lost(Fault { kind: FaultKind::Other, message }));
    };
    let mut bytes = vec![0; wanted];
    // Parts that are still to be asked for, the next one last.
    let mut parts: Vec<Range<usize>> =
        (0..wanted).step_by(PIECE).map(|start| start..(start + PIECE).min(wanted)).rev().collect();
    let mut waiting: HashMap<u32, Range<usize>> = HashMap::new();
    let mut refused = None;
    loop {
        while waiting.len() < WINDOW
            && refused.is_none()
            && let Some(part) = parts.pop()
        {
            let offset = range.start + part.start as u64;
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            let id = from.send(READ, |packet| packet.text(handle).long(offset).number(length))?;
            waiting.insert(id, part);
        }
        if waiting.is_empty() {
            break;
        }
        let answer = from.receive().map_err(Failure::Lost)?;
        let part = waiting.remove(&answer.id).ok_or_else(unexpected)?;
        let answer = match checked(answer) {
            Err(Failure::Refused(refusal)) => {
                refused = Some(refusal);
                continue;
            }
            answer => answer?,
        };
        let data = answer.fields().text().filter(|_| answer.kind == DATA).ok_or_else(unexpected)?;
        if data.is_empty() || data.len() > part.len() {
            return Err(unexpected());
        }
        bytes[part.start..part.start + data.len()].copy_from_slice(data);
        // A server may send less than it was asked for.
        if data.len() < part.len() {
            parts.push(part.start + data.len()..part.end);
        }
    }
    match refused {
        Some(Refusal { code: END, .. }) => Err(short()),
        Some(refusal) => Err(Failure::Refused(refusal)),
        None => Ok(bytes),
    }
}

fn short() -> Failure {
    Failure::Refused(Refusal { code: SHORT, words: String::new() })
}

pub(super) fn unexpected() -> Failure {
    let message = "the server sent an unexpected answer".to_owned();
    Failure::Lost(Fault { kind: FaultKind::Other, message })
}
