//! Residues, the fine structure of a spectrum: section 8 of the Vorbis I specification.

use super::bits::Bits;
use super::codebook::Codebook;

/// The coding of the vectors of several channels.
#[derive(Debug)]
pub(super) struct Residue {
    /// Type 0, 1 or 2.
    pub(super) kind: u32,
    begin: usize,
    end: usize,
    partition: usize,
    class_book: usize,
    /// Book of each class and pass.
    books: Vec<[Option<usize>; 8]>,
}

/// Type with the vectors of all channels interleaved.
pub(super) const INTERLEAVED: u32 = 2;

impl Residue {
    pub(super) fn read(bits: &mut Bits<'_>) -> Option<Residue> {
        let kind = bits.take(16)?;
        let (begin, end) = (bits.take(24)? as usize, bits.take(24)? as usize);
        let partition = bits.take(24)? as usize + 1;
        let (classes, class_book) = (bits.take(6)? + 1, bits.take(8)? as usize);
        let mut passes = Vec::new();
        for _ in 0..classes {
            let low = bits.take(3)?;
            passes.push(if bits.flag()? { bits.take(5)? << 3 } else { 0 } | low);
        }
        let mut books = Vec::new();
        for passes in passes {
            let mut of_class = [None; 8];
            for (pass, book) in of_class.iter_mut().enumerate() {
                if passes >> pass & 1 == 1 {
                    *book = Some(bits.take(8)? as usize);
                }
            }
            books.push(of_class);
        }
        (kind <= INTERLEAVED && begin <= end).then_some(Residue {
            kind,
            begin,
            end,
            partition,
            class_book,
            books,
        })
    }

    /// Adds to the vectors of channels; those that are silent are `None`.
    ///
    /// The end of the packet ends the residue, which is legal.
    pub(super) fn decode(
        &self,
        bits: &mut Bits<'_>,
        books: &[Codebook],
        channels: &mut [Option<Vec<f32>>],
        length: usize,
    ) {
        if channels.iter().all(Option::is_none) {
            return;
        }
        if self.kind != INTERLEAVED {
            let _ = self.add(bits, books, channels, length);
            return;
        }
        let count = channels.len();
        let mut all = [Some(vec![0.0; length * count])];
        let _ = self.add(bits, books, &mut all, length * count);
        for (index, channel) in channels.iter_mut().enumerate() {
            let values = all.iter().flatten().flatten().skip(index).step_by(count);
            if let Some(channel) = channel {
                channel.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            }
        }
    }

    fn add(
        &self,
        bits: &mut Bits<'_>,
        books: &[Codebook],
        vectors: &mut [Option<Vec<f32>>],
        length: usize,
    ) -> Option<()> {
        let (begin, end) = (self.begin.min(length), self.end.min(length));
        let partitions = (end - begin) / self.partition;
        let class_book = books.get(self.class_book)?;
        let per_word = class_book.dimensions.max(1);
        let mut classes = vec![vec![0_u8; partitions + per_word]; vectors.len()];
        for pass in 0..8 {
            for first in (0..partitions).step_by(per_word) {
                if pass == 0 {
                    for (vector, classes) in vectors.iter().zip(&mut classes) {
                        if vector.is_some() {
                            let word = class_book.entry(bits)? as usize;
                            self.split(word, &mut classes[first..first + per_word]);
                        }
                    }
                }
                for partition in first..partitions.min(first + per_word) {
                    for (vector, classes) in vectors.iter_mut().zip(&classes) {
                        let Some(vector) = vector else { continue };
                        let Some(book) = self.books.get(usize::from(classes[partition]))?[pass]
                        else {
                            continue;
                        };
                        let start = begin + partition * self.partition;
                        let part = &mut vector[start..start + self.partition];
                        self.add_partition(bits, books.get(book)?, part)?;
                    }
                }
            }
        }
        Some(())
    }

    /// Splits a number into classes, the last one lowest.
    fn split(&self, mut word: usize, classes: &mut [u8]) {
        for class in classes.iter_mut().rev() {
            // There are at most 64 classes.
            *class = (word % self.books.len()) as u8;
            word /= self.books.len();
        }
    }

    fn add_partition(&self, bits: &mut Bits<'_>, book: &Codebook, part: &mut [f32]) -> Option<()> {
        let dimensions = book.dimensions.max(1);
        let step = part.len() / dimensions;
        for first in 0..step {
            let vector = book.vector(bits)?;
            for (index, value) in vector.iter().enumerate() {
                let at = match self.kind {
                    0 => first + index * step,
                    _ => first * dimensions + index,
                };
                *part.get_mut(at)? += value;
            }
        }
        Some(())
    }
}
