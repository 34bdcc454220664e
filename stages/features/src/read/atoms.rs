//! Atoms of MP4 and QuickTime: a size, a kind, and contents that may be atoms.

use anyhow::Result;

use super::source::Source;

/// Returns the atoms in `bytes`, up to the first that makes no sense.
pub(crate) fn each(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let [s0, s1, s2, s3, kind @ ..] = *rest.first_chunk::<8>()?;
        let (head, size) = match u32::from_be_bytes([s0, s1, s2, s3]) {
            0 => (8, rest.len()),
            1 => (16, usize::try_from(long(rest, 8)?).ok()?),
            size => (8, size as usize),
        };
        // The last one may be cut off.
        let (atom, after) = rest.split_at(size.min(rest.len()));
        rest = after;
        Some((kind, atom.get(head..)?))
    })
}

/// Returns the contents of the first atom at the end of a path.
pub(crate) fn find<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(bytes, |bytes, kind| {
        each(bytes).find(|(found, _)| found == *kind).map(|(_, contents)| contents)
    })
}

pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|four| u32::from_be_bytes(*four))
}

pub(crate) fn long(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|eight| u64::from_be_bytes(*eight))
}

/// The head of an atom of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Atom {
    pub(crate) kind: [u8; 4],
    /// Position of the first byte.
    pub(crate) start: u64,
    /// Position of the contents.
    pub(crate) contents: u64,
    /// Position behind the atom, which may be behind the end of the file.
    pub(crate) end: u64,
}

impl Atom {
    /// Reads the head at the position, and moves behind it; `None` at the end of the file.
    pub(crate) fn read(source: &mut Source) -> Result<Option<Atom>> {
        let start = source.position();
        let Some([s0, s1, s2, s3, kind @ ..]) = source.array::<8>()? else { return Ok(None) };
        let size = match u32::from_be_bytes([s0, s1, s2, s3]) {
            0 => u64::MAX,
            1 => source.array()?.map_or(0, u64::from_be_bytes),
            size => u64::from(size),
        };
        let contents = source.position();
        let end = start.saturating_add(size);
        Ok((end >= contents).then_some(Atom { kind, start, contents, end }))
    }

    /// Reads the contents, at most `most` bytes.
    pub(crate) fn bytes<'a>(&self, source: &'a mut Source, most: u64) -> Result<&'a [u8]> {
        source.seek(self.contents)?;
        let size = (self.end - self.contents).min(most).min(source.left());
        Ok(source.take(size as usize)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_atoms() {
        let bytes = b"\0\0\0\x1cmoov\0\0\0\x08free\0\0\0\x0cname\0\0\0\x07\
            \0\0\0\x0clast\0\0\0\x09\0\0\0\xffcut!";
        assert_eq!(find(bytes, &[b"moov", b"name"]), Some(&b"\0\0\0\x07"[..]));
        assert_eq!(find(bytes, &[b"moov", b"last"]), None);
        let kinds: Vec<_> = each(bytes).map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [*b"moov", *b"last", *b"cut!"]);
        assert_eq!(each(b"\0\0\0\x04moov").count(), 0);
    }
}
