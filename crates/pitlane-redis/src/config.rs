use std::{error::Error, fmt};

/// Why a client can't be built.
pub struct ConfigError {
    kind: ConfigErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What is wrong with what a client was to be built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// The URL can't be read. It isn't shown, because it may hold the password.
    Url,
    /// The URL's scheme is none of `redis`, `rediss` and `redis+unix`.
    Scheme,
    /// `rediss` needs the feature `tls`.
    TlsMissing,
    /// No tokio runtime: clients are built inside one.
    NoRuntime,
    /// A budget of zero, or longer than a call may ever take.
    Budget,
    /// A bound of zero: nothing could ever be sent.
    Bound,
    /// A database that the client was not told to use.
    Database,
}

impl ConfigError {
    pub(crate) fn new(kind: ConfigErrorKind, source: impl Error + Send + Sync + 'static) -> Self {
        Self {
            kind,
            source: Some(Box::new(source)),
        }
    }

    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> ConfigErrorKind {
        self.kind
    }
}

impl From<ConfigErrorKind> for ConfigError {
    fn from(kind: ConfigErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ConfigErrorKind::Url => "the Redis URL can't be read",
            ConfigErrorKind::Scheme => {
                "the Redis URL must begin with redis://, rediss:// or redis+unix://"
            }
            ConfigErrorKind::TlsMissing => "rediss:// needs the feature `tls` of pitlane-redis",
            ConfigErrorKind::NoRuntime => "a Redis client is built inside a tokio runtime",
            ConfigErrorKind::Budget => "the budget of a call to Redis is 1 ms to 10 s",
            ConfigErrorKind::Bound => "a bound of zero would let nothing through",
            ConfigErrorKind::Database => "the Redis client was not built for this database",
        })
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigError")
            .field("kind", &self.kind)
            .field("source", &self.source)
            .finish()
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
