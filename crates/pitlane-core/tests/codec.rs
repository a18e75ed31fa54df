//! Entries as bytes: what comes back of them, and what is made of bytes that nobody wrote.

mod forge;
mod golden;
mod hostile;
mod round_trip;

use std::time::Duration;

use bytes::Bytes;
use pitlane_core::codec::{self, Compression, DecodeError, Decoded, Frame, Limits};
use pitlane_core::{Incarnation, LogId, Position, Tag, TagId, TagKind, Timestamp};

/// Every way to compress that this build knows.
const ALL: &[Compression] = &[
    Compression::None,
    Compression::Lz4,
    #[cfg(feature = "zstd")]
    Compression::Zstd,
];

/// What an entry consists of, owned.
#[derive(Clone, Debug)]
struct Entry {
    position: Position,
    stored_at: Timestamp,
    cost: Duration,
    kind: u8,
    key: Vec<u8>,
    ids: Vec<TagId>,
    names: Vec<Tag>,
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Entry {
    /// An entry in which every part has another value than it has by default.
    fn sample() -> Self {
        Self {
            position: Position {
                incarnation: Incarnation::from_u64(0x0123_4567_89ab_cdef),
                id: LogId {
                    millis: 1_732_330_000_000,
                    sequence: 7,
                },
            },
            stored_at: Timestamp::from_millis(1_732_330_000_123),
            cost: Duration::from_millis(45),
            kind: 3,
            key: b"club:42:members@2".to_vec(),
            ids: vec![
                TagId::from_bytes(*b"0123456789abcdef"),
                TagId::from_bytes([0xfe; 16]),
            ],
            names: vec![
                Tag::new("club:42"),
                Tag::of(TagKind::Group, "größe"),
                Tag::of(TagKind::Uri, ""),
            ],
            head: b"200 text/html".to_vec(),
            body: b"<h1>Members</h1>".to_vec(),
        }
    }

    fn with_body(body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..Self::sample()
        }
    }

    fn frame(&self) -> Frame<'_> {
        Frame {
            position: self.position,
            stored_at: self.stored_at,
            cost: self.cost,
            kind: self.kind,
            key: &self.key,
            ids: &self.ids,
            names: &self.names,
            head: &self.head,
            body: &self.body,
        }
    }

    fn encode(&self, compression: Compression) -> Bytes {
        codec::encode(&self.frame(), compression).expect("a frame")
    }

    #[track_caller]
    fn check(&self, decoded: &Decoded) {
        assert_eq!(decoded.position, self.position);
        assert_eq!(decoded.stored_at, self.stored_at);
        assert_eq!(decoded.cost, self.cost);
        assert_eq!(decoded.kind, self.kind);
        assert_eq!(decoded.key, self.key);
        assert_eq!(*decoded.ids, *self.ids);
        assert_eq!(*decoded.names, *self.names);
        assert_eq!(decoded.head, self.head);
        assert!(decoded.body == self.body, "another body");
    }
}

/// A text that every compressor makes smaller.
fn prose(length: usize) -> Vec<u8> {
    let text = b"What a handler answered once it need not answer again. ";
    text.iter().copied().cycle().take(length).collect()
}

/// Bytes that no compressor makes smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()[7]
    };
    (0..length).map(|_| next()).collect()
}

fn decode(bytes: impl Into<Bytes>) -> Result<Decoded, DecodeError> {
    codec::decode(&bytes.into(), &Limits::default())
}
