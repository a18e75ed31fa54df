use std::{fmt, time::Duration};

use bytes::Bytes;

use super::error::EncodeError;
use super::header::{self, Header};
use super::{ID, NAME_PREFIX, kind_to_byte};
use crate::compress::{self, Compression, Method};
use crate::position::Position;
use crate::tag::{Tag, TagId};
use crate::time::Timestamp;

/// An entry that is about to leave the process.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    /// Where the entry stands in the log.
    pub position: Position,
    /// When its computation ended.
    pub stored_at: Timestamp,
    /// How long its computation took; only whole milliseconds are kept.
    pub cost: Duration,
    /// What the caller says the entry is; it means nothing here.
    pub kind: u8,
    /// The full key, which a reader compares: what it is stored under is only a digest of it.
    pub key: &'a [u8],
    /// The numbers of all tags.
    pub ids: &'a [TagId],
    /// The tags that somebody gave by name.
    pub names: &'a [Tag],
    /// What the caller wants to know before it looks at the body, such as a status and headers.
    /// It is never compressed.
    pub head: &'a [u8],
    /// The payload.
    pub body: &'a [u8],
}

impl fmt::Debug for Frame<'_> {
    /// Payloads may be secret, and are long: only their lengths are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("position", &self.position)
            .field("stored_at", &self.stored_at)
            .field("cost", &self.cost)
            .field("kind", &self.kind)
            .field("key", &self.key.escape_ascii().to_string())
            .field("ids", &self.ids)
            .field("names", &self.names)
            .field("head", &self.head.len())
            .field("body", &self.body.len())
            .finish()
    }
}

/// The bytes of an entry, in one allocation of just their size.
///
/// # Errors
///
/// When a part is longer than 4 GiB.
pub fn encode(frame: &Frame<'_>, compression: Compression) -> Result<Bytes, EncodeError> {
    // Before anything is compressed: a body that can't be stored costs nothing.
    let header = header_of(frame)?;
    compress::compressed(frame.body, compression, |method, stored| {
        write(frame, header, method, stored)
    })
}

fn header_of(frame: &Frame<'_>) -> Result<Header, EncodeError> {
    let names = frame.names.iter();
    let names_length = names.map(|tag| NAME_PREFIX + tag.name().len()).sum();
    let body_length = length(frame.body.len())?;
    Ok(Header {
        position: frame.position,
        stored_at: frame.stored_at,
        cost_millis: u64::try_from(frame.cost.as_millis()).unwrap_or(u64::MAX),
        compression: Method::Stored as u8,
        kind: frame.kind,
        key_length: length(frame.key.len())?,
        id_count: length(frame.ids.len())?,
        name_count: length(frame.names.len())?,
        names_length: length(names_length)?,
        head_length: length(frame.head.len())?,
        body_length,
        stored_length: body_length,
    })
}

fn write(
    frame: &Frame<'_>,
    mut header: Header,
    method: Method,
    stored: &[u8],
) -> Result<Bytes, EncodeError> {
    header.compression = method as u8;
    header.stored_length = length(stored.len())?;
    let total = usize::try_from(header.frame_length()).map_err(|_| EncodeError::too_large())?;

    let mut bytes = Vec::with_capacity(total);
    bytes.extend_from_slice(&header.to_bytes());
    bytes.extend_from_slice(frame.key);
    for id in frame.ids {
        bytes.extend_from_slice(&id.to_bytes());
    }
    for tag in frame.names {
        bytes.push(kind_to_byte(tag.kind()));
        bytes.extend_from_slice(&length(tag.name().len())?.to_le_bytes());
        bytes.extend_from_slice(tag.name().as_bytes());
    }
    bytes.extend_from_slice(frame.head);
    bytes.extend_from_slice(stored);
    debug_assert_eq!(bytes.len(), total, "the header tells the length");

    if let Some((prefix, covered)) = bytes.split_first_chunk_mut() {
        *prefix = header::prefix(crc32fast::hash(covered));
    }
    Ok(bytes.into())
}

fn length(bytes: usize) -> Result<u32, EncodeError> {
    u32::try_from(bytes).map_err(|_| EncodeError::too_large())
}

const _: () = assert!(size_of::<[u8; ID]>() == size_of::<TagId>());

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;
    use crate::codec::EncodeErrorKind;

    #[test]
    fn a_length_of_four_gibibytes_is_an_error() {
        let most = u32::MAX as usize;
        assert_eq!(length(most).unwrap(), u32::MAX);
        let error = length(most + 1).unwrap_err();
        assert_eq!(error.kind(), EncodeErrorKind::TooLarge);
    }
}
