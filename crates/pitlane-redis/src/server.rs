use std::fmt;

use fred::types::config::{Config, ServerConfig};
use secrecy::{ExposeSecret, SecretString};

use crate::config::{ConfigError, ConfigErrorKind};

/// Where a server is and how it is entered.
#[derive(Clone)]
pub(crate) struct Server {
    /// Holds the password, so it is never formatted.
    config: Config,
}

impl Server {
    /// Reads `redis://`, `rediss://` and `redis+unix://`.
    pub(crate) fn from_url(url: &str) -> Result<Self, ConfigError> {
        let (scheme, _) = url.split_once("://").ok_or(ConfigErrorKind::Url)?;
        let config = match scheme {
            "redis" => Config::from_url_centralized(url),
            "rediss" if cfg!(feature = "tls") => Config::from_url_centralized(url),
            // Without the feature the library would connect in the clear.
            "rediss" => return Err(ConfigErrorKind::TlsMissing.into()),
            "redis+unix" => Config::from_url_unix(url),
            _ => return Err(ConfigErrorKind::Scheme.into()),
        };
        let config = config.map_err(|error| ConfigError::new(ConfigErrorKind::Url, error))?;
        Ok(Self { config })
    }

    pub(crate) fn set_username(&mut self, username: String) {
        self.config.username = Some(username);
    }

    pub(crate) fn set_password(&mut self, password: &SecretString) {
        self.config.password = Some(password.expose_secret().to_owned());
    }

    /// The database that the URL names, zero if it names none.
    pub(crate) fn database(&self) -> u8 {
        self.config.database.unwrap_or(0)
    }

    /// Host and port, or the path of a socket.
    pub(crate) fn address(&self) -> String {
        match &self.config.server {
            ServerConfig::Unix { path } => path.display().to_string(),
            server => {
                let hosts = server.hosts();
                hosts.first().map(ToString::to_string).unwrap_or_default()
            }
        }
    }

    pub(crate) fn config(&self, database: u8) -> Config {
        Config {
            database: (database != 0).then_some(database),
            // The process starts without Redis: failing the first time is no reason to give up.
            fail_fast: false,
            ..self.config.clone()
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Server");
        match &self.config.server {
            ServerConfig::Unix { path } => debug.field("path", path),
            server => {
                let address = server.hosts();
                debug.field("address", &address.first().map(ToString::to_string))
            }
        };
        debug
            .field("username", &self.config.username)
            .field(
                "password",
                &self.config.password.as_ref().map(|_| "redacted"),
            )
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: Result<u8, ConfigErrorKind>) {
        let server = Server::from_url(url);
        let found = server.as_ref().map(Server::database);
        assert_eq!(found.map_err(ConfigError::kind), expected, "{url}");
        for text in [format!("{server:?}"), format!("{server:#?}")] {
            assert!(!text.contains("s3cret"), "{text}");
        }
        if let Err(error) = server {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let text = format!("{error} {cause:?}");
            assert!(!text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn schemes_are_read_or_refused_and_never_print_the_password() {
        check("redis://localhost", Ok(0));
        check("redis://user:s3cret@localhost:6380/4", Ok(4));
        check("redis+unix://user:s3cret@host/run/redis.sock", Ok(0));
        check("redis-cluster://:s3cret@a:1", Err(ConfigErrorKind::Scheme));
        check("http://:s3cret@localhost", Err(ConfigErrorKind::Scheme));
        check("localhost:6379", Err(ConfigErrorKind::Url));
        check("redis://:s3cret@localhost:99999", Err(ConfigErrorKind::Url));
        check("redis://:s3cret@localhost/none", Err(ConfigErrorKind::Url));
        check("redis://:s3cret@localhost/256", Err(ConfigErrorKind::Url));
        check("redis://:s3cret/x@localhost", Err(ConfigErrorKind::Url));
    }

    #[test]
    fn tls_without_the_feature_is_refused() {
        let expected = if cfg!(feature = "tls") {
            Ok(0)
        } else {
            Err(ConfigErrorKind::TlsMissing)
        };
        check("rediss://:s3cret@localhost", expected);
    }

    #[test]
    fn a_password_given_apart_takes_the_place_of_the_urls() {
        let mut server = Server::from_url("redis://:old@localhost").unwrap();
        server.set_password(&SecretString::from("s3cret"));
        server.set_username("worker".to_owned());
        let config = server.config(3);
        assert_eq!(config.password.as_deref(), Some("s3cret"));
        assert_eq!(config.username.as_deref(), Some("worker"));
        assert_eq!(config.database, Some(3));
        assert!(!format!("{server:?}").contains("s3cret"));
    }
}
