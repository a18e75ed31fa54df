//! No two requests that a handler can tell apart share an entry, and no two tags share an
//! invalidation: class 28.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    convert::Infallible,
};

use bytes::Bytes;
use http::{HeaderName, Request, Response, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use pitlane::{CacheHint, Caches, ResponseCacheLayer};
use pitlane_e2e::{Answer, Fixture};
use pitlane_testkit::Origin;
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::select,
    test_runner::{Config as Settings, TestRunner},
};
use tower::ServiceExt;
use tower_layer::Layer;
use tower_service::Service;

const PAIRS: u32 = 100_000;

/// In the key by the operator's choice.
const KEYED: [&str; 2] = ["x-tenant", "x-theme"];

/// In the key of every layer.
const FORWARDING: [&str; 4] = [
    "forwarded",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-host",
];

/// A part is cut from the answer to a request without it, but never goes into the cache.
const RANGE: (&str, &str) = ("range", "bytes=0-0");

/// With any other of these, no answer comes from the cache or goes there.
const PASSING: [(&str, &str); 7] = [
    ("cookie", "session=1"),
    ("authorization", "Bearer 1"),
    RANGE,
    ("x-original-url", "/a"),
    ("x-http-method-override", "PUT"),
    ("connection", "x-tenant"),
    ("upgrade", "h2c"),
];

/// A request, part by part.
#[derive(Clone, Debug)]
struct Wish {
    head: bool,
    path: String,
    query: Option<String>,
    authority: Option<(&'static str, &'static str)>,
    hosts: Vec<&'static str>,
    headers: Vec<(&'static str, &'static str)>,
    passing: Option<(&'static str, &'static str)>,
    body: bool,
}

impl Wish {
    fn request(&self) -> Request<Full<Bytes>> {
        let query = self.query.as_ref().map(|query| format!("?{query}"));
        let target = format!("{}{}", self.path, query.unwrap_or_default());
        let mut uri = Uri::builder().path_and_query(target);
        if let Some((scheme, authority)) = self.authority {
            uri = uri.scheme(scheme).authority(authority);
        }
        let method = if self.head { "HEAD" } else { "GET" };
        let mut request = Request::builder().method(method).uri(uri.build().unwrap());
        for host in &self.hosts {
            request = request.header("host", *host);
        }
        for (name, value) in self.headers.iter().chain(&self.passing) {
            request = request.header(*name, *value);
        }
        let body = if self.body { "body" } else { "" };
        request.body(Full::from(body)).unwrap()
    }

    /// What tells this request from others, as the documentation says it; `None` when the cache
    /// has no part in it.
    fn identity(&self) -> Option<impl PartialEq + use<>> {
        let passes = self.passing.is_some_and(|header| header != RANGE);
        if passes || self.body || self.hosts.len() > 1 {
            return None;
        }
        let scheme = self.authority.map_or("http", |(scheme, _)| scheme);
        let authority = self.authority.map(|(_, authority)| authority);
        let host = self.hosts.first().copied();
        let first = canonical(scheme, authority.or(host).unwrap_or_default())?;
        let second = match (authority, host) {
            (Some(_), Some(host)) => canonical(scheme, host)?,
            _ => first.clone(),
        };
        let mut lines = BTreeMap::<_, Vec<_>>::new();
        for (name, value) in &self.headers {
            if FORWARDING.contains(name) || KEYED.contains(name) {
                lines.entry(*name).or_default().push(*value);
            }
        }
        Some((
            self.path.clone(),
            self.query.clone(),
            scheme,
            first,
            second,
            lines,
        ))
    }
}

/// A host without what is documented as meaning nothing: letter case, a trailing dot, the
/// scheme's own port. `None` for what is no host.
fn canonical(scheme: &str, host: &str) -> Option<String> {
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    if port.contains(|c: char| !c.is_ascii_digit()) {
        return None;
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_lowercase();
    match (scheme, port) {
        ("https", "443") | (_, "") => Some(name),
        (scheme, "80") if scheme != "https" => Some(name),
        (_, port) => Some(format!("{name}:{port}")),
    }
}

fn text(pieces: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    vec(select(pieces), 0..=most).prop_map(|pieces| pieces.concat())
}

fn wish() -> impl Strategy<Value = Wish> {
    const PATH: &[&str] = &[
        "/", "a", "A", "b", "%61", "%2F", "%2f", ".", "..", ";", "|", ":", "a/b", "http",
    ];
    const QUERY: &[&str] = &["a", "=", "&", ";", "?", "/", "%26", "|", "b", "a=b"];
    const HOSTS: &[&str] = &[
        "a.org",
        "A.org",
        "a.org.",
        "a.org:80",
        "a.org:443",
        "a.org:8080",
        "a.org:8080:80",
        "a.org:8080.",
        "a.org:",
        "b.org",
        "a",
        "",
    ];
    const AUTHORITIES: &[(&str, &str)] = &[
        ("http", "a.org"),
        ("http", "b.org"),
        ("https", "a.org"),
        ("https", "a.org:443"),
        ("http", "A.ORG:80"),
        ("http", "a.org:443"),
        ("x", "a.org"),
    ];
    const NAMES: &[&str] = &[
        "forwarded",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-host",
        "x-tenant",
        "x-theme",
        "x-unkeyed",
        "if-none-match",
    ];
    const VALUES: &[&str] = &["", "a", "b", "ab", "a, b", "x-host", "x-theme", "a.org"];
    (
        prop::bool::weighted(0.1),
        text(PATH, 4).prop_map(|path| format!("/{path}")),
        option::of(text(QUERY, 4)),
        option::weighted(0.3, select(AUTHORITIES)),
        vec(select(HOSTS), 0..=2),
        vec((select(NAMES), select(VALUES)), 0..=3),
        option::weighted(0.1, select(&PASSING[..])),
        prop::bool::weighted(0.05),
    )
        .prop_map(
            |(head, path, query, authority, hosts, headers, passing, body)| Wish {
                head,
                path,
                query,
                authority,
                hosts,
                headers,
                passing,
                body,
            },
        )
}

/// Two requests that have most parts in common.
fn pair() -> impl Strategy<Value = (Wish, Wish)> {
    (wish(), wish(), vec(prop::bool::weighted(0.2), 8)).prop_map(|(first, other, changed)| {
        let mut second = first.clone();
        let mut change = changed.into_iter();
        let mut changes = || change.next() == Some(true);
        if changes() {
            second.head = other.head;
        }
        if changes() {
            second.path = other.path;
        }
        if changes() {
            second.query = other.query;
        }
        if changes() {
            second.authority = other.authority;
        }
        if changes() {
            second.hosts = other.hosts;
        }
        if changes() {
            second.headers = other.headers;
        }
        if changes() {
            second.passing = other.passing;
        }
        if changes() {
            second.body = other.body;
        }
        (first, second)
    })
}

/// One cache for all pairs; a header of its own keeps each pair to itself.
struct Track<S> {
    service: S,
    fixture: Fixture,
    pairs: usize,
}

impl<S, R> Track<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>, Error = Infallible> + Clone,
    R: Body<Error: std::fmt::Debug>,
{
    /// How often the handler is called for two requests in a row.
    async fn calls(&mut self, first: &Wish, second: &Wish) -> usize {
        self.pairs += 1;
        let before = self.fixture.calls();
        for wish in [first, second] {
            let mut request = wish.request();
            request.headers_mut().insert("x-pair", self.pairs.into());
            let reply = self.service.clone().oneshot(request).await.unwrap();
            reply.into_body().collect().await.unwrap();
        }
        self.fixture.calls() - before
    }
}

#[test]
fn requests_share_an_entry_exactly_when_no_handler_can_tell_them_apart() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let cache = Caches::builder().build().unwrap().get("default").unwrap();
    let layer = KEYED
        .iter()
        .chain(&["x-pair"])
        .fold(ResponseCacheLayer::new(&cache), |layer, name| {
            layer.key_header(HeaderName::from_static(name))
        });
    let fixture = Fixture::new(|_, _| Answer::default()).cache_control(Some("max-age=60"));
    let track = RefCell::new(Track {
        service: layer.layer(fixture.clone()),
        fixture,
        pairs: 0,
    });
    let shared = Cell::new(0);
    let mut runner = TestRunner::new(Settings {
        cases: PAIRS,
        failure_persistence: None,
        ..Settings::default()
    });
    let outcome = runner.run(&pair(), |(first, second)| {
        let identities = first.identity().zip(second.identity());
        let alike = identities.is_some_and(|(first, second)| first == second);
        // A HEAD and a part leave nothing for the next one.
        let leaves = !first.head && first.passing != Some(RANGE);
        let expected = if alike && leaves { 1 } else { 2 };
        let found = runtime.block_on(track.borrow_mut().calls(&first, &second));
        shared.set(shared.get() + 2 - found);
        prop_assert_eq!(found, expected);
        Ok(())
    });
    outcome.unwrap();
    // Both sides were tried often enough to mean something.
    let shared = u32::try_from(shared.get()).unwrap();
    assert!((1000..PAIRS - 1000).contains(&shared), "{shared}");
}

#[tokio::test]
async fn a_tag_ends_its_own_pages_and_no_others() {
    const TAGS: [&str; 17] = [
        "a", "A", "a*", "*", "a:b", "a:", ":b", "{a}", "{a", "a}", "a\n", "a\nb", "a b", "a,b",
        "a|b", "", "\0",
    ];
    let cache = Caches::builder().build().unwrap();
    let origin = Origin::new(|request, _| async move {
        let tag: usize = request.uri().path()[1..].parse().unwrap();
        let mut reply = Origin::reply(&[("cache-control", "max-age=60")], "page");
        reply.extensions_mut().insert(CacheHint::tags([TAGS[tag]]));
        reply
    });
    let service = ResponseCacheLayer::new(&cache.get("default").unwrap()).layer(origin.clone());
    let mut expected = 0;
    for (ended, tag) in TAGS.iter().enumerate() {
        for n in 0..TAGS.len() {
            crate::bounds::get(&service, &format!("/{n}"), None).await;
        }
        expected += if ended == 0 { TAGS.len() } else { 0 };
        let _ = cache.invalidate([*tag]).await.unwrap();
        for (n, other) in TAGS.iter().enumerate() {
            let (hit, _) = crate::bounds::get(&service, &format!("/{n}"), None).await;
            assert_eq!(hit, n != ended, "{tag:?} and {other:?}");
        }
        expected += 1;
        assert_eq!(origin.calls(), expected);
    }
}

#[tokio::test]
async fn parts_of_a_target_never_run_together() {
    let cache = Caches::builder().build().unwrap();
    let cache = cache.get("default").unwrap();
    let origin = Origin::counting(&[("cache-control", "max-age=60")]);
    let layer = ResponseCacheLayer::new(&cache).key_header(HeaderName::from_static("x-tenant"));
    let service = layer.layer(origin.clone());
    let targets = [
        ("/a|b?c", ""),
        ("/a?b|c", ""),
        ("/a|b", "c"),
        ("/a", "b|c"),
        ("/a", "|b|c"),
        ("/a?", "b|c"),
    ];
    for (n, (uri, tenant)) in targets.iter().enumerate() {
        let tenant = Some(("x-tenant", *tenant)).filter(|(_, value)| !value.is_empty());
        let (hit, _) = crate::bounds::get(&service, uri, tenant).await;
        assert!(!hit);
        assert_eq!(origin.calls(), n + 1);
    }
}
