//! `pitlane keys`: what caches hold in Redis.

use std::rc::Rc;
use std::time::SystemTime;

use pitlane::manage::{KeyQuery, KeyView};
use pitlane::{Cache, Timestamp};
use serde::Serialize;

use crate::arguments::Keys;
use crate::failure::Failure;
use crate::output::{Output, table};
use crate::session::Session;
use crate::text;

#[derive(Serialize)]
struct Document {
    caches: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    cache: String,
    keys: Vec<KeyView>,
    /// Whether there are more than were wanted.
    more: bool,
}

pub(crate) async fn run(
    session: Rc<Session>,
    output: &Output,
    arguments: &Keys,
) -> Result<(), Failure> {
    let mut caches = Vec::new();
    for cache in session.chosen() {
        caches.push(list(&session, cache, arguments).await?);
    }
    let now = now();
    let document = Document { caches };
    output.give(&document, |out| {
        let several = document.caches.len() > 1;
        for listed in &document.caches {
            if several {
                writeln!(out, "{}", listed.cache)?;
            }
            if listed.keys.is_empty() {
                writeln!(out, "nothing")?;
            } else {
                let rows = listed.keys.iter().map(|key| row(key, now));
                let header = ["AGE", "LEFT", "SIZE", "KIND", "NAME"];
                writeln!(out, "{}", table(header, rows))?;
            }
            if several {
                writeln!(out)?;
            }
        }
        Ok(())
    })?;
    for listed in document.caches.iter().filter(|listed| listed.more) {
        output.note(&format!("{}: there are more; see --limit", listed.cache));
    }
    Ok(())
}

async fn list(session: &Session, cache: &Cache, arguments: &Keys) -> Result<Listed, Failure> {
    let limit = usize::try_from(arguments.limit).unwrap_or(usize::MAX);
    let query = KeyQuery::new().prefix(&arguments.prefix);
    let mut keys = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let query = query.clone().limit(limit - keys.len());
        let query = match cursor.take() {
            Some(cursor) => query.cursor(cursor),
            None => query,
        };
        let page = session.caches.keys(cache.name(), &query).await?;
        keys.extend(page.keys);
        cursor = page.cursor;
        if cursor.is_none() || keys.len() >= limit {
            return Ok(Listed {
                cache: cache.name().to_owned(),
                keys,
                more: cursor.is_some(),
            });
        }
    }
}

fn row(key: &KeyView, now: u64) -> [String; 5] {
    let unknown = || "-".to_owned();
    let age = key
        .stored_ms
        .map(|stored| text::between(stored, now).max(0.0));
    let left = key.expires_ms.map(|expires| text::between(now, expires));
    let left = left.map(|left| match left {
        ..=0.0 => "over".to_owned(),
        left => text::span(left),
    });
    [
        age.map_or_else(unknown, text::span),
        left.unwrap_or_else(unknown),
        key.bytes.map_or_else(unknown, text::size),
        key.kind.as_str().to_owned(),
        key.name.clone(),
    ]
}

#[expect(
    clippy::disallowed_methods,
    reason = "ages are shown to a person, and nothing is decided by them"
)]
fn now() -> u64 {
    Timestamp::from(SystemTime::now()).as_millis()
}
