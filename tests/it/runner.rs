//! Runs one row: A, then V twice, compared with what V gets where nothing is cached.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use pitlane::{
    AnonymousCacheLayer, ApiCacheLayer, Cache, Caches, Encoding, RemoteLookup, ResponseCacheLayer,
};
use pitlane_e2e::{Answer, Ask, Fixture, Heard, Seen, send};
use pitlane_testkit::{Protocol, RedisServer, Server};
use tower_layer::Layer;

use crate::naive::{Flaw, Naive};

/// What only the attacker says, wherever a row puts it.
pub(crate) const MARKER: &str = "evil";

/// Longer than Redis may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(10);

const TTL: Duration = Duration::from_secs(60);

/// What differs from answer to answer, is the cache's own to say, or ends at the next hop.
const OF_THE_CACHE: [&str; 16] = [
    "age",
    "cache-control",
    "cache-status",
    "connection",
    "content-length",
    "date",
    "etag",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "vary",
    "x-call",
    "x-foo",
];

/// Which cache stands before the fixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Anonymous,
    Api,
    General,
    /// Anonymous visitors, behind a proxy that is believed, with all that is not in the key hidden
    /// from the handler, and encoded forms.
    Configured,
    /// Only a few parameters count.
    Listed,
    /// Entries are each tenant's own.
    Tenants,
    /// Bodies are a part of what is asked.
    Bodies,
    /// A marker in pages is replaced.
    Nonces,
    /// Nothing is answered from the cache: it only says what would be.
    Trying,
    /// The positive control.
    Naive(Flaw),
}

impl Subject {
    /// Whether the handler doesn't see all that V says, even where A has never been.
    const fn hides(self) -> bool {
        matches!(
            self,
            Self::Configured | Self::Listed | Self::Tenants | Self::Bodies | Self::Nonces
        )
    }
}

/// Who every attack is tried on that needs no option of the layer's.
const USUAL: &[Subject] = &[
    Subject::Anonymous,
    Subject::Api,
    Subject::General,
    Subject::Configured,
    Subject::Nonces,
    Subject::Trying,
];

/// What a trusted proxy says to be known, and nobody else can.
pub(crate) const SECRET: (&str, &str) = ("x-proxy-secret", "sesame");

/// Headers by which rows provoke the handler. Where they are hidden from it, A's own call is
/// provoked all the same: what it answers is what such a row is about.
const PROVOKING: [&str; 2] = ["x-trigger", "x-client"];

/// What an attack is expected to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// V is answered by the handler, as if A had never been.
    Apart,
    /// V may have A's entry, because it is what V would get anyway.
    Shared,
    /// V has A's entry; only the spelling of the host differs.
    Normalised,
    /// The server refuses A before any handler sees it.
    Refused,
}

type Script = Arc<dyn Fn(&Seen, usize) -> Answer + Send + Sync>;

/// One attack.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) class: u8,
    pub(crate) name: String,
    attack: Ask,
    victim: Ask,
    script: Script,
    expect: Expect,
    /// Whether V's own answer stays in the cache: a cache that stores nothing proves nothing.
    kept: bool,
    /// Where what A says is hidden from the handler: V may share.
    hidden: &'static [Subject],
    protocols: &'static [Protocol],
    subjects: &'static [Subject],
}

impl Row {
    pub(crate) fn new(class: u8, name: impl Into<String>, attack: Ask, victim: Ask) -> Self {
        Self {
            class,
            name: format!("{class}: {}", name.into()),
            attack,
            victim,
            script: Arc::new(|_, _| Answer::default()),
            expect: Expect::Apart,
            kept: true,
            hidden: &[],
            protocols: &[Protocol::Http1, Protocol::Http2],
            subjects: USUAL,
        }
    }

    pub(crate) fn answers(
        mut self,
        script: impl Fn(&Seen, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        self.script = Arc::new(script);
        self
    }

    pub(crate) const fn expect(mut self, expect: Expect) -> Self {
        self.expect = expect;
        self
    }

    pub(crate) const fn never_kept(mut self) -> Self {
        self.kept = false;
        self
    }

    /// What A says beside the key doesn't reach the handler of [`Subject::Configured`].
    pub(crate) const fn hidden(mut self) -> Self {
        self.hidden = &[Subject::Configured];
        self
    }

    /// The handler of [`Subject::Nonces`] isn't told that only a part is asked for.
    pub(crate) const fn whole(mut self) -> Self {
        self.hidden = &[Subject::Nonces];
        self
    }

    /// Tried on these alone.
    pub(crate) const fn only(mut self, subjects: &'static [Subject]) -> Self {
        self.subjects = subjects;
        self
    }

    pub(crate) fn is_for(&self, subject: Subject) -> bool {
        matches!(subject, Subject::Naive(_)) || self.subjects.contains(&subject)
    }

    pub(crate) const fn http1(mut self) -> Self {
        self.protocols = &[Protocol::Http1];
        self
    }

    pub(crate) const fn http2(mut self) -> Self {
        self.protocols = &[Protocol::Http2];
        self
    }

    /// Runs the row against one cache in memory over all its protocols.
    pub(crate) async fn run(&self, subject: Subject) -> Result<(), String> {
        for protocol in self.protocols {
            let caches = in_memory();
            let cache = caches.get("default").unwrap();
            let outcome = self.run_over(subject, &caches, &cache, *protocol).await;
            outcome.map_err(|error| format!("{subject:?} {protocol:?} {}: {error}", self.name))?;
        }
        Ok(())
    }

    /// Runs the row against caches that have nothing but Redis to remember answers in, which are
    /// its own. Returns how many hits came from there.
    pub(crate) async fn run_over_redis(
        &self,
        subject: Subject,
        caches: &Caches,
        mut own: impl Iterator<Item = Cache>,
    ) -> Result<u64, String> {
        let mut hits = 0;
        for protocol in self.protocols {
            let cache = own.next().unwrap();
            let outcome = self.run_over(subject, caches, &cache, *protocol).await;
            outcome.map_err(|error| {
                format!("Redis {subject:?} {protocol:?} {}: {error}", self.name)
            })?;
            let lookups = cache.remote_lookups();
            let found = lookups
                .iter()
                .filter(|(lookup, _)| *lookup == RemoteLookup::Hit);
            hits += found.map(|(_, count)| count).sum::<u64>();
        }
        Ok(hits)
    }

    async fn run_over(
        &self,
        subject: Subject,
        caches: &Caches,
        cache: &Cache,
        protocol: Protocol,
    ) -> Result<(), String> {
        let usual = self.usual(subject, protocol).await?;
        let fixture = self.fixture(subject, true);
        let server = serve(subject, cache, fixture.clone()).await;
        let attack = send(protocol, server.address(), &self.attack).await;
        settled(caches).await;
        let before = fixture.calls();
        let refused = attack.map_or(true, |heard| heard.status.is_client_error()) && before == 0;
        let (expect, kept) = match subject {
            subject if self.hidden.contains(&subject) => (Expect::Shared, true),
            Subject::Trying if self.expect != Expect::Refused => (Expect::Apart, false),
            _ => (self.expect, self.kept && subject != Subject::Trying),
        };
        ensure(refused == (expect == Expect::Refused), || {
            format!("refused by the server: {refused}")
        })?;
        let first = ask(protocol, server.address(), &self.victim).await?;
        let own = fixture.calls() - before;
        settled(caches).await;
        let second = ask(protocol, server.address(), &self.victim).await?;
        let again = fixture.calls() - before - own;
        for heard in [&first, &second] {
            check_heard(heard, &usual, expect)?;
        }
        let expected = usize::from(matches!(expect, Expect::Apart | Expect::Refused));
        ensure(own == expected, || {
            format!("{own} calls for the first clean request")
        })?;
        ensure(again == usize::from(!kept), || {
            format!("{again} calls for the second clean request: {second:?}")
        })
    }

    /// What V gets where A has never been.
    async fn usual(&self, subject: Subject, protocol: Protocol) -> Result<Heard, String> {
        let fixture = self.fixture(subject, false);
        let server = if subject.hides() {
            let cache = in_memory().get("default").unwrap();
            serve(subject, &cache, fixture).await
        } else {
            Server::start(fixture).await
        };
        ask(protocol, server.address(), &self.victim).await
    }

    fn fixture(&self, subject: Subject, attacked: bool) -> Fixture {
        let script = Arc::clone(&self.script);
        let fresh = (subject == Subject::General).then_some("max-age=60");
        let mut provoking = self.attack.headers.clone();
        provoking.retain(|(name, _)| PROVOKING.contains(&&**name));
        let provoked = attacked && subject == Subject::Configured;
        Fixture::new(move |seen, call| {
            let mut seen = seen.clone();
            for (name, value) in provoking.iter().filter(|_| provoked && call == 1) {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                let value = HeaderValue::from_bytes(value).unwrap();
                seen.headers.append(name, value);
            }
            script(&seen, call)
        })
        .cache_control(fresh)
    }
}

fn check_heard(heard: &Heard, usual: &Heard, expect: Expect) -> Result<(), String> {
    ensure(!heard.contains(MARKER), || {
        format!("the victim was shown the marker: {heard:?}")
    })?;
    let same = expect == Expect::Normalised || visible(heard) == visible(usual);
    ensure(same, || format!("{heard:?} instead of {usual:?}"))
}

pub(crate) fn in_memory() -> Caches {
    let caches = Caches::builder().memory(4 << 20).max_body(64 << 10);
    caches.build().unwrap()
}

/// A registry of `count` caches whose every hit comes from Redis.
pub(crate) async fn over_redis(redis: &RedisServer, count: usize) -> Caches {
    let cache = |n| format!("[caches.c{n}]\nmemory = \"0B\"\n");
    let text: String = (0..count).map(cache).collect();
    let builder = Caches::builder().max_body(64 << 10).redis(redis.url());
    let builder = builder.redis_budget(DEADLINE);
    let caches = builder.config(&text, "test").unwrap().build().unwrap();
    let closed = caches.redis().unwrap().when_closed();
    tokio::time::timeout(DEADLINE, closed).await.unwrap();
    let joined = async {
        while caches.log_status().is_none_or(|log| log.position.is_none()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(DEADLINE, joined).await.unwrap();
    caches
}

/// Waits until what was stored can be found by whoever asks next.
pub(crate) async fn settled(caches: &Caches) {
    while caches.background() > 0 {
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

/// Starts a server of the fixture behind a cache.
pub(crate) async fn serve(subject: Subject, cache: &Cache, fixture: Fixture) -> Server {
    // The layers are of several types.
    macro_rules! behind {
        ($layer:expr) => {
            Server::start(
                $layer
                    .add_harmless_cookie("theme")
                    .add_harmless_cookie("_ga*")
                    .layer(fixture),
            )
            .await
        };
    }
    match subject {
        Subject::Anonymous => behind!(AnonymousCacheLayer::new(cache).ttl(TTL)),
        Subject::Api => behind!(ApiCacheLayer::new(cache).ttl(TTL)),
        Subject::General => behind!(ResponseCacheLayer::new(cache)),
        Subject::Configured => behind!(configured(cache)),
        Subject::Listed => {
            behind!(
                AnonymousCacheLayer::new(cache)
                    .ttl(TTL)
                    .query_allow(["page", "q*"])
            )
        }
        Subject::Tenants => behind!(AnonymousCacheLayer::new(cache).ttl(TTL).tenant(|parts| {
            let id = parts.headers.get("x-tenant")?.to_str().ok()?;
            Some(id.to_owned())
        })),
        Subject::Bodies => {
            let layer = ApiCacheLayer::new(cache).ttl(TTL).key_body(BODY_LIMIT);
            let layer = layer.posts(|_, body| body.starts_with(b"ask"));
            Server::start(layer.layer(fixture)).await
        }
        Subject::Nonces => {
            let layer = AnonymousCacheLayer::new(cache).ttl(TTL);
            behind!(layer.replace_on_hit("placeholder", || "nonce".to_owned()))
        }
        Subject::Trying => behind!(AnonymousCacheLayer::new(cache).ttl(TTL).dry_run()),
        Subject::Naive(flaw) => Server::start(Naive::new(fixture, flaw)).await,
    }
}

/// The longest body that [`Subject::Bodies`] looks at.
pub(crate) const BODY_LIMIT: usize = 64;

fn configured(cache: &Cache) -> AnonymousCacheLayer {
    AnonymousCacheLayer::new(cache)
        .ttl(TTL)
        .query_ignore(["utm_*"])
        .trusted_proxy(|parts| {
            let said = parts.headers.get(SECRET.0);
            said.is_some_and(|said| said == SECRET.1)
        })
        .strip_unkeyed()
        .key_header(HeaderName::from_static("x-keyed"))
        .add_credential(HeaderName::from_static("x-badge"))
        .encodings([Encoding::Brotli, Encoding::Zstd, Encoding::Gzip])
}

async fn ask(protocol: Protocol, address: SocketAddr, ask: &Ask) -> Result<Heard, String> {
    let heard = send(protocol, address, ask).await;
    heard.map_err(|error| format!("a clean request was not answered: {error}"))
}

/// What a client makes of an answer.
fn visible(heard: &Heard) -> (u16, Vec<(&HeaderName, &[u8])>, &Bytes) {
    let own = |name: &HeaderName| !OF_THE_CACHE.contains(&name.as_str());
    let headers = heard.headers.iter().filter(|(name, _)| own(name));
    let mut headers: Vec<_> = headers
        .map(|(name, value)| (name, value.as_bytes()))
        .collect();
    headers.sort_by_key(|(name, value)| (name.as_str(), *value));
    (heard.status.as_u16(), headers, &heard.body)
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
