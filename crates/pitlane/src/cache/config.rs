use std::{collections::BTreeMap, ops::Range, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};
use toml::Spanned;

use super::{Coherence, Kind, Settings, names};
use crate::{
    error::{Error, ErrorKind},
    units::{parse_duration, parse_size},
};

/// What a `pitlane.toml` says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) namespace: Option<String>,
    #[cfg(feature = "redis")]
    pub(crate) redis: RedisTable,
    pub(crate) limit: Option<u64>,
    pub(crate) max_body: Option<u64>,
    pub(crate) caches: BTreeMap<Box<str>, Settings>,
}

/// Reads the text of a `pitlane.toml`. Errors name the line, the column and what was expected.
pub(crate) fn parse(text: &str, origin: &str) -> Result<File, Error> {
    let document: Document = toml::from_str(text).map_err(|error| {
        let line = line_of(text, error.span().unwrap_or_default());
        // The whole text may hold a password, and so may any line about Redis: neither is shown
        // or kept.
        let said = if is_about_redis(text, line) {
            format!("line {line}: {}", error.message())
        } else {
            error.to_string().trim_end().to_owned()
        };
        Error::new(ErrorKind::Configuration, format!("{origin}: {said}"))
    })?;
    let mut places: BTreeMap<(Option<u8>, Box<str>), Box<str>> = BTreeMap::new();
    let mut caches = BTreeMap::new();
    for (name, table) in document.caches {
        let line = line_of(text, table.span());
        let settings = Settings::from(table.into_inner());
        let wrong = |message: String| {
            let message = format!("{origin}: line {line}: {message}");
            Error::new(ErrorKind::Configuration, message)
        };
        names::check_cache(&name).map_err(wrong)?;
        let prefix = settings.prefix.clone().unwrap_or_else(|| name.clone());
        names::check_prefix(&prefix).map_err(wrong)?;
        if let Some(other) = places.insert((settings.database, prefix.clone()), name.clone()) {
            return Err(wrong(format!(
                "the caches {other:?} and {name:?} share the database and the prefix {prefix:?}"
            )));
        }
        caches.insert(name, settings);
    }
    let Memory { limit, max_body } = document.memory.unwrap_or_default();
    Ok(File {
        namespace: document.namespace.map(|name| name.0),
        #[cfg(feature = "redis")]
        redis: document.redis.unwrap_or_default(),
        limit: limit.map(|size| size.0),
        max_body: max_body.map(|size| size.0),
        caches,
    })
}

/// Whether a line, counted from one, belongs to the table `redis`, or looks as if it did.
fn is_about_redis(text: &str, line: usize) -> bool {
    let mut header = "";
    for text in text.lines().take(line) {
        if text.trim_start().starts_with('[') {
            header = text.trim_start();
        }
    }
    let own = text.lines().nth(line - 1).unwrap_or_default();
    header.contains("redis") || own.contains("redis") || own.contains("://")
}

/// The line, from one, in which a span begins.
fn line_of(text: &str, span: Range<usize>) -> usize {
    let before = text.get(..span.start).unwrap_or(text);
    before.matches('\n').count() + 1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    namespace: Option<Namespace>,
    #[cfg_attr(
        not(feature = "redis"),
        expect(dead_code, reason = "reading it is refused")
    )]
    redis: Option<RedisTable>,
    memory: Option<Memory>,
    #[serde(default)]
    caches: BTreeMap<Box<str>, Spanned<Table>>,
}

/// What is said of Redis.
#[cfg(feature = "redis")]
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedisTable {
    pub(crate) url: Option<Secret>,
    pub(crate) budget: Option<Span>,
    pub(crate) log_database: Option<u8>,
    pub(crate) max_degraded: Option<Span>,
}

#[cfg(feature = "redis")]
impl PartialEq for RedisTable {
    fn eq(&self, other: &Self) -> bool {
        let rest = |table: &Self| (table.budget.as_ref().map(|span| span.0), table.log_database);
        self.url.is_some() == other.url.is_some() && rest(self) == rest(other)
    }
}

#[cfg(feature = "redis")]
impl Eq for RedisTable {}

/// A text that may hold a password.
#[cfg(feature = "redis")]
#[derive(Debug)]
pub(crate) struct Secret(pub(crate) secrecy::SecretString);

#[cfg(feature = "redis")]
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

#[cfg(not(feature = "redis"))]
struct RedisTable;

#[cfg(not(feature = "redis"))]
impl<'de> Deserialize<'de> for RedisTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer)?;
        Err(D::Error::custom(
            "this build of Pitlane has no Redis: enable the feature `redis`",
        ))
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    limit: Option<Size>,
    max_body: Option<Size>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    ttl: Option<Span>,
    stale_while_revalidate: Option<Span>,
    stale_if_error: Option<Span>,
    memory: Option<Size>,
    #[serde(default)]
    version: u32,
    database: Option<u8>,
    prefix: Option<Box<str>>,
    #[serde(default)]
    kind: KindName,
    #[serde(default)]
    coherence: CoherenceName,
    #[serde(default)]
    compression: CompressionName,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindName {
    #[default]
    Cache,
    Store,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum CoherenceName {
    #[default]
    Bounded,
    Strict,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum CompressionName {
    None,
    #[default]
    Lz4,
    #[cfg(feature = "zstd")]
    Zstd,
}

impl From<Table> for Settings {
    fn from(table: Table) -> Self {
        use pitlane_core::codec::Compression;
        let span = |span: Option<Span>| span.map(|span| span.0);
        Self {
            ttl: span(table.ttl),
            stale_while_revalidate: span(table.stale_while_revalidate),
            stale_if_error: span(table.stale_if_error),
            memory: table.memory.map(|size| size.0),
            version: table.version,
            database: table.database,
            prefix: table.prefix,
            kind: match table.kind {
                KindName::Cache => Kind::Cache,
                KindName::Store => Kind::Store,
            },
            coherence: match table.coherence {
                CoherenceName::Bounded => Coherence::Bounded,
                CoherenceName::Strict => Coherence::Strict,
            },
            compression: match table.compression {
                CompressionName::None => Compression::None,
                CompressionName::Lz4 => Compression::Lz4,
                #[cfg(feature = "zstd")]
                CompressionName::Zstd => Compression::Zstd,
            },
        }
    }
}

struct Namespace(String);

impl<'de> Deserialize<'de> for Namespace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        names::check_namespace(&text).map_err(D::Error::custom)?;
        Ok(Self(text))
    }
}

struct Size(u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_size(&text).map(Self).map_err(D::Error::custom)
    }
}

#[derive(Debug)]
pub(crate) struct Span(pub(crate) Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_error(text: &str, line: usize, says: &str) {
        let error = parse(text, "pitlane.toml").unwrap_err().to_string();
        assert!(error.starts_with("pitlane.toml: "), "{error}");
        assert!(error.contains(&format!("line {line}")), "{error}");
        assert!(error.contains(says), "{error}");
    }

    #[test]
    fn errors_name_the_line_and_what_is_wrong() {
        check_error("[caches.api]\nttl = \"3 minutes\"", 2, "no duration");
        check_error("[caches.api]\nttl = 180", 2, "expected a string");
        check_error("[caches.api]\n\nttk = \"3m\"", 3, "unknown field `ttk`");
        check_error("[memory]\nlimit = \"64 megs\"", 2, "no size");
        check_error(
            "[caches.api]\nttl = \"1m\"\nttl = \"2m\"",
            3,
            "duplicate key",
        );
        check_error("[caches.api]\nversion = -1", 2, "invalid value");
        check_error("[caches.api]\ndatabase = 256", 2, "invalid value");
        check_error(
            "[caches.api]\nkind = \"table\"",
            2,
            "unknown variant `table`",
        );
        check_error("\nnamespace = \"a b\"", 2, "namespace");
        check_error("[caches.\"a:b\"]\nttl = \"1s\"", 1, "name of a cache");
        let shared = "[caches.a]\ndatabase = 2\n\n[caches.b]\ndatabase = 2\nprefix = \"a\"";
        check_error(shared, 4, "share the database");
    }

    #[cfg(not(feature = "redis"))]
    #[test]
    fn a_build_without_redis_says_so() {
        let text = "[redis]\nurl = \"redis://127.0.0.1\"";
        check_error(text, 1, "enable the feature `redis`");
    }

    #[cfg(feature = "redis")]
    #[test]
    fn errors_about_redis_name_the_line_and_no_password() {
        check_error("[redis]\nbudget = \"fast\"", 2, "no duration");
        check_error("[redis]\nhost = \"x\"", 2, "unknown field `host`");
        let text = "[redis]\nurl = [\"redis://user:hunter2@x\"]";
        check_error(text, 2, "invalid type");
        let error = parse(text, "x").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        for elsewhere in [
            "[redis]\nurl = \"redis://:hunter2@x\"\n[caches.api]\nttl = 3",
            "[redis]\npassword = \"hunter2\"",
            "redis = { url = [\"hunter2\"] }",
        ] {
            let error = parse(elsewhere, "x").unwrap_err();
            assert!(
                !format!("{error} {error:?}").contains("hunter2"),
                "{error:?}"
            );
        }
        let file = parse("[redis]\nurl = \"redis://:hunter2@x\"", "x").unwrap();
        assert!(!format!("{file:?}").contains("hunter2"));
    }

    #[test]
    fn the_file_says_what_it_says() {
        let text = "namespace = \"simlane\"\n[memory]\nlimit = \"256MiB\"\nmax_body = \"8MiB\"\n\
                    [caches.api]\nttl = \"3m\"\nstale_while_revalidate = \"30s\"\n\
                    memory = \"16MiB\"\nversion = 2\ndatabase = 4\ncoherence = \"strict\"\n\
                    [caches.default]\n[caches.sessions]\nkind = \"store\"\nprefix = \"s\"";
        let file = parse(text, "pitlane.toml").unwrap();
        assert_eq!(file.namespace.as_deref(), Some("simlane"));
        assert_eq!(
            (file.limit, file.max_body),
            (Some(256 << 20), Some(8 << 20))
        );
        let api = Settings {
            ttl: Some(Duration::from_secs(180)),
            stale_while_revalidate: Some(Duration::from_secs(30)),
            memory: Some(16 << 20),
            version: 2,
            database: Some(4),
            coherence: Coherence::Strict,
            ..Settings::default()
        };
        assert_eq!(file.caches.get("api"), Some(&api));
        assert_eq!(file.caches.get("default"), Some(&Settings::default()));
        let sessions = Settings {
            kind: Kind::Store,
            prefix: Some("s".into()),
            ..Settings::default()
        };
        assert_eq!(file.caches.get("sessions"), Some(&sessions));
    }
}
