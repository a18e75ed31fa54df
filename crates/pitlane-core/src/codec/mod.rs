//! Entries as bytes: what leaves the process for a remote store, and what is believed of it.
//!
//! Bytes that come back are claims. Decoding is total: any bytes at all give an entry or a
//! [`DecodeError`], nothing is allocated before its size is known to be possible, and a checksum
//! covers everything. It guards against accidents, not against somebody who writes to the store:
//! those bytes are well-formed, and their positions and tags are as true as their author.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use pitlane_core::codec::{self, Compression, Frame, Limits};
//! use pitlane_core::{Position, Timestamp};
//!
//! let frame = Frame {
//!     position: Position::NOWHERE,
//!     stored_at: Timestamp::from_millis(1_700_000_000_000),
//!     cost: Duration::from_millis(12),
//!     kind: 1,
//!     key: b"club:42",
//!     ids: &[],
//!     names: &[],
//!     head: b"200",
//!     body: b"hello",
//! };
//! let bytes = codec::encode(&frame, Compression::Lz4)?;
//! let decoded = codec::decode(&bytes, &Limits::default())?;
//! assert_eq!(decoded.body, "hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decode;
mod encode;
mod error;
mod header;
mod peek;

pub use decode::{Decoded, Limits, decode, peek_position};
pub use encode::{Frame, encode};
pub use error::{DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind};
pub use header::PEEK;
pub use peek::{HEADER, Peeked, peek};

pub use crate::compress::Compression;

use crate::tag::TagKind;

/// What goes before each name, in bytes: the kind and the length.
const NAME_PREFIX: usize = 1 + 4;

/// The bytes of one tag's number.
const ID: usize = 16;

/// The number of a kind in a frame. It is written down here and not taken from the enum, because
/// it must never change.
const fn kind_to_byte(kind: TagKind) -> u8 {
    match kind {
        TagKind::Tag => 1,
        TagKind::Subtree => 2,
        TagKind::Cache => 3,
        TagKind::Uri => 4,
        TagKind::Group => 5,
    }
}

const fn kind_from_byte(byte: u8) -> Option<TagKind> {
    Some(match byte {
        1 => TagKind::Tag,
        2 => TagKind::Subtree,
        3 => TagKind::Cache,
        4 => TagKind::Uri,
        5 => TagKind::Group,
        _ => return None,
    })
}
