//! Whether a cache works, step by step, and how long each step takes.

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pitlane_core::{Condition, Key, RemoteStore, Tag};
use pitlane_policy::Freshness;
use serde::{Deserialize, Serialize};

use super::{failed, seconds};
use crate::cache::{Cache, Caches, Claim, Content, Invalidated, Invalidation};
use crate::error::{Error, ErrorKind};

/// Nothing that a check stores under the cache's keys lives longer, whatever becomes of it.
const LIFE: Duration = Duration::from_secs(10);
/// So many tags are used in turn: each leaves a mark in the log, and these are all there will be.
const TAGS: u64 = 64;

/// What a check of one cache found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// The cache.
    pub cache: String,
    /// Whether every step that applies went well.
    pub ok: bool,
    /// reach, write, read, delete, tag, lease and log, in this order.
    pub steps: Vec<CheckStep>,
    /// How long all of it took, in seconds.
    pub seconds: f64,
}

/// One step of a check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CheckStep {
    /// `reach`, `write`, `read`, `delete`, `tag`, `lease` or `log`.
    pub name: String,
    /// `ok`, `failed`, `not-tried` after a failure, or `not-applicable`.
    pub outcome: String,
    /// How long it took, in seconds; nothing where it was not tried.
    pub seconds: Option<f64>,
    /// What went wrong, or why it does not apply.
    pub detail: Option<String>,
}

impl Caches {
    /// Checks that a cache works: that Redis answers, that something can be written, read and
    /// deleted, that an entry ends with its tag, that a lease is held by one alone, and that what
    /// is appended to the log comes back. Without Redis the memory tier is checked, with a value
    /// that is looked for and counted like any other.
    ///
    /// It leaves nothing behind in the cache. In the log it leaves a record of a tag that nothing
    /// else carries.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownCache`]; what doesn't work is in the report.
    pub async fn check(&self, cache: &str) -> Result<CheckReport, Error> {
        let cache = self.get(cache)?;
        let began = now();
        let steps = match cache.remote_place() {
            Some((store, prefix)) => {
                let token = random();
                let checking = Checking {
                    caches: self,
                    cache: &cache,
                    store: Arc::clone(store),
                    prefix,
                    probe: format!("{prefix}check-{token:016x}"),
                    key: format!("check:{token:016x}"),
                    token,
                };
                checking.run().await
            }
            None => memory(self, &cache, random()).await,
        };
        let ok = |step: &CheckStep| matches!(&*step.outcome, "ok" | "not-applicable");
        Ok(CheckReport {
            cache: cache.name().to_owned(),
            ok: steps.iter().all(ok),
            steps,
            seconds: seconds(began.elapsed()),
        })
    }
}

/// Steps, of which none is tried after one that failed.
#[derive(Default)]
struct Steps {
    steps: Vec<CheckStep>,
    broken: bool,
}

impl Steps {
    async fn step(&mut self, name: &str, work: impl Future<Output = Result<(), Error>>) {
        if self.broken {
            return self.note(name, "not-tried", None, None);
        }
        let began = now();
        let result = work.await;
        let took = Some(seconds(began.elapsed()));
        match result {
            Ok(()) => self.note(name, "ok", took, None),
            Err(error) => {
                self.broken = true;
                self.note(name, "failed", took, Some(error.to_string()));
            }
        }
    }

    fn note(&mut self, name: &str, outcome: &str, seconds: Option<f64>, detail: Option<String>) {
        self.steps.push(CheckStep {
            name: name.to_owned(),
            outcome: outcome.to_owned(),
            seconds,
            detail,
        });
    }

    fn without(&mut self, name: &str, why: &str) {
        self.note(name, "not-applicable", None, Some(why.to_owned()));
    }
}

struct Checking<'a> {
    caches: &'a Caches,
    cache: &'a Cache,
    store: Arc<dyn RemoteStore>,
    prefix: &'a str,
    probe: String,
    key: String,
    token: u64,
}

impl Checking<'_> {
    async fn run(self) -> Vec<CheckStep> {
        // Whoever gives up waiting for the check leaves no keys behind either.
        let tidy = Tidy {
            cache: self.cache,
            store: Arc::clone(&self.store),
            keys: vec![self.probe.clone(), self.counter(), self.entry_name()],
        };
        let mut steps = Steps::default();
        let value = Bytes::from(self.token.to_string());
        steps.step("reach", self.reach()).await;
        steps.step("write", self.write(value.clone())).await;
        steps.step("read", self.read(value)).await;
        steps.step("delete", self.delete()).await;
        if self.cache.is_store() {
            steps.without("tag", "the log doesn't judge a store");
        } else {
            steps.step("tag", self.tag()).await;
        }
        steps.step("lease", self.lease()).await;
        if self.cache.is_store() {
            steps.without("log", "the log doesn't judge a store");
        } else {
            steps.step("log", self.log()).await;
        }
        tidy.now().await;
        steps.steps
    }

    async fn reach(&self) -> Result<(), Error> {
        self.store.get(&self.probe).await.map_err(failed)?;
        Ok(())
    }

    async fn write(&self, value: Bytes) -> Result<(), Error> {
        let set = self.store.set(&self.probe, value, LIFE, Condition::Always);
        set.await.map_err(failed)?;
        Ok(())
    }

    async fn read(&self, value: Bytes) -> Result<(), Error> {
        let found = self.store.get(&self.probe).await.map_err(failed)?;
        ensure(found == Some(value), "what was written was not there")
    }

    async fn delete(&self) -> Result<(), Error> {
        let deleted = self.store.delete(&self.probe).await.map_err(failed)?;
        ensure(deleted, "what was to be deleted was not there")?;
        let left = self.store.get(&self.probe).await.map_err(failed)?;
        ensure(left.is_none(), "what was deleted is there")
    }

    fn tag_name(&self) -> Tag {
        Tag::new(format!("pitlane:check:{}", self.token % TAGS))
    }

    fn entry_name(&self) -> String {
        let sample = self.cache.sample(self.key.as_bytes(), self.tag_name());
        sample.map_or_else(|| self.probe.clone(), |(name, _)| name)
    }

    /// An entry is usable until its tag is invalidated, and not after.
    async fn tag(&self) -> Result<(), Error> {
        let sample = self.cache.sample(self.key.as_bytes(), self.tag_name());
        let (name, bytes) = sample.ok_or_else(|| broken("an entry could not be made"))?;
        let set = self.store.set(&name, bytes, LIFE, Condition::Always);
        set.await.map_err(failed)?;
        ensure(self.is_usable(&name).await?, "a new entry is not usable")?;
        self.invalidate().await?;
        let usable = self.is_usable(&name).await?;
        ensure(!usable, "an entry is usable after its tag was invalidated")?;
        self.store.delete(&name).await.map_err(failed)?;
        Ok(())
    }

    async fn is_usable(&self, name: &str) -> Result<bool, Error> {
        let looked = self.cache.look_at(name).await.map_err(failed)?;
        let looked = looked.ok_or_else(|| broken("the entry is not there"))?;
        Ok(matches!(
            looked.content,
            Content::Entry { unusable: None, .. }
        ))
    }

    async fn invalidate(&self) -> Result<pitlane_core::Position, Error> {
        let invalidation = Invalidation::default().add_tag(self.tag_name());
        match self.caches.publish(invalidation).await? {
            Invalidated::Applied { position } => Ok(position),
            Invalidated::Queued => Err(broken("the log did not take the invalidation in time")),
        }
    }

    /// The one thing that does not expire where Redis goes away before it is removed: so it is the
    /// same for all checks of a cache, and lies beside its keys.
    fn counter(&self) -> String {
        format!("{}+check-fence", self.prefix.trim_end_matches(':'))
    }

    /// One holds it, nobody else gets it, and who holds it can give it back.
    async fn lease(&self) -> Result<(), Error> {
        let mine = Bytes::from(self.token.to_string());
        let counter = self.counter();
        let take = |token| self.store.lease(&self.probe, &counter, token, LIFE);
        let taken = take(mine.clone()).await.map_err(failed)?;
        ensure(taken.is_some(), "a lease that nobody holds was not given")?;
        let again = take(Bytes::from_static(b"another"));
        let again = again.await.map_err(failed)?;
        ensure(again.is_none(), "a lease was given twice")?;
        let given_back = self.store.exchange(&self.probe, mine, None, LIFE).await;
        ensure(given_back.map_err(failed)?, "a lease was lost")
    }

    async fn log(&self) -> Result<(), Error> {
        let position = self.invalidate().await?;
        let reached = self.caches.reach(position).await;
        ensure(reached, "what was appended to the log did not come back")
    }
}

/// Deletes what a check may have left, whatever became of it.
struct Tidy<'a> {
    cache: &'a Cache,
    store: Arc<dyn RemoteStore>,
    keys: Vec<String>,
}

impl Tidy<'_> {
    async fn now(mut self) {
        let keys = std::mem::take(&mut self.keys);
        // What can't be deleted expires.
        let _ = self.store.unlink(&keys).await;
    }
}

impl Drop for Tidy<'_> {
    fn drop(&mut self) {
        let keys = std::mem::take(&mut self.keys);
        if keys.is_empty() {
            return;
        }
        let store = Arc::clone(&self.store);
        self.cache.shared().spawn(async move {
            let _ = store.unlink(&keys).await;
        });
    }
}

/// A node on its own: the same questions to its memory.
async fn memory(caches: &Caches, cache: &Cache, token: u64) -> Vec<CheckStep> {
    const ALONE: &str = "the caches have no Redis";
    let mut steps = Steps::default();
    if cache.is_store() {
        for name in ["reach", "write", "read", "delete", "tag", "lease", "log"] {
            steps.without(name, "a store lives in Redis, and the caches have none");
        }
        return steps.steps;
    }
    let key = Key::new("pitlane-check").child(format!("{token:016x}"));
    let tag = Tag::new(format!("pitlane:check:{}", token % TAGS));
    steps.without("reach", ALONE);
    steps.step("write", write_value(cache, &key, &tag)).await;
    steps
        .step("read", async { find_value(cache, &key, true) })
        .await;
    steps.without("delete", "entries in memory end by their tags");
    let ending = async {
        let _applied = caches.publish(Invalidation::tags([tag])).await?;
        find_value(cache, &key, false)
    };
    steps.step("tag", ending).await;
    steps.without("lease", ALONE);
    steps.without("log", ALONE);
    steps.steps
}

async fn write_value(cache: &Cache, key: &Key, tag: &Tag) -> Result<(), Error> {
    match cache.claim(key).await {
        Claim::Fill(fill) => {
            let _stored = fill.store_with("check", Freshness::new(LIFE), [tag.clone()]);
            Ok(())
        }
        Claim::Hit(_) => Err(broken("a key that nobody has used was taken")),
    }
}

fn find_value(cache: &Cache, key: &Key, wanted: bool) -> Result<(), Error> {
    let found = cache.get(key).is_some();
    let message = if wanted {
        "what was written was not there"
    } else {
        "an entry is usable after its tag was invalidated"
    };
    ensure(found == wanted, message)
}

fn ensure(holds: bool, otherwise: &str) -> Result<(), Error> {
    if holds {
        Ok(())
    } else {
        Err(broken(otherwise))
    }
}

fn broken(message: &str) -> Error {
    Error::new(ErrorKind::Redis, message)
}

/// The standard library's hash keys are the process's own source of randomness.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a step really takes is what is asked"
)]
fn now() -> Instant {
    Instant::now()
}
