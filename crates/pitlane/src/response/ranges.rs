//! Parts of a stored answer (RFC 9110 §14).

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use pitlane_policy::range::{self, Part, Selection};

/// Makes `headers` and the body those of the part that a GET request asks for. `None` where it
/// is answered in full.
pub(crate) fn cut(
    request: &HeaderMap,
    headers: &mut HeaderMap,
    body: &Bytes,
) -> Option<(StatusCode, Bytes)> {
    let length = body.len() as u64;
    match range::select(request, headers, length) {
        Selection::Parts(parts) => {
            let content = match parts.as_slice() {
                [part] => {
                    spare(request, headers);
                    headers.insert(header::CONTENT_RANGE, range::content_range(*part, length));
                    slice(body, *part)
                }
                parts => join(headers, body, parts),
            };
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(content.len()));
            Some((StatusCode::PARTIAL_CONTENT, content))
        }
        Selection::Unsatisfiable => {
            // Nothing of the stored answer's head speaks of this one.
            headers.clear();
            headers.insert(header::CONTENT_RANGE, range::unsatisfied(length));
            Some((StatusCode::RANGE_NOT_SATISFIABLE, Bytes::new()))
        }
        _ => None,
    }
}

/// Who asks by If-Range has the rest, and the description of the whole with it (§15.3.7).
fn spare(request: &HeaderMap, headers: &mut HeaderMap) {
    if request.contains_key(header::IF_RANGE) {
        headers.remove(header::CONTENT_LANGUAGE);
        if headers.contains_key(header::ETAG) {
            headers.remove(header::LAST_MODIFIED);
        }
    }
}

fn slice(body: &Bytes, part: Part) -> Bytes {
    let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    let end = index(part.last).saturating_add(1).min(body.len());
    body.slice(index(part.first).min(end)..end)
}

/// Several parts as one body (§14.6), each with the whole's type.
fn join(headers: &mut HeaderMap, body: &Bytes, parts: &[Part]) -> Bytes {
    let boundary = boundary();
    let kind = headers.remove(header::CONTENT_TYPE);
    let mut out = BytesMut::new();
    for part in parts {
        out.put_slice(b"--");
        out.put_slice(boundary.as_bytes());
        out.put_slice(b"\r\n");
        if let Some(kind) = &kind {
            put_field(&mut out, "Content-Type", kind);
        }
        let said = range::content_range(*part, body.len() as u64);
        put_field(&mut out, "Content-Range", &said);
        out.put_slice(b"\r\n");
        out.put_slice(&slice(body, *part));
        out.put_slice(b"\r\n");
    }
    out.put_slice(b"--");
    out.put_slice(boundary.as_bytes());
    out.put_slice(b"--\r\n");
    let kind = format!("multipart/byteranges; boundary={boundary}");
    if let Ok(kind) = HeaderValue::from_str(&kind) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    out.freeze()
}

fn put_field(out: &mut BytesMut, name: &str, value: &HeaderValue) {
    out.put_slice(name.as_bytes());
    out.put_slice(b": ");
    out.put_slice(value.as_bytes());
    out.put_slice(b"\r\n");
}

/// Text that nobody could have put into a body beforehand: a keyed hash of a number that is
/// never used again, twice 64 bits.
fn boundary() -> String {
    static KEYS: LazyLock<(RandomState, RandomState)> = LazyLock::new(Default::default);
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!(
        "{:016x}{:016x}",
        KEYS.0.hash_one(number),
        KEYS.1.hash_one(!number)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(range: &str, status: u16, content: &[u8]) -> HeaderMap {
        let mut request = HeaderMap::new();
        request.insert(header::RANGE, range.parse().unwrap());
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("10"));
        let body = Bytes::from_static(b"0123456789");
        let (said, cut) = cut(&request, &mut headers, &body).expect("a part");
        assert_eq!((said.as_u16(), &cut[..]), (status, content), "{range}");
        headers
    }

    #[test]
    fn one_part_is_cut_from_the_body_and_said() {
        let headers = check("bytes=2-4", 206, b"234");
        assert_eq!(headers[header::CONTENT_RANGE], "bytes 2-4/10");
        assert_eq!(headers[header::CONTENT_LENGTH], "3");
        let headers = check("bytes=-3", 206, b"789");
        assert_eq!(headers[header::CONTENT_RANGE], "bytes 7-9/10");
        check("bytes=9-", 206, b"9");
    }

    #[test]
    fn nothing_of_the_whole_is_said_with_a_416() {
        let headers = check("bytes=10-", 416, b"");
        assert_eq!(headers[header::CONTENT_RANGE], "bytes */10");
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn several_parts_are_one_body_with_a_boundary_of_their_own() {
        let mut request = HeaderMap::new();
        request.insert(header::RANGE, HeaderValue::from_static("bytes=0-1,8-"));
        let text = |body: &Bytes| String::from_utf8(body.to_vec()).unwrap();
        let mut seen = Vec::new();
        for _ in 0..2 {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            let body = Bytes::from_static(b"0123456789");
            let (status, body) = cut(&request, &mut headers, &body).expect("parts");
            assert_eq!(status, StatusCode::PARTIAL_CONTENT);
            assert_eq!(headers.get(header::CONTENT_RANGE), None);
            assert_eq!(headers[header::CONTENT_LENGTH], body.len().to_string());
            let kind = headers[header::CONTENT_TYPE].to_str().unwrap().to_owned();
            let boundary = kind
                .strip_prefix("multipart/byteranges; boundary=")
                .unwrap();
            let part = |range: &str, content: &str| {
                format!(
                    "--{boundary}\r\nContent-Type: text/plain\r\n\
                     Content-Range: bytes {range}/10\r\n\r\n{content}\r\n"
                )
            };
            let expected = [
                part("0-1", "01"),
                part("8-9", "89"),
                format!("--{boundary}--\r\n"),
            ];
            assert_eq!(text(&body), expected.concat());
            seen.push(kind);
        }
        assert_ne!(seen[0], seen[1]);
    }
}
