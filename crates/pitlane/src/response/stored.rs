use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use http_body::Body;
use pitlane_policy::{
    conditional::{self, Precondition},
    hop,
};

use super::{
    body::ResponseBody,
    decorate::Decorated,
    forms::{self, Forms, Shown},
    ranges,
    status::{CACHE_STATUS, Telling, seconds},
};

/// A response as the memory tier holds it: ready to serve, with room in its headers for the two
/// that differ from hit to hit.
#[derive(Clone, Debug)]
pub(crate) struct StoredResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    /// A cache nearer to the origin has told its part already.
    told_before: bool,
    ours: Ours,
    forms: Forms,
}

/// What of a stored head is not the inner service's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ours {
    /// The layer made the entity tag.
    pub(crate) etag: bool,
    pub(crate) decorated: Decorated,
}

impl Ours {
    const ETAG: u8 = 1;

    /// As one byte, for other nodes.
    pub(crate) const fn bits(self) -> u8 {
        let etag = if self.etag { Self::ETAG } else { 0 };
        etag | self.decorated.bits() << 1
    }

    /// `None` for bits that mean nothing.
    pub(crate) const fn from_bits(bits: u8) -> Option<Self> {
        match Decorated::from_bits(bits >> 1) {
            Some(decorated) => Some(Self {
                etag: bits & Self::ETAG != 0,
                decorated,
            }),
            None => None,
        }
    }
}

impl StoredResponse {
    /// Prepares a complete response for storing. `headers` are the end-to-end ones.
    pub(crate) fn new(
        status: StatusCode,
        mut headers: HeaderMap,
        body: Bytes,
        tell: bool,
        decorated: Decorated,
        etag: Option<HeaderValue>,
    ) -> Self {
        for value in headers.values_mut() {
            // A value from a connection is a slice of its read buffer, and would keep all of it.
            *value = owned(value);
        }
        let ours = Ours {
            etag: !headers.contains_key(header::ETAG) && !body.is_empty(),
            decorated,
        };
        if ours.etag {
            let etag = etag.unwrap_or_else(|| entity_tag(&headers, &body));
            headers.insert(header::ETAG, etag);
        }
        declare_length(&mut headers, status, body.len());
        let told_before = headers.contains_key(&CACHE_STATUS);
        // Placeholders: a hit replaces them without growing the map.
        headers.insert(header::AGE, HeaderValue::from_static("0"));
        if tell && !told_before {
            headers.insert(CACHE_STATUS, HeaderValue::from_static("pitlane"));
        }
        Self {
            status,
            headers,
            body,
            told_before,
            ours,
            forms: Forms::default(),
        }
    }

    /// A response as it came back from the remote tier: it was prepared once already.
    pub(crate) fn restored(
        status: StatusCode,
        mut headers: HeaderMap,
        body: Bytes,
        ours: Ours,
    ) -> Self {
        let told_before = headers.contains_key(&CACHE_STATUS);
        declare_length(&mut headers, status, body.len());
        headers.insert(header::AGE, HeaderValue::from_static("0"));
        Self {
            status,
            headers,
            body,
            told_before,
            ours,
            forms: Forms::default(),
        }
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }

    /// The fields that are the answer's own: not what a hit sets anew.
    pub(crate) fn own_headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        let told_before = self.told_before;
        self.headers.iter().filter(move |(name, _)| {
            *name != header::AGE
                && *name != header::CONTENT_LENGTH
                && (told_before || **name != CACHE_STATUS)
        })
    }

    pub(crate) const fn ours(&self) -> Ours {
        self.ours
    }

    /// The layer's own entity tag, if it would be the same under other headers.
    pub(crate) fn own_tag(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let same = |name| self.headers.get(name) == headers.get(name);
        let kept = self.ours.etag && TAGGED.iter().all(same);
        self.headers.get(header::ETAG).filter(|_| kept).cloned()
    }

    /// Whether the inner service can be asked if this is still right. An entity tag that the
    /// layer made means nothing to it.
    pub(crate) fn has_validator(&self) -> bool {
        // Only what answers 2xx is judged by preconditions (RFC 9110 §13.2.1): a 304 would speak of
        // another answer.
        self.status.is_success()
            && !self.ours.decorated.is_rewritten()
            && (self.headers.contains_key(header::ETAG) && !self.ours.etag
                || self.headers.contains_key(header::LAST_MODIFIED))
    }

    /// The head as the inner service gave it.
    pub(crate) fn given_head(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        hop::retain(&mut headers, |name| {
            *name != header::AGE
                && *name != header::CONTENT_LENGTH
                && (self.told_before || *name != CACHE_STATUS)
                && !(self.ours.etag && *name == header::ETAG)
        });
        self.ours.decorated.undo(&mut headers);
        headers
    }

    /// The answer to a request from this entry.
    pub(crate) fn serve<R: Body>(&self, ask: &Serve<'_>) -> Response<ResponseBody<R>> {
        let shown = match ask.accept {
            Some(accept) => self.forms.show(&self.headers, accept),
            None => Shown::Plain,
        };
        let (own, content) = match &shown {
            Shown::Coded(form) => (&form.headers, &form.body),
            Shown::Own(Some(headers)) => (*headers, &self.body),
            Shown::Own(None) | Shown::Plain => (&self.headers, &self.body),
        };
        let mut headers = None;
        let mut status = self.status;
        let mut full = !ask.head;
        let mut part = None;
        if let Some(request) = ask.conditional.filter(|_| self.status.is_success()) {
            let etag = own.get(header::ETAG);
            // RFC 9111 §4.3.2: where nothing says when it changed, what counts is when it was made.
            let modified = own.get(header::LAST_MODIFIED);
            // That doesn't hold for If-Unmodified-Since.
            let made = || {
                let guarded = request.contains_key(header::IF_UNMODIFIED_SINCE);
                own.get(header::DATE).filter(|_| !guarded)
            };
            let modified = modified.or_else(made);
            // What is answered from here is only asked for, by whatever method.
            match conditional::evaluate(&Method::GET, request, etag, modified) {
                Precondition::NotModified => {
                    status = StatusCode::NOT_MODIFIED;
                    full = false;
                    headers = Some(conditional::not_modified_headers(own));
                }
                Precondition::Failed => {
                    status = StatusCode::PRECONDITION_FAILED;
                    full = false;
                    headers = Some(HeaderMap::new());
                }
                _ if full
                    && self.status == StatusCode::OK
                    && request.contains_key(header::RANGE) =>
                {
                    let mut whole = own.clone();
                    part = ranges::cut(request, &mut whole, content);
                    headers = Some(whole);
                }
                _ => {}
            }
        }
        let mut headers = headers.unwrap_or_else(|| own.clone());
        if matches!(shown, Shown::Own(None)) {
            forms::add_vary(&mut headers);
        }
        replace(&mut headers, &header::AGE, seconds(ask.age));
        if let Some(telling) = ask.telling {
            if self.told_before {
                telling.write(&mut headers);
            } else if let Some(value) = telling.value() {
                replace(&mut headers, &CACHE_STATUS, value);
            }
        }
        let body = match part {
            Some((partial, content)) => {
                status = partial;
                content
            }
            None if full => content.clone(),
            None => Bytes::new(),
        };
        let mut response = Response::new(ResponseBody::full(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    pub(crate) const fn body(&self) -> &Bytes {
        &self.body
    }

    pub(crate) const fn forms(&self) -> &Forms {
        &self.forms
    }

    pub(crate) const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// What it takes in memory, in bytes.
    pub(crate) fn weight(&self) -> usize {
        // A header map keeps about 104 bytes a field and an index of 4 bytes a slot beside it.
        // A value, and a name that is not a standard one, is an allocation of its own with a
        // counter in another: measured, they take about 96 bytes more than their text.
        let fields = self.headers.capacity() * 112 + self.headers.len() * 96;
        let text: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        fields + text + self.body.len() + self.forms.weight()
    }
}

/// What matters for serving an entry to one request.
#[derive(Debug)]
pub(crate) struct Serve<'a> {
    pub(crate) head: bool,
    /// The headers of a request with preconditions.
    pub(crate) conditional: Option<&'a HeaderMap>,
    /// The headers of a request that may get an encoded form.
    pub(crate) accept: Option<&'a HeaderMap>,
    /// Age in seconds.
    pub(crate) age: u64,
    pub(crate) telling: Option<Telling>,
}

/// Every answer but a 204 says how long it is (RFC 9110 §8.6).
fn declare_length(headers: &mut HeaderMap, status: StatusCode, length: usize) {
    if status == StatusCode::NO_CONTENT {
        headers.remove(header::CONTENT_LENGTH);
    } else {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}

fn owned(value: &HeaderValue) -> HeaderValue {
    if let Some(common) = COMMON.iter().find(|common| value == *common) {
        return HeaderValue::from_static(common);
    }
    let mut copy = HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone());
    copy.set_sensitive(value.is_sensitive());
    copy
}

/// A value from outside; `None` when it has bytes that no field may have.
pub(crate) fn header_value(bytes: &[u8]) -> Option<HeaderValue> {
    match COMMON.iter().find(|common| common.as_bytes() == bytes) {
        Some(common) => Some(HeaderValue::from_static(common)),
        None => HeaderValue::from_bytes(bytes).ok(),
    }
}

/// Values that many answers have: they need no memory of their own, and a hit copies them without
/// counting references.
const COMMON: [&str; 28] = [
    "*",
    "1; mode=block",
    "Accept-Encoding",
    "DENY",
    "SAMEORIGIN",
    "application/javascript",
    "application/json",
    "br",
    "bytes",
    "en",
    "gzip",
    "image/jpeg",
    "image/png",
    "image/svg+xml",
    "image/webp",
    "max-age=31536000",
    "max-age=31536000; includeSubDomains",
    "max-age=60",
    "no-referrer",
    "nosniff",
    "public, max-age=0, must-revalidate",
    "same-origin",
    "strict-origin-when-cross-origin",
    "text/css; charset=utf-8",
    "text/html",
    "text/html; charset=utf-8",
    "text/javascript; charset=utf-8",
    "text/plain; charset=utf-8",
];

/// Sets a field that is there already. `HeaderMap::insert` makes room first, even to replace.
fn replace(headers: &mut HeaderMap, name: &HeaderName, value: HeaderValue) {
    match headers.get_mut(name) {
        Some(there) => *there = value,
        None => drop(headers.insert(name, value)),
    }
}

/// What beside the body an entity tag of the layer's covers.
static TAGGED: [HeaderName; 2] = [header::CONTENT_TYPE, header::CONTENT_ENCODING];

/// A strong entity tag over what a client would see: the content and how it is coded.
fn entity_tag(headers: &HeaderMap, body: &[u8]) -> HeaderValue {
    let mut hasher = blake3::Hasher::new();
    for name in &TAGGED {
        let value = headers.get(name).map_or(&[][..], HeaderValue::as_bytes);
        hasher.update(&value.len().to_be_bytes());
        hasher.update(value);
    }
    hasher.update(body);
    let hex = hasher.finalize().to_hex();
    let text = format!("\"{}\"", hex.get(..32).unwrap_or_default());
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}
