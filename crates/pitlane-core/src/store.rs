use std::{error::Error, fmt, future::Future, pin::Pin, time::Duration};

use bytes::Bytes;

/// What a call to a remote part returns.
pub type RemoteFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A place for encoded entries outside the process, in one key space.
///
/// Bytes that come back are claims: the caller decodes and judges them. An error is never more
/// than a miss to a reader of a cache. Implementations bound their own time and never wait for
/// ever.
pub trait RemoteStore: fmt::Debug + Send + Sync + 'static {
    /// How often the store was connected to. Another number than before may mean that it has begun
    /// anew, with an older state of its data.
    fn connections(&self) -> u64;

    /// The bytes stored under `key`, if any.
    fn get<'a>(&'a self, key: &'a str) -> RemoteFuture<'a, Option<Bytes>>;

    /// The bytes stored under each of `keys`, read at one moment.
    fn get_many<'a>(&'a self, keys: &'a [&'a str]) -> RemoteFuture<'a, Vec<Option<Bytes>>>;

    /// Stores `value` for at most `ttl` (in whole milliseconds, at least one; `Duration::MAX` is
    /// for ever), if `condition` holds; says whether it did.
    ///
    /// After an error it may still be stored later: entries of caches carry their log position,
    /// so a late write of one can't be wrong, only useless.
    fn set<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Duration,
        condition: Condition,
    ) -> RemoteFuture<'a, bool>;

    /// Removes what is stored under `key`; says whether something was.
    fn delete<'a>(&'a self, key: &'a str) -> RemoteFuture<'a, bool>;

    /// Stores `value` for at most `ttl` in the place of exactly `expected`, or removes that when
    /// there is no value; says whether it was still there.
    fn exchange<'a>(
        &'a self,
        key: &'a str,
        expected: Bytes,
        value: Option<Bytes>,
        ttl: Duration,
    ) -> RemoteFuture<'a, bool>;

    /// Adds `by` to the number stored under `key` (none counts as zero) and returns the sum. It
    /// does not expire.
    fn increment<'a>(&'a self, key: &'a str, by: u32) -> RemoteFuture<'a, u64>;

    /// Takes the lease under `key` for `ttl` if nobody has it or `token` has it already, and gives
    /// it a number that is higher than all before it under `counter`; `None` where another has it.
    ///
    /// After an error it may be taken all the same, or later: [`exchange`](Self::exchange) of the
    /// token for nothing gives it back.
    fn lease<'a>(
        &'a self,
        key: &'a str,
        counter: &'a str,
        token: Bytes,
        ttl: Duration,
    ) -> RemoteFuture<'a, Option<u64>>;

    /// One step of a walk over all keys that begin with `prefix`, from `cursor` (zero at first);
    /// the walk is over when the cursor that comes back is zero. A key may come twice.
    fn scan<'a>(&'a self, prefix: &'a str, cursor: u64) -> RemoteFuture<'a, (u64, Vec<String>)>;

    /// The first `length` bytes of what is stored under each of `keys`.
    fn peek<'a>(&'a self, keys: &'a [String], length: u32) -> RemoteFuture<'a, Vec<Bytes>>;

    /// Removes `keys` without making the server wait for their memory; says how many there were.
    fn unlink<'a>(&'a self, keys: &'a [String]) -> RemoteFuture<'a, u64>;
}

/// When something is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Whatever is there.
    #[default]
    Always,
    /// Only where nothing is.
    IfAbsent,
    /// Only where something is.
    IfPresent,
}

/// Why a remote part did not do what it was asked.
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

impl From<StoreErrorKind> for StoreError {
    fn from(kind: StoreErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            StoreErrorKind::Open => "the circuit is open: the store failed just now",
            StoreErrorKind::Busy => "too many commands are in flight",
            StoreErrorKind::Unreachable => "the store can't be reached",
            StoreErrorKind::TimedOut => "the store did not answer in time",
            StoreErrorKind::Refused => "the store refused",
            StoreErrorKind::Protocol => "the store's answer makes no sense",
        })
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreError")
            .field("kind", &self.kind)
            .field("source", &self.source)
            .finish()
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// What went wrong with a remote part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Nothing was sent, because what was sent just now failed.
    Open,
    /// Nothing was sent, because too much is on its way already.
    Busy,
    /// No connection.
    Unreachable,
    /// No answer within the budget.
    TimedOut,
    /// An answer that says no: out of memory, read-only, not permitted.
    Refused,
    /// An answer of another shape than the question has.
    Protocol,
}
