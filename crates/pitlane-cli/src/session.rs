//! A short-lived node: connected to Redis, and in the log that all nodes follow.

use std::env;
use std::time::Duration;

use pitlane::{Cache, Caches, CachesBuilder};
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

impl Session {
    /// Connects, and joins the log.
    pub(crate) async fn open(place: &Place, wanted: &arguments::Caches) -> Result<Self, Failure> {
        let caches = configure(place, wanted)?.build()?;
        let chosen = if wanted.names.is_empty() {
            caches.iter().cloned().collect()
        } else {
            let named = wanted.names.iter().map(|name| caches.get(name));
            named.collect::<Result<_, _>>()?
        };
        let session = Self { caches, chosen };
        session.join().await?;
        Ok(session)
    }

    pub(crate) fn chosen(&self) -> &[Cache] {
        &self.chosen
    }

    async fn join(&self) -> Result<(), Failure> {
        let Some(redis) = self.caches.redis() else {
            return Err(Failure::usage(
                "the configuration names no Redis, and memory is each server's own: say --redis \
                 URL, or ask a server with --admin URL where a command takes that",
            ));
        };
        let joined = async {
            let has_joined = || self.caches.log_status()?.position;
            while has_joined().is_none() {
                sleep(LOOK).await;
            }
            // A Redis that takes no writes is one all the same: what needs them says what it says.
            let _ = timeout(ALL, redis.when_closed()).await;
        };
        if timeout(PATIENCE, joined).await.is_ok() {
            return Ok(());
        }
        let address = redis.address();
        let why = self.why();
        Err(Failure::failed(format!(
            "Redis at {address} can't be reached{why}"
        )))
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
fn configure(place: &Place, wanted: &arguments::Caches) -> Result<CachesBuilder, Failure> {
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
    Ok(builder.redis_budget(BUDGET))
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
