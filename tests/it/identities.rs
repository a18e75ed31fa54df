//! Keys where an operator has said more: tenants, users, bodies, parameters that don't count, a
//! proxy that is believed, a dry run beside a layer that answers. Class 28.
//!
//! Like `keys`, but for everything that makes two requests one, or one request two.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, Request, request::Parts};
use http_body_util::{BodyExt, Full};
use pitlane::{BodyKey, Cache, Caches, ResponseCacheLayer};
use pitlane_e2e::{Answer, Fixture};
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::select,
    test_runner::{Config as Settings, TestRunner},
};
use tower::ServiceExt;
use tower_layer::Layer;

const PAIRS: u32 = 20_000;

/// The longest body that is looked at.
const LIMIT: usize = 8;

/// A request, part by part.
#[derive(Clone, Debug)]
struct Question {
    dry: bool,
    method: &'static str,
    path: &'static str,
    query: Option<String>,
    host: &'static str,
    proxied: bool,
    claims: Vec<&'static str>,
    tenant: Option<&'static str>,
    user: Option<&'static str>,
    body: &'static str,
    described: Vec<(&'static str, &'static str)>,
}

impl Question {
    fn request(&self) -> Request<Full<Bytes>> {
        let query = self.query.as_ref().map(|query| format!("?{query}"));
        let target = format!("{}{}", self.path, query.unwrap_or_default());
        let mut request = Request::builder().method(self.method).uri(target);
        request = request.header("host", self.host);
        let mut say = |name: &str, value: Option<&str>| {
            if let (Some(value), Some(headers)) = (value, request.headers_mut()) {
                let name: HeaderName = name.parse().unwrap();
                headers.append(name, value.parse().unwrap());
            }
        };
        say("x-proxied", self.proxied.then_some("1"));
        say("x-tenant", self.tenant);
        say("x-user", self.user);
        for claim in &self.claims {
            say("x-forwarded-host", Some(claim));
        }
        for (name, value) in &self.described {
            say(name, Some(value));
        }
        request.body(Full::from(self.body)).unwrap()
    }

    /// What tells this question from others; `None` where no answer is kept.
    fn identity(&self) -> Option<impl PartialEq + use<>> {
        let content = match self.method {
            "GET" if self.body.is_empty() => None,
            "QUERY" if self.body.len() <= LIMIT => Some(self.described()),
            "POST" if self.body.len() <= LIMIT && asks(self.body) => Some(self.described()),
            _ => return None,
        };
        let (tenant, user) = (self.tenant?, self.user?);
        let claimed = match &*self.claims {
            [one] if self.proxied => host(one),
            _ => None,
        };
        // What is not understood stays as it came, and what a stranger says isn't heard.
        let claims: Vec<_> = match &claimed {
            Some(host) => vec![host.clone()],
            None if self.proxied => self.claims.iter().map(|&claim| claim.to_owned()).collect(),
            None => Vec::new(),
        };
        let site = claimed.or(host(self.host))?;
        let content = content.map(|described| (self.method, self.body, described));
        Some((
            (self.dry, self.path, self.counting()),
            (site, host(self.host)?, claims),
            (tenant, user, content),
        ))
    }

    /// The query without `utm_*`.
    fn counting(&self) -> Option<String> {
        let query = self.query.as_ref()?;
        let kept = query.split('&').filter(|pair| !pair.starts_with("utm_"));
        let kept: Vec<_> = kept.collect();
        (!kept.is_empty()).then(|| kept.join("&"))
    }

    fn described(&self) -> BTreeMap<&'static str, Vec<&'static str>> {
        let mut lines = BTreeMap::<_, Vec<_>>::new();
        for (name, value) in &self.described {
            lines.entry(*name).or_default().push(*value);
        }
        lines
    }
}

fn asks(body: &str) -> bool {
    body.starts_with("ask")
}

/// A host as it is understood; `None` for what is none.
fn host(said: &str) -> Option<String> {
    let name = said.strip_suffix(":80").unwrap_or(said);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.';
    (!name.is_empty() && name.bytes().all(plain)).then(|| name.to_lowercase())
}

fn question() -> impl Strategy<Value = Question> {
    const QUERY: &[&str] = &["a", "=1", "&", "&utm_x=2", "utm_", ";", "x", "&&"];
    const HOSTS: &[&str] = &["a.org", "A.org:80", "b.org"];
    const CLAIMS: &[&str] = &["a.org", "A.ORG:80", "b.org", "a.org, b.org", "u@a.org", ""];
    const IDS: &[&str] = &["", "a", "A", "b", "ab", "a\tb", "tenant:a", "user:a"];
    const BODIES: &[&str] = &["", "ask", "ask a", "ask  a", "a", "QUERY", "ask a long one"];
    const DESCRIBED: &[&str] = &["content-type", "content-encoding", "content-language"];
    let id = || option::weighted(0.9, select(IDS));
    let query = vec(select(QUERY), 0..=4).prop_map(|pieces| pieces.concat());
    (
        prop::bool::weighted(0.3),
        select(&["GET", "QUERY", "QUERY", "POST"][..]),
        select(&["/", "/a", "/ask"][..]),
        option::of(query),
        select(HOSTS),
        prop::bool::ANY,
        vec(select(CLAIMS), 0..=2),
        id(),
        id(),
        select(BODIES),
        vec(
            (select(DESCRIBED), select(&["", "a", "gzip", "a, gzip"][..])),
            0..=2,
        ),
    )
        .prop_map(
            |(dry, method, path, query, host, proxied, claims, tenant, user, body, described)| {
                Question {
                    dry,
                    method,
                    path,
                    query,
                    host,
                    proxied,
                    claims,
                    tenant,
                    user,
                    // Most requests with this method have none.
                    body: if method == "GET" { "" } else { body },
                    described,
                }
            },
        )
}

/// Two questions that have most parts in common.
fn pair() -> impl Strategy<Value = (Question, Question)> {
    (question(), question(), vec(prop::bool::weighted(0.12), 11)).prop_map(
        |(first, other, changed)| {
            let mut second = first.clone();
            let mut change = changed.into_iter();
            let mut changes = || change.next() == Some(true);
            macro_rules! perhaps {
                ($($part:ident),*) => {
                    $(if changes() {
                        second.$part = other.$part;
                    })*
                };
            }
            perhaps!(
                dry, method, path, query, host, proxied, claims, tenant, user, body, described
            );
            (first, second)
        },
    )
}

fn id(name: &'static str) -> impl Fn(&Parts) -> Option<String> + Send + Sync {
    move |parts| Some(parts.headers.get(name)?.to_str().ok()?.to_owned())
}

fn service(cache: &Cache, dry: bool, fixture: &Fixture) -> BodyKey<Fixture> {
    let layer = ResponseCacheLayer::new(cache)
        .ttl(Duration::from_secs(60))
        .key_header(HeaderName::from_static("x-pair"))
        .tenant(id("x-tenant"))
        .per_user(id("x-user"))
        .query_ignore(["utm_*"])
        .trusted_proxy(|parts| parts.headers.contains_key("x-proxied"));
    let layer = if dry { layer.dry_run() } else { layer };
    let layer = layer.key_body(LIMIT);
    layer
        .posts(|_, body| body.starts_with(b"ask"))
        .layer(fixture.clone())
}

/// One cache for all pairs; a header of its own keeps each pair to itself.
struct Track {
    live: BodyKey<Fixture>,
    dry: BodyKey<Fixture>,
    pairs: u32,
}

impl Track {
    /// Whether the second question finds, or would find, the first one's answer.
    async fn finds(&mut self, first: &Question, second: &Question) -> bool {
        self.pairs += 1;
        self.ask(first).await;
        self.ask(second).await
    }

    async fn ask(&self, question: &Question) -> bool {
        let service = if question.dry { &self.dry } else { &self.live };
        let mut request = question.request();
        request.headers_mut().insert("x-pair", self.pairs.into());
        let answer = service.clone().oneshot(request).await.unwrap();
        let told = answer.headers().get("cache-status").unwrap();
        let told = told.to_str().unwrap().to_owned();
        answer.into_body().collect().await.unwrap();
        if question.dry {
            told.contains("dry-run")
        } else {
            told.starts_with("pitlane; hit")
        }
    }
}

#[test]
fn questions_share_an_answer_exactly_when_they_are_the_same() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let cache = Caches::builder().build().unwrap().get("default").unwrap();
    let fixture = Fixture::new(|_, _| Answer::default());
    let track = RefCell::new(Track {
        live: service(&cache, false, &fixture),
        dry: service(&cache, true, &fixture),
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
        let found = runtime.block_on(track.borrow_mut().finds(&first, &second));
        shared.set(shared.get() + u32::from(found));
        prop_assert_eq!(found, alike);
        Ok(())
    });
    outcome.unwrap();
    // Both sides were tried often enough to mean something.
    let shared = shared.get();
    assert!((1000..PAIRS - 1000).contains(&shared), "{shared}");
}

/// Layers over one cache, each of which takes the same id for something else.
#[tokio::test]
async fn a_tenant_is_no_user_of_the_same_name() {
    let cache = Caches::builder().build().unwrap().get("default").unwrap();
    let fixture = Fixture::new(|_, _| Answer::default());
    let layer = || ResponseCacheLayer::new(&cache).ttl(Duration::from_secs(60));
    let layers = [
        layer(),
        layer().tenant(id("x-id")),
        layer().per_user(id("x-id")),
        layer().tenant(id("x-id")).per_user(id("x-id")),
        layer().tenant(id("x-id")).dry_run(),
    ];
    let services = layers.map(|layer| layer.layer(fixture.clone()));
    for (number, service) in services.iter().enumerate() {
        for round in 0..2 {
            let request = Request::builder().uri("/a").header("host", "a.org");
            let request = request.header("x-id", "a").body(Full::<Bytes>::default());
            let answer = service.clone().oneshot(request.unwrap()).await.unwrap();
            let told = answer.headers().get("cache-status").unwrap();
            let told = told.to_str().unwrap().to_owned();
            answer.into_body().collect().await.unwrap();
            let found = told.contains("pitlane; hit") || told.contains("dry-run");
            assert_eq!(found, round == 1, "{number}: {told}");
        }
    }
}
