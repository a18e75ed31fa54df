use std::{error::Error, fmt, future::Future, pin::Pin, time::Duration};

/// A place for encoded entries outside the process.
///
/// Bytes that come back are claims: the caller decodes and judges them. An error is never more
/// than a miss to a reader. Implementations bound their own time and never wait for ever.
pub trait Store: Send + Sync + 'static {
    /// The bytes stored under `key`, if any.
    ///
    /// # Errors
    ///
    /// When the store could not be asked.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;

    /// Stores `value` for at most `ttl`.
    ///
    /// # Errors
    ///
    /// When it is not known to be stored. It may still be stored later: entries carry their log
    /// position, so a late write can't be wrong, only useless.
    fn set(
        &self,
        key: &str,
        value: Vec<u8>,
        ttl: Duration,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Removes what is stored under `key`; nothing there is no error.
    ///
    /// # Errors
    ///
    /// When it is not known to be gone.
    fn delete(&self, key: &str) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// What an [`ErasedStore`] returns.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The one seam where the type of a [`Store`] is forgotten. Every `Store` is one.
pub trait ErasedStore: Send + Sync + 'static {
    /// See [`Store::get`].
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Vec<u8>>>;
    /// See [`Store::set`].
    fn set<'a>(&'a self, key: &'a str, value: Vec<u8>, ttl: Duration) -> StoreFuture<'a, ()>;
    /// See [`Store::delete`].
    fn delete<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()>;
}

impl<S: Store> ErasedStore for S {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Vec<u8>>> {
        Box::pin(Store::get(self, key))
    }

    fn set<'a>(&'a self, key: &'a str, value: Vec<u8>, ttl: Duration) -> StoreFuture<'a, ()> {
        Box::pin(Store::set(self, key, value, ttl))
    }

    fn delete<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(Store::delete(self, key))
    }
}

/// Why a store did not answer.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// An error of one kind, with what caused it.
    pub fn new(kind: StoreErrorKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            kind,
            source: Some(source.into()),
        }
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            StoreErrorKind::Unreachable => "the store can't be reached",
            StoreErrorKind::TimedOut => "the store did not answer in time",
            StoreErrorKind::Refused => "the store refused",
        })
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// What went wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// No connection.
    Unreachable,
    /// No answer within the budget.
    TimedOut,
    /// An answer that says no: out of memory, read-only, not permitted.
    Refused,
}
