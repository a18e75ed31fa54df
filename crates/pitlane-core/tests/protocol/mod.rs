//! The log as several nodes follow it through one Redis: the real types, driven as
//! `pitlane-redis` drives them, against a simulated server and a plain statement of what must
//! hold. A read is never older than an invalidation that was acknowledged before it began; a
//! node's own invalidations hold at once; at rest nobody serves anything old, and nothing is
//! missed for ever.
//!
//! `PITLANE_WALKS=<number>` makes so many walks in each world, `PITLANE_SEED=<number>` others.

mod action;
mod link;
mod node;
mod redis;
mod requests;
mod rest;
mod rules;
mod spec;
mod task;
mod walk;
mod world;

use rules::{PLANS, Rule};
use walk::walk;

const WALKS: u64 = 200;
/// In so many every rule must be missed.
const MOST: u64 = 4000;
const STEPS: usize = 160;
/// What a late answer spoils, later invalidations hide: shorter walks find it sooner.
const SHORT_STEPS: usize = 48;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

#[test]
fn every_walk_through_every_world_keeps_every_promise() {
    let walks = number("PITLANE_WALKS").unwrap_or(WALKS);
    let seed = number("PITLANE_SEED").unwrap_or(0);
    for (world, plan) in PLANS.into_iter().enumerate() {
        let mut steps = 0;
        for nth in 0..walks {
            match walk(plan, None, seed_of(seed + nth, world), STEPS) {
                Ok(walked) => steps += walked,
                Err(found) => panic!("{:?}", found.shrink(None)),
            }
        }
        eprintln!("{}: {walks} walks, {steps} steps", plan.name);
    }
}

fn seed_of(nth: u64, world: usize) -> u64 {
    nth << 8 | world as u64
}

/// How many walks it takes to find out that `rule` was taken out.
fn found_without(rule: Rule) -> Option<(u64, walk::Found)> {
    let steps = match rule {
        Rule::AnswerOfEpoch => SHORT_STEPS,
        _ => STEPS,
    };
    let mut walks = (0..MOST).map(|nth| (nth, walk(rule.plan(), Some(rule), nth, steps)));
    walks.find_map(|(nth, walk)| Some((nth + 1, *walk.err()?)))
}

#[test]
fn every_rule_taken_out_is_found_out() {
    let mut missed = Vec::new();
    for rule in Rule::ALL {
        let Some((walks, found)) = found_without(rule) else {
            missed.push(rule);
            continue;
        };
        eprintln!("{rule:?}: {walks} walks, {}", found.what);
        if std::env::var_os("PITLANE_SHRINK").is_some() {
            eprintln!("{:?}", found.shrink(Some(rule)));
        }
    }
    assert_eq!(missed, []);
}
