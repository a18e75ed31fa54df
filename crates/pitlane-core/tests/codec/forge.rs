//! Frames that nobody wrote, with checksums that are right.

use pitlane_core::codec::Compression;

use super::Entry;

/// Where version 1 has its numbers, written down apart from the codec's own list.
pub(super) const VERSION: usize = 3;
pub(super) const COMPRESSION: usize = 48;
pub(super) const KEY: usize = 50;
pub(super) const IDS: usize = 54;
pub(super) const NAMES: usize = 58;
pub(super) const NAMES_LENGTH: usize = 62;
pub(super) const HEAD: usize = 66;
pub(super) const BODY: usize = 70;
pub(super) const STORED: usize = 74;
pub(super) const HEADER: usize = 78;

#[derive(Clone, Debug)]
pub(super) struct Forged(Vec<u8>);

impl Forged {
    pub(super) fn of(entry: &Entry, compression: Compression) -> Self {
        Self(entry.encode(compression).to_vec())
    }

    /// A frame without key, tags and head, around a block that is said to be compressed.
    pub(super) fn block(method: u8, length: usize, block: &[u8]) -> Self {
        let nothing = Entry {
            key: Vec::new(),
            ids: Vec::new(),
            names: Vec::new(),
            head: Vec::new(),
            ..Entry::with_body(block)
        };
        Self::of(&nothing, Compression::None)
            .byte(COMPRESSION, method)
            .number(BODY, u32::try_from(length).expect("a short body"))
    }

    pub(super) fn byte(mut self, at: usize, byte: u8) -> Self {
        self.0[at] = byte;
        self
    }

    pub(super) fn number(mut self, at: usize, number: u32) -> Self {
        self.0[at..at + 4].copy_from_slice(&number.to_le_bytes());
        self
    }

    pub(super) fn append(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The bytes, with the checksum that they ought to have.
    pub(super) fn sealed(mut self) -> Vec<u8> {
        if let Some((prefix, covered)) = self.0.split_first_chunk_mut::<8>() {
            prefix[4..].copy_from_slice(&crc32fast::hash(covered).to_le_bytes());
        }
        self.0
    }
}

impl From<Vec<u8>> for Forged {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}
