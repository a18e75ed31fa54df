use std::{fmt, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use pitlane_core::{
    Basis, Followed, Joined, Key, Meta, Reason, Tag, TagId, TagKind, TagSet, Timestamp,
};
use pitlane_policy::Freshness;
use tokio::time::timeout;

use super::{
    Budget, Cache, Coherence, Place, Scope, Work,
    entry::{Entry, Marker, MarkerKind, Payload, Slot, Usable},
    shared::{Flown, Lead},
};
use crate::stats::Filling;

/// The family of values whose form is their caller's own business.
const PLAIN: &[u8] = b"v";

/// After this many flights that ended without something usable a caller computes alone.
pub(crate) const MAX_ROUNDS: usize = 4;

/// How long a caller waits for another's computation before it computes alone. Two computations
/// that claim each other's keys would wait for ever.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What is kept until a value can be found by other nodes: their turn comes after that.
pub(crate) type Keep = Option<Box<dyn Send + Sync>>;

/// What [`Cache::claim`] found.
#[derive(Debug)]
#[must_use]
pub enum Claim {
    /// A usable value.
    Hit(Value),
    /// Nothing: the caller computes, and others wait for it.
    Fill(Fill),
}

/// A cached value.
#[derive(Clone, Debug)]
pub struct Value {
    bytes: Bytes,
    stale: bool,
    tier: Option<Tier>,
}

/// Where a value was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tier {
    /// In this process.
    Memory,
    /// In Redis.
    Remote,
}

impl Value {
    /// The payload.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Where it was found; `None` for a value that was computed just now.
    #[must_use]
    pub const fn tier(&self) -> Option<Tier> {
        self.tier
    }

    /// Whether it is past its lifetime or softly invalidated, within the stale window.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        self.stale
    }
}

impl Cache {
    /// A usable value, if one is stored: fresh, or stale within its window.
    ///
    /// The current [`Scope`] notes that it was used.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Value> {
        if self.must_confirm() {
            return None;
        }
        let found = self
            .peek_counted(&Wanted::of(self, PLAIN, key).place)
            .ok()?;
        Some(found.take())
    }

    /// A usable value from memory or from Redis.
    ///
    /// The current [`Scope`] notes that it was used. Trouble with Redis is a miss.
    pub async fn read(&self, key: &Key) -> Option<Value> {
        let place = Wanted::of(self, PLAIN, key).place;
        let budget = self.budget();
        if self.confirm(budget.as_ref()).await
            && let Ok(found) = self.peek_counted(&place)
            && !found.stale
        {
            return Some(found.take());
        }
        let slot = self.pull(&place, budget.as_ref()).await?;
        let found = self.usable(&place, slot, Tier::Remote).ok()?;
        Some(found.take())
    }

    /// A usable value, or the right to compute it.
    ///
    /// At most one caller at a time holds the [`Fill`] for a key; the others wait for it, judge
    /// its result as they would a hit, and take over when it is dropped without one. A value
    /// that is stale is handed out as long as somebody else is computing a new one. Nobody
    /// waits longer than 10 seconds: two computations may claim each other's keys.
    ///
    /// Needs a tokio runtime with its timer enabled.
    pub async fn claim(&self, key: &Key) -> Claim {
        match self.claim_wanted(Wanted::of(self, PLAIN, key)).await {
            Claimed::Hit(found) => {
                self.stats().count_lookup(found.look());
                self.stats().note_use(&found.entry);
                Claim::Hit(found.take())
            }
            Claimed::Fill(fill) => {
                self.stats().count_lookup(fill.why);
                Claim::Fill(fill.measured())
            }
        }
    }

    /// Looks into memory on behalf of a caller, which counts.
    pub(crate) fn peek_counted(&self, place: &Place) -> Result<Found, Reason> {
        let found = self.peek(place);
        let look = found.as_ref().map_or_else(|why| *why, Found::look);
        self.stats().count_lookup(look);
        if let Ok(found) = &found {
            self.stats().note_use(&found.entry);
        }
        found
    }

    /// Like [`Cache::claim`] for a place of any kind, and with what is known of its finding.
    pub(crate) async fn claim_wanted(&self, wanted: Wanted) -> Claimed {
        let budget = self.budget();
        let mut why = Reason::UriMiss;
        for round in 0..MAX_ROUNDS {
            let found = if self.confirm(budget.as_ref()).await {
                self.peek(&wanted.place)
            } else {
                Err(Reason::Unconfirmed)
            };
            let found = match found {
                Ok(found) if !found.stale => return Claimed::Hit(found),
                Err(Reason::HitForMiss) => {
                    let fill = self.begin(wanted, None, budget, Reason::HitForMiss);
                    return Claimed::Fill(fill);
                }
                found => found,
            };
            if round == 0 {
                why = found.as_ref().err().copied().unwrap_or(Reason::Expired);
            }
            let flights = &self.shared().flights;
            let current = |basis: &Basis| self.shared().is_current(basis, &wanted.tags);
            let follower = match flights.join(wanted.place.digest, self.basis(), current) {
                Joined::Lead(lead) => return self.lead(wanted, Some(lead), budget, why).await,
                Joined::Follow(follower) => follower,
            };
            if let Ok(stale) = found {
                return Claimed::Hit(stale);
            }
            let Ok(followed) = timeout(PATIENCE, follower).await else {
                break;
            };
            match followed {
                Followed::Lead(lead) => return self.lead(wanted, Some(lead), budget, why).await,
                Followed::Released => break,
                Followed::Landed(Flown::Entry(entry)) if !self.must_confirm() => {
                    let slot = Slot::Entry(entry);
                    if let Ok(found) = self.usable(&wanted.place, slot, Tier::Memory)
                        && !found.stale
                    {
                        return Claimed::Hit(found.collapsed(why));
                    }
                }
                Followed::Landed(_) => {}
            }
        }
        self.lead(wanted, None, budget, why).await
    }

    /// Looks once more, because the flight before may have landed just now, and then lets the
    /// caller compute.
    pub(crate) async fn lead(
        &self,
        wanted: Wanted,
        lead: Option<Lead>,
        budget: Option<Budget>,
        why: Reason,
    ) -> Claimed {
        let fresh = |found: &Found| !found.stale;
        let mut found = None;
        if !self.must_confirm() {
            let landed = self.peek(&wanted.place).ok().filter(fresh);
            found = landed.map(|found| found.collapsed(why));
        }
        if found.is_none()
            && let Some(slot) = self.pull(&wanted.place, budget.as_ref()).await
        {
            let remote = self.usable(&wanted.place, slot, Tier::Remote).ok();
            found = remote.filter(fresh).map(|found| found.missed(why));
        }
        if let Some(found) = found {
            if let Some(lead) = lead {
                lead.land(Flown::Entry(Arc::clone(&found.entry)));
            }
            return Claimed::Hit(found);
        }
        Claimed::Fill(self.begin(wanted, lead, budget, why))
    }

    /// Begins a computation without looking anywhere: notes its position, before any of its code
    /// has run, and opens its scope.
    pub(crate) fn begin(
        &self,
        wanted: Wanted,
        lead: Option<Lead>,
        budget: Option<Budget>,
        why: Reason,
    ) -> Fill {
        let basis = self.basis();
        if let Some(lead) = &lead {
            lead.rebase(basis);
        }
        let (scope, dependencies) = Scope::begin(basis, budget);
        let outer = Scope::current();
        let began = self.shared().clock.now();
        Fill {
            cache: self.clone(),
            wanted,
            lead,
            scope,
            dependencies,
            outer,
            began,
            why,
            filling: None,
        }
    }

    /// The value that memory holds for a place, and its entry, usable or not.
    #[cfg(feature = "data")]
    pub(crate) fn peek_value(&self, place: &Place) -> Option<(Arc<Entry>, Bytes)> {
        match self.tier().get(place.digest)? {
            Slot::Entry(entry) if *entry.key == *place.key => match &entry.payload {
                Payload::Value(bytes) => {
                    let bytes = bytes.clone();
                    Some((entry, bytes))
                }
                Payload::Response(_) => None,
            },
            _ => None,
        }
    }

    /// What somebody else's computation landed with, if it may be used now.
    #[cfg(feature = "data")]
    pub(crate) fn usable_value(
        &self,
        place: &Place,
        entry: Arc<Entry>,
        tier: Tier,
    ) -> Option<Found> {
        self.usable(place, Slot::Entry(entry), tier).ok()
    }

    /// Takes a value out that nobody can read, here and in Redis.
    pub(crate) fn withdraw_value(&self, place: &Place, entry: &Arc<Entry>) {
        if self.tier().withdraw(place.digest, entry) {
            self.withdraw(place);
        }
    }

    /// What the request that runs here may still lose to Redis; `None` without Redis.
    pub(crate) fn budget(&self) -> Option<Budget> {
        self.inner.remote.as_ref()?;
        let given = Scope::current().budget();
        Some(given.unwrap_or_else(|| Budget::new(self.shared().budget)))
    }

    /// Whether a hit in memory counts only once the log has confirmed it.
    pub(crate) fn must_confirm(&self) -> bool {
        self.settings().coherence == Coherence::Strict && self.shared().uplink.is_some()
    }

    /// Brings the node's log up to date where hits have to be confirmed. Says whether what is in
    /// memory may be used.
    pub(crate) async fn confirm(&self, budget: Option<&Budget>) -> bool {
        !self.must_confirm() || self.shared().confirm(budget).await
    }

    /// The position of a computation that begins now: the log's, or the older one of the
    /// computation around it.
    pub(crate) fn basis(&self) -> Basis {
        Scope::current()
            .basis()
            .unwrap_or_else(|| self.shared().log.basis())
    }

    /// What memory holds for a place, if it may be used.
    pub(crate) fn peek(&self, place: &Place) -> Result<Found, Reason> {
        let slot = self.tier().get(place.digest).ok_or(Reason::UriMiss)?;
        self.usable(place, slot, Tier::Memory)
    }

    fn usable(&self, place: &Place, slot: Slot, tier: Tier) -> Result<Found, Reason> {
        let now = self.shared().clock.now();
        let entry = match slot {
            Slot::Entry(entry) => entry,
            Slot::Marker(marker) => return Err(marked(&marker, place, now)),
        };
        if *entry.key != *place.key {
            return Err(Reason::UriMiss);
        }
        let Payload::Value(bytes) = &entry.payload else {
            return Err(Reason::UriMiss);
        };
        let (stale, left) = match entry.judge(&self.shared().log, now) {
            Usable::Fresh { ttl, .. } => (false, ttl.cast_signed()),
            Usable::WhileRevalidate { stale_for, .. } => (true, -stale_for.cast_signed()),
            Usable::Stale { reason, .. } | Usable::No(reason) => return Err(reason),
        };
        let bytes = bytes.clone();
        Ok(Found {
            entry,
            bytes,
            stale,
            left,
            tier,
            collapsed: None,
            missed: None,
        })
    }
}

/// What a marker says of a place.
fn marked(marker: &Marker, place: &Place, now: Timestamp) -> Reason {
    match marker.kind {
        MarkerKind::Pass { until } if now < until && *marker.key == *place.key => {
            Reason::HitForMiss
        }
        _ => Reason::UriMiss,
    }
}

/// What [`Cache::claim_wanted`] found.
pub(crate) enum Claimed {
    Hit(Found),
    Fill(Fill),
}

/// A usable entry that nobody has used yet.
pub(crate) struct Found {
    pub(crate) entry: Arc<Entry>,
    pub(crate) bytes: Bytes,
    pub(crate) stale: bool,
    /// Seconds of remaining life; negative when it is stale.
    pub(crate) left: i64,
    pub(crate) tier: Tier,
    /// Why it was looked for again, if somebody else computed it while this caller waited.
    pub(crate) collapsed: Option<Reason>,
    /// Why memory didn't have it, if another tier did.
    missed: Option<Reason>,
}

impl Found {
    fn collapsed(self, why: Reason) -> Self {
        Self {
            collapsed: Some(why),
            ..self
        }
    }

    fn missed(self, why: Reason) -> Self {
        Self {
            missed: Some(why),
            ..self
        }
    }

    /// What the caller's look into memory came to.
    pub(crate) fn look(&self) -> Reason {
        let found = if self.stale {
            Reason::StaleWhileRevalidate
        } else {
            Reason::Fresh
        };
        self.collapsed.or(self.missed).unwrap_or(found)
    }

    /// Uses the value: the current scope depends on it from here on.
    pub(crate) fn take(self) -> Value {
        Scope::current().depend(&self.entry.meta, !self.stale);
        Value {
            bytes: self.bytes,
            stale: self.stale,
            tier: Some(self.tier),
        }
    }
}

/// Where a value is stored and what invalidates it.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) place: Place,
    pub(crate) tags: Vec<TagId>,
}

impl Wanted {
    /// `family` keeps values of different forms apart under one key.
    pub(crate) fn of(cache: &Cache, family: &[u8], key: &Key) -> Self {
        Self::at(cache, Self::place(cache, family, key), key)
    }

    /// Where the value is, which is all that a hit needs to know.
    pub(crate) fn place(cache: &Cache, family: &[u8], key: &Key) -> Place {
        let bytes = [&cache.key_prefix()[..], family, key.as_str().as_bytes()].concat();
        Place::new(cache, bytes)
    }

    /// What is to be computed for a place that was made of the same key.
    pub(crate) fn at(cache: &Cache, place: Place, key: &Key) -> Self {
        let log = &cache.shared().log;
        let ancestors = key
            .ancestors()
            .map(|path| log.tag_id(TagKind::Subtree, path));
        let tags = ancestors.chain([cache.tag_id()]).collect();
        Self { place, tags }
    }
}

/// `user:{id}:` and the key: what is under it belongs to that user. What a key's text holds was
/// encoded when it was made.
pub(crate) fn under_user(id: &str, key: &Key) -> Key {
    let user = Key::new("user").child(id);
    let text = format!("{user}:{key}");
    text.parse().unwrap_or_else(|_| user.child(key))
}

/// Held by the one task that computes a value; dropping it hands the work on.
#[must_use = "dropping a fill hands its work on"]
pub struct Fill {
    cache: Cache,
    wanted: Wanted,
    lead: Option<Lead>,
    scope: Scope,
    dependencies: Arc<Work>,
    outer: Scope,
    began: Timestamp,
    why: Reason,
    /// For a caller who computes; layers measure by themselves.
    filling: Option<Filling>,
}

impl Fill {
    /// Runs the computation, collecting what it takes from caches.
    pub async fn run<F: Future>(&self, work: F) -> F::Output {
        self.scope.clone().run(work).await
    }

    /// Stores what was computed for `ttl`, and hands it to everybody who waits.
    pub fn store(self, value: impl Into<Bytes>, ttl: Duration) -> Value {
        self.store_with(value, Freshness::new(ttl), [] as [Tag; 0])
    }

    /// Stores what was computed, with its stale windows and with tags of its own.
    ///
    /// A value made of something stale is handed back but not stored.
    pub fn store_with<T: Into<Tag>>(
        self,
        value: impl Into<Bytes>,
        freshness: Freshness,
        tags: impl IntoIterator<Item = T>,
    ) -> Value {
        // A small slice would keep a large buffer.
        let bytes = Bytes::copy_from_slice(&value.into());
        self.store_exact(bytes, freshness, tags)
    }

    /// Like [`Fill::store_with`] for a buffer that holds nothing else.
    pub(crate) fn store_exact<T: Into<Tag>>(
        self,
        bytes: Bytes,
        freshness: Freshness,
        tags: impl IntoIterator<Item = T>,
    ) -> Value {
        self.store_keeping(bytes, freshness, tags, None)
    }

    /// The same; drops `kept` when the value is where others find it, or won't be.
    pub(crate) fn store_keeping<T: Into<Tag>>(
        mut self,
        bytes: Bytes,
        freshness: Freshness,
        tags: impl IntoIterator<Item = T>,
        kept: Keep,
    ) -> Value {
        let gathered = self.dependencies.gathered();
        let shared = Arc::clone(self.cache.shared());
        let now = shared.clock.now();
        let names = gathered
            .names
            .into_iter()
            .chain(tags.into_iter().map(Into::into));
        let implied: Vec<TagId> = self
            .wanted
            .tags
            .iter()
            .chain(&gathered.ids)
            .copied()
            .collect();
        let entry = Arc::new(Entry {
            key: self.wanted.place.key.as_slice().into(),
            meta: Meta {
                stored_at: now,
                cost: now.since(self.began),
                tags: TagSet::new(&shared.log, names, &implied),
                stamp: pitlane_core::Stamp::new(gathered.basis),
            },
            freshness,
            payload: Payload::Value(bytes.clone()),
        });
        self.outer.depend(&entry.meta, !gathered.stale);
        let lead = self.lead.take();
        if gathered.stale {
            self.end(Reason::StaleDependency);
            // Whoever waits would find the same: nobody should do so in turn.
            if let Some(lead) = lead {
                lead.release();
            }
        } else {
            self.end(Reason::Stored);
            self.cache.stats().note_cost(&entry);
            self.cache
                .tier()
                .insert(self.wanted.place.digest, Slot::Entry(Arc::clone(&entry)));
            self.cache.push_keeping(&self.wanted.place, &entry, kept);
            if let Some(lead) = lead {
                lead.land(Flown::Entry(entry));
            }
        }
        Value {
            bytes,
            stale: gathered.stale,
            tier: None,
        }
    }

    /// Leaves off before anything was computed: where the value is to be, who waits for it, and
    /// why it is not there.
    #[cfg(feature = "locks")]
    pub(crate) fn leave(mut self) -> (Wanted, Option<Lead>, Reason) {
        (self.wanted.clone(), self.lead.take(), self.why)
    }

    /// Where the value is to be.
    #[cfg(feature = "locks")]
    pub(crate) const fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// The scope that the computation runs in.
    #[cfg(feature = "data")]
    pub(crate) fn scope(&self) -> Scope {
        self.scope.clone()
    }

    /// Notes that this was computed together with `other`, and is made of the same.
    #[cfg(feature = "data")]
    pub(crate) fn share(&self, other: &Self) {
        self.dependencies.absorb(&other.dependencies.gathered());
    }

    /// Tells everybody who waits what went wrong.
    #[cfg(feature = "data")]
    pub(crate) fn fail(mut self, error: Arc<dyn std::any::Any + Send + Sync>) {
        if let Some(lead) = self.lead.take() {
            lead.land(Flown::Error(error));
        }
    }

    /// Gives up without a value to share: whoever waits computes alone, all at once.
    pub fn release(self) {
        self.release_because(Reason::Policy);
    }

    pub(crate) fn release_because(mut self, reason: Reason) {
        self.end(reason);
        if let Some(lead) = self.lead.take() {
            lead.release();
        }
    }

    /// Gives up on a key whose answers can't be stored: until then nobody waits for another's.
    pub(crate) fn refuse(self, until: Timestamp) {
        let marker = Marker {
            key: self.wanted.place.key.as_slice().into(),
            kind: MarkerKind::Pass { until },
        };
        let slot = Slot::Marker(Arc::new(marker));
        self.cache.tier().insert(self.wanted.place.digest, slot);
        self.release();
    }

    /// Measures the computation on behalf of its caller.
    pub(crate) fn measured(mut self) -> Self {
        self.filling = Some(Filling::begin(&self.cache));
        self
    }

    /// Notes, before the computation runs, what ends its result, so that whoever shows that ends
    /// with it even if nothing is stored.
    pub(crate) fn note(&self, tags: impl IntoIterator<Item = Tag>) {
        self.dependencies.note(&self.cache, tags, &self.wanted.tags);
    }

    /// Takes over that the computation around used something stale: its result may be handed in.
    pub(crate) fn inherit_staleness(&self) {
        if self.outer.is_stale() {
            self.dependencies.taint();
        }
    }

    /// Says what became of the computation, where that is measured.
    pub(crate) fn end(&self, reason: Reason) {
        if let Some(filling) = &self.filling {
            filling.end(reason);
        }
    }

    /// Why nothing was found.
    pub(crate) const fn why(&self) -> Reason {
        self.why
    }

    /// The scope of the computation, for what is polled by hand.
    pub(crate) const fn work(&self) -> &Arc<Work> {
        &self.dependencies
    }

    /// Runs `hook` when the first caller waits; gives it back when one does already.
    #[must_use = "a hook that is given back has to be run"]
    pub(crate) fn on_follower<H: FnOnce() + Send + 'static>(&self, hook: H) -> Option<H> {
        self.lead.as_ref()?.on_follower(hook)
    }
}

/// Stored or not, what was computed may be used by the computation around it.
impl Drop for Fill {
    fn drop(&mut self) {
        self.outer.absorb(&self.dependencies);
    }
}

impl fmt::Debug for Fill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fill")
            .field("cache", &self.cache.name())
            .finish_non_exhaustive()
    }
}
