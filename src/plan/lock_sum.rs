//! The checksum in the last line of a block of the lock, `sum 0123456789abcdef`.
//!
//! A tool that merges text line by line can put a block together from two versions. Such a block
//! describes an execution that never happened. Its checksum differs in both versions, so either the
//! merge conflicts in that line, or the line does not match the others.
//!
//! Invariants: the checksum covers all other lines of the block, but not the name of the stage. A
//! block without one is accepted: earlier versions of this program wrote none.

use crate::digest::Digest;

const WORD: &str = "sum ";
/// Number of hexadecimal digits.
const LENGTH: usize = 16;

/// Returns the line for a block with these lines, without the line's end.
pub fn line(lines: &str) -> String {
    let hex = Digest::of(lines.as_bytes()).to_hex();
    format!("{WORD}{}", &hex[..LENGTH])
}

/// Reports whether a line of a block has the form of a checksum.
pub fn is_sum(line: &str) -> bool {
    line.strip_prefix(WORD).is_some_and(|rest| {
        rest.len() == LENGTH && rest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Reports whether a block has no checksum, or the one of its other lines.
pub fn holds(block: &str) -> bool {
    let block = block.trim_end_matches('\n');
    let start = block.rfind('\n').map_or(0, |at| at + 1);
    let (lines, last) = block.split_at(start);
    let is_inside = || lines.lines().any(is_sum);
    match is_sum(last) {
        true => line(lines) == last && !is_inside(),
        false => !is_inside(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edited_blocks_do_not_hold() {
        let lines = "cmd \"x\"\ndep file 00 a\nout file 11 b\n";
        let sum = line(lines);
        let block = format!("{lines}{sum}\n");
        assert!(is_sum(&sum), "{sum}");
        assert!(holds(lines) && holds(&block) && holds(&format!("{block}\n")) && holds(""));
        for (from, to) in [
            ("dep file 00 a", "dep file 01 a"),
            ("out file 11 b\n", ""),
            ("out", "accepted \"why\"\nout"),
            (&*sum, "sum 0123456789abcdef"),
        ] {
            assert!(!holds(&block.replacen(from, to, 1)), "{from} → {to}");
        }
        assert!(!holds(&format!("{block}accepted \"why\"\n")));
        assert!(!holds(&format!("{block}{sum}\n")));
    }
}
