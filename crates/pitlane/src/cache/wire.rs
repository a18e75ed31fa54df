//! What an entry looks like outside the process, around the frame of the core's codec.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use pitlane_core::codec::{Compression, Decoded, EncodeError, Frame, encode};
use pitlane_core::{Meta, Position, Stamp, TagSet, Timestamp};
use pitlane_policy::Freshness;

use super::entry::{Entry, Marker, Payload};
use crate::response::{Ours, StoredResponse, header_value};

/// The format of the head.
const FORMAT: u8 = 2;
/// An answer has no more fields than a server accepts, and variants no more names than are kept.
pub(super) const MAX_FIELDS: usize = 1024;
/// Two nodes' ideas of the server's clock may differ by so much.
const MAX_AHEAD: Duration = Duration::from_secs(5);

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Response = 1,
    Value = 2,
    Variants = 3,
}

impl Kind {
    const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Response,
            2 => Self::Value,
            3 => Self::Variants,
            _ => return None,
        })
    }
}

/// Bytes in Redis that are no entry for this cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// They are damaged.
    Corrupt,
    /// They may well be one for somebody else.
    Unreadable,
}

/// Something from the remote tier, not judged yet.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart at once, and nearly always the large one"
)]
pub(super) enum Arrived {
    Entry(Draft),
    /// The request headers that select variants.
    Variants(Box<[HeaderName]>),
}

/// An entry without its place in this node's view of the log.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) position: Position,
    stored_at: Timestamp,
    cost: Duration,
    pub(super) tags: TagSet,
    freshness: Freshness,
    payload: Payload,
}

impl Draft {
    pub(super) fn finish(self, key: &[u8], stamp: Stamp) -> Arc<Entry> {
        Arc::new(Entry {
            key: key.into(),
            meta: Meta {
                stored_at: self.stored_at,
                cost: self.cost,
                tags: self.tags,
                stamp,
            },
            freshness: self.freshness,
            payload: self.payload,
        })
    }
}

/// How times are told outside: by the server's clock, `offset` milliseconds ahead of this node's.
fn outside(time: Timestamp, offset: i64) -> Timestamp {
    Timestamp::from_millis(time.as_millis().saturating_add_signed(offset))
}

fn inside(time: Timestamp, offset: i64) -> Timestamp {
    Timestamp::from_millis(
        time.as_millis()
            .saturating_add_signed(offset.saturating_neg()),
    )
}

/// An entry for the remote tier. `key` is the part of its key that all nodes share.
pub(super) fn encode_entry(
    entry: &Entry,
    key: &[u8],
    offset: i64,
    compression: Compression,
) -> Result<Bytes, EncodeError> {
    let mut head = Vec::with_capacity(512);
    head.push(FORMAT);
    write_freshness(&mut head, &entry.freshness);
    let (kind, body) = match &entry.payload {
        Payload::Response(response) => {
            write_response(&mut head, response);
            (Kind::Response, response.body())
        }
        Payload::Value(value) => (Kind::Value, value),
    };
    encode(
        &Frame {
            position: entry.meta.stamp.position(),
            stored_at: outside(entry.meta.stored_at, offset),
            cost: entry.meta.cost,
            kind: kind as u8,
            key,
            ids: entry.meta.tags.ids(),
            names: entry.meta.tags.names(),
            head: &head,
            body,
        },
        compression,
    )
}

/// A marker of a URI that has variants.
pub(super) fn encode_variants(
    marker: &Marker,
    key: &[u8],
    position: Position,
    now: Timestamp,
) -> Result<Bytes, EncodeError> {
    let mut head = vec![FORMAT];
    for name in marker.vary() {
        push(&mut head, name.as_str().as_bytes());
    }
    encode(
        &Frame {
            position,
            stored_at: now,
            cost: Duration::ZERO,
            kind: Kind::Variants as u8,
            key,
            ids: &[],
            names: &[],
            head: &head,
            body: &[],
        },
        Compression::None,
    )
}

/// Reads what came from the remote tier. Times in it are `offset` milliseconds ahead; `now` is
/// this node's. `keep` says that it goes into memory.
pub(super) fn read(
    decoded: Decoded,
    offset: i64,
    now: Timestamp,
    keep: bool,
) -> Result<Arrived, Foreign> {
    let (format, mut head) = decoded.head.split_first().ok_or(Foreign::Corrupt)?;
    let kind = Kind::from_number(decoded.kind);
    let (FORMAT, Some(kind)) = (*format, kind) else {
        return Err(Foreign::Unreadable);
    };
    if kind == Kind::Variants {
        let names = read_variants(head).ok_or(Foreign::Corrupt)?;
        return Ok(Arrived::Variants(names));
    }
    let stored_at = inside(decoded.stored_at, offset);
    if stored_at.since(now) > MAX_AHEAD {
        // Some clock is wrong, and with it the entry's age.
        return Err(Foreign::Unreadable);
    }
    let freshness = read_freshness(&mut head).ok_or(Foreign::Corrupt)?;
    // What the memory tier keeps must not hold on to the buffer of a whole pipeline of answers.
    let body = if keep {
        Bytes::copy_from_slice(&decoded.body)
    } else {
        decoded.body
    };
    let payload = match kind {
        Kind::Response => {
            let (status, ours, headers) = read_response(head).ok_or(Foreign::Corrupt)?;
            Payload::Response(StoredResponse::restored(status, headers, body, ours))
        }
        _ if head.is_empty() => Payload::Value(body),
        _ => return Err(Foreign::Corrupt),
    };
    Ok(Arrived::Entry(Draft {
        position: decoded.position,
        stored_at: stored_at.min(now),
        cost: decoded.cost,
        tags: TagSet::of_parts(decoded.ids, decoded.names),
        freshness,
        payload,
    }))
}

fn write_freshness(head: &mut Vec<u8>, freshness: &Freshness) {
    head.push(u8::from(freshness.forbids_stale()));
    for span in [
        freshness.lifetime(),
        freshness.initial_age(),
        freshness.stale_while_revalidate(),
        freshness.stale_if_error(),
    ] {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        head.extend_from_slice(&millis.to_le_bytes());
    }
}

/// The freshness of an entry of which only the beginning of the head is at hand.
#[cfg(feature = "manage")]
pub(super) fn peek_freshness(head: &[u8]) -> Option<Freshness> {
    let (format, mut head) = head.split_first()?;
    if *format != FORMAT {
        return None;
    }
    read_freshness(&mut head)
}

fn read_freshness(head: &mut &[u8]) -> Option<Freshness> {
    let forbids_stale = match take::<1>(head)? {
        [0] => false,
        [1] => true,
        _ => return None,
    };
    let mut span =
        || take::<8>(head).map(|millis| Duration::from_millis(u64::from_le_bytes(millis)));
    let freshness = Freshness::new(span()?)
        .with_initial_age(span()?)
        .with_stale_while_revalidate(span()?)
        .with_stale_if_error(span()?);
    Some(if forbids_stale {
        freshness.without_stale()
    } else {
        freshness
    })
}

fn write_response(head: &mut Vec<u8>, response: &StoredResponse) {
    head.extend_from_slice(&response.status().as_u16().to_le_bytes());
    head.push(response.ours().bits());
    for (name, value) in response.own_headers() {
        push(head, name.as_str().as_bytes());
        head.push(u8::from(value.is_sensitive()));
        push(head, value.as_bytes());
    }
}

fn read_response(mut head: &[u8]) -> Option<(StatusCode, Ours, HeaderMap)> {
    let status = StatusCode::from_u16(u16::from_le_bytes(take(&mut head)?)).ok()?;
    let [ours] = take(&mut head)?;
    let ours = Ours::from_bits(ours)?;
    // Two more are set on every hit.
    let mut headers = HeaderMap::with_capacity(16);
    while !head.is_empty() {
        if headers.len() == MAX_FIELDS {
            return None;
        }
        let name = HeaderName::from_bytes(pull(&mut head)?).ok()?;
        let [sensitive] = take(&mut head)?;
        // Refuses CR, LF and NUL: a value from outside can't split a header section.
        let mut value = header_value(pull(&mut head)?)?;
        value.set_sensitive(sensitive != 0);
        headers.append(name, value);
    }
    Some((status, ours, headers))
}

fn read_variants(mut head: &[u8]) -> Option<Box<[HeaderName]>> {
    let mut names = Vec::new();
    while !head.is_empty() {
        if names.len() == MAX_FIELDS {
            return None;
        }
        names.push(HeaderName::from_bytes(pull(&mut head)?).ok()?);
    }
    (!names.is_empty()).then(|| names.into())
}

fn push(out: &mut Vec<u8>, part: &[u8]) {
    let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(part);
}

fn pull<'a>(head: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(u32::from_le_bytes(take(head)?)).ok()?;
    let (part, rest) = head.split_at_checked(length)?;
    *head = rest;
    Some(part)
}

fn take<const N: usize>(head: &mut &[u8]) -> Option<[u8; N]> {
    let (part, rest) = head.split_first_chunk::<N>()?;
    *head = rest;
    Some(*part)
}
