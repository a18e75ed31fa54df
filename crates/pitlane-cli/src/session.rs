//! A short-lived node: connected to Redis, and in the log that all nodes follow.

use std::env;
use std::time::Duration;

use pitlane::manage::printable;
use pitlane::{Cache, Caches, CachesBuilder, Kind};
use secrecy::SecretString;
use tokio::time::{sleep, timeout};

use crate::arguments::{self, Place};
use crate::failure::Failure;

/// How long Redis may take until the first answer.
const PATIENCE: Duration = Duration::from_millis(1200);
/// How long the connections to other databases than the log's may take.
const ALL: Duration = Duration::from_millis(300);
/// How long one command may take. A person waits, and no request does.
const BUDGET: Duration = Duration::from_millis(500);
/// How long what is owed to the log may take in the end.
const OWED: Duration = Duration::from_millis(700);
const LOOK: Duration = Duration::from_millis(2);

/// Without a configuration nobody says how large entries are.
const MEMORY: u64 = 1 << 30;
const MAX_BODY: u64 = 64 << 20;

pub(crate) struct Session {
    pub(crate) caches: Caches,
    /// Those that were named, or all.
    chosen: Vec<Cache>,
}

/// Whether a log may be begun where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Log {
    /// It may: a check of a new Redis begins it, as the first server would.
    Begin,
    /// It may not: what is said to a log that no server follows is said to nobody.
    Join,
}

impl Session {
    /// Connects, and joins the log.
    pub(crate) async fn open(
        place: &Place,
        wanted: &arguments::Caches,
        log: Log,
    ) -> Result<Self, Failure> {
        let (mut builder, configured) = configure(place, wanted)?;
        if log == Log::Join {
            builder = builder.only_join();
        }
        let caches = builder.build()?;
        let chosen = if wanted.names.is_empty() {
            caches.iter().cloned().collect()
        } else {
            let named = wanted.names.iter().map(|name| caches.get(name));
            named.collect::<Result<_, _>>()?
        };
        let session = Self { caches, chosen };
        // Stores are not judged by the log.
        let needs_log = configured || !wanted.store;
        let mut ready = session.join(place, needs_log).await;
        if ready.is_ok() && !configured {
            ready = session.check_kinds(wanted).await;
        }
        match ready {
            Ok(()) => Ok(session),
            Err(failure) => {
                session.close().await;
                Err(failure)
            }
        }
    }

    pub(crate) fn chosen(&self) -> &[Cache] {
        &self.chosen
    }

    async fn join(&self, place: &Place, needs_log: bool) -> Result<(), Failure> {
        let Some(redis) = self.caches.redis() else {
            return Err(Failure::usage(
                "the configuration names no Redis, and memory is each server's own: say --redis \
                 URL, or ask a server with --admin URL where a command takes that",
            ));
        };
        let joined = async {
            let has_joined = || self.caches.log_status()?.position;
            while needs_log && has_joined().is_none() {
                sleep(LOOK).await;
            }
            // A Redis that takes no writes is one all the same: what needs them says what it says.
            let _ = timeout(ALL, redis.when_closed()).await;
        };
        let joined = timeout(PATIENCE, joined).await.is_ok();
        let closed = timeout(LOOK, redis.when_closed()).await.is_ok();
        if joined && (needs_log || closed) {
            return Ok(());
        }
        let address = redis.address();
        if !closed {
            let why = self.why();
            return Err(Failure::failed(format!(
                "Redis at {address} can't be reached{why}"
            )));
        }
        let namespace = place.namespace.as_deref().map(printable);
        let namespace = namespace.map_or_else(String::new, |name| format!(" {name}"));
        Err(Failure::failed(format!(
            "Redis at {address} has no invalidation log of the namespace{namespace} in that \
             database, so no server would hear of it: say --config, --namespace or --log-database \
             as the servers have them"
        )))
    }

    /// Without a configuration nobody said what kind of cache is meant, and a store that is
    /// treated as a cache seems to be cleared and isn't.
    async fn check_kinds(&self, wanted: &arguments::Caches) -> Result<(), Failure> {
        for cache in &self.chosen {
            let name = cache.name();
            let is_store = self.caches.kind_in_redis(name).await? == Some(Kind::Store);
            if is_store && !wanted.store {
                return Err(Failure::usage(format!("{name} is a store: say --store")));
            }
            if wanted.store && !is_store {
                return Err(Failure::failed(format!("Redis has no store called {name}")));
            }
        }
        Ok(())
    }

    /// What Redis is known to say against us, to stand behind a sentence.
    pub(crate) fn why(&self) -> String {
        let trouble = self.caches.redis().and_then(|redis| redis.trouble());
        trouble.map_or_else(String::new, |kind| format!(" ({})", kind.as_str()))
    }

    /// Appends what is owed to the log. Says whether nothing is owed any more.
    pub(crate) async fn close(&self) -> bool {
        let drained = self.caches.shutdown(OWED).await;
        if let Some(redis) = self.caches.redis() {
            redis.shutdown().await;
        }
        drained
    }

    /// Waits until what runs in the background is over, and tells `each` now and then.
    pub(crate) async fn settle(&self, mut each: impl FnMut()) {
        while self.caches.background() > 0 {
            each();
            sleep(LOOK * 10).await;
        }
    }
}

/// What is said on the command line wins over the environment, and that over the file.
/// Says, too, whether there is a file.
fn configure(place: &Place, wanted: &arguments::Caches) -> Result<(CachesBuilder, bool), Failure> {
    let secret = |name| env::var(name).ok().map(SecretString::from);
    let url = place.redis.clone().or_else(|| secret("PITLANE_REDIS_URL"));
    let config = place.config.clone();
    let config = config.or_else(|| env::var_os("PITLANE_CONFIG").map(Into::into));
    let mut builder = match (&config, &url) {
        (Some(file), _) => Caches::builder().config_file(file)?,
        (None, Some(_)) => named(wanted)?,
        (None, None) => {
            return Err(Failure::usage(
                "where are the caches? Say --config FILE, or --redis URL --namespace NAME",
            ));
        }
    };
    if let Some(url) = url {
        builder = builder.redis(url);
    }
    if let Some(password) = secret("PITLANE_REDIS_PASSWORD") {
        builder = builder.redis_password(password);
    }
    if let Some(namespace) = &place.namespace {
        builder = builder.namespace(namespace);
    }
    if let Some(database) = place.log_database {
        builder = builder.log_database(database);
    }
    Ok((builder.redis_budget(BUDGET), config.is_some()))
}

/// Without a configuration there are the caches that are named, in the URL's database.
fn named(wanted: &arguments::Caches) -> Result<CachesBuilder, Failure> {
    let kind = if wanted.store { "store" } else { "cache" };
    let default = ["default".to_owned()];
    let names = if wanted.names.is_empty() {
        &default[..]
    } else {
        &wanted.names
    };
    let mut builder = Caches::builder().memory(MEMORY).max_body(MAX_BODY);
    for name in names {
        // A string of JSON is one of TOML.
        let quoted = serde_json::Value::from(&**name);
        let text = format!("[caches.{quoted}]\nkind = \"{kind}\"\n");
        builder = builder.config(&text, "--cache")?;
    }
    Ok(builder)
}
