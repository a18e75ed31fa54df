//! The bytes of a session, in Redis and in memory.
//!
//! Format 1: `0x01`, a kind (1 a session, 2 the mark of a deleted one), the version, the expiry in
//! milliseconds since the Unix epoch (both in 8 bytes, big endian), the data as JSON, and the
//! CRC-32 of all that. The id is not among them: who can read Redis can't take a session over.

use std::collections::HashMap;

use bytes::{BufMut, Bytes, BytesMut};
use pitlane::Timestamp;
use serde_json::Value;
use time::OffsetDateTime;
use tower_sessions_core::session::{Id, Record};

use crate::trouble::Trouble;
use crate::version::Version;

const FORMAT: u8 = 1;
const LIVE: u8 = 1;
const GONE: u8 = 2;
const HEAD: usize = 18;
const CHECK: usize = 4;

/// The largest session, in bytes of its data as JSON.
pub(crate) const MAX_DATA: usize = 1 << 20;

/// What is stored under an id.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Sheet {
    Live(Live),
    /// The session was deleted: for good.
    Gone,
}

/// A session's content at one version.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) version: Version,
    pub(crate) expires: Timestamp,
    /// All of its bytes.
    pub(crate) bytes: Bytes,
}

impl Sheet {
    /// Reads what Redis said, which may be anything.
    pub(crate) fn decode(bytes: &Bytes) -> Option<Self> {
        let (content, check) = bytes.split_last_chunk::<CHECK>()?;
        if crc32fast::hash(content) != u32::from_be_bytes(*check) {
            return None;
        }
        let (&[FORMAT, kind], rest) = content.split_first_chunk()? else {
            return None;
        };
        let (version, rest) = rest.split_first_chunk()?;
        let (expires, data) = rest.split_first_chunk()?;
        match kind {
            LIVE if data.len() <= MAX_DATA => Some(Self::Live(Live {
                version: Version(u64::from_be_bytes(*version)),
                expires: Timestamp::from_millis(u64::from_be_bytes(*expires)),
                bytes: bytes.clone(),
            })),
            GONE => Some(Self::Gone),
            _ => None,
        }
    }

    /// The mark of a deleted session.
    pub(crate) fn gone() -> Bytes {
        encode(GONE, Version(0), Timestamp::from_millis(0), &[])
    }
}

impl Live {
    pub(crate) fn new(version: Version, expires: Timestamp, data: &[u8]) -> Self {
        Self {
            version,
            expires,
            bytes: encode(LIVE, version, expires, data),
        }
    }

    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires <= now
    }

    /// The session as tower-sessions knows it; none when it is damaged.
    pub(crate) fn record(&self, id: Id) -> Option<Record> {
        let end = self.bytes.len().checked_sub(CHECK)?;
        let data: HashMap<String, Value> =
            serde_json::from_slice(self.bytes.get(HEAD..end)?).ok()?;
        let nanos = i128::from(self.expires.as_millis()) * 1_000_000;
        Some(Record {
            id,
            data,
            expiry_date: OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?,
        })
    }
}

/// A record's data as JSON.
pub(crate) fn data(record: &Record) -> Result<Vec<u8>, Trouble> {
    let data = serde_json::to_vec(&record.data).map_err(|_| Trouble::Unwritable)?;
    if data.len() > MAX_DATA {
        return Err(Trouble::TooLarge);
    }
    Ok(data)
}

/// When a record ends.
pub(crate) fn expiry(record: &Record) -> Timestamp {
    let millis = record.expiry_date.unix_timestamp_nanos() / 1_000_000;
    Timestamp::from_millis(u64::try_from(millis).unwrap_or(0))
}

fn encode(kind: u8, version: Version, expires: Timestamp, data: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(HEAD + data.len() + CHECK);
    bytes.put_slice(&[FORMAT, kind]);
    bytes.put_u64(version.0);
    bytes.put_u64(expires.as_millis());
    bytes.put_slice(data);
    let check = crc32fast::hash(&bytes);
    bytes.put_u32(check);
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn live(version: u64, expires: u64, data: &[u8]) -> Live {
        Live::new(Version(version), Timestamp::from_millis(expires), data)
    }

    fn is(bytes: &Bytes, expected: &Sheet) -> bool {
        Sheet::decode(bytes).as_ref() == Some(expected)
    }

    #[test]
    fn what_was_written_is_read() {
        let session = live(7, 1_700_000_000_000, br#"{"user":42}"#);
        assert!(is(&session.bytes, &Sheet::Live(session.clone())));
        assert!(is(&Sheet::gone(), &Sheet::Gone));
        let id = Id(5);
        let record = session.record(id).unwrap();
        assert_eq!(record.data["user"], 42);
        assert_eq!(record.id, id);
        assert_eq!(expiry(&record).as_millis(), 1_700_000_000_000);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let whole = live(7, 1_700_000_000_000, br#"{"user":42}"#).bytes;
        for cut in 0..whole.len() {
            assert!(Sheet::decode(&whole.slice(..cut)).is_none(), "{cut}");
        }
        for bit in 0..whole.len() * 8 {
            let mut spoiled = whole.to_vec();
            spoiled[bit / 8] ^= 1 << (bit % 8);
            assert!(Sheet::decode(&spoiled.into()).is_none(), "{bit}");
        }
    }

    #[test]
    fn data_that_is_no_map_or_ends_beyond_all_time_is_no_record() {
        assert!(live(1, 0, b"[1]").record(Id(1)).is_none());
        assert!(live(1, u64::MAX, b"{}").record(Id(1)).is_none());
        let deep = "[".repeat(100_000);
        let deep = format!("{{\"a\":{deep}");
        assert!(live(1, 0, deep.as_bytes()).record(Id(1)).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut sealed = bytes.clone();
            sealed.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
            for bytes in [bytes, sealed] {
                if let Some(Sheet::Live(live)) = Sheet::decode(&bytes.into()) {
                    let _ = live.record(Id(0));
                }
            }
        }
    }
}
