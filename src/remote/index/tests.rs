//! Round trips, damaged bytes and absurd counts.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn digest() -> impl Strategy<Value = Digest> {
    any::<u64>().prop_map(|seed| Digest::of(&seed.to_le_bytes()))
}

fn content() -> impl Strategy<Value = Content> {
    (0..4_usize, digest()).prop_map(|(kind, digest)| {
        [Content::File, Content::Executable, Content::Tree, Content::Link][kind](digest)
    })
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Content),
        Just(Kind::Tree),
        (digest(), vec(content(), 0..4)).prop_map(|(key, outs)| Kind::Trace { key, outs }),
        (any::<[u8; 16]>(), vec(content(), 0..4))
            .prop_map(|(uid, refers)| Kind::Run { uid, refers }),
    ]
}

fn pack() -> impl Strategy<Value = Pack> {
    let blob = (digest(), kind(), 0..100_u32, 0..5000_u32, proptest::option::of(0..5000_u32));
    (digest(), any::<u32>(), vec(blob, 0..6)).prop_map(|(digest, since, parts)| {
        let mut end = 0;
        let blobs = parts.into_iter().map(|(digest, kind, gap, stored, raw)| {
            let offset = end + gap;
            end = offset + stored;
            let codec = if raw.is_some() { Codec::Zstd } else { Codec::Stored };
            let slice = Slice { offset, stored, raw: raw.unwrap_or(stored), codec };
            Blob { digest, kind, slice }
        });
        let blobs = blobs.collect();
        Pack { digest, bytes: end, since: since.into(), blobs }
    })
}

fn index() -> impl Strategy<Value = Index> {
    let segment = (digest(), 1..5000_u32).prop_map(|(digest, bytes)| Segment { digest, bytes });
    let large = (digest(), any::<bool>(), vec(segment, 0..4));
    let large = large.prop_map(|(digest, is_tree, segments)| Large { digest, is_tree, segments });
    (vec(digest(), 0..3), vec(pack(), 0..4), vec(large, 0..3))
        .prop_map(|(replaces, packs, larges)| Index { replaces, packs, larges })
}

fn stored(body: &[u8]) -> Vec<u8> {
    let mut file = HEADER.to_vec();
    file.push(0);
    file.extend((body.len() as u64).to_le_bytes());
    file.extend(body);
    file
}

proptest! {
    #[test]
    fn index_round_trip(index in index()) {
        prop_assert_eq!(Index::decode(&index.encode()), Ok(index));
    }

    #[test]
    fn changed_bytes_never_panic(
        index in index(),
        changes in vec((any::<u16>(), any::<u8>()), 1..4),
    ) {
        let mut body = index.body();
        for (at, byte) in changes {
            let at = usize::from(at) % body.len();
            body[at] = byte;
        }
        let _ = Index::decode(&stored(&body));
    }

    #[test]
    fn any_bytes_never_panic(bytes: Vec<u8>) {
        let _ = Index::decode(&bytes);
        let _ = Index::decode(&stored(&bytes));
        let _ = Index::decode(&[HEADER, &bytes].concat());
    }

    #[test]
    fn truncated_index(index in index(), end in any::<u16>()) {
        let file = index.encode();
        let end = usize::from(end) % file.len();
        prop_assert!(Index::decode(&file[..end]).is_err());
    }
}

#[test]
fn versions() {
    for (text, expected) in [
        ("repro.index 2\nx", BadIndex::Newer),
        ("repro.index 17\n", BadIndex::Newer),
        ("repro.index 0\n", BadIndex::Malformed),
        ("repro.index x\n", BadIndex::Malformed),
        ("repro.remote 1\n", BadIndex::Malformed),
        ("", BadIndex::Malformed),
    ] {
        assert_eq!(Index::decode(text.as_bytes()), Err(expected), "{text}");
    }
}

#[test]
fn absurd_counts() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    for before in [&b""[..], &[0], &[0, 0]] {
        let body = [before, &huge, &[0; 64]].concat();
        assert_eq!(Index::decode(&stored(&body)), Err(BadIndex::Malformed), "{before:?}");
    }
    // A body that is declared far longer than its file.
    let mut file = stored(b"\0\0\0");
    file[HEADER.len()] = 1;
    file[HEADER.len() + 1..][..8].copy_from_slice(&(1_u64 << 40).to_le_bytes());
    assert_eq!(Index::decode(&file), Err(BadIndex::Malformed));
}

#[test]
fn offsets_beyond_pack() {
    let slice = Slice { offset: 90, stored: 11, raw: 11, codec: Codec::Stored };
    let blob = Blob { digest: Digest::of(b"x"), kind: Kind::Content, slice };
    let mut index = Index::default();
    let digest = Digest::of(b"pack");
    index.packs.push(Pack { digest, bytes: 101, since: 0, blobs: vec![blob] });
    assert!(Index::decode(&index.encode()).is_ok());
    index.packs[0].bytes = 100;
    assert_eq!(Index::decode(&index.encode()), Err(BadIndex::Malformed));
}

#[test]
fn repetitive_index_round_trip() {
    let outs = vec![Content::File(Digest::of(b"x")); 10_000];
    let slice = Slice { offset: 0, stored: 1, raw: 1, codec: Codec::Stored };
    let kind = Kind::Trace { key: Digest::of(b"key"), outs };
    let blobs = vec![Blob { digest: Digest::of(b"x"), kind, slice }];
    let mut index = Index::default();
    index.packs.push(Pack { digest: Digest::of(b"pack"), bytes: 1, since: 0, blobs });
    assert_eq!(Index::decode(&index.encode()), Ok(index));
}
