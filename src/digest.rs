//! Digests of bytes, and the content of a path, identified by a digest.
//! Does not access files: `workspace` and `cache` hash them.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A BLAKE3 hash, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Hashes `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(*blake3::hash(bytes).as_bytes())
    }

    pub fn from_bytes(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the hexadecimal form without allocating.
    pub fn to_hex(&self) -> impl std::ops::Deref<Target = str> + use<> {
        blake3::Hash::from_bytes(self.0).to_hex()
    }

    /// Returns the first ten digits, enough for a person to distinguish two digests.
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
        text.parse().map_err(|_| serde::de::Error::custom("not a digest"))
    }
}

/// Error: the text is not 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotADigest;

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Digest, NotADigest> {
        // A digest has one spelling: in upper case, the same object would have a second path.
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(NotADigest);
        }
        let hash = blake3::Hash::from_hex(text).map_err(|_| NotADigest)?;
        Ok(Digest(*hash.as_bytes()))
    }
}

/// The content of a path. Paths with equal contents are interchangeable for every stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Content {
    /// A regular file without the owner's execute bit; the digest is of its bytes.
    File(Digest),
    /// A regular file with the owner's execute bit.
    Executable(Digest),
    /// A directory; the digest is of its [tree object](crate::plan::tree::Tree).
    Tree(Digest),
    /// A symbolic link whose target does not exist; the digest is of the target path's text.
    /// Other links are followed: they have the content of their target.
    Link(Digest),
}

impl Content {
    pub fn digest(&self) -> Digest {
        match self {
            Content::File(d) | Content::Executable(d) | Content::Tree(d) | Content::Link(d) => *d,
        }
    }

    /// Returns the content of a link.
    pub fn of_link(target: &Path) -> Content {
        Content::Link(Digest::of(target.as_os_str().as_encoded_bytes()))
    }

    /// Returns the word for the kind that every file format uses.
    pub fn kind(&self) -> &'static str {
        match self {
            Content::File(_) => "file",
            Content::Executable(_) => "exec",
            Content::Tree(_) => "tree",
            Content::Link(_) => "link",
        }
    }

    /// Builds a content from its [`Content::kind`] and [`Content::digest`].
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
    fn digest_spelling() {
        let digest = Digest::of(b"abc");
        let hex = digest.to_string();
        assert_eq!(hex, "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
        assert_eq!(hex.parse(), Ok(digest));
        assert_eq!(hex.to_uppercase().parse::<Digest>(), Err(NotADigest));
        assert_eq!(hex[1..].parse::<Digest>(), Err(NotADigest));
        assert_eq!("".parse::<Digest>(), Err(NotADigest));
    }
}
