//! Names for runs that have none, such as `calm-heron-271`.

use crate::runs::RunUid;

const ADJECTIVES: [&str; 32] = [
    "able", "amber", "bold", "brave", "brisk", "calm", "clean", "clever", "crisp", "eager", "fair",
    "fine", "fresh", "gentle", "glad", "grand", "happy", "keen", "kind", "lively", "lucky",
    "mellow", "merry", "neat", "noble", "proud", "quick", "quiet", "sharp", "smooth", "swift",
    "warm",
];
const NOUNS: [&str; 32] = [
    "badger", "bear", "bee", "colt", "crane", "crow", "deer", "dove", "duck", "eagle", "elk",
    "finch", "fox", "goat", "goose", "hare", "hawk", "heron", "horse", "jay", "lark", "lynx",
    "mole", "moose", "otter", "owl", "panda", "robin", "seal", "stork", "swan", "wren",
];

/// Returns the name that belongs to an identity.
pub(super) fn name_of(uid: RunUid) -> String {
    let bytes = uid.to_string().into_bytes();
    let number = bytes
        .iter()
        .fold(0_usize, |number, byte| number.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let (adjective, noun) = (ADJECTIVES[number % 32], NOUNS[number / 32 % 32]);
    format!("{adjective}-{noun}-{}", number / 1024 % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_differ() {
        let name = |byte| name_of(RunUid::from_bytes([byte; 16]));
        assert_eq!(name(7), name(7));
        let names: std::collections::BTreeSet<String> = (0..100).map(name).collect();
        assert!(names.len() > 90);
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(names.iter().all(|name| name.chars().all(is_plain)));
    }
}
