//! Answers as bytes: what a cache keeps of a call, and what is believed of it.
//!
//! The bytes may come from Redis: decoding is total, bounded by what is there, and takes nothing
//! for an answer that this module would not have written.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::message::Framing;

/// The layout, first of all bytes.
const FORMAT: u8 = 1;
/// More fields than an answer has.
const MAX_FIELDS: usize = 512;

pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(crate) const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
pub(crate) const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// The answer to a unary call that went well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) head: HeaderMap,
    /// One message with its prefix.
    pub(crate) message: Bytes,
    pub(crate) trailers: HeaderMap,
}

/// Bytes that are no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// They are damaged.
    Corrupt,
    /// Another version may read them.
    Format,
}

/// An answer for the cache; `None` when it has more fields than are kept.
pub(crate) fn encode(head: &HeaderMap, trailers: &HeaderMap, message: &[Bytes]) -> Option<Bytes> {
    let length = message.iter().map(Bytes::len).sum::<usize>();
    let mut out = Vec::with_capacity(1 + room(head) + room(trailers) + length);
    out.push(FORMAT);
    for fields in [head, trailers] {
        if fields.len() > MAX_FIELDS {
            return None;
        }
        write_fields(&mut out, fields);
    }
    for piece in message {
        out.extend_from_slice(piece);
    }
    Some(out.into())
}

/// The answer that `bytes` hold. It shares their memory.
pub(crate) fn decode(bytes: &Bytes) -> Result<Reply, Unreadable> {
    let mut rest = bytes.clone();
    match take::<1>(&mut rest) {
        Some([FORMAT]) => {}
        Some(_) => return Err(Unreadable::Format),
        None => return Err(Unreadable::Corrupt),
    }
    read(rest).ok_or(Unreadable::Corrupt)
}

fn read(mut rest: Bytes) -> Option<Reply> {
    // One more is set on every hit.
    let head = read_fields(&mut rest, 1)?;
    let trailers = read_fields(&mut rest, 0)?;
    let mut framing = Framing::default();
    framing.add(&rest, u64::MAX).ok()?;
    (framing.is_whole() && is_ok(&trailers)).then_some(Reply {
        head,
        message: rest,
        trailers,
    })
}

/// Whether trailers say that the call went well.
pub(crate) fn is_ok(trailers: &HeaderMap) -> bool {
    let mut statuses = trailers.get_all(GRPC_STATUS).iter();
    statuses.next().is_some_and(|status| status == "0") && statuses.next().is_none()
}

fn room(fields: &HeaderMap) -> usize {
    let field = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 9;
    2 + fields.iter().map(field).sum::<usize>()
}

fn write_fields(out: &mut Vec<u8>, fields: &HeaderMap) {
    let count = u16::try_from(fields.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&count.to_le_bytes());
    for (name, value) in fields {
        push(out, name.as_str().as_bytes());
        out.push(u8::from(value.is_sensitive()));
        push(out, value.as_bytes());
    }
}

fn read_fields(rest: &mut Bytes, more: usize) -> Option<HeaderMap> {
    let count = usize::from(u16::from_le_bytes(take(rest)?));
    if count > MAX_FIELDS {
        return None;
    }
    // The shortest field takes ten bytes: nothing is allocated that can't be there.
    let mut fields = HeaderMap::with_capacity(count.min(rest.len() / 10) + more);
    for _ in 0..count {
        let name = name(&pull(rest)?)?;
        let [sensitive @ (0 | 1)] = take(rest)? else {
            return None;
        };
        // Refuses CR, LF and NUL: a value from outside can't split a header section.
        let mut value = HeaderValue::from_maybe_shared(pull(rest)?).ok()?;
        value.set_sensitive(sensitive == 1);
        fields.try_append(name, value).ok()?;
    }
    Some(fields)
}

/// A name that nearly every answer has needs no memory of its own.
fn name(bytes: &[u8]) -> Option<HeaderName> {
    for known in [GRPC_STATUS, GRPC_ENCODING, GRPC_ACCEPT_ENCODING] {
        if known.as_str().as_bytes() == bytes {
            return Some(known);
        }
    }
    HeaderName::from_bytes(bytes).ok()
}

fn push(out: &mut Vec<u8>, part: &[u8]) {
    let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(part);
}

fn pull(rest: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(u32::from_le_bytes(take(rest)?)).ok()?;
    (length <= rest.len()).then(|| rest.split_to(length))
}

fn take<const N: usize>(rest: &mut Bytes) -> Option<[u8; N]> {
    let taken = *rest.first_chunk::<N>()?;
    *rest = rest.slice(N..);
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        pairs.iter().map(field).collect()
    }

    fn reply() -> Reply {
        let mut head = fields(&[("content-type", "application/grpc"), ("x-a-bin", "AAEC")]);
        head.append("x-a-bin", HeaderValue::from_static("/w"));
        let mut secret = HeaderValue::from_static("s");
        secret.set_sensitive(true);
        head.insert("x-secret", secret);
        Reply {
            head,
            message: Bytes::from_static(b"\0\0\0\0\x03abc"),
            trailers: fields(&[("grpc-status", "0"), ("x-cost", "7")]),
        }
    }

    fn encoded(reply: &Reply) -> Bytes {
        encode(
            &reply.head,
            &reply.trailers,
            std::slice::from_ref(&reply.message),
        )
        .unwrap()
    }

    #[test]
    fn an_answer_comes_back_with_every_value_in_its_order() {
        let reply = reply();
        let back = decode(&encoded(&reply)).unwrap();
        assert_eq!(back, reply);
        let values: Vec<_> = back.head.get_all("x-a-bin").iter().collect();
        assert_eq!(values, ["AAEC", "/w"]);
        assert!(back.head["x-secret"].is_sensitive());
        assert!(!back.head["content-type"].is_sensitive());
    }

    #[test]
    fn a_message_in_pieces_is_one() {
        let reply = reply();
        let pieces = [reply.message.slice(..2), reply.message.slice(2..)];
        let bytes = encode(&reply.head, &reply.trailers, &pieces).unwrap();
        assert_eq!(bytes, encoded(&reply));
    }

    #[test]
    fn no_prefix_of_an_answer_is_one_and_nothing_may_follow_it() {
        let whole = encoded(&reply());
        for end in 0..whole.len() {
            assert_eq!(
                decode(&whole.slice(..end)),
                Err(Unreadable::Corrupt),
                "{end}"
            );
        }
        let longer = [&whole[..], b"x"].concat();
        assert_eq!(decode(&longer.into()), Err(Unreadable::Corrupt));
    }

    #[test]
    fn another_format_is_unreadable_and_not_corrupt() {
        let mut bytes = encoded(&reply()).to_vec();
        bytes[0] = 2;
        assert_eq!(decode(&bytes.into()), Err(Unreadable::Format));
    }

    #[test]
    fn any_changed_byte_gives_an_answer_that_went_well_or_none() {
        let whole = encoded(&reply());
        for at in 0..whole.len() {
            for flip in 1..=255_u8 {
                let mut bytes = whole.to_vec();
                bytes[at] ^= flip;
                let Ok(back) = decode(&bytes.into()) else {
                    continue;
                };
                assert!(is_ok(&back.trailers), "byte {at} with {flip}");
                let values = back.head.values().chain(back.trailers.values());
                for value in values {
                    let split = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
                    assert!(!value.as_bytes().iter().any(split), "byte {at} with {flip}");
                }
            }
        }
    }

    #[track_caller]
    fn check_no_answer(trailers: &[(&'static str, &'static str)], message: &'static [u8]) {
        let head = HeaderMap::new();
        let message = [Bytes::from_static(message)];
        let bytes = encode(&head, &fields(trailers), &message).unwrap();
        assert_eq!(decode(&bytes), Err(Unreadable::Corrupt), "{trailers:?}");
    }

    #[test]
    fn what_is_never_stored_is_not_believed() {
        let message = b"\0\0\0\0\x01a";
        check_no_answer(&[("grpc-status", "5")], message);
        check_no_answer(&[("grpc-status", "0"), ("grpc-status", "0")], message);
        check_no_answer(&[], message);
        check_no_answer(&[("grpc-status", "0")], b"\0\0\0\0\x01ab");
        check_no_answer(&[("grpc-status", "0")], b"\x07\0\0\0\x01a");
        check_no_answer(&[("grpc-status", "0")], b"");
    }

    #[test]
    fn a_count_of_fields_that_are_not_there_is_refused() {
        let claims = [&[FORMAT][..], &u16::MAX.to_le_bytes(), &[0; 64]].concat();
        assert_eq!(decode(&claims.into()), Err(Unreadable::Corrupt));
        let lengths = [&[FORMAT][..], &[1, 0], &u32::MAX.to_le_bytes(), &[0; 64]].concat();
        assert_eq!(decode(&lengths.into()), Err(Unreadable::Corrupt));
    }

    #[test]
    fn more_fields_than_are_kept_make_no_answer() {
        let mut head = HeaderMap::new();
        for _ in 0..=MAX_FIELDS {
            head.append("x-a", HeaderValue::from_static("1"));
        }
        assert_eq!(encode(&head, &HeaderMap::new(), &[]), None);
    }
}
