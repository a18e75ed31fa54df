use std::{future::Future, ops::Deref, sync::Arc};

use pitlane_core::{Basis, Dependencies, Meta, Tag, TagId};

use tokio::task::futures::TaskLocalFuture;

use super::{Cache, budget::Budget};

tokio::task_local! {
    static CURRENT: Arc<Work>;
    /// What a request may lose to Redis whose answer no scope collects.
    static BUDGET: Option<Budget>;
}

/// A computation under way: what it is made of, and what it may still lose to Redis.
#[derive(Debug)]
pub(crate) struct Work {
    dependencies: Dependencies,
    budget: Option<Budget>,
}

impl Work {
    pub(crate) fn new(basis: Basis, budget: Option<Budget>) -> Arc<Self> {
        Arc::new(Self {
            dependencies: Dependencies::new(basis),
            budget,
        })
    }

    /// Notes what ends the result: tags that have names, and those that follow from a key.
    pub(crate) fn note(&self, cache: &Cache, tags: impl IntoIterator<Item = Tag>, ids: &[TagId]) {
        for tag in tags {
            let id = tag.id(cache.shared().log.tags());
            self.tag(tag, id);
        }
        self.add_tags(ids, &[]);
    }
}

impl Deref for Work {
    type Target = Dependencies;

    fn deref(&self) -> &Dependencies {
        &self.dependencies
    }
}

/// What the current computation is made of.
///
/// The layers open a scope around every handler whose answer may be stored; what the handler
/// takes from a [`Cache`](super::Cache) is collected in it, so that an entry carries the tags of
/// everything it shows and never looks fresher than its oldest part. Spawned tasks do not
/// inherit it: pass it on.
///
/// # Example
///
/// ```
/// # async fn load() {}
/// # async fn handler() {
/// let scope = pitlane::Scope::current();
/// let loaded = tokio::spawn(async move { scope.run(load()).await });
/// # let _ = loaded.await;
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Scope(Option<Arc<Work>>);

impl Scope {
    /// The scope that this code runs in; an empty one outside of any.
    pub fn current() -> Self {
        Self(CURRENT.try_with(Arc::clone).ok())
    }

    /// The scope that this code runs in or, outside of any, one that begins here and now.
    ///
    /// For a handler that no cache layer is around, or that one lets pass: what it reads from now
    /// on is newer than the position that is noted here, so that the fragments it renders of that
    /// may be kept. Open it before anything is read.
    ///
    /// # Example
    ///
    /// ```
    /// # async fn load() -> String { String::new() }
    /// # async fn handler(cache: pitlane::Cache) {
    /// let page = pitlane::Scope::open(&cache).run(load()).await;
    /// # let _ = page;
    /// # }
    /// ```
    pub fn open(cache: &Cache) -> Self {
        let current = Self::current();
        if current.is_open() {
            return current;
        }
        let budget = cache.budget();
        Self::begin(cache.basis(), budget).0
    }

    /// A scope for a computation that begins at `basis`.
    pub(crate) fn begin(basis: Basis, budget: Option<Budget>) -> (Self, Arc<Work>) {
        let work = Work::new(basis, budget);
        (Self(Some(Arc::clone(&work))), work)
    }

    /// Runs `work` in this scope.
    pub async fn run<F: Future>(self, work: F) -> F::Output {
        match self.0 {
            Some(dependencies) => CURRENT.scope(dependencies, work).await,
            None => work.await,
        }
    }

    /// Runs synchronous `work` in this scope: in `spawn_blocking`, say, which does not inherit it.
    pub fn sync<T>(self, work: impl FnOnce() -> T) -> T {
        match self.0 {
            Some(dependencies) => CURRENT.sync_scope(dependencies, work),
            None => work(),
        }
    }

    /// Whether anything is collected here.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Notes that the current computation shows what `entry` holds.
    pub(crate) fn depend(&self, entry: &Meta, fresh: bool) {
        if let Some(work) = &self.0 {
            work.depend(entry, fresh);
        }
    }

    /// Notes what ends the current computation.
    pub(crate) fn note(&self, cache: &Cache, tags: impl IntoIterator<Item = Tag>, ids: &[TagId]) {
        if let Some(work) = &self.0 {
            work.note(cache, tags, ids);
        }
    }

    /// Whether something stale was used in it until now.
    pub(crate) fn is_stale(&self) -> bool {
        self.0.as_ref().is_some_and(|work| work.is_stale())
    }

    /// The basis that a computation inside this scope must not be newer than.
    pub(crate) fn basis(&self) -> Option<Basis> {
        self.0.as_ref().map(|dependencies| dependencies.basis())
    }

    /// What the request that this scope belongs to may still lose to Redis.
    pub(crate) fn budget(&self) -> Option<Budget> {
        match &self.0 {
            Some(work) => work.budget.clone(),
            None => BUDGET.try_with(Option::clone).ok().flatten(),
        }
    }

    /// Takes over what an inner computation was made of, whether or not it was stored.
    pub(crate) fn absorb(&self, inner: &Dependencies) {
        if let Some(dependencies) = &self.0 {
            dependencies.absorb(&inner.gathered());
        }
    }
}

/// Like [`Scope::run`] as a named future, for hand-written state machines.
pub(crate) fn run_in<F>(scope: Arc<Work>, work: F) -> TaskLocalFuture<Arc<Work>, F>
where
    F: Future,
{
    CURRENT.scope(scope, work)
}

/// Work that passes a cache by.
pub(crate) type Budgeted<F> = TaskLocalFuture<Option<Budget>, F>;

/// Lets `work`, which no scope is opened for, lose no more than `budget` to Redis in all.
pub(crate) fn within<F: Future>(budget: Option<Budget>, work: F) -> Budgeted<F> {
    BUDGET.scope(budget, work)
}

/// Runs synchronous work (one poll of a body) in a scope.
pub(crate) fn poll_in<T>(scope: &Arc<Work>, work: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(Arc::clone(scope), work)
}

/// Adds tags to the response or value that is being computed.
///
/// Outside of a cached computation it does nothing.
pub fn depend_on<T: Into<Tag>>(cache: &Cache, tags: impl IntoIterator<Item = T>) {
    let Some(dependencies) = Scope::current().0 else {
        return;
    };
    for tag in tags {
        let tag = tag.into();
        let id = tag.id(cache.shared().log.tags());
        dependencies.tag(tag, id);
    }
}
