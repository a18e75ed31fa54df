//! The part of a frame that has a fixed size, in version 1. All numbers are little-endian.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0..3 | `PLE` |
//! | 3 | version |
//! | 4..8 | CRC-32 of everything from byte 8 on |
//! | 8..32 | position: incarnation, milliseconds, sequence |
//! | 32..40 | stored at, in milliseconds since the Unix epoch |
//! | 40..48 | cost, in milliseconds |
//! | 48 | how the body is compressed: 0 not, 1 lz4 (block format), 2 zstd |
//! | 49 | what the caller says the entry is |
//! | 50..54 | length of the key |
//! | 54..58 | how many tag numbers |
//! | 58..62 | how many tag names |
//! | 62..66 | length of all tag names with their prefixes |
//! | 66..70 | length of the head |
//! | 70..74 | length of the body |
//! | 74..78 | length of the body as it is stored |
//!
//! Key, tag numbers (16 bytes each), tag names (each with its kind in a byte and its length in
//! four), head and body follow, in this order and with nothing after them.

use crate::position::{Incarnation, LogId, Position};
use crate::time::Timestamp;

/// How many bytes from a frame's beginning [`peek_position`](super::peek_position) needs.
pub const PEEK: u32 = 32;

const MAGIC: [u8; 3] = *b"PLE";
const VERSION: u8 = 1;

/// What the checksum does not cover: magic, version, and the checksum.
pub(super) const PREFIX: usize = 8;
pub(super) const LENGTH: usize = 78;

/// What stands before everything that the checksum covers.
pub(super) fn prefix(checksum: u32) -> [u8; PREFIX] {
    let [m0, m1, m2] = MAGIC;
    let [c0, c1, c2, c3] = checksum.to_le_bytes();
    [m0, m1, m2, VERSION, c0, c1, c2, c3]
}

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A frame of this version with this checksum.
    Ours(u32),
    OtherVersion,
    Foreign,
}

pub(super) fn origin(prefix: [u8; PREFIX]) -> Origin {
    let [m0, m1, m2, version, c0, c1, c2, c3] = prefix;
    if [m0, m1, m2] != MAGIC {
        Origin::Foreign
    } else if version != VERSION {
        Origin::OtherVersion
    } else {
        Origin::Ours(u32::from_le_bytes([c0, c1, c2, c3]))
    }
}

/// Everything of a fixed size, except what [`prefix`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) position: Position,
    pub(super) stored_at: Timestamp,
    pub(super) cost_millis: u64,
    pub(super) compression: u8,
    pub(super) kind: u8,
    pub(super) key_length: u32,
    pub(super) id_count: u32,
    pub(super) name_count: u32,
    pub(super) names_length: u32,
    pub(super) head_length: u32,
    pub(super) body_length: u32,
    pub(super) stored_length: u32,
}

impl Header {
    /// How long a frame with this header is, in bytes. It can't overflow: there are seven
    /// lengths, of which the largest is 16 times a 32-bit number.
    pub(super) fn frame_length(&self) -> u64 {
        let parts = [
            self.key_length,
            self.names_length,
            self.head_length,
            self.stored_length,
        ];
        let parts: u64 = parts.into_iter().map(u64::from).sum();
        LENGTH as u64 + parts + super::ID as u64 * u64::from(self.id_count)
    }

    /// The header's bytes, below a prefix that is not known yet.
    pub(super) fn to_bytes(self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        let mut rest = bytes.as_mut_slice();
        put(&mut rest, [0; PREFIX]);
        let Position { incarnation, id } = self.position;
        put(&mut rest, incarnation.as_u64().to_le_bytes());
        put(&mut rest, id.millis.to_le_bytes());
        put(&mut rest, id.sequence.to_le_bytes());
        put(&mut rest, self.stored_at.as_millis().to_le_bytes());
        put(&mut rest, self.cost_millis.to_le_bytes());
        put(&mut rest, [self.compression, self.kind]);
        put(&mut rest, self.key_length.to_le_bytes());
        put(&mut rest, self.id_count.to_le_bytes());
        put(&mut rest, self.name_count.to_le_bytes());
        put(&mut rest, self.names_length.to_le_bytes());
        put(&mut rest, self.head_length.to_le_bytes());
        put(&mut rest, self.body_length.to_le_bytes());
        put(&mut rest, self.stored_length.to_le_bytes());
        debug_assert!(rest.is_empty(), "every byte of the header is written");
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; LENGTH]) -> Option<Self> {
        let mut rest = bytes.as_slice();
        take::<PREFIX>(&mut rest)?;
        let position = take_position(&mut rest)?;
        let stored_at = Timestamp::from_millis(take_u64(&mut rest)?);
        let cost_millis = take_u64(&mut rest)?;
        let [compression, kind] = take(&mut rest)?;
        Some(Self {
            position,
            stored_at,
            cost_millis,
            compression,
            kind,
            key_length: take_u32(&mut rest)?,
            id_count: take_u32(&mut rest)?,
            name_count: take_u32(&mut rest)?,
            names_length: take_u32(&mut rest)?,
            head_length: take_u32(&mut rest)?,
            body_length: take_u32(&mut rest)?,
            stored_length: take_u32(&mut rest)?,
        })
    }
}

/// The position of a frame of which only the beginning is there.
pub(super) fn position(mut frame: &[u8]) -> Option<Position> {
    let Origin::Ours(_) = origin(take(&mut frame)?) else {
        return None;
    };
    take_position(&mut frame)
}

fn take_position(rest: &mut &[u8]) -> Option<Position> {
    Some(Position {
        incarnation: Incarnation::from_u64(take_u64(rest)?),
        id: LogId {
            millis: take_u64(rest)?,
            sequence: take_u64(rest)?,
        },
    })
}

/// The next bytes, as many as are asked for; nothing when there are fewer.
pub(super) fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*taken)
}

pub(super) fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    take(rest).map(u32::from_le_bytes)
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    take(rest).map(u64::from_le_bytes)
}

fn put<const N: usize>(rest: &mut &mut [u8], bytes: [u8; N]) {
    if let Some((slot, tail)) = std::mem::take(rest).split_first_chunk_mut() {
        *slot = bytes;
        *rest = tail;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_lengths_add_up_without_overflow() {
        let mut bytes = [u8::MAX; LENGTH];
        let header = Header::from_bytes(&bytes).unwrap();
        let most = u64::from(u32::MAX);
        assert_eq!(header.frame_length(), 78 + 20 * most);
        bytes[..PREFIX].fill(0);
        assert_eq!(header.to_bytes(), bytes);
    }

    #[test]
    fn the_position_lies_within_what_is_peeked_at() {
        let mut frame = prefix(7).to_vec();
        frame.extend((1..=24).collect::<Vec<u8>>());
        assert_eq!(frame.len(), PEEK as usize);
        let expected = Position {
            incarnation: Incarnation::from_u64(0x0807_0605_0403_0201),
            id: LogId {
                millis: 0x100f_0e0d_0c0b_0a09,
                sequence: 0x1817_1615_1413_1211,
            },
        };
        assert_eq!(position(&frame), Some(expected));
        frame.pop();
        assert_eq!(position(&frame), None, "a byte is missing");
    }
}
