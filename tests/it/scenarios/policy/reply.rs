//! Answers from what is stored, and what they tell of where they come from.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, header};
use pitlane_policy::{
    conditional::{self, Precondition},
    range::{self, Selection},
};

use crate::scenarios::expect::Came;

/// A stored answer.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What Cache-Status says (RFC 9211).
#[derive(Clone, Debug)]
pub(super) enum Told {
    Hit {
        ttl: i64,
        detail: &'static str,
    },
    /// And why it was not used as it was.
    Validated(&'static str),
    Forward(String),
}

impl Told {
    pub(super) fn stored(why: &str) -> Self {
        let detail = if why == "stale" { "expired" } else { why };
        Self::Forward(format!("fwd={why}; stored; detail={detail}"))
    }

    pub(super) fn refused(why: &str, detail: &str) -> Self {
        Self::Forward(format!("fwd={why}; detail={detail}"))
    }

    pub(super) fn onto(&self, mut came: Came) -> Came {
        self.write(&mut came.headers);
        came
    }

    pub(super) fn write(&self, headers: &mut HeaderMap) {
        let told = match self {
            Self::Hit { ttl, detail } => format!("pitlane; hit; ttl={ttl}; detail={detail}"),
            Self::Validated(why) => {
                format!("pitlane; fwd={why}; fwd-status=304; stored; detail=validated")
            }
            Self::Forward(told) => format!("pitlane; {told}"),
        };
        headers.append("cache-status", told.parse().expect("a field value"));
    }
}

/// A stored answer as this request gets it (RFC 9110 §13.2.2).
pub(super) fn from_store(stored: &Stored, method: &Method, request: &HeaderMap) -> Came {
    let mut came = Came {
        status: stored.status,
        headers: stored.headers.clone(),
        body: stored.body.clone(),
        cut: false,
    };
    if matches!(stored.status, 200..=299) {
        let etag = stored.headers.get(header::ETAG);
        // Where nothing says when it changed, what counts is when it was made (RFC 9111 §4.3.2).
        let modified = stored.headers.get(header::LAST_MODIFIED);
        let modified = modified.or_else(|| stored.headers.get(header::DATE));
        match conditional::evaluate(method, request, etag, modified) {
            Precondition::NotModified => {
                came.status = 304;
                came.headers = conditional::not_modified_headers(&stored.headers);
                came.body = Bytes::new();
            }
            Precondition::Failed => (came.status, came.body) = (412, Bytes::new()),
            Precondition::Proceed if stored.status == 200 && *method == Method::GET => {
                cut(&mut came, request)
            }
            Precondition::Proceed => {}
        }
    }
    if *method == Method::HEAD {
        came.body = Bytes::new();
    }
    came
}

fn cut(came: &mut Came, request: &HeaderMap) {
    let whole = std::mem::take(&mut came.body);
    let length = whole.len() as u64;
    let at = |byte: u64| usize::try_from(byte).expect("within a body");
    match range::select(request, &came.headers, length) {
        Selection::Parts(parts) => {
            came.status = 206;
            came.body = match parts.as_slice() {
                [part] => {
                    let said = range::content_range(*part, length);
                    came.headers.insert(header::CONTENT_RANGE, said);
                    whole.slice(at(part.first)..=at(part.last))
                }
                parts => {
                    let kind = HeaderValue::from_static("multipart/byteranges; boundary=THERE");
                    came.headers.insert(header::CONTENT_TYPE, kind);
                    let mut joined = BytesMut::new();
                    for part in parts {
                        joined.put_slice(b"--THERE\r\nContent-Range: ");
                        joined.put_slice(range::content_range(*part, length).as_bytes());
                        joined.put_slice(b"\r\n\r\n");
                        joined.put_slice(&whole.slice(at(part.first)..=at(part.last)));
                        joined.put_slice(b"\r\n");
                    }
                    joined.put_slice(b"--THERE--\r\n");
                    joined.freeze()
                }
            };
            let length = HeaderValue::from(came.body.len());
            came.headers.insert(header::CONTENT_LENGTH, length);
        }
        Selection::Unsatisfiable => {
            came.status = 416;
            came.headers.clear();
            let said = range::unsatisfied(length);
            came.headers.insert(header::CONTENT_RANGE, said);
        }
        _ => came.body = whole,
    }
}

/// The origin's answer; without one, what a gateway says.
pub(super) fn forwarded(answer: Option<Came>) -> Came {
    answer.unwrap_or_else(|| alone(502))
}

pub(super) fn only_if_cached() -> Came {
    Told::refused("request", "only-if-cached").onto(alone(504))
}

fn alone(status: u16) -> Came {
    Came {
        status,
        headers: HeaderMap::new(),
        body: Bytes::new(),
        cut: false,
    }
}
