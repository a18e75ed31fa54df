use std::cell::Cell;

use super::options::SwapOf;
use crate::cache::Cache;
pub(crate) use crate::cache::Place;
use http::{HeaderMap, HeaderName, Method, Uri, Version, header};
use pitlane_core::{Key, Reason, Tag, TagId, TagKind};

/// Bytes of a key.
pub(crate) type KeyBytes = Vec<u8>;

/// A longer key isn't worth its memory: the request passes.
const MAX_LENGTH: usize = 16 << 10;

/// How deep a path can be invalidated by its prefix.
const MAX_DEPTH: usize = 8;

/// Request headers that frameworks and proxies let change what a URI means. They are part of
/// every key, so that nobody can plant an answer made for another host or scheme.
pub(crate) const FORWARDED: [&str; 10] = [
    "forwarded",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-host",
    "x-http-host-override",
    "x-original-host",
];

impl Place {
    /// The place of one variant of `key`: the same key and the values that select it.
    pub(crate) fn variant(
        cache: &Cache,
        key: &[u8],
        vary: &[HeaderName],
        request: &HeaderMap,
    ) -> Self {
        let mut key = key.to_vec();
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

/// The Host header of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Host<'a> {
    pub(crate) value: Option<&'a [u8]>,
    /// There are several: none of them can be trusted.
    pub(crate) repeated: bool,
}

impl<'a> Host<'a> {
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let mut values = headers
            .get_all(header::HOST)
            .iter()
            .map(|host| host.as_bytes());
        Self {
            value: values.next(),
            repeated: values.next().is_some(),
        }
    }
}

/// What of a request's target is normalised before it is a name for invalidations.
///
/// Names have no scheme: over HTTP/1.1 a server can't tell it, and a write over one version must
/// end what was stored over another. Reaching too far costs a miss.
#[derive(Debug)]
pub(crate) struct Target {
    /// The host in lower case, without a default port or a trailing dot.
    site: KeyBytes,
}

impl Target {
    /// `None` when the host is unusable.
    pub(crate) fn of(uri: &Uri, host: Host<'_>) -> Option<Self> {
        let site = site_of(uri, host)?;
        Some(Self { site })
    }

    /// The host in lower case.
    pub(crate) fn site(&self) -> &[u8] {
        &self.site
    }

    /// The tags that follow from a URI: its cache, itself, every subtree it lies in.
    pub(crate) fn implied_tags(&self, cache: &Cache, uri: &Uri) -> Vec<TagId> {
        let log = &cache.shared().log;
        let mut name = self.site.clone();
        write_target(&mut name, uri);
        let mut ids = vec![cache.tag_id(), TagId::of(log.tags(), TagKind::Uri, &name)];
        let mut key = Key::new(String::from_utf8_lossy(&self.site));
        ids.push(log.tag_id(TagKind::Subtree, key.path()));
        for segment in segments(uri) {
            key = key.child(segment);
            ids.push(log.tag_id(TagKind::Subtree, key.path()));
        }
        ids
    }
}

/// Works with the name of a URI, and where its path begins. `None` when the host is unusable.
pub(crate) fn with_name<T>(
    uri: &Uri,
    host: Host<'_>,
    work: impl FnOnce(&[u8], usize) -> T,
) -> Option<T> {
    with_buffer(|name| {
        write_site(name, uri, host)?;
        let path = name.len();
        write_target(name, uri);
        Some(work(name, path))
    })
}

/// The host of a URI as names have it; `None` when it is unusable.
pub(crate) fn site_of(uri: &Uri, host: Host<'_>) -> Option<KeyBytes> {
    let mut site = KeyBytes::new();
    write_site(&mut site, uri, host)?;
    Some(site)
}

/// The name of a cache group, which is one origin's own (RFC 9875 §2.1). No host has a space.
pub(crate) fn group_tag(site: &[u8], group: &str) -> Tag {
    let site = String::from_utf8_lossy(site);
    Tag::of(TagKind::Group, format!("{site} {group}"))
}

/// What a request asks for as people read it: its host, path and query.
#[cfg(any(feature = "explain", feature = "audit"))]
pub(crate) fn text_of(uri: &Uri, host: Host<'_>) -> String {
    let mut text = site_of(uri, host).unwrap_or_default();
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    text.extend_from_slice(target.as_bytes());
    String::from_utf8_lossy(&text).into_owned()
}

/// The name of an absolute URL, as [`Target`] writes it; `None` when it is none.
pub(crate) fn name_of_url(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    // A host alone would be taken for a URL without a path, which nothing has.
    uri.scheme().and(uri.authority())?;
    let mut name = KeyBytes::new();
    write_site(&mut name, &uri, Host::default())?;
    write_target(&mut name, &uri);
    String::from_utf8(name).ok()
}

/// The host of an absolute URL and its path's segments, as a key.
pub(crate) fn key_of_url(url: &str) -> Option<Key> {
    let uri: Uri = url.parse().ok()?;
    uri.scheme().and(uri.authority())?;
    let target = Target::of(&uri, Host::default())?;
    let key = Key::new(String::from_utf8_lossy(&target.site));
    Some(segments(&uri).fold(key, |key, segment| key.child(segment)))
}

fn segments(uri: &Uri) -> impl Iterator<Item = &str> {
    let segments = uri.path().split('/').filter(|segment| !segment.is_empty());
    segments.take(MAX_DEPTH)
}

/// The host that a request is for, without what depends on the version of HTTP.
fn write_site(out: &mut KeyBytes, uri: &Uri, host: Host<'_>) -> Option<()> {
    if host.repeated {
        return None;
    }
    let authority = uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    let host = authority.or(host.value).unwrap_or_default();
    let plain = host.strip_suffix(b":443").unwrap_or(host);
    normalise_host("http", plain, out)
}

/// Path and query exactly as they came.
fn write_target(name: &mut KeyBytes, uri: &Uri) {
    name.extend_from_slice(uri.path().as_bytes());
    if let Some(query) = uri.query() {
        name.push(b'?');
        name.extend_from_slice(query.as_bytes());
    }
}

/// Writes `scheme://host`. Returns a Host header that disagrees with the URI's authority, and
/// `None` when the host is unusable: repeated, with user information, or with characters that no
/// host has.
fn write_origin(out: &mut KeyBytes, uri: &Uri, host: Host<'_>) -> Option<Option<Box<[u8]>>> {
    if host.repeated {
        return None;
    }
    let scheme = uri.scheme_str().unwrap_or("http");
    let authority = uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    push_lower(out, scheme.as_bytes());
    out.extend_from_slice(b"://");
    let start = out.len();
    normalise_host(scheme, authority.or(host.value).unwrap_or_default(), out)?;
    let (Some(_), Some(value)) = (authority, host.value) else {
        return Some(None);
    };
    let mut other = KeyBytes::new();
    normalise_host(scheme, value, &mut other)?;
    Some((out.get(start..) != Some(&other)).then(|| other.to_vec().into()))
}

/// What keys of answers begin with, behind their cache; its four low bits say what is in them. No
/// other kind of value has such a byte there.
const FAMILY: u8 = 0x10;

/// What beside the URI is part of a key.
#[derive(Clone, Copy)]
pub(crate) struct Beside<'a> {
    /// A layer only tries out what it would do: what it stores is nobody's.
    pub(crate) trial: bool,
    /// What is replaced in what is stored: no other layer may show it as it is.
    pub(crate) swaps: &'a [(Box<str>, SwapOf)],
    /// Which site the URI itself named, where something else counts.
    pub(crate) said: Option<&'a str>,
    /// The digest of a body that says what is asked, and the method that it came with.
    pub(crate) content: Option<(&'a Method, &'a [u8; 32])>,
    pub(crate) host: Host<'a>,
    pub(crate) version: Version,
    /// The request has one of the forwarding headers.
    pub(crate) forwarded: bool,
    pub(crate) headers: &'a [HeaderName],
    pub(crate) who: &'a Who,
}

/// Whom an answer is for, if not everybody.
#[derive(Clone, Debug, Default)]
pub(crate) struct Who {
    pub(crate) user: Option<String>,
    pub(crate) tenant: Option<String>,
}

impl Who {
    /// The tags of everything that is shown to this user, and to this tenant.
    pub(crate) fn tags(&self) -> impl Iterator<Item = Tag> {
        let user = self.user.as_ref().map(|id| Tag::new(format!("user:{id}")));
        let tenant = self
            .tenant
            .as_ref()
            .map(|id| Tag::new(format!("tenant:{id}")));
        user.into_iter().chain(tenant)
    }

    /// Which of the two there are, and then each.
    fn write(&self, key: &mut KeyBytes) {
        let parts = [&self.user, &self.tenant];
        key.push(u8::from(self.user.is_some()) | u8::from(self.tenant.is_some()) << 1);
        for part in parts.into_iter().flatten() {
            push(key, part.as_bytes());
        }
    }
}

/// Writes the key of a request.
///
/// Every part has its length before it, so that no two tuples of parts are the same bytes. Path
/// and query are raw: `/%61` and `/a` are two keys, because a handler may tell them apart.
///
/// # Errors
///
/// When the host is unusable or the key too long.
pub(crate) fn write_key(
    key: &mut KeyBytes,
    prefix: [u8; 6],
    uri: &Uri,
    fields: &HeaderMap,
    beside: Beside<'_>,
) -> Result<(), Reason> {
    key.extend_from_slice(&prefix);
    let bits = u8::from(beside.content.is_some())
        | u8::from(beside.said.is_some()) << 1
        | u8::from(!beside.swaps.is_empty()) << 2
        | u8::from(beside.trial) << 3;
    key.push(FAMILY | bits);
    // A request without a host is an error from HTTP/1.1 on, and none before.
    key.push(u8::from(beside.version < Version::HTTP_11));
    push(key, uri.path().as_bytes());
    // No query and an empty one are two requests.
    push_option(key, uri.query().map(str::as_bytes));
    beside.who.write(key);
    let start = key.len();
    let other_host = write_origin(key, uri, beside.host).ok_or(Reason::Host)?;
    let length = u32::try_from(key.len() - start).unwrap_or(u32::MAX);
    key.extend_from_slice(&length.to_be_bytes());
    push_option(key, other_host.as_deref());
    if beside.forwarded {
        for name in FORWARDED {
            push_header(key, name, fields.get_all(name));
        }
    }
    for name in beside.headers {
        push_header(key, name.as_str(), fields.get_all(name));
    }
    for (marker, _) in beside.swaps {
        push(key, marker.as_bytes());
    }
    if !beside.swaps.is_empty() {
        push(key, b"");
    }
    if let Some(said) = beside.said {
        push(key, said.as_bytes());
    }
    if let Some((method, digest)) = beside.content {
        write_content(key, method, digest, fields);
    }
    if key.len() > MAX_LENGTH {
        Err(Reason::KeyTooLong)
    } else {
        Ok(())
    }
}

/// What of a request beside its body says what the body means.
const DESCRIBING: [HeaderName; 3] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
];

fn write_content(key: &mut KeyBytes, method: &Method, digest: &[u8; 32], fields: &HeaderMap) {
    push(key, method.as_str().as_bytes());
    push(key, digest);
    for name in &DESCRIBING {
        push_header(key, name.as_str(), fields.get_all(name));
    }
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
    let start = key.len();
    key.extend_from_slice(part);
    if let Some(part) = key.get_mut(start..) {
        part.make_ascii_lowercase();
    }
}

/// Works with a host as names have it: in lower case, without a default port or a trailing dot.
/// `None` when it is unusable.
pub(crate) fn with_host<T>(host: &[u8], work: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
    let mut normal = KeyBytes::new();
    normalise_host(
        "http",
        host.strip_suffix(b":443").unwrap_or(host),
        &mut normal,
    )?;
    work(&normal)
}

fn normalise_host(scheme: &str, host: &[u8], out: &mut KeyBytes) -> Option<()> {
    // Most hosts are a name as it should be.
    if host.iter().all(|byte| is_plain(*byte)) {
        out.extend_from_slice(host.strip_suffix(b".").unwrap_or(host));
        return Some(());
    }
    let default: &[u8] = if scheme == "https" { b"443" } else { b"80" };
    let (name, port) = split_port(host)?;
    push_lower(out, name.strip_suffix(b".").unwrap_or(name));
    if !port.is_empty() && port != default {
        out.push(b':');
        out.extend_from_slice(port);
    }
    Some(())
}

/// Whether a byte of a host's name stays as it is.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_')
}

/// The name and the digits behind its colon. Anything else behind it would be cut off or kept as
/// part of another host's name: `a:8080:80` must not be `a:8080`.
fn split_port(host: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = match host {
        [b'[', ..] => host.iter().position(|byte| *byte == b']')? + 1,
        _ => host
            .iter()
            .position(|byte| *byte == b':')
            .unwrap_or(host.len()),
    };
    let (name, rest) = host.split_at_checked(end)?;
    let port = match rest {
        [b':', port @ ..] => port,
        [] => rest,
        _ => return None,
    };
    let usable = |byte: &u8| {
        HOST_BYTES
            .get(usize::from(*byte))
            .is_some_and(|usable| *usable)
    };
    (name.iter().all(usable) && port.iter().all(u8::is_ascii_digit)).then_some((name, port))
}

/// The bytes that a host and its port are made of.
#[expect(clippy::indexing_slicing, reason = "a bound loop, run by the compiler")]
const HOST_BYTES: [bool; 128] = {
    let mut table = [false; 128];
    let mut byte = 0;
    while byte < 128 {
        #[expect(clippy::cast_possible_truncation, reason = "below 128")]
        let this = byte as u8;
        table[byte] =
            this.is_ascii_alphanumeric() || matches!(this, b'.' | b'-' | b'_' | b':' | b'[' | b']');
        byte += 1;
    }
    table
};

thread_local! {
    /// A buffer for each thread: the key of a request is needed only while it is looked up.
    static BUFFER: Cell<KeyBytes> = const { Cell::new(Vec::new()) };
}

/// Runs `work` with an empty buffer that is used again.
pub(crate) fn with_buffer<T>(work: impl FnOnce(&mut KeyBytes) -> T) -> T {
    let mut key = BUFFER.take();
    key.clear();
    let result = work(&mut key);
    BUFFER.set(key);
    result
}

#[cfg(test)]
mod tests {
    use http::{Request, request::Parts};

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
        let host = Host::of(&parts.headers);
        let beside = Beside {
            trial: false,
            swaps: &[],
            said: None,
            content: None,
            host,
            version: parts.version,
            forwarded: true,
            headers: &[],
            who: &Who::default(),
        };
        let mut key = KeyBytes::new();
        write_key(&mut key, [0; 6], &parts.uri, &parts.headers, beside)
            .ok()
            .map(|()| key)
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
        for host in [
            "a.org:8080:80",
            "a.org:8080.",
            "a.org:8080:",
            "a.org:x",
            "[::1",
            "[::1]x",
        ] {
            assert_eq!(key("/", &[("host", host)]), None, "{host}");
        }
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
    fn users_and_tenants_are_never_mistaken_for_each_other() {
        let id = |id: &str| Some(id.to_owned());
        let keys: std::collections::HashSet<_> = [
            (None, None),
            (id("a"), None),
            (None, id("a")),
            (id("a"), id("b")),
            (id("b"), id("a")),
            (id("ab"), id("")),
            (id(""), id("ab")),
            (id(""), None),
        ]
        .into_iter()
        .map(|(user, tenant)| {
            let mut key = KeyBytes::new();
            Who { user, tenant }.write(&mut key);
            // What comes behind it in a key.
            push(&mut key, b"a");
            key
        })
        .collect();
        assert_eq!(keys.len(), 8);
    }

    #[test]
    fn a_key_has_a_bound() {
        let long = format!("/{}", "x".repeat(17_000));
        assert_eq!(key(&long, &[]), None);
    }
}
