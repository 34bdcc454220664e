//! Writes and reads tar archives of plain files, in the ustar format with GNU sizes, one file after
//! the other. Anything else in an archive is an error. Does not open files.

use std::io::{self, ErrorKind, Read, Write};

const BLOCK: usize = 512;
/// Largest size that the octal digits of a header hold.
const MAX_OCTAL: u64 = 0o777_7777_7777;
const NAME: std::ops::Range<usize> = 0..100;
const SIZE: std::ops::Range<usize> = 124..136;
const SUM: std::ops::Range<usize> = 148..156;
const KIND: usize = 156;

/// Writes the files of an archive.
#[derive(Debug)]
pub struct Writer<W>(W);

impl<W: Write> Writer<W> {
    pub fn new(output: W) -> Writer<W> {
        Writer(output)
    }

    /// Adds a file with a name of at most 100 bytes.
    ///
    /// # Errors
    /// I/O errors; the content has not `size` bytes.
    pub fn add(&mut self, name: &str, size: u64, mut content: impl Read) -> io::Result<()> {
        self.0.write_all(&header(name, size))?;
        let copied = io::copy(&mut (&mut content).take(size), &mut self.0)?;
        if copied < size || content.read(&mut [0])? > 0 {
            return Err(io::Error::new(ErrorKind::InvalidData, "it has changed meanwhile"));
        }
        self.0.write_all(&[0; BLOCK][..padding(size)])
    }

    /// Ends the archive.
    pub fn finish(mut self) -> io::Result<W> {
        self.0.write_all(&[0; 2 * BLOCK])?;
        self.0.flush()?;
        Ok(self.0)
    }
}

/// Returns the number of bytes that fill the last block.
fn padding(size: u64) -> usize {
    (BLOCK - (size % BLOCK as u64) as usize) % BLOCK
}

fn header(name: &str, size: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    assert!(name.len() < NAME.len(), "BUG: `{name}` is too long");
    put(NAME.start, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    match size {
        ..=MAX_OCTAL => put(SIZE.start, format!("{size:011o}\0").as_bytes()),
        _ => {
            put(SIZE.start, &[0x80, 0, 0, 0]);
            put(SIZE.start + 4, &size.to_be_bytes());
        }
    }
    put(136, b"00000000000\0");
    put(KIND, b"0");
    put(257, b"ustar\x0000");
    put(SUM.start, b"        ");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[SUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// Reads the files of an archive in their order.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    /// Bytes of the present file that are still to be read, and its padding.
    left: u64,
    padding: usize,
}

impl<R: Read> Reader<R> {
    pub fn new(input: R) -> Reader<R> {
        Reader { input, left: 0, padding: 0 }
    }

    /// Goes to the next file, and returns its name and size; `None` at the end.
    ///
    /// # Errors
    /// The archive ends too early, or contains something else than plain files.
    pub fn advance(&mut self) -> io::Result<Option<(String, u64)>> {
        let skipped = io::copy(&mut self.by_ref_left(), &mut io::sink())?;
        self.left -= skipped;
        if self.left > 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.input.read_exact(&mut [0; BLOCK][..self.padding])?;
        self.padding = 0;
        let mut block = [0; BLOCK];
        self.input.read_exact(&mut block)?;
        if block == [0; BLOCK] {
            return Ok(None);
        }
        let (name, size) = parse(&block).ok_or_else(|| {
            io::Error::new(ErrorKind::InvalidData, "it is not a tar archive of plain files")
        })?;
        (self.left, self.padding) = (size, padding(size));
        Ok(Some((name, size)))
    }

    fn by_ref_left(&mut self) -> io::Take<&mut R> {
        (&mut self.input).take(self.left)
    }
}

/// Reads the present file.
impl<R: Read> Read for Reader<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.by_ref_left().read(bytes)?;
        self.left -= count as u64;
        Ok(count)
    }
}

fn parse(block: &[u8; BLOCK]) -> Option<(String, u64)> {
    let text = |range: std::ops::Range<usize>| {
        let bytes = block[range].split(|byte| *byte == 0).next()?;
        std::str::from_utf8(bytes).ok()
    };
    let octal = |range| u64::from_str_radix(text(range)?.trim(), 8).ok();
    let mut unsummed = *block;
    unsummed[SUM].fill(b' ');
    let sum: u64 = unsummed.iter().map(|&byte| u64::from(byte)).sum();
    let size = match block[SIZE.start] {
        0x80 => u64::from_be_bytes(block[SIZE.start + 4..SIZE.end].try_into().ok()?),
        _ => octal(SIZE)?,
    };
    // A prefix is for long names, which are not written here.
    let is_plain = block[KIND] == b'0' && block[345] == 0;
    let name = text(NAME)?;
    (is_plain && octal(SUM) == Some(sum)).then(|| (name.to_owned(), size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        for (name, bytes) in files {
            writer.add(name, bytes.len() as u64, &bytes[..]).unwrap();
        }
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut reader = Reader::new(bytes);
        let mut files = Vec::new();
        while let Some((name, size)) = reader.advance()? {
            let mut content = Vec::new();
            reader.read_to_end(&mut content)?;
            if content.len() as u64 != size {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            files.push((name, content));
        }
        Ok(files)
    }

    #[test]
    fn large_sizes() {
        for size in [0, 1, MAX_OCTAL, MAX_OCTAL + 1, u64::MAX] {
            assert_eq!(parse(&header("x", size)), Some(("x".to_owned(), size)));
        }
    }

    #[test]
    fn size_must_match() {
        for size in [2, 4] {
            assert!(Writer::new(Vec::new()).add("x", size, &b"abc"[..]).is_err(), "{size}");
        }
    }

    #[test]
    fn files_may_be_skipped() {
        let files = [("a".to_owned(), vec![1; 700]), ("b".to_owned(), vec![2; 3])];
        let bytes = archive(&files);
        let mut reader = Reader::new(&bytes[..]);
        assert_eq!(reader.advance().unwrap(), Some(("a".to_owned(), 700)));
        reader.read_exact(&mut [0; 10]).unwrap();
        assert_eq!(reader.advance().unwrap(), Some(("b".to_owned(), 3)));
        assert_eq!(reader.advance().unwrap(), None);
    }

    proptest! {
        #[test]
        fn round_trip(
            files in proptest::collection::vec(
                ("[a-z/.]{1,99}", proptest::collection::vec(any::<u8>(), 0..1100)), 0..4,
            ),
        ) {
            let bytes = archive(&files);
            prop_assert_eq!(bytes.len() % BLOCK, 0);
            prop_assert_eq!(&read(&bytes).unwrap(), &files);
            // A part of it is never taken for the whole.
            for end in [0, BLOCK / 2, bytes.len() - 2 * BLOCK] {
                prop_assert!(read(&bytes[..end]).is_err());
            }
        }

        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _ = read(&bytes);
        }
    }
}
