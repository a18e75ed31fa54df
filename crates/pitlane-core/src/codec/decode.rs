use std::{fmt, iter, time::Duration};

use bytes::Bytes;

use super::error::{DecodeError, DecodeErrorKind};
use super::header::{self, Header, LENGTH, Origin, PREFIX};
use super::{ID, NAME_PREFIX, kind_from_byte};
use crate::compress::{self, Method};
use crate::position::Position;
use crate::tag::{Tag, TagId, TagKind};
use crate::time::Timestamp;

/// How much a reader takes from a frame. Everything but a compressed body is bounded by the
/// bytes that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    max_body: u64,
}

impl Limits {
    /// The longest body, in bytes once it is expanded (1 MiB by default).
    #[must_use]
    pub const fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = bytes;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_body: 1 << 20 }
    }
}

/// An entry as some process once stored it. Its parts are what that process said: the caller
/// compares the key and judges the position.
///
/// Key and head share the memory of the frame, and so does a body that was not compressed.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decoded {
    /// Where the entry stood in the log.
    pub position: Position,
    /// When its computation ended.
    pub stored_at: Timestamp,
    /// How long its computation took, in whole milliseconds.
    pub cost: Duration,
    /// What its writer said it is.
    pub kind: u8,
    /// The full key.
    pub key: Bytes,
    /// The numbers of all tags.
    pub ids: Box<[TagId]>,
    /// The tags that somebody gave by name.
    pub names: Box<[Tag]>,
    /// The writer's own words about the body.
    pub head: Bytes,
    /// The payload.
    pub body: Bytes,
}

impl fmt::Debug for Decoded {
    /// Payloads may be secret, and are long: only their lengths are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoded")
            .field("position", &self.position)
            .field("stored_at", &self.stored_at)
            .field("cost", &self.cost)
            .field("kind", &self.kind)
            .field("key", &self.key)
            .field("ids", &self.ids)
            .field("names", &self.names)
            .field("head", &self.head.len())
            .field("body", &self.body.len())
            .finish()
    }
}

/// The entry that `bytes` hold, if they hold one and nothing else.
///
/// # Errors
///
/// For every other bytes, and for a body over the limit, which is refused before anything is
/// allocated for it.
pub fn decode(bytes: &Bytes, limits: &Limits) -> Result<Decoded, DecodeError> {
    let header = verified(bytes)?;
    if u64::from(header.body_length) > limits.max_body {
        return Err(DecodeErrorKind::TooLarge.into());
    }

    let mut rest = bytes.get(LENGTH..).ok_or(DecodeErrorKind::Truncated)?;
    let key = bytes.slice_ref(split(&mut rest, header.key_length)?);
    let ids = ids(&mut rest, header.id_count)?;
    let room = split(&mut rest, header.names_length)?;
    let head = bytes.slice_ref(split(&mut rest, header.head_length)?);
    let body = match expanded(rest, &header)? {
        Some(expanded) => expanded.into(),
        None => bytes.slice_ref(rest),
    };
    let names = names(room, header.name_count)?;
    Ok(Decoded {
        position: header.position,
        stored_at: header.stored_at,
        cost: Duration::from_millis(header.cost_millis),
        kind: header.kind,
        key,
        ids,
        names,
        head,
        body,
    })
}

/// The position in the log of the entry whose first [`PEEK`](super::PEEK) bytes these are; more
/// do no harm. Nothing when they are too few or no beginning of a frame of this version.
///
/// No checksum stands behind the answer. It is good for a sweep, which removes what it believes
/// to be unusable: there an error costs a miss, or some memory until the entry expires.
#[must_use]
pub fn peek_position(prefix: &[u8]) -> Option<Position> {
    header::position(prefix)
}

/// The header of a frame that is as long as it says and has the checksum that it says.
fn verified(bytes: &[u8]) -> Result<Header, DecodeError> {
    let (prefix, covered) = bytes
        .split_first_chunk::<PREFIX>()
        .ok_or(DecodeErrorKind::Truncated)?;
    let checksum = match header::origin(*prefix) {
        Origin::Ours(checksum) => checksum,
        Origin::OtherVersion => return Err(DecodeErrorKind::Version.into()),
        Origin::Foreign => return Err(DecodeErrorKind::NotOurs.into()),
    };
    let header = bytes
        .first_chunk::<LENGTH>()
        .and_then(Header::from_bytes)
        .ok_or(DecodeErrorKind::Truncated)?;
    // From here on every length that the header names lies within the bytes that are there.
    match header.frame_length().cmp(&(bytes.len() as u64)) {
        std::cmp::Ordering::Greater => Err(DecodeErrorKind::Truncated.into()),
        std::cmp::Ordering::Less => Err(DecodeErrorKind::Trailing.into()),
        std::cmp::Ordering::Equal if crc32fast::hash(covered) != checksum => {
            Err(DecodeErrorKind::Checksum.into())
        }
        std::cmp::Ordering::Equal => Ok(header),
    }
}

fn ids(rest: &mut &[u8], count: u32) -> Result<Box<[TagId]>, DecodeError> {
    let length = usize_of(count)?.checked_mul(ID);
    let (ids, tail) = length
        .and_then(|length| rest.split_at_checked(length))
        .ok_or(DecodeErrorKind::Truncated)?;
    *rest = tail;
    let (ids, _) = ids.as_chunks::<ID>();
    Ok(ids.iter().map(|id| TagId::from_bytes(*id)).collect())
}

/// As many names as the header counts, which fill the bytes that it says they take.
fn names(mut rest: &[u8], count: u32) -> Result<Box<[Tag]>, DecodeError> {
    let count = usize_of(count)?;
    // Even empty names take room: a count that can't be true is refused before it is believed.
    if count > rest.len() / NAME_PREFIX {
        return Err(DecodeErrorKind::Tag.into());
    }
    let mut names = Vec::with_capacity(count);
    for _ in 0..count {
        let (kind, name) = name(&mut rest)?;
        // Unlike with `push`, each is made in its place, which saves a twentieth of a decode.
        names.extend(iter::once_with(|| Tag::of(kind, name)));
    }
    if rest.is_empty() {
        Ok(names.into())
    } else {
        Err(DecodeErrorKind::Tag.into())
    }
}

fn name<'a>(rest: &mut &'a [u8]) -> Result<(TagKind, &'a str), DecodeError> {
    let [kind] = header::take(rest).ok_or(DecodeErrorKind::Tag)?;
    let kind = kind_from_byte(kind).ok_or(DecodeErrorKind::Tag)?;
    let length = header::take_u32(rest).ok_or(DecodeErrorKind::Tag)?;
    let name = split(rest, length).map_err(|_| DecodeErrorKind::Tag)?;
    let name = std::str::from_utf8(name)
        .map_err(|error| DecodeError::new(DecodeErrorKind::Text, error))?;
    Ok((kind, name))
}

/// What `stored` was made of; nothing when it is the body itself.
fn expanded(stored: &[u8], header: &Header) -> Result<Option<Vec<u8>>, DecodeError> {
    let method = Method::from_byte(header.compression).ok_or(DecodeErrorKind::Unsupported)?;
    compress::expanded(method, stored, usize_of(header.body_length)?)
        .map_err(|error| DecodeError::new(DecodeErrorKind::Compression, error))
}

fn split<'a>(rest: &mut &'a [u8], length: u32) -> Result<&'a [u8], DecodeError> {
    let (part, tail) = rest
        .split_at_checked(usize_of(length)?)
        .ok_or(DecodeErrorKind::Truncated)?;
    *rest = tail;
    Ok(part)
}

fn usize_of(length: u32) -> Result<usize, DecodeError> {
    usize::try_from(length).map_err(|_| DecodeErrorKind::TooLarge.into())
}
