use http::{HeaderMap, HeaderName, Uri, header, request::Parts};
use pitlane_core::{Digest, Key, TagId, TagKind};
use smallvec::SmallVec;

use crate::cache::Cache;

/// Bytes of a key; most fit without an allocation.
pub(crate) type KeyBytes = SmallVec<[u8; 256]>;

/// A longer key isn't worth its memory: the request passes.
const MAX_LENGTH: usize = 16 << 10;

/// How deep a path can be invalidated by its prefix.
const MAX_DEPTH: usize = 8;

/// Request headers that frameworks and proxies let change what a URI means. They are part of
/// every key, so that nobody can plant an answer made for another host or scheme.
pub(crate) const FORWARDED: [&str; 8] = [
    "forwarded",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-host",
];

/// A place in the memory tier: the full key and its digest.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) key: KeyBytes,
    pub(crate) digest: Digest,
}

impl Place {
    pub(crate) fn new(cache: &Cache, key: KeyBytes) -> Self {
        let digest = cache.shared().log.hasher().digest_bytes(0, &key);
        Self { key, digest }
    }

    /// The place of one variant: the same key and the values that select it.
    pub(crate) fn variant(&self, cache: &Cache, vary: &[HeaderName], request: &HeaderMap) -> Self {
        let mut key = self.key.clone();
        let mut value = Vec::new();
        push(&mut key, b"vary");
        for name in vary {
            value.clear();
            pitlane_policy::selecting_value(name, request, &mut value);
            push(&mut key, name.as_str().as_bytes());
            push(&mut key, &value);
        }
        Self::new(cache, key)
    }
}

/// What of a request's target is normalised before it is a key.
#[derive(Debug)]
pub(crate) struct Target {
    /// `scheme://host` with the host in lower case, without a default port or a trailing dot.
    pub(crate) origin: KeyBytes,
    /// A Host header that disagrees with the URI's authority.
    pub(crate) other_host: Option<KeyBytes>,
}

impl Target {
    /// `None` when the host is unusable: repeated, with user information, or with characters
    /// that no host has.
    pub(crate) fn of(parts: &Parts) -> Option<Self> {
        let scheme = parts.uri.scheme_str().unwrap_or("http");
        let mut hosts = parts.headers.get_all(header::HOST).iter();
        let header = hosts.next().map(|host| host.as_bytes());
        if hosts.next().is_some() {
            return None;
        }
        let authority = parts
            .uri
            .authority()
            .map(|authority| authority.as_str().as_bytes());
        let host = authority.or(header).unwrap_or_default();
        let mut origin = KeyBytes::new();
        push_lower(&mut origin, scheme.as_bytes());
        origin.extend_from_slice(b"://");
        let start = origin.len();
        normalise_host(scheme, host, &mut origin)?;
        let mut other_host = None;
        if let (Some(_), Some(header)) = (authority, header) {
            let mut other = KeyBytes::new();
            normalise_host(scheme, header, &mut other)?;
            other_host = (origin.get(start..) != Some(&other)).then_some(other);
        }
        Some(Self { origin, other_host })
    }

    /// The URI as invalidations name it: origin, path and query exactly as they came.
    pub(crate) fn uri(&self, path: &str, query: Option<&str>) -> KeyBytes {
        let mut uri = self.origin.clone();
        uri.extend_from_slice(path.as_bytes());
        if let Some(query) = query {
            uri.push(b'?');
            uri.extend_from_slice(query.as_bytes());
        }
        uri
    }
}

impl Target {
    /// The tags that follow from a URI: its cache, itself, every subtree it lies in.
    pub(crate) fn implied_tags(&self, cache: &Cache, uri: &Uri) -> Vec<TagId> {
        let log = &cache.shared().log;
        let name = self.uri(uri.path(), uri.query());
        let mut ids = vec![cache.tag_id(), TagId::of(log.hasher(), TagKind::Uri, &name)];
        let mut key = Key::new(String::from_utf8_lossy(&self.origin));
        ids.push(log.tag_id(TagKind::Subtree, key.path()));
        let segments = uri.path().split('/').filter(|segment| !segment.is_empty());
        for segment in segments.take(MAX_DEPTH) {
            key = key.child(segment);
            ids.push(log.tag_id(TagKind::Subtree, key.path()));
        }
        ids
    }
}

/// The key of a request, `None` when it is too long to be one.
///
/// Every part has its length before it, so that no two tuples of parts are the same bytes. Path
/// and query are raw: `/%61` and `/a` are two keys, because a handler may tell them apart.
pub(crate) fn request_key(
    prefix: [u8; 6],
    target: &Target,
    parts: &Parts,
    forwarded: bool,
    key_headers: &[HeaderName],
    user: Option<&str>,
) -> Option<KeyBytes> {
    let mut key = KeyBytes::new();
    key.extend_from_slice(&prefix);
    key.push(b'r');
    push(&mut key, &target.origin);
    push(&mut key, parts.uri.path().as_bytes());
    // No query and an empty one are two requests.
    push_option(&mut key, parts.uri.query().map(str::as_bytes));
    push_option(&mut key, target.other_host.as_deref());
    push_option(&mut key, user.map(str::as_bytes));
    if forwarded {
        for name in FORWARDED {
            push_header(&mut key, name, parts.headers.get_all(name));
        }
    }
    for name in key_headers {
        push_header(&mut key, name.as_str(), parts.headers.get_all(name));
    }
    (key.len() <= MAX_LENGTH).then_some(key)
}

fn push_header(key: &mut KeyBytes, name: &str, values: header::GetAll<'_, header::HeaderValue>) {
    for value in values {
        push(key, name.as_bytes());
        push(key, value.as_bytes());
    }
}

fn push(key: &mut KeyBytes, part: &[u8]) {
    let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
    key.extend_from_slice(&length.to_be_bytes());
    key.extend_from_slice(part);
}

fn push_option(key: &mut KeyBytes, part: Option<&[u8]>) {
    key.push(u8::from(part.is_some()));
    push(key, part.unwrap_or_default());
}

fn push_lower(key: &mut KeyBytes, part: &[u8]) {
    key.extend(part.iter().map(u8::to_ascii_lowercase));
}

fn normalise_host(scheme: &str, host: &[u8], out: &mut KeyBytes) -> Option<()> {
    let port: &[u8] = if scheme.eq_ignore_ascii_case("https") {
        b":443"
    } else {
        b":80"
    };
    let host = host.strip_suffix(port).unwrap_or(host);
    let host = host.strip_suffix(b":").unwrap_or(host);
    let host = host.strip_suffix(b".").unwrap_or(host);
    let usable = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']')
    };
    if !host.iter().all(usable) {
        return None;
    }
    push_lower(out, host);
    Some(())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn key(uri: &str, headers: &[(&str, &str)]) -> Option<KeyBytes> {
        let parts = parts(uri, headers);
        let target = Target::of(&parts)?;
        request_key([0; 6], &target, &parts, true, &[], None)
    }

    #[track_caller]
    fn check_same(a: (&str, &[(&str, &str)]), b: (&str, &[(&str, &str)]), same: bool) {
        assert_eq!(
            key(a.0, a.1).unwrap() == key(b.0, b.1).unwrap(),
            same,
            "{a:?} {b:?}"
        );
    }

    #[test]
    fn hosts_are_compared_as_hosts() {
        let host = |host| [("host", host)];
        check_same(("/", &host("a.org")), ("/", &host("A.ORG:80")), true);
        check_same(("/", &host("a.org")), ("/", &host("a.org.")), true);
        check_same(("/", &host("a.org")), ("http://a.org/", &[]), true);
        check_same(
            ("/", &host("a.org")),
            ("http://a.org/", &host("a.org")),
            true,
        );
        check_same(
            ("/", &host("a.org")),
            ("http://a.org/", &host("b.org")),
            false,
        );
        check_same(("/", &host("a.org")), ("/", &host("a.org:8080")), false);
        check_same(("/", &host("a.org")), ("https://a.org/", &[]), false);
        check_same(("https://a.org:443/", &[]), ("https://a.org/", &[]), true);
        check_same(("https://a.org:80/", &[]), ("https://a.org/", &[]), false);
    }

    #[test]
    fn an_unusable_host_is_no_key() {
        assert_eq!(key("/", &[("host", "a.org"), ("host", "b.org")]), None);
        assert_eq!(key("/", &[("host", "u@a.org")]), None);
        assert_eq!(key("/", &[("host", "a.org/x")]), None);
        assert_eq!(key("http://u:p@a.org/", &[]), None);
    }

    #[test]
    fn targets_are_raw_and_parts_never_run_together() {
        for (a, b) in [
            ("/a?b", "/a%3Fb"),
            ("/a", "/%61"),
            ("/a", "/a?"),
            ("/a//b", "/a/b"),
            ("/a?x=1;y=2", "/a?x=1&y=2"),
            ("/a?x=1&x=2", "/a?x=2&x=1"),
            ("/A", "/a"),
        ] {
            check_same((a, &[]), (b, &[]), false);
        }
    }

    #[test]
    fn forwarding_headers_are_keyed() {
        for name in FORWARDED {
            check_same(("/", &[]), ("/", &[(name, "evil")]), false);
            check_same(
                ("/", &[(name, "a"), (name, "b")]),
                ("/", &[(name, "ab")]),
                false,
            );
        }
        let swapped = [("x-host", "a"), ("forwarded", "b")];
        check_same(
            ("/", &swapped),
            ("/", &[("forwarded", "b"), ("x-host", "a")]),
            true,
        );
    }

    #[test]
    fn a_key_has_a_bound() {
        let long = format!("/{}", "x".repeat(17_000));
        assert_eq!(key(&long, &[]), None);
    }
}
