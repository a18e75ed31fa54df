use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use fred::{
    clients::{Client, WithOptions},
    interfaces::{ClientLike, EventInterface},
    types::config::{
        ConnectionConfig, Options, PerformanceConfig, ReconnectError, ReconnectPolicy, TcpConfig,
    },
};
use tokio::{sync::broadcast::error::RecvError, task::AbortHandle};

use crate::{
    circuit::Circuit,
    failure::{FailureKind, classify},
    server::Server,
};

/// After so many failures in a row nothing more is sent on a connection until a PING came back.
const FAILURES_IN_A_ROW: u32 = 3;

/// Unacknowledged bytes end a connection after this long. Without it a full socket would hold up
/// everything behind it, the order to reconnect included.
const USER_TIMEOUT: Duration = Duration::from_millis(300);

/// How long one attempt to connect may take, and then each step of the greeting. Together with
/// the pause between attempts they bound how soon a server that is back is noticed.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const GREETING_TIMEOUT: Duration = Duration::from_millis(750);

/// The last resort within the client library; every call has a shorter limit of its own.
pub(crate) const LONGEST_CALL: Duration = Duration::from_secs(10);

/// The client library's own limit fires first, so that it knows that nobody waits any more and
/// doesn't send what it hasn't sent yet.
const EARLIER: Duration = Duration::from_millis(1);

/// One pipelined connection to one database.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) database: u8,
    pub(crate) client: Client,
    /// The same for single commands: fails fast, never sends twice, and has the budget as its
    /// limit. (Scripts can't be sent with options: the library ignores them silently.)
    pub(crate) commands: WithOptions<Client>,
    failures: AtomicU32,
    is_down: AtomicBool,
    is_stuck: AtomicBool,
    is_reconnecting: AtomicBool,
    /// How often it was made.
    made: AtomicU64,
}

impl Connection {
    /// Doesn't connect. Down until a PING came back.
    pub(crate) fn new(server: &Server, database: u8, budget: Duration) -> Self {
        let client = client(server, database, LONGEST_CALL);
        let commands = client.with_options(&Options {
            max_attempts: Some(1),
            timeout: Some(budget.saturating_sub(EARLIER).max(EARLIER)),
            fail_fast: true,
            ..Options::default()
        });
        Self {
            database,
            client,
            commands,
            failures: AtomicU32::new(0),
            is_down: AtomicBool::new(true),
            is_stuck: AtomicBool::new(false),
            is_reconnecting: AtomicBool::new(false),
            made: AtomicU64::new(0),
        }
    }

    pub(crate) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// These flags only steer who tries what; no data is handed over through them.
    pub(crate) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Relaxed)
    }

    pub(crate) fn answered(&self) {
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// Whether this failure took the connection down.
    pub(crate) fn failed(&self, kind: FailureKind) -> bool {
        let before = self.failures.fetch_add(1, Ordering::Relaxed);
        if before + 1 < FAILURES_IN_A_ROW {
            return false;
        }
        if kind == FailureKind::TimedOut {
            self.is_stuck.store(true, Ordering::Relaxed);
        }
        !self.is_down.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn is_up(&self) {
        self.failures.store(0, Ordering::Relaxed);
        self.is_stuck.store(false, Ordering::Relaxed);
        self.is_down.store(false, Ordering::Relaxed);
    }

    pub(crate) fn is_probed(&self, found: Result<(), FailureKind>) {
        match found {
            Err(kind) if kind.blame().connection => {
                self.is_down.store(true, Ordering::Relaxed);
                if kind == FailureKind::TimedOut {
                    self.is_stuck.store(true, Ordering::Relaxed);
                }
            }
            _ => self.is_up(),
        }
    }

    /// What came back can't be the answer: nothing more is sent until there is a new connection.
    pub(crate) fn mistrust(&self) {
        self.is_stuck.store(true, Ordering::Relaxed);
        self.is_down.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_reconnecting(&self) -> bool {
        self.is_reconnecting.load(Ordering::Relaxed)
    }

    /// Whether the caller is to force a reconnect. Only where the library believes that all is
    /// well: where it reconnects already, a second order would break the new connection as well.
    pub(crate) fn begin_reconnect(&self) -> bool {
        let needed = self.is_stuck.load(Ordering::Relaxed) && self.client.is_connected();
        needed && !self.is_reconnecting.swap(true, Ordering::Relaxed)
    }

    /// Returns when there is a new connection, however long that takes.
    pub(crate) async fn reconnect(&self) {
        let result = self.client.force_reconnection().await;
        if let Err(error) = result {
            tracing::debug!(database = self.database, %error, "forced reconnect failed");
        }
        self.is_stuck.store(false, Ordering::Relaxed);
        self.is_reconnecting.store(false, Ordering::Relaxed);
    }
}

/// A client of the library, not connected yet.
pub(crate) fn client(server: &Server, database: u8, longest_call: Duration) -> Client {
    let performance = PerformanceConfig {
        default_command_timeout: longest_call,
        ..PerformanceConfig::default()
    };
    let connection = ConnectionConfig {
        connection_timeout: CONNECT_TIMEOUT,
        internal_command_timeout: GREETING_TIMEOUT,
        max_command_attempts: 1,
        // Its count leaks when a connection is lost, and then it refuses for ever.
        max_command_buffer_len: 0,
        // With READONLY among them, as by default, one refused write would break the next read.
        reconnect_errors: vec![ReconnectError::ClusterDown],
        tcp: TcpConfig {
            nodelay: Some(true),
            #[cfg(target_os = "linux")]
            user_timeout: Some(USER_TIMEOUT),
            ..TcpConfig::default()
        },
        ..ConnectionConfig::default()
    };
    let policy = ReconnectPolicy::new_exponential(0, 50, 1000, 2);
    let config = server.config(database);
    Client::new(config, Some(performance), Some(connection), Some(policy))
}

/// Keeps a client connected for as long as it is polled. The library ends its own task on errors
/// that it takes for mistakes in the configuration; the server may change its mind.
pub(crate) async fn keep_connected(client: &Client) {
    loop {
        let task = client.connect();
        let _ends_with_us = AbortOnDrop(task.abort_handle());
        match task.await {
            Ok(Err(error)) => tracing::debug!(%error, "connection to Redis ended"),
            Ok(Ok(())) => tracing::debug!("connection to Redis ended"),
            Err(error) => tracing::error!(%error, "connection to Redis broke"),
        }
        tokio::time::sleep(CONNECT_TIMEOUT).await;
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Tells the circuit what the library finds out by itself: a new connection, which is worth a
/// probe at once, and a server that doesn't let us in, which no call would ever see.
pub(crate) async fn watch(connection: &Connection, circuit: &Circuit) {
    let client = &connection.client;
    let mut errors = client.error_rx();
    let mut reconnects = client.reconnect_rx();
    let mut is_told = false;
    loop {
        tokio::select! {
            error = errors.recv() => match error {
                Ok((error, _)) => {
                    let kind = classify(&error);
                    if kind.needs_a_person() {
                        circuit.trip(kind);
                    } else if !std::mem::replace(&mut is_told, true) {
                        let why = kind.as_str();
                        tracing::warn!(why, "no connection to Redis: trying again for ever");
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            server = reconnects.recv() => match server {
                Ok(_) | Err(RecvError::Lagged(_)) => {
                    connection.made.fetch_add(1, Ordering::Relaxed);
                    settled(client).await;
                    is_told = false;
                    circuit.expedite();
                    circuit.work.notify_one();
                }
                Err(RecvError::Closed) => return,
            },
        }
    }
}

/// The news of a connection comes just before the library believes in it itself.
async fn settled(client: &Client) {
    for _ in 0..200 {
        if client.is_connected() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
