//! `pitlane stats`: what all servers count.

use std::io::{self, IsTerminal, Write};
use std::rc::Rc;
use std::time::Duration;

use pitlane::stats::FleetStats;
use tokio::time::sleep;

use crate::arguments::Stats;
use crate::failure::Failure;
use crate::fleet;
use crate::output::{Output, table};
use crate::session::Session;
use crate::text;

const EVERY: Duration = Duration::from_secs(2);
/// Home, and all below it away.
const CLEAR: &str = "\x1b[H\x1b[J";

pub(crate) async fn run(
    session: Rc<Session>,
    output: &Output,
    arguments: &Stats,
) -> Result<(), Failure> {
    loop {
        let fleet = read(&session, &arguments.caches.names).await?;
        output.give(&fleet, |out| {
            if arguments.watch && io::stdout().is_terminal() {
                write!(out, "{CLEAR}")?;
            }
            show(out, &fleet)?;
            if arguments.watch {
                writeln!(out)
            } else {
                Ok(())
            }
        })?;
        if !arguments.watch {
            return Ok(());
        }
        sleep(EVERY).await;
    }
}

/// What all servers count, of the caches that are wanted. Totals stay those of all caches.
pub(crate) async fn read(session: &Session, wanted: &[String]) -> Result<FleetStats, Failure> {
    let mut fleet = session.caches.fleet_stats().await?;
    if !wanted.is_empty() {
        fleet.caches.retain(|cache| wanted.contains(&cache.name));
        for node in &mut fleet.nodes {
            node.caches.retain(|cache| wanted.contains(&cache.name));
        }
    }
    Ok(fleet)
}

fn show(out: &mut dyn Write, fleet: &FleetStats) -> io::Result<()> {
    if fleet.nodes.is_empty() {
        writeln!(
            out,
            "no server tells its numbers: Caches::keep_stats makes one do so"
        )?;
    } else {
        writeln!(out, "{}", table(fleet::CACHE_HEADER, fleet::caches(fleet)))?;
        writeln!(out)?;
        writeln!(out, "{}", table(fleet::NODE_HEADER, fleet::nodes(fleet)))?;
        writeln!(out)?;
        writeln!(out, "{}", fleet::redis(fleet))?;
        writeln!(out, "{}", fleet::saved(fleet))?;
    }
    for node in &fleet.unreadable {
        let (name, why) = (text::harmless(&node.node), text::harmless(&node.why));
        writeln!(out, "{name} can't be read: {why}")?;
    }
    Ok(())
}
