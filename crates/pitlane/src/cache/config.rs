use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};

use super::Settings;
use crate::{
    error::{Error, ErrorKind},
    units::{parse_duration, parse_size},
};

/// What a `pitlane.toml` says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) limit: Option<u64>,
    pub(crate) max_body: Option<u64>,
    pub(crate) caches: BTreeMap<Box<str>, Settings>,
}

/// Reads the text of a `pitlane.toml`. Errors name the line, the column and what was expected.
pub(crate) fn parse(text: &str, origin: &str) -> Result<File, Error> {
    let document: Document = toml::from_str(text).map_err(|error| {
        let message = format!("{origin}: {}", error.to_string().trim_end());
        Error::new(ErrorKind::Configuration, message).with_source(error)
    })?;
    let caches = document
        .caches
        .into_iter()
        .map(|(name, table)| (name, table.into()));
    let Memory { limit, max_body } = document.memory.unwrap_or_default();
    Ok(File {
        limit: limit.map(|size| size.0),
        max_body: max_body.map(|size| size.0),
        caches: caches.collect(),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    memory: Option<Memory>,
    #[serde(default)]
    caches: BTreeMap<Box<str>, Table>,
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
}

impl From<Table> for Settings {
    fn from(table: Table) -> Self {
        let span = |span: Option<Span>| span.map(|span| span.0);
        Self {
            ttl: span(table.ttl),
            stale_while_revalidate: span(table.stale_while_revalidate),
            stale_if_error: span(table.stale_if_error),
            memory: table.memory.map(|size| size.0),
            version: table.version,
            ..Self::default()
        }
    }
}

struct Size(u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_size(&text).map(Self).map_err(D::Error::custom)
    }
}

struct Span(Duration);

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
        check_error(
            "[redis]\nurl = \"redis://127.0.0.1\"",
            1,
            "unknown field `redis`",
        );
    }

    #[test]
    fn the_file_says_what_it_says() {
        let text = "[memory]\nlimit = \"256MiB\"\nmax_body = \"8MiB\"\n[caches.api]\nttl = \"3m\"\n\
                    stale_while_revalidate = \"30s\"\nmemory = \"16MiB\"\nversion = 2\n[caches.default]";
        let file = parse(text, "pitlane.toml").unwrap();
        assert_eq!(
            (file.limit, file.max_body),
            (Some(256 << 20), Some(8 << 20))
        );
        let api = Settings {
            ttl: Some(Duration::from_secs(180)),
            stale_while_revalidate: Some(Duration::from_secs(30)),
            stale_if_error: None,
            memory: Some(16 << 20),
            version: 2,
            ..Settings::default()
        };
        assert_eq!(file.caches.get("api"), Some(&api));
        assert_eq!(file.caches.get("default"), Some(&Settings::default()));
    }
}
