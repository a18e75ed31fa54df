//! `pitlane invalidate`: ends what carries a name.

use std::rc::Rc;

use pitlane::manage::{Affected, printable};
use pitlane::{Invalidated, Invalidation, Key};
use serde::Serialize;

use crate::arguments::Invalidate;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;
use crate::text;

#[derive(Serialize)]
struct Document {
    dry_run: bool,
    soft: bool,
    /// `applied`; `none` in a dry run.
    outcome: &'static str,
    position: Option<String>,
    /// How many names it speaks of.
    names: usize,
    /// What would end, in a dry run.
    affected: Option<Affected>,
}

pub(crate) async fn run(
    session: Rc<Session>,
    output: &Output,
    arguments: &Invalidate,
) -> Result<(), Failure> {
    let invalidation = invalidation(arguments)?;
    let mut document = Document {
        dry_run: arguments.dry_run,
        soft: arguments.soft,
        outcome: "none",
        position: None,
        names: invalidation.len(),
        affected: None,
    };
    if arguments.dry_run {
        document.affected = Some(session.caches.affected(&invalidation).await?);
    } else {
        let Invalidated::Applied { position } = session.caches.publish(invalidation).await? else {
            return Err(Failure::failed(
                "the log did not take the invalidation in time: do it again",
            ));
        };
        document.outcome = "applied";
        document.position = Some(position.to_string());
    }
    output.give(&document, |out| {
        if let Some(position) = &document.position {
            writeln!(out, "applied at {position}")?;
        }
        for affected in document.affected.iter().flat_map(|all| &all.caches) {
            let keys = text::count(affected.keys, "key", "keys");
            let all = affected.looked_at;
            writeln!(out, "{}: {keys} of {all} would end", affected.cache)?;
        }
        Ok(())
    })
}

fn invalidation(arguments: &Invalidate) -> Result<Invalidation, Failure> {
    let mut all = Invalidation::tags(arguments.tags.iter().map(String::as_str));
    for key in &arguments.keys {
        all = all.add_key(&parse(key)?);
    }
    for prefix in &arguments.prefixes {
        all = if prefix.contains("://") {
            all.add_url_prefix(prefix)?
        } else {
            all.add_key(&parse(prefix)?)
        };
    }
    for url in &arguments.urls {
        all = all.add_url(url)?;
    }
    Ok(if arguments.soft { all.soft() } else { all })
}

fn parse(key: &str) -> Result<Key, Failure> {
    key.parse().map_err(|error| {
        let key = printable(key);
        Failure::usage(format!("{key} is no key such as club:42:members: {error}"))
    })
}
