//! `pitlane clear`: empties caches.

use std::rc::Rc;

use pitlane::{Cache, Invalidated, Kind};
use serde::Serialize;

use crate::arguments::Clear;
use crate::failure::Failure;
use crate::output::{Output, confirm};
use crate::session::Session;
use crate::text;

#[derive(Serialize)]
struct Document {
    dry_run: bool,
    caches: Vec<Cleared>,
}

#[derive(Serialize)]
struct Cleared {
    cache: String,
    /// `applied`; `none` in a dry run.
    outcome: &'static str,
    position: Option<String>,
    /// How many keys it held, where that was counted.
    keys: Option<u64>,
}

pub(crate) async fn run(
    session: Rc<Session>,
    output: &Output,
    arguments: &Clear,
) -> Result<(), Failure> {
    let mut caches = Vec::new();
    if arguments.dry_run || !arguments.yes {
        for cache in session.chosen() {
            caches.push(counted(&session, cache).await?);
        }
    }
    if !arguments.dry_run {
        if !arguments.yes && !confirm(question(&session, &caches).await?).await? {
            return Err(Failure::failed("nothing was cleared"));
        }
        let counts = caches.iter().map(|cleared| cleared.keys);
        let counts: Vec<_> = counts
            .chain(std::iter::repeat(None))
            .take(session.chosen().len())
            .collect();
        caches.clear();
        for (cache, keys) in session.chosen().iter().zip(counts) {
            caches.push(clear(&session, cache, keys).await?);
        }
        if !arguments.no_wait {
            // Nothing of it is used any more; this only gives the memory back.
            session.settle(|| {}).await;
        }
    }
    let document = Document {
        dry_run: arguments.dry_run,
        caches,
    };
    output.give(&document, |out| {
        for cleared in &document.caches {
            let keys = cleared.keys.map(|keys| text::count(keys, "key", "keys"));
            match (&keys, &cleared.position) {
                (Some(keys), _) if document.dry_run => {
                    writeln!(out, "{}: {keys} would be cleared", cleared.cache)?;
                }
                (_, Some(position)) => writeln!(out, "{}: cleared at {position}", cleared.cache)?,
                _ => writeln!(out, "{}: cleared", cleared.cache)?,
            }
        }
        Ok(())
    })
}

async fn counted(session: &Session, cache: &Cache) -> Result<Cleared, Failure> {
    let keys = session.caches.key_count(cache.name()).await?;
    Ok(Cleared {
        cache: cache.name().to_owned(),
        outcome: "none",
        position: None,
        keys: Some(keys),
    })
}

async fn question(session: &Session, caches: &[Cleared]) -> Result<String, Failure> {
    let mut named = Vec::new();
    for cleared in caches {
        let count = cleared.keys.unwrap_or_default();
        let is_store = session.caches.kind_in_redis(&cleared.cache).await? == Some(Kind::Store);
        let what = if is_store {
            let records = text::count(count, "record", "records");
            format!("{records}, which can't be computed again")
        } else {
            text::count(count, "key", "keys")
        };
        named.push(format!("{} ({what})", cleared.cache));
    }
    Ok(format!("Clear {}?", named.join(", ")))
}

async fn clear(session: &Session, cache: &Cache, keys: Option<u64>) -> Result<Cleared, Failure> {
    match session.caches.clear(cache.name()).await? {
        Invalidated::Applied { position } => Ok(Cleared {
            cache: cache.name().to_owned(),
            outcome: "applied",
            position: Some(position.to_string()),
            keys,
        }),
        _ => Err(Failure::failed(format!(
            "the log did not take the clear of {} in time: do it again",
            cache.name()
        ))),
    }
}
