//! Runs one row: A, then V twice, compared with what V gets where nothing is cached.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::HeaderName;
use pitlane::{
    AnonymousCacheLayer, ApiCacheLayer, Cache, Caches, RemoteLookup, ResponseCacheLayer,
};
use pitlane_e2e::{Answer, Ask, Fixture, Heard, Seen, send};
use pitlane_testkit::{Protocol, RedisServer, Server};
use tower_layer::Layer;

use crate::naive::Naive;

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
    /// The positive control.
    Naive,
}

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
    protocols: &'static [Protocol],
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
            protocols: &[Protocol::Http1, Protocol::Http2],
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
        let bare = self.fixture(subject);
        let server = Server::start(bare).await;
        let usual = ask(protocol, server.address(), &self.victim).await?;
        let fixture = self.fixture(subject);
        let server = serve(subject, cache, fixture.clone()).await;
        let attack = send(protocol, server.address(), &self.attack).await;
        settled(caches).await;
        let before = fixture.calls();
        let refused = attack.map_or(true, |heard| heard.status.is_client_error()) && before == 0;
        ensure(refused == (self.expect == Expect::Refused), || {
            format!("refused by the server: {refused}")
        })?;
        let first = ask(protocol, server.address(), &self.victim).await?;
        let own = fixture.calls() - before;
        settled(caches).await;
        let second = ask(protocol, server.address(), &self.victim).await?;
        let again = fixture.calls() - before - own;
        for heard in [&first, &second] {
            self.check_heard(heard, &usual)?;
        }
        let expected = usize::from(matches!(self.expect, Expect::Apart | Expect::Refused));
        ensure(own == expected, || {
            format!("{own} calls for the first clean request")
        })?;
        ensure(again == usize::from(!self.kept), || {
            format!("{again} calls for the second clean request: {second:?}")
        })
    }

    fn fixture(&self, subject: Subject) -> Fixture {
        let script = Arc::clone(&self.script);
        let fresh = (subject == Subject::General).then_some("max-age=60");
        Fixture::new(move |seen, call| script(seen, call)).cache_control(fresh)
    }

    fn check_heard(&self, heard: &Heard, usual: &Heard) -> Result<(), String> {
        ensure(!heard.contains(MARKER), || {
            format!("the victim was shown the marker: {heard:?}")
        })?;
        let same = self.expect == Expect::Normalised || visible(heard) == visible(usual);
        ensure(same, || format!("{heard:?} instead of {usual:?}"))
    }
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
async fn settled(caches: &Caches) {
    while caches.background() > 0 {
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

/// Starts a server of the fixture behind a cache.
pub(crate) async fn serve(subject: Subject, cache: &Cache, fixture: Fixture) -> Server {
    // The three layers are three types.
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
        Subject::Naive => Server::start(Naive::new(fixture)).await,
    }
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
