//! Packets of the SSH file transfer protocol, version 3, as OpenSSH speaks it
//! (draft-ietf-secsh-filexfer-02 and OpenSSH's PROTOCOL file). Pure.

use std::time::{Duration, SystemTime};

pub(super) const INIT: u8 = 1;
pub(super) const VERSION: u8 = 2;
pub(super) const OPEN: u8 = 3;
pub(super) const CLOSE: u8 = 4;
pub(super) const READ: u8 = 5;
pub(super) const WRITE: u8 = 6;
pub(super) const FSTAT: u8 = 8;
pub(super) const OPENDIR: u8 = 11;
pub(super) const READDIR: u8 = 12;
pub(super) const REMOVE: u8 = 13;
pub(super) const MKDIR: u8 = 14;
pub(super) const STAT: u8 = 17;
pub(super) const RENAME: u8 = 18;
pub(super) const STATUS: u8 = 101;
pub(super) const HANDLE: u8 = 102;
pub(super) const DATA: u8 = 103;
pub(super) const NAME: u8 = 104;
pub(super) const ATTRS: u8 = 105;
pub(super) const EXTENDED: u8 = 200;
pub(super) const EXTENDED_REPLY: u8 = 201;

pub(super) const TO_READ: u32 = 1;
/// Write a file that is created or emptied.
pub(super) const TO_WRITE: u32 = 0x02 | 0x08 | 0x10;

pub(super) const OK: u32 = 0;
pub(super) const END: u32 = 1;
pub(super) const MISSING: u32 = 2;
pub(super) const DENIED: u32 = 3;
pub(super) const FAILURE: u32 = 4;
pub(super) const UNSUPPORTED: u32 = 8;

/// Codes of our own, beside those of the protocol.
pub(super) const NO_SPACE: u32 = 1001;
pub(super) const NO_PLACE: u32 = 1002;
pub(super) const SHORT: u32 = 1003;

/// Largest packet that is accepted; servers send at most 256 KiB.
pub(super) const MAX: usize = 1 << 20;

/// A packet that is being written.
#[derive(Debug)]
pub(super) struct Outgoing(Vec<u8>);

impl Outgoing {
    /// Starts a request; `INIT` has the version in place of the id.
    pub(super) fn new(kind: u8, id: u32) -> Outgoing {
        let mut bytes = vec![0; 4];
        bytes.push(kind);
        bytes.extend(id.to_be_bytes());
        Outgoing(bytes)
    }

    pub(super) fn number(mut self, number: u32) -> Outgoing {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(super) fn long(mut self, number: u64) -> Outgoing {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(super) fn text(mut self, text: &[u8]) -> Outgoing {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.0.extend(length.to_be_bytes());
        self.0.extend(text);
        self
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len() - 4).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&length.to_be_bytes());
        self.0
    }
}

/// A packet that arrived, without its length.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) kind: u8,
    pub(super) id: u32,
    pub(super) rest: Vec<u8>,
}

/// Attributes of a file.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) bytes: Option<u64>,
    pub(super) mode: Option<u32>,
    pub(super) modified: Option<SystemTime>,
}

impl Attributes {
    pub(super) fn is_folder(self) -> bool {
        self.mode.is_some_and(|mode| mode & 0o170_000 == 0o040_000)
    }

    pub(super) fn is_link(self) -> bool {
        self.mode.is_some_and(|mode| mode & 0o170_000 == 0o120_000)
    }

    pub(super) fn is_file(self) -> bool {
        self.mode.is_some_and(|mode| mode & 0o170_000 == 0o100_000)
    }
}

impl Incoming {
    pub(super) fn parse(bytes: &[u8]) -> Option<Incoming> {
        let (&kind, rest) = bytes.split_first()?;
        let (id, rest) = rest.split_first_chunk::<4>()?;
        Some(Incoming { kind, id: u32::from_be_bytes(*id), rest: rest.to_vec() })
    }

    pub(super) fn fields(&self) -> Fields<'_> {
        Fields(&self.rest)
    }
}

/// Reads the fields of a packet one after the other; `None` after its end.
#[derive(Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    pub(super) fn long(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*number))
    }

    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }

    pub(super) fn attributes(&mut self) -> Option<Attributes> {
        let flags = self.number()?;
        let bytes = if flags & 1 != 0 { Some(self.long()?) } else { None };
        if flags & 2 != 0 {
            self.long()?;
        }
        let mode = if flags & 4 != 0 { Some(self.number()?) } else { None };
        let mut modified = None;
        if flags & 8 != 0 {
            self.number()?;
            let seconds = u64::from(self.number()?);
            modified = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        }
        if flags & 0x8000_0000 != 0 {
            for _ in 0..self.number()? {
                self.text()?;
                self.text()?;
            }
        }
        Some(Attributes { bytes, mode, modified })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn request_bytes() {
        let packet = Outgoing::new(READ, 7).text(b"h").long(2).number(3).finish();
        let expected = [0, 0, 0, 22, READ, 0, 0, 0, 7, 0, 0, 0, 1, b'h'];
        assert_eq!(packet[..14], expected);
        assert_eq!(packet[14..], [0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3]);
    }

    proptest! {
        #[test]
        fn any_packet(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(packet) = Incoming::parse(&bytes) {
                let mut fields = packet.fields();
                while fields.attributes().is_some() {}
                while fields.text().is_some() {}
            }
        }

        #[test]
        fn attributes_of_a_file(bytes: u64, mode: u32, seconds: u32) {
            let packet = Outgoing::new(ATTRS, 1).number(1 | 4 | 8).long(bytes).number(mode);
            let packet = packet.number(0).number(seconds).finish();
            let read = Incoming::parse(&packet[4..]).unwrap().fields().attributes().unwrap();
            prop_assert_eq!((read.bytes, read.mode), (Some(bytes), Some(mode)));
        }
    }
}
