//! Framing as one writes it in an hour: nothing is bounded, nothing is versioned, and whatever
//! can't be true panics.

use std::time::Duration;

use bytes::{Buf, Bytes};
use pitlane_core::codec::Frame;
use pitlane_core::{Incarnation, LogId, Position, Tag, TagId, TagKind, Timestamp};

/// Who makes the body smaller, with a new context for each.
#[derive(Clone, Copy)]
pub(super) enum Packing {
    None,
    Lz4,
    Zstd,
}

/// The same parts as a decoded frame has.
#[expect(dead_code, reason = "they are made, and that is what is measured")]
pub(super) struct Parts {
    position: Position,
    stored_at: Timestamp,
    cost: Duration,
    kind: u8,
    key: Bytes,
    ids: Box<[TagId]>,
    names: Box<[Tag]>,
    head: Bytes,
    body: Bytes,
}

pub(super) fn encode(frame: &Frame<'_>, packing: Packing, checksum: bool) -> Bytes {
    let packed = match packing {
        Packing::None => None,
        Packing::Lz4 => Some(lz4_flex::block::compress(frame.body)),
        Packing::Zstd => Some(zstd::bulk::compress(frame.body, 0).expect("zstd")),
    };
    let body = packed.as_deref().unwrap_or(frame.body);
    let names: usize = frame.names.iter().map(|tag| 4 + tag.name().len()).sum();
    let fixed = 4 + 5 * 8 + 1 + 6 * 4;
    let tags = 16 * frame.ids.len() + names;
    let parts = frame.key.len() + tags + frame.head.len() + body.len();

    let mut bytes = Vec::with_capacity(fixed + parts);
    bytes.extend_from_slice(&[0; 4]);
    let Position { incarnation, id } = frame.position;
    bytes.extend_from_slice(&incarnation.as_u64().to_le_bytes());
    bytes.extend_from_slice(&id.millis.to_le_bytes());
    bytes.extend_from_slice(&id.sequence.to_le_bytes());
    bytes.extend_from_slice(&frame.stored_at.as_millis().to_le_bytes());
    bytes.extend_from_slice(&(frame.cost.as_millis() as u64).to_le_bytes());
    bytes.push(frame.kind);
    bytes.extend_from_slice(&(frame.body.len() as u32).to_le_bytes());
    prefixed(&mut bytes, frame.key);
    bytes.extend_from_slice(&(frame.ids.len() as u32).to_le_bytes());
    for id in frame.ids {
        bytes.extend_from_slice(&id.to_bytes());
    }
    bytes.extend_from_slice(&(frame.names.len() as u32).to_le_bytes());
    for tag in frame.names {
        prefixed(&mut bytes, tag.name().as_bytes());
    }
    prefixed(&mut bytes, frame.head);
    prefixed(&mut bytes, body);
    if checksum {
        let sum = crc32fast::hash(&bytes[4..]);
        bytes[..4].copy_from_slice(&sum.to_le_bytes());
    }
    bytes.into()
}

fn prefixed(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
    bytes.extend_from_slice(part);
}

pub(super) fn decode(bytes: &Bytes, packing: Packing, checksum: bool) -> Parts {
    let mut rest = bytes.clone();
    let sum = rest.get_u32_le();
    if checksum {
        assert_eq!(sum, crc32fast::hash(&rest));
    }
    let position = Position {
        incarnation: Incarnation::from_u64(rest.get_u64_le()),
        id: LogId {
            millis: rest.get_u64_le(),
            sequence: rest.get_u64_le(),
        },
    };
    let stored_at = Timestamp::from_millis(rest.get_u64_le());
    let cost = Duration::from_millis(rest.get_u64_le());
    let kind = rest.get_u8();
    let length = rest.get_u32_le() as usize;
    let key = part(&mut rest);
    let id = |rest: &mut Bytes| TagId::from_bytes(rest.get_u128_le().to_le_bytes());
    let ids = (0..rest.get_u32_le()).map(|_| id(&mut rest)).collect();
    let names = (0..rest.get_u32_le()).map(|_| name(&mut rest)).collect();
    let head = part(&mut rest);
    let body = part(&mut rest);
    let body = match packing {
        Packing::None => body,
        Packing::Lz4 => lz4_flex::block::decompress(&body, length)
            .expect("lz4")
            .into(),
        Packing::Zstd => zstd::bulk::decompress(&body, length).expect("zstd").into(),
    };
    Parts {
        position,
        stored_at,
        cost,
        kind,
        key,
        ids,
        names,
        head,
        body,
    }
}

fn part(rest: &mut Bytes) -> Bytes {
    let length = rest.get_u32_le() as usize;
    rest.split_to(length)
}

fn name(rest: &mut Bytes) -> Tag {
    let length = rest.get_u32_le() as usize;
    let (name, _) = rest.split_at(length);
    let tag = Tag::of(TagKind::Tag, std::str::from_utf8(name).expect("a name"));
    rest.advance(length);
    tag
}
