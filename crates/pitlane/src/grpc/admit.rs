//! From a call to its key: what may be answered by another call's answer.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method as HttpMethod, Uri, Version, header, request::Parts,
    uri,
};
use pitlane_core::Reason;

use super::{
    layer::{Method, Settings},
    reply::{GRPC_ACCEPT_ENCODING, GRPC_ENCODING},
};

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// What clients send by themselves and answers don't depend on. The handler doesn't see it.
static HIDDEN: [HeaderName; 6] = [
    header::USER_AGENT,
    header::ACCEPT_ENCODING,
    header::CONTENT_LENGTH,
    GRPC_TIMEOUT,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

/// What belongs to the call itself. All of it is in the key, or the same for all calls of a key.
static TRANSPORT: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::TE,
    header::HOST,
    GRPC_ENCODING,
    GRPC_ACCEPT_ENCODING,
];

/// A key with more than this in it is made up.
const MAX_KEY: usize = 8 << 10;

/// What of a call's head goes into its key.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    key: Vec<u8>,
    pub(crate) codings: Codings,
}

impl Admitted {
    /// The key of a call with such a message.
    pub(crate) fn key(mut self, message: &blake3::Hash) -> Vec<u8> {
        self.key.extend_from_slice(message.as_bytes());
        self.key
    }
}

/// The codings that a client takes beside none at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Codings(u8);

impl Codings {
    const NAMES: [&str; 3] = ["deflate", "gzip", "zstd"];

    /// Those with a name that is known. An answer in another one could not be asked for.
    fn accepted(headers: &HeaderMap) -> Self {
        let values = headers.get_all(GRPC_ACCEPT_ENCODING).iter();
        let named = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| Self::NAMES.iter().position(|known| *known == name.trim()));
        Self(named.fold(0, |all, number| all | 1 << number))
    }

    /// Whether an answer in this coding can be read.
    pub(crate) fn admit(self, coding: Option<&HeaderValue>) -> bool {
        let Some(coding) = coding.filter(|coding| *coding != "identity") else {
            return true;
        };
        let number = Self::NAMES.iter().position(|known| coding == known);
        number.is_some_and(|number| self.0 & 1 << number != 0)
    }

    /// As a field: the same for all calls of one key.
    fn value(self) -> Option<HeaderValue> {
        let names = Self::NAMES.iter().enumerate();
        let named = names.filter(|(number, _)| self.0 & 1 << number != 0);
        let list: Vec<_> = named.map(|(_, name)| *name).collect();
        (self.0 != 0).then(|| HeaderValue::from_str(&list.join(",")).ok())?
    }
}

/// Judges the head of a call of a named method.
///
/// `prefix` begins every key of the cache.
pub(crate) fn admit(
    settings: &Settings,
    method: &Method,
    parts: &Parts,
) -> Result<Admitted, Reason> {
    let content_type = check_call(parts)?;
    check_metadata(settings, &parts.headers)?;
    let codings = Codings::accepted(&parts.headers);
    let mut key = Vec::with_capacity(192);
    key.extend_from_slice(&settings.cache.key_prefix());
    key.push(b'g');
    push(&mut key, method.path.as_bytes());
    push(&mut key, content_type.as_bytes());
    key.push(codings.0);
    push_values(&mut key, &parts.headers, &GRPC_ENCODING);
    key.push(u8::from(settings.any_authority));
    if !settings.any_authority {
        push(
            &mut key,
            parts.uri.scheme_str().unwrap_or_default().as_bytes(),
        );
        push(&mut key, &authority(parts)?.to_ascii_lowercase());
    }
    for name in &settings.keyed {
        push(&mut key, name.as_str().as_bytes());
        push_values(&mut key, &parts.headers, name);
    }
    if key.len() > MAX_KEY {
        return Err(Reason::KeyTooLong);
    }
    Ok(Admitted { key, codings })
}

/// Takes out of a call what is not in its key.
pub(crate) fn hide_unkeyed(settings: &Settings, parts: &mut Parts, codings: Codings) {
    let headers = &mut parts.headers;
    for name in HIDDEN.iter().chain(&settings.harmless) {
        if !settings.keyed.contains(name) {
            headers.remove(name);
        }
    }
    match codings.value() {
        Some(value) => headers.insert(GRPC_ACCEPT_ENCODING, value),
        None => headers.remove(GRPC_ACCEPT_ENCODING),
    };
    if settings.any_authority {
        headers.remove(header::HOST);
        if let Some(path) = parts.uri.path_and_query().cloned() {
            let mut unnamed = uri::Parts::default();
            unnamed.path_and_query = Some(path);
            parts.uri = Uri::from_parts(unnamed).unwrap_or_default();
        }
    }
}

/// Whether a call is gRPC as it should be; its content type.
fn check_call(parts: &Parts) -> Result<&HeaderValue, Reason> {
    let content_type = single(&parts.headers, &header::CONTENT_TYPE)?;
    let is_call = parts.version >= Version::HTTP_2
        && parts.method == HttpMethod::POST
        && parts.uri.query().is_none()
        && content_type.is_some_and(is_grpc)
        && single(&parts.headers, &header::TE)?.is_none_or(|te| te == "trailers")
        && single(&parts.headers, &GRPC_ENCODING).is_ok();
    content_type.filter(|_| is_call).ok_or(Reason::NotGrpc)
}

/// Whether a content type is that of framed messages with trailers; gRPC-Web's is another.
pub(crate) fn is_grpc(content_type: &HeaderValue) -> bool {
    let rest = content_type.as_bytes().strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

fn check_metadata(settings: &Settings, headers: &HeaderMap) -> Result<(), Reason> {
    let credentials = [header::AUTHORIZATION, header::PROXY_AUTHORIZATION];
    if credentials.iter().any(|name| headers.contains_key(name)) {
        return Err(Reason::Authorization);
    }
    if headers.contains_key(header::COOKIE) {
        return Err(Reason::Cookie);
    }
    let is_known = |name: &HeaderName| {
        [&TRANSPORT[..], &HIDDEN, &settings.keyed, &settings.harmless]
            .iter()
            .any(|names| names.contains(name))
    };
    if headers.keys().all(is_known) {
        Ok(())
    } else {
        Err(Reason::Metadata)
    }
}

/// By what name the server was called; one that is said twice differently is refused.
fn authority(parts: &Parts) -> Result<&[u8], Reason> {
    let host = single(&parts.headers, &header::HOST)
        .map_err(|_| Reason::Host)?
        .map(HeaderValue::as_bytes);
    let authority = parts.uri.authority().map(|name| name.as_str().as_bytes());
    match (authority, host) {
        (Some(authority), Some(host)) if authority != host => Err(Reason::Host),
        (authority, host) => Ok(authority.or(host).unwrap_or_default()),
    }
}

/// A field that may be there once.
fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, Reason> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(Reason::NotGrpc),
    }
}

fn push_values(key: &mut Vec<u8>, headers: &HeaderMap, name: &HeaderName) {
    let values = headers.get_all(name);
    push_number(key, values.iter().count());
    for value in values {
        push(key, value.as_bytes());
    }
}

fn push(key: &mut Vec<u8>, part: &[u8]) {
    push_number(key, part.len());
    key.extend_from_slice(part);
}

fn push_number(key: &mut Vec<u8>, number: usize) {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    key.extend_from_slice(&number.to_be_bytes());
}
