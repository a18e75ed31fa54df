use std::time::Duration;

use super::ID;
use super::header::{self, Header, LENGTH, Origin, PREFIX};
use crate::position::Position;
use crate::tag::TagId;
use crate::time::Timestamp;

/// What the beginning of a frame says of the whole.
///
/// No checksum stands behind it, so it is for people who look around, and never for a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peeked<'a> {
    /// Where the entry stood in the log.
    pub position: Position,
    /// When its computation ended.
    pub stored_at: Timestamp,
    /// How long its computation took, in whole milliseconds.
    pub cost: Duration,
    /// What its writer said it is.
    pub kind: u8,
    /// How the body is compressed, by its name; `unknown` when this version can't tell.
    pub compression: &'static str,
    /// How long the whole frame is, in bytes.
    pub frame_length: u64,
    /// How long the body is once it is expanded, in bytes.
    pub body_length: u32,
    /// How long the body is as it is stored, in bytes.
    pub stored_length: u32,
    /// How many bytes from the frame's beginning hold the key, all tags and the first words of the
    /// head.
    pub wanted: u64,
    rest: &'a [u8],
    key_length: u32,
    id_count: u32,
    names_length: u32,
    head_length: u32,
}

impl<'a> Peeked<'a> {
    /// The key, if all of it is there.
    #[must_use]
    pub fn key(&self) -> Option<&'a [u8]> {
        self.rest.get(..usize::try_from(self.key_length).ok()?)
    }

    /// What is there of the writer's own words about the body; it may be cut.
    #[must_use]
    pub fn head(&self) -> &'a [u8] {
        let ids = ID as u64 * u64::from(self.id_count);
        let before = u64::from(self.key_length) + ids + u64::from(self.names_length);
        let start = usize::try_from(before);
        let head = start.ok().and_then(|start| self.rest.get(start..));
        let head = head.unwrap_or_default();
        let length = usize::try_from(self.head_length).unwrap_or(usize::MAX);
        head.get(..length).unwrap_or(head)
    }

    /// The numbers of the tags, if all of them are there.
    #[must_use]
    pub fn ids(&self) -> Option<impl Iterator<Item = TagId> + use<'a>> {
        let start = usize::try_from(self.key_length).ok()?;
        let length = usize::try_from(self.id_count).ok()?.checked_mul(ID)?;
        let (ids, _) = self.rest.get(start..)?.get(..length)?.as_chunks::<ID>();
        Some(ids.iter().map(|id| TagId::from_bytes(*id)))
    }
}

/// What a frame says of itself whose first bytes these are, at least [`HEADER`] of them; nothing
/// when they are no beginning of a frame of this version.
#[must_use]
pub fn peek(bytes: &[u8]) -> Option<Peeked<'_>> {
    let Origin::Ours(_) = header::origin(*bytes.first_chunk::<PREFIX>()?) else {
        return None;
    };
    let (header, rest) = bytes.split_first_chunk::<LENGTH>()?;
    let header = Header::from_bytes(header)?;
    let ids = ID as u64 * u64::from(header.id_count);
    let names = u64::from(header.names_length);
    let words = u64::from(header.head_length.min(WORDS));
    Some(Peeked {
        position: header.position,
        stored_at: header.stored_at,
        cost: Duration::from_millis(header.cost_millis),
        kind: header.kind,
        compression: compression(header.compression),
        frame_length: header.frame_length(),
        body_length: header.body_length,
        stored_length: header.stored_length,
        wanted: LENGTH as u64 + u64::from(header.key_length) + ids + names + words,
        rest,
        key_length: header.key_length,
        id_count: header.id_count,
        names_length: header.names_length,
        head_length: header.head_length,
    })
}

/// So many bytes of a head are among what is wanted of a frame.
const WORDS: u32 = 64;

/// How many bytes from a frame's beginning [`peek`] needs to say anything.
pub const HEADER: u32 = LENGTH as u32;

/// By number, because a build may look at what it can't expand.
const fn compression(method: u8) -> &'static str {
    match method {
        0 => "none",
        1 => "lz4",
        2 => "zstd",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Compression, Frame, encode};

    #[test]
    fn the_beginning_tells_key_tags_and_lengths_and_less_of_it_tells_less() {
        let ids = [TagId::from_bytes([7; 16]), TagId::from_bytes([9; 16])];
        let frame = Frame {
            position: Position::NOWHERE,
            stored_at: Timestamp::from_millis(5),
            cost: Duration::from_millis(3),
            kind: 2,
            key: b"club:42",
            ids: &ids,
            names: &[],
            head: b"head",
            body: &[b'x'; 9000],
        };
        let bytes = encode(&frame, Compression::Lz4).unwrap();
        let peeked = peek(&bytes).unwrap();
        assert_eq!(peeked.key(), Some(&b"club:42"[..]));
        assert_eq!(peeked.ids().unwrap().collect::<Vec<_>>(), ids);
        assert_eq!(peeked.frame_length, bytes.len() as u64);
        assert_eq!((peeked.compression, peeked.body_length), ("lz4", 9000));
        assert_eq!(peeked.wanted, 78 + 7 + 32 + 4);
        for length in 0..bytes.len() {
            let peeked = peek(&bytes[..length]);
            assert_eq!(peeked.is_some(), length >= LENGTH, "{length}");
            let Some(peeked) = peeked else { continue };
            assert_eq!(peeked.key().is_some(), length >= LENGTH + 7);
            assert_eq!(peeked.ids().is_some(), length >= LENGTH + 7 + 32);
            let head = length.saturating_sub(LENGTH + 7 + 32).min(4);
            assert_eq!(peeked.head(), &b"head"[..head]);
        }
    }
}
