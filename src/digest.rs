//! What bytes are: a blake3 digest, and the content of a path named by one.
//! Knows nothing of files; hashing them is `workspace` and `cache`'s business.

use std::fmt;
use std::str::FromStr;

/// A blake3 hash, shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(*blake3::hash(bytes).as_bytes())
    }

    pub fn from_bytes(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What it is shown as.
    pub fn to_hex(&self) -> impl std::ops::Deref<Target = str> + use<> {
        blake3::Hash::from_bytes(self.0).to_hex()
    }

    /// The first ten digits: enough for a person to tell two apart.
    pub fn short(&self) -> String {
        let mut hex = self.to_string();
        hex.truncate(10);
        hex
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Digest {
        Digest(*hash.as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Digest, D::Error> {
        let text = <&str>::deserialize(d)?;
        text.parse().map_err(|_| serde::de::Error::custom("no digest"))
    }
}

/// The text is not 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotADigest;

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Digest, NotADigest> {
        // One spelling a digest: upper case would name the same object by another path.
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(NotADigest);
        }
        let hash = blake3::Hash::from_hex(text).map_err(|_| NotADigest)?;
        Ok(Digest(*hash.as_bytes()))
    }
}

/// What a path holds. Two paths with equal contents are interchangeable to every stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Content {
    /// A regular file without the owner's execute bit; the digest is of its bytes.
    File(Digest),
    /// A regular file with it.
    Executable(Digest),
    /// A directory; the digest is of its [tree object](crate::plan::tree::Tree).
    Tree(Digest),
    /// A symbolic link whose target does not exist; the digest is of the target's text.
    /// Links that lead somewhere are followed: the content is the target's.
    Link(Digest),
}

impl Content {
    pub fn digest(&self) -> Digest {
        match self {
            Content::File(d) | Content::Executable(d) | Content::Tree(d) | Content::Link(d) => *d,
        }
    }

    /// The word that stands for the kind in every file format.
    pub fn kind(&self) -> &'static str {
        match self {
            Content::File(_) => "file",
            Content::Executable(_) => "exec",
            Content::Tree(_) => "tree",
            Content::Link(_) => "link",
        }
    }

    /// The inverse of [`Content::kind`] and [`Content::digest`].
    pub fn from_kind(kind: &str, digest: Digest) -> Option<Content> {
        match kind {
            "file" => Some(Content::File(digest)),
            "exec" => Some(Content::Executable(digest)),
            "tree" => Some(Content::Tree(digest)),
            "link" => Some(Content::Link(digest)),
            _ => None,
        }
    }
}

impl serde::Serialize for Content {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&format_args!("{} {}", self.kind(), self.digest()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_has_one_spelling() {
        let digest = Digest::of(b"abc");
        let hex = digest.to_string();
        assert_eq!(hex, "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
        assert_eq!(hex.parse(), Ok(digest));
        assert_eq!(hex.to_uppercase().parse::<Digest>(), Err(NotADigest));
        assert_eq!(hex[1..].parse::<Digest>(), Err(NotADigest));
        assert_eq!("".parse::<Digest>(), Err(NotADigest));
    }
}
