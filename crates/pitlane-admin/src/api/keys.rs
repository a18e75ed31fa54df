//! `GET api/keys` and `GET api/entry`: what a cache holds.

use std::time::Duration;

use pitlane::manage::{EntryView, KeyPage, KeyQuery};
use pitlane::{Caches, ErrorKind, Tier};
use serde::Serialize;

use crate::asked::Asked;
use crate::failure::Failure;

/// How long a look into Redis may take: it is a walk, and longer than a request's.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which keys are wanted, as text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeysWanted<'a> {
    pub(crate) cache: &'a str,
    pub(crate) prefix: &'a str,
    /// `memory`, `redis`, or nothing for Redis where there is one.
    pub(crate) tier: &'a str,
    pub(crate) cursor: &'a str,
    pub(crate) limit: &'a str,
}

/// The answer about one entry.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    entry: EntryView,
}

pub(super) async fn keys(caches: &Caches, asked: &Asked) -> Result<KeyPage, Failure> {
    let query = asked.parameters(&["cache", "prefix", "tier", "cursor", "limit"])?;
    let wanted = KeysWanted {
        cache: named(query.get("cache"))?,
        prefix: query.get("prefix"),
        tier: query.get("tier"),
        cursor: query.get("cursor"),
        limit: query.get("limit"),
    };
    find_keys(caches, &wanted).await
}

pub(super) async fn entry(caches: &Caches, asked: &Asked) -> Result<Found, Failure> {
    let query = asked.parameters(&["cache", "key"])?;
    let key = query.get("key");
    if key.is_empty() {
        return Err(Failure::Query("key is missing".to_owned()));
    }
    let entry = find_entry(caches, named(query.get("cache"))?, key).await?;
    Ok(Found { entry })
}

fn named(cache: &str) -> Result<&str, Failure> {
    match cache {
        "" => Err(Failure::Query("cache is missing".to_owned())),
        cache => Ok(cache),
    }
}

/// One page of keys.
pub(crate) async fn find_keys(
    caches: &Caches,
    wanted: &KeysWanted<'_>,
) -> Result<KeyPage, Failure> {
    let mut query = KeyQuery::new().prefix(wanted.prefix);
    query = match wanted.tier {
        "" => query,
        "memory" => query.tier(Tier::Memory),
        "redis" => query.tier(Tier::Remote),
        _ => return Err(Failure::Query("tier is memory or redis".to_owned())),
    };
    if !wanted.cursor.is_empty() {
        query = query.cursor(wanted.cursor);
    }
    if !wanted.limit.is_empty() {
        let limit = wanted
            .limit
            .parse::<usize>()
            .ok()
            .filter(|limit| (1..=1000).contains(limit));
        let why = || Failure::Query("limit is a number from 1 to 1000".to_owned());
        query = query.limit(limit.ok_or_else(why)?);
    }
    in_time(caches.keys(wanted.cache, &query)).await
}

/// One entry.
pub(crate) async fn find_entry(
    caches: &Caches,
    cache: &str,
    key: &str,
) -> Result<EntryView, Failure> {
    let found = in_time(caches.entry(cache, key)).await?;
    found.ok_or_else(|| Failure::Unknown("this cache holds nothing of that name".to_owned()))
}

async fn in_time<T>(asking: impl Future<Output = Result<T, pitlane::Error>>) -> Result<T, Failure> {
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(answer) => answer.map_err(|error| match error.kind() {
            ErrorKind::UnknownCache => Failure::Unknown(error.to_string()),
            ErrorKind::Cursor => Failure::Query(error.to_string()),
            _ => Failure::Unavailable(error.to_string()),
        }),
        Err(_) => Err(Failure::Unavailable(
            "Redis did not answer in time".to_owned(),
        )),
    }
}
