use std::{fmt, sync::Arc, time::Duration};

use pitlane_core::BreakerRules;
use secrecy::SecretString;
use tokio::runtime::Handle;

use crate::{
    client::{CircuitBrokenRedis, Shared},
    config::{ConfigError, ConfigErrorKind},
    connection::LONGEST_CALL,
    server::Server,
};

/// Builds a [`CircuitBrokenRedis`].
#[must_use]
pub struct RedisBuilder {
    server: Server,
    databases: Option<Vec<u8>>,
    namespace: String,
    rules: BreakerRules,
    limits: Limits,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) budget: Duration,
    pub(crate) in_flight: usize,
    pub(crate) write_bytes: usize,
}

impl RedisBuilder {
    pub(crate) fn from_url(url: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            server: Server::from_url(url)?,
            databases: None,
            namespace: "pitlane".to_owned(),
            rules: BreakerRules::default(),
            limits: Limits {
                budget: Duration::from_millis(50),
                in_flight: 1024,
                write_bytes: 8 << 20,
            },
        })
    }

    /// The user to authenticate as, instead of the URL's.
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.server.set_username(username.into());
        self
    }

    /// The password, instead of the URL's.
    #[expect(clippy::needless_pass_by_value, reason = "a secret is handed over")]
    pub fn password(mut self, password: SecretString) -> Self {
        self.server.set_password(&password);
        self
    }

    /// How long a call may take before it counts as failed: 50 ms by default, 1 ms to 10 s.
    pub fn budget(mut self, budget: Duration) -> Self {
        self.limits.budget = budget;
        self
    }

    /// How many calls may be on their way at one time: 1024 by default. One more is refused at
    /// once as overloaded.
    pub fn max_in_flight(mut self, calls: usize) -> Self {
        self.limits.in_flight = calls;
        self
    }

    /// How many bytes of values may be on their way to Redis at one time: 8 MiB by default. A
    /// value that doesn't fit is refused at once as overloaded. Counts what
    /// [`Database`](crate::Database) sets; what is sent by `run` only counts as a call.
    pub fn max_write_bytes(mut self, bytes: usize) -> Self {
        self.limits.write_bytes = bytes;
        self
    }

    /// The databases that will be used, instead of the URL's one. Each has a connection of its
    /// own, because SELECT belongs to a connection.
    pub fn databases(mut self, databases: impl IntoIterator<Item = u8>) -> Self {
        self.databases = Some(databases.into_iter().collect());
        self
    }

    /// The URL's database.
    #[must_use]
    pub fn url_database(&self) -> u8 {
        self.server.database()
    }

    /// What the keys of the client's own begin with: `pitlane` by default. There is one, the
    /// probe key `{pitlane}:probe`, with literal braces. It expires after a minute.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// When the circuit opens and closes, instead of [`BreakerRules::default`].
    pub fn breaker(mut self, rules: BreakerRules) -> Self {
        self.rules = rules;
        self
    }

    /// Builds the client, which begins to connect in the background and never gives up. Redis
    /// need not be there yet.
    ///
    /// # Errors
    ///
    /// The kinds of [`ConfigErrorKind`]: no tokio runtime, or an option that makes no sense.
    pub fn build(self) -> Result<CircuitBrokenRedis, ConfigError> {
        let runtime = Handle::try_current()
            .map_err(|error| ConfigError::new(ConfigErrorKind::NoRuntime, error))?;
        let limits = self.limits;
        if limits.budget < Duration::from_millis(1) || limits.budget > LONGEST_CALL {
            return Err(ConfigErrorKind::Budget.into());
        }
        if limits.in_flight == 0 || limits.write_bytes == 0 {
            return Err(ConfigErrorKind::Bound.into());
        }
        let mut databases = self
            .databases
            .unwrap_or_else(|| vec![self.server.database()]);
        databases.sort_unstable();
        databases.dedup();
        if databases.is_empty() {
            return Err(ConfigErrorKind::Database.into());
        }
        let probe_key = format!("{{{}}}:probe", self.namespace);
        let shared = Shared::new(self.server, &databases, self.rules, limits, probe_key);
        Ok(CircuitBrokenRedis::start(Arc::new(shared), runtime))
    }
}

impl fmt::Debug for RedisBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBuilder")
            .field("server", &self.server)
            .field("databases", &self.databases)
            .field("namespace", &self.namespace)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
