//! Pages of Ogg (RFC 3533), and the packets in them.

use anyhow::Result;

use super::source::Source;

/// Bytes of a page header before the table of segments.
const HEADER: usize = 27;

/// A page.
#[derive(Debug)]
pub(crate) struct Page {
    is_continued: bool,
    pub(crate) is_first: bool,
    pub(crate) is_last: bool,
    /// Position in the stream behind the last packet that ends here; `None` if it is not known.
    pub(crate) granule: Option<u64>,
    pub(crate) serial: u32,
    sequence: u32,
    segments: Vec<u8>,
    body: Vec<u8>,
}

impl Page {
    /// Reads the next page whose checksum is right; `None` at the end of the file.
    ///
    /// A page that the end of the file cuts off counts with the packets that are there.
    pub(crate) fn read(source: &mut Source) -> Result<Option<Page>> {
        loop {
            let bytes = source.peek(HEADER + 255)?;
            if bytes.len() < HEADER {
                return Ok(None);
            }
            let Some(page) = Page::parse(bytes) else {
                let rest = bytes.get(1..).unwrap_or_default();
                let next =
                    rest.iter().position(|byte| *byte == b'O').map_or(bytes.len(), |at| at + 1);
                source.skip(next as u64)?;
                continue;
            };
            if let Some(page) = page.with_body(source)? {
                return Ok(Some(page));
            }
            source.skip(1)?;
        }
    }

    /// Parses the header and the table of segments.
    fn parse(bytes: &[u8]) -> Option<Page> {
        let (header, table) = bytes.split_first_chunk::<HEADER>()?;
        let body = header.strip_prefix(b"OggS\0")?;
        let (flags, rest) = body.split_first()?;
        let (granule, rest) = rest.split_first_chunk::<8>()?;
        let (serial, rest) = rest.split_first_chunk()?;
        let (sequence, _) = rest.split_first_chunk()?;
        // −1 stands for "no packet ends here". Some writers use it, or 0, where one does.
        let granule =
            u64::try_from(i64::from_le_bytes(*granule)).ok().filter(|granule| *granule > 0);
        Some(Page {
            is_continued: flags & 1 != 0,
            is_first: flags & 2 != 0,
            is_last: flags & 4 != 0,
            granule,
            serial: u32::from_le_bytes(*serial),
            sequence: u32::from_le_bytes(*sequence),
            segments: table.get(..usize::from(header[26]))?.to_vec(),
            body: Vec::new(),
        })
    }

    /// Reads the contents and moves behind the page; `None` if the checksum is wrong.
    fn with_body(mut self, source: &mut Source) -> Result<Option<Page>> {
        let start = HEADER + self.segments.len();
        let size = start + self.segments.iter().map(|size| usize::from(*size)).sum::<usize>();
        let bytes = source.peek(size)?;
        if bytes.len() == size {
            let (head, body) = bytes.split_at(22);
            let crc = [head, &[0; 4], &body[4..]]
                .into_iter()
                .flatten()
                .fold(0, |crc, byte| crc << 8 ^ CRC_32[usize::from((crc >> 24) as u8 ^ byte)]);
            if !body.starts_with(&crc.to_le_bytes()) {
                return Ok(None);
            }
        } else {
            (self.granule, self.is_last) = (None, false);
        }
        self.body = bytes.get(start..).unwrap_or_default().to_vec();
        source.skip(size as u64)?;
        Ok(Some(self))
    }

    /// Returns the first packet, if it ends in the page.
    pub(crate) fn first_packet(&self) -> &[u8] {
        let size =
            self.segments.iter().position(|size| *size < 255).map_or(0, |last| {
                self.segments[..=last].iter().map(|size| usize::from(*size)).sum()
            });
        self.body.get(..size).unwrap_or_default()
    }
}

/// Joins the segments of a stream's pages to packets.
#[derive(Debug, Default)]
pub(crate) struct Packets {
    /// The start of a packet that goes on in the next page.
    part: Vec<u8>,
    /// A packet goes on whose start is known.
    is_open: bool,
    next_sequence: Option<u32>,
}

/// Most bytes of a packet that spans pages.
const LARGEST: usize = 16 << 20;

impl Packets {
    /// Checks whether pages before this one are missing.
    pub(crate) fn misses(&self, page: &Page) -> bool {
        self.next_sequence.is_some_and(|next| next < page.sequence)
    }

    /// Calls `each` with every packet that ends in the page.
    pub(crate) fn read(&mut self, page: &Page, mut each: impl FnMut(&[u8])) {
        if self.next_sequence.is_some_and(|next| next != page.sequence) || !page.is_continued {
            self.is_open = false;
        }
        self.next_sequence = Some(page.sequence.wrapping_add(1));
        // The rest of a packet whose start is missing.
        let mut is_lost = page.is_continued && !self.is_open;
        if !self.is_open {
            self.part.clear();
        }
        let (mut start, mut end) = (0, 0);
        for size in &page.segments {
            end += usize::from(*size);
            let Some(bytes) = page.body.get(start..end) else { break };
            if *size == 255 {
                continue;
            }
            match (is_lost, self.part.is_empty()) {
                (true, _) => {}
                (false, true) => each(bytes),
                (false, false) => {
                    self.part.extend_from_slice(bytes);
                    each(&self.part);
                }
            }
            self.part.clear();
            is_lost = false;
            start = end;
        }
        self.is_open = page.segments.last() == Some(&255) && !is_lost;
        let rest = page.body.get(start..end).unwrap_or_default();
        if self.is_open && self.part.len() + rest.len() <= LARGEST {
            self.part.extend_from_slice(rest);
        }
    }
}

/// Remainders of bytes for the checksum of pages: the polynomial of Ethernet, high bit first.
static CRC_32: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = ((byte as u32) << 24, 0);
        while bit < 8 {
            crc = crc << 1 ^ if crc >> 31 == 0 { 0 } else { 0x04c1_1db7 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};
