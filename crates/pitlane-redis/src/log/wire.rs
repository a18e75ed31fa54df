//! What the script answers, as values. Whatever has another shape is refused whole.

use bytes::Bytes;
use fred::types::Value;
use pitlane_core::{Incarnation, LogId, Logged, Record, Watermark};

use super::calls::Life;
use super::script::{name, parse_name};

/// What the script says to anything but a reading of the tail.
#[derive(Debug)]
pub(super) enum Answer {
    /// The log is whole and of the script's incarnation; `rest` is what the operation returned.
    Ok { tail: Watermark, rest: Vec<Value> },
    /// The log is whole and of another incarnation.
    Other(Life),
    /// The log is not whole: something of it was evicted, flushed or damaged.
    Broken,
}

pub(super) fn answer(value: Value) -> Option<Answer> {
    let mut parts = array(value)?.into_iter();
    let kind = bytes(parts.next()?)?;
    match &*kind {
        b"ok" => {
            let tail = tail(&bytes(parts.next()?)?)?;
            let rest = parts.collect();
            Some(Answer::Ok { tail, rest })
        }
        b"other" => {
            let incarnation = parse_name(&bytes(parts.next()?)?)?;
            let older = bytes(parts.next()?)?;
            let older = older.chunks_exact(16).map_while(parse_name).collect();
            Some(Answer::Other(Life { incarnation, older }))
        }
        b"broken" => Some(Answer::Broken),
        _ => None,
    }
}

/// A tail: incarnation, ID and nonce with spaces between.
pub(super) fn tail(text: &[u8]) -> Option<Watermark> {
    let mut parts = text.split(|byte| *byte == b' ');
    let incarnation = parse_name(parts.next()?)?;
    let id = id(parts.next()?)?;
    let nonce = nonce(parts.next()?)?;
    parts
        .next()
        .is_none()
        .then_some(Watermark::new(incarnation, id, nonce))
}

pub(super) fn id(text: &[u8]) -> Option<LogId> {
    str::from_utf8(text).ok()?.parse().ok()
}

/// A nonce has the form of an incarnation; the first record of a life has none before it.
pub(super) fn nonce(text: &[u8]) -> Option<u64> {
    parse_name(text).map(Incarnation::as_u64)
}

pub(super) fn nonce_name(nonce: u64) -> String {
    name(Incarnation::from_u64(nonce))
}

/// One entry of the stream.
pub(super) fn logged(value: Value) -> Option<Logged> {
    let mut parts = array(value)?.into_iter();
    let id = id(&bytes(parts.next()?)?)?;
    let fields = array(parts.next()?)?;
    let mut fields = fields.into_iter().map(bytes);
    let mut field = |name: &[u8]| {
        let there = fields.next()??;
        (*there == *name).then(|| fields.next())??
    };
    let incarnation = parse_name(&field(b"i")?)?;
    let own = nonce(&field(b"n")?)?;
    let previous = field(b"p")?;
    let record = field(b"r")?;
    // The first record of a life says nothing but that it is the first.
    let (previous, record) = if previous.is_empty() {
        (0, Record::default())
    } else {
        (nonce(&previous)?, Record::decode(&record).ok()?)
    };
    Some(Logged {
        at: Watermark::new(incarnation, id, own),
        previous,
        record,
    })
}

/// The entries of one stream in the answer to XREAD; none when it timed out.
pub(super) fn read(value: Value) -> Option<Vec<Value>> {
    if value.is_null() {
        return Some(Vec::new());
    }
    // RESP2 has an array of pairs here, RESP3 a map.
    let entries = match value {
        Value::Map(map) => map.inner().into_values().next()?,
        value => {
            let stream = array(value)?.into_iter().next()?;
            array(stream)?.into_iter().nth(1)?
        }
    };
    array(entries)
}

/// Seconds and microseconds of the server's clock, in milliseconds.
pub(super) fn time(value: Value) -> Option<u64> {
    let mut parts = array(value)?.into_iter().map(|part| {
        let text = bytes(part)?;
        str::from_utf8(&text).ok()?.parse::<u64>().ok()
    });
    let (seconds, micros) = (parts.next()??, parts.next()??);
    seconds.checked_mul(1000)?.checked_add(micros / 1000)
}

pub(super) fn array(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

pub(super) fn bytes(value: Value) -> Option<Bytes> {
    match value {
        Value::Bytes(bytes) => Some(bytes),
        Value::String(text) => Some(text.into_inner()),
        Value::Integer(number) => Some(number.to_string().into()),
        _ => None,
    }
}
