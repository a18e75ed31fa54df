use std::{fmt, sync::Arc, time::Duration};

use fred::{error::Error as RedisError, interfaces::ClientLike};
use pitlane_core::{BreakerRules, BreakerSnapshot, BreakerState};
use tokio::{runtime::Handle, sync::watch, task::AbortHandle, time::timeout};

use crate::{
    bounds::Bounds,
    builder::{Limits, RedisBuilder},
    circuit::{Circuit, CircuitState, Side},
    config::{ConfigError, ConfigErrorKind},
    connection::{self, Connection},
    database::Database,
    dedicated::Dedicated,
    failure::{Failure, FailureKind},
    prober,
    server::Server,
    timing::Timing,
};

/// A Redis server behind a circuit breaker: no call takes longer than its budget, and while
/// Redis fails no call is sent at all.
///
/// Cheap to clone. Its background work ends when the last clone, and the last [`Database`] made
/// from one, is dropped.
///
/// The circuit begins open, because nothing is known of Redis yet, and closes as soon as it was
/// seen; see [`when_closed`](Self::when_closed).
///
/// # Example
///
/// ```no_run
/// use std::time::Duration;
/// use pitlane_core::{Condition, RemoteStore};
/// use pitlane_redis::{CircuitBrokenRedis, Side};
/// use pitlane_redis::fred::interfaces::ClientLike;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let redis = CircuitBrokenRedis::builder("redis://127.0.0.1:6379")?
///     .budget(Duration::from_millis(50))
///     .databases([0, 2])
///     .build()?;
/// let database = redis.database(2)?;
/// redis.when_closed().await;
/// let minute = Duration::from_secs(60);
/// database.set("greeting", "hello".into(), minute, Condition::Always).await?;
/// // Any other command goes through the same circuit.
/// let pong: String = database
///     .run(Side::Read, "ping", |client| async move { client.ping(None).await })
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct CircuitBrokenRedis {
    owner: Arc<Owner>,
}

/// Held by every handle; the background tasks hold only what is shared.
pub(crate) struct Owner {
    shared: Arc<Shared>,
    runtime: Handle,
    tasks: Vec<AbortHandle>,
}

/// What handles and background tasks have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) server: Server,
    pub(crate) circuit: Circuit,
    pub(crate) connections: Vec<Arc<Connection>>,
    pub(crate) bounds: Arc<Bounds>,
    pub(crate) budget: Duration,
    pub(crate) probe_key: String,
    #[cfg(feature = "metrics")]
    pub(crate) histograms: crate::timing::Histograms,
    /// Changes whenever the prober has done something.
    pub(crate) rounds: watch::Sender<()>,
    is_over: watch::Sender<bool>,
}

impl CircuitBrokenRedis {
    /// A client for the server at `url`: `redis://`, `rediss://` (with the feature `tls`) or
    /// `redis+unix://`, with user, password and database where they are needed, as in
    /// `redis://user:password@host:6379/2` or `redis+unix://user:password@any/run/redis.sock`.
    ///
    /// # Errors
    ///
    /// The URL can't be read. The error doesn't show it.
    pub fn builder(url: &str) -> Result<RedisBuilder, ConfigError> {
        RedisBuilder::from_url(url)
    }

    pub(crate) fn start(shared: Arc<Shared>, runtime: Handle) -> Self {
        let mut tasks = Vec::with_capacity(shared.connections.len() + 1);
        for connection in &shared.connections {
            let (shared, connection) = (Arc::clone(&shared), Arc::clone(connection));
            let task = async move {
                // The watch comes first, so that it sees the first connection.
                tokio::join!(
                    connection::watch(&connection, &shared.circuit),
                    connection::keep_connected(&connection.client),
                );
            };
            tasks.push(runtime.spawn(task).abort_handle());
        }
        let task = runtime.spawn(prober::run(Arc::clone(&shared)));
        tasks.push(task.abort_handle());
        let owner = Owner {
            shared,
            runtime,
            tasks,
        };
        Self {
            owner: Arc::new(owner),
        }
    }

    /// One of the databases that the client was built for.
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::Database`]: it was not.
    pub fn database(&self, database: u8) -> Result<Database, ConfigError> {
        let mut connections = self.owner.shared.connections.iter();
        let connection = connections
            .find(|connection| connection.database == database)
            .ok_or(ConfigErrorKind::Database)?;
        Ok(Database::new(
            Arc::clone(&self.owner),
            Arc::clone(connection),
        ))
    }

    /// A further connection to any database, for commands that block. What happens on it doesn't
    /// count for the circuit, and it outlives the client.
    #[must_use]
    pub fn dedicated(&self, database: u8) -> Dedicated {
        Dedicated::new(&self.owner.shared.server, database, &self.owner.runtime)
    }

    /// Where the server is: host and port, or the path of its socket. Never a user or a password.
    #[must_use]
    pub fn address(&self) -> String {
        self.owner.shared.server.address()
    }

    /// Whether calls of one side are let through.
    #[must_use]
    pub fn state(&self, side: Side) -> BreakerState {
        self.owner.shared.circuit.state(side)
    }

    /// Why calls of some side are not let through: what failed last. Nothing while both sides are
    /// closed, or before anything has failed.
    #[must_use]
    pub fn trouble(&self) -> Option<FailureKind> {
        self.owner.shared.circuit.trouble()
    }

    /// What is known of one side, for metrics and people.
    #[must_use]
    pub fn snapshot(&self, side: Side) -> BreakerSnapshot {
        self.owner.shared.circuit.snapshot(side)
    }

    /// The states of both sides, as they change. Whoever is slow misses some of them, but never
    /// the last.
    #[must_use]
    pub fn events(&self) -> watch::Receiver<CircuitState> {
        self.owner.shared.circuit.events()
    }

    /// Waits until both sides are closed and every database has its connection, or the client is
    /// shut down.
    pub async fn when_closed(&self) {
        let shared = &self.owner.shared;
        let mut is_over = shared.is_over.subscribe();
        let mut rounds = shared.rounds.subscribe();
        let closed = rounds.wait_for(|()| shared.is_whole());
        tokio::select! {
            _ = closed => {}
            _ = is_over.wait_for(|is_over| *is_over) => {}
        }
    }

    /// How many calls are on their way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.owner.shared.bounds.calls()
    }

    /// How many bytes of values are on their way, or still held for calls that were given up.
    #[must_use]
    pub fn write_bytes(&self) -> usize {
        self.owner.shared.bounds.bytes()
    }

    /// Lets no more calls through, waits at most one budget for those on their way, and closes
    /// the connections.
    pub async fn shutdown(&self) {
        let shared = &self.owner.shared;
        // The prober goes first: nobody is to close the circuit again.
        self.owner.abort();
        shared.circuit.trip(FailureKind::Open);
        for connection in &shared.connections {
            // The answers that are under way come before the answer to QUIT.
            let _ = timeout(shared.budget, connection.client.quit()).await;
        }
        shared.is_over.send_replace(true);
    }
}

impl fmt::Debug for CircuitBrokenRedis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = &self.owner.shared;
        f.debug_struct("CircuitBrokenRedis")
            .field("server", &shared.server)
            .field("read", &self.state(Side::Read))
            .field("write", &self.state(Side::Write))
            .finish_non_exhaustive()
    }
}

impl Owner {
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn abort(&self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.abort();
    }
}

impl Shared {
    pub(crate) fn new(
        server: Server,
        databases: &[u8],
        rules: BreakerRules,
        limits: Limits,
        probe_key: String,
    ) -> Self {
        let connect = |database: &u8| Connection::new(&server, *database, limits.budget);
        Self {
            circuit: Circuit::new(rules),
            connections: databases.iter().map(connect).map(Arc::new).collect(),
            bounds: Arc::new(Bounds::new(limits.in_flight, limits.write_bytes)),
            budget: limits.budget,
            probe_key,
            #[cfg(feature = "metrics")]
            histograms: crate::timing::Histograms::default(),
            rounds: watch::Sender::new(()),
            is_over: watch::Sender::new(false),
            server,
        }
    }

    fn is_whole(&self) -> bool {
        let is_down = |connection: &Arc<Connection>| connection.is_down();
        let closed = |side| self.circuit.state(side) == BreakerState::Closed;
        closed(Side::Read) && closed(Side::Write) && !self.connections.iter().any(is_down)
    }

    /// The one way to Redis: through the circuit, within the bounds, within the budget.
    pub(crate) async fn call<T, F>(
        &self,
        connection: &Connection,
        side: Side,
        name: &'static str,
        budget: Duration,
        send: impl FnOnce() -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let mut timing = Timing::begin(self, name);
        let mut told = |kind| {
            timing.end(Some(kind));
            Failure::new(kind)
        };
        // From before the circuit is asked, so that no opening is missed.
        let opening = self.circuit.opening(side);
        let pass = self.circuit.pass(side);
        let pass = pass.ok_or(FailureKind::Open).map_err(&mut told)?;
        // Nothing is sent, so nothing is learned: the circuit belongs to the server, and other
        // connections to it may be well.
        if connection.is_down() {
            return Err(told(FailureKind::Unreachable));
        }
        let slot = self.bounds.slot();
        let slot = slot.ok_or(FailureKind::Overloaded).map_err(&mut told)?;
        let result = tokio::select! {
            biased;
            result = timeout(budget, send()) => result,
            // Others have found out already what this call would have waited for, and whoever
            // waits for this one may have begun after the circuit had opened.
            () = opening => {
                tracing::debug!(operation = name, "call to Redis given up: the circuit opened");
                return Err(told(FailureKind::TimedOut));
            }
        };
        drop(slot);
        let failure = match result {
            Ok(Ok(answer)) => {
                timing.end(None);
                connection.answered();
                self.circuit.record(pass, None);
                return Ok(answer);
            }
            Ok(Err(error)) => Failure::from(error),
            Err(_) => Failure::new(FailureKind::TimedOut),
        };
        let kind = failure.kind();
        timing.end(Some(kind));
        tracing::debug!(
            operation = name,
            why = kind.as_str(),
            "call to Redis failed"
        );
        self.blame(connection, kind);
        self.circuit.record(pass, Some(kind));
        Err(failure)
    }

    fn blame(&self, connection: &Connection, kind: FailureKind) {
        if !kind.blame().connection {
            connection.answered();
        } else if connection.failed(kind) {
            self.circuit.work.notify_one();
        }
    }
}
