//! What the policy costs: each decision of a hit, and of an answer that may be stored, on its own.

mod exchange;

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Duration;

use http::header::{ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, Method};
use pitlane_policy::conditional::Precondition;
use pitlane_policy::{
    RequestDirectives, Rules, Vary, conditional, may_store, range, selecting_value, update,
};

use self::exchange::{LARGE, TYPICAL, facts, headers, received, rules};
use crate::measure::{Case, allocations, least_and_median};

/// One call of most of these takes a few nanoseconds, about as long as it takes to call it.
const CALLS: u32 = 64;

/// A case, and how many allocations it may make.
struct Row {
    case: Case,
    allowed: u64,
}

pub(crate) fn run() {
    println!(
        "{:<48} {:>9} {:>9} {:>9} {:>9} {:>12}",
        "policy, ns a call", "least", "median", "to judge", "to a map", "allocations"
    );
    let (hits, misses) = (hits(), misses());
    let split = hits.len();
    let rows: Vec<Row> = hits.into_iter().chain(misses).collect();
    let allowed: Vec<u64> = rows.iter().map(|row| row.allowed).collect();
    let mut cases: Vec<Case> = rows.into_iter().map(|row| row.case).collect();
    let counts: Vec<u64> = cases.iter_mut().map(counted).collect();
    let times = least_and_median(&mut cases);
    // Of what a busy machine adds, the least of all rounds has the least.
    let floor = |row: usize| times[row].0;
    for (row, case) in cases.iter().enumerate() {
        if row == split {
            println!("for what may be stored:");
        }
        let (least, median) = times[row];
        let per_call = f64::from(CALLS);
        println!(
            "{:<48} {:>9.1} {:>9.1} {:>8.1}x {:>8.1}x {:>12}",
            case.name,
            least / per_call,
            median / per_call,
            least / floor(1),
            least / floor(0),
            counts[row],
        );
    }
    assert!(
        counts
            .iter()
            .zip(&allowed)
            .all(|(count, allowed)| count <= allowed)
    );
}

/// Allocations of one call, rounded up.
fn counted(case: &mut Case) -> u64 {
    allocations(&mut case.work).div_ceil(u64::from(CALLS))
}

/// What every hit may ask, after the two that all others are compared with.
fn hits() -> Vec<Row> {
    let rows = [floors(), keys(), preconditions(), parts()];
    rows.into_iter().flatten().collect()
}

fn floors() -> Vec<Row> {
    let fresh = exchange::freshness(&headers(TYPICAL));
    let resident = Duration::from_secs(20);
    let names = (0..1_000).map(|n| (format!("/clubs/{n}?page=2"), n));
    let map: HashMap<String, u32> = names.collect();
    let accepts = move |request: &HeaderMap| {
        RequestDirectives::from_headers(black_box(request)).accept(&fresh, resident)
    };
    let silent = headers("accept: text/html\nuser-agent: bench/1.0");
    let forcing = headers("accept: text/html\ncache-control: max-age=0, no-cache");
    vec![
        row("a look into a map of 1000 strings", 0, move || {
            map.get(black_box("/clubs/500?page=2")).copied()
        }),
        row("judge", 0, move || {
            black_box(&fresh).judge(black_box(resident))
        }),
        row("request directives, none sent", 0, move || accepts(&silent)),
        row("request directives, `max-age=0, no-cache`", 0, move || {
            accepts(&forcing)
        }),
    ]
}

fn keys() -> Vec<Row> {
    let three = &[ACCEPT_ENCODING, ACCEPT_LANGUAGE, ACCEPT];
    vec![
        row("selecting value, 1 field", 0, selecting(&[ACCEPT_ENCODING])),
        row("selecting value, 3 fields", 0, selecting(three)),
    ]
}

fn preconditions() -> Vec<Row> {
    let ten = format!("{}\"5f2a-62c1\"", "\"0123-4567\", ".repeat(9));
    let date = "if-modified-since: Thu, 14 Jan 2027 17:21:09 GMT";
    vec![
        row("preconditions, none sent", 0, evaluating("accept: */*")),
        row(
            "preconditions, one tag",
            0,
            evaluating("if-none-match: \"5f2a-62c1\""),
        ),
        row(
            "preconditions, the last tag of ten",
            0,
            evaluating(&format!("if-none-match: {ten}")),
        ),
        row("preconditions, a date", 0, evaluating(date)),
    ]
}

fn evaluating(request: &str) -> impl FnMut() -> Precondition + use<> {
    let (request, stored) = (headers(request), headers(TYPICAL));
    move || {
        let (etag, changed) = (stored.get(ETAG), stored.get(LAST_MODIFIED));
        conditional::evaluate(&Method::GET, black_box(&request), etag, changed)
    }
}

fn parts() -> Vec<Row> {
    let selecting = |request: &str| {
        let (request, stored) = (headers(request), headers(TYPICAL));
        move || range::select(black_box(&request), &stored, 4_096)
    };
    vec![
        row("a range, none sent", 0, selecting("accept: */*")),
        // The list of the parts.
        row("a range, one part", 1, selecting("range: bytes=100-199")),
    ]
}

/// Into a buffer that is there already, as a lookup has it.
fn selecting(names: &'static [HeaderName]) -> impl FnMut() -> usize {
    let request = headers(
        "accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\n\
         accept-encoding: gzip, deflate, br, zstd\naccept-language: en-GB,en;q=0.8,de;q=0.5",
    );
    let mut out = Vec::with_capacity(512);
    move || {
        out.clear();
        for name in names {
            selecting_value(name, black_box(&request), &mut out);
        }
        out.len()
    }
}

/// What an answer is asked once, on its way into the store.
fn misses() -> Vec<Row> {
    let targets = || {
        rules().targets(["pitlane-cache-control", "cdn-cache-control"].map(HeaderName::from_static))
    };
    let targeted = format!("{TYPICAL}\ncdn-cache-control: max-age=600, stale-while-revalidate=30");
    let none = || rules().targets([]);
    let stored = headers(TYPICAL);
    let update = headers(exchange::NOT_MODIFIED);
    let (to_copy, large) = (stored.clone(), format!("{TYPICAL}\n{LARGE}"));
    vec![
        // The `Vary` that has to be read has a list of names.
        row("may store, 10 fields", 3, storing(none(), TYPICAL)),
        row("may store, 60 fields", 3, storing(none(), &large)),
        row(
            "may store, 10 fields, 2 targets absent",
            3,
            storing(targets(), TYPICAL),
        ),
        row(
            "may store, 60 fields, 2 targets absent",
            3,
            storing(targets(), &large),
        ),
        row(
            "may store, 10 fields, the second target there",
            3,
            storing(targets(), &targeted),
        ),
        row("Vary, 1 field", 3, {
            let headers = headers(TYPICAL);
            move || Vary::parse(black_box(&headers))
        }),
        row("copying the 10 stored fields", 2, move || {
            black_box(&to_copy).clone()
        }),
        row(
            "freshen by a 304 of 5 fields, with that copy",
            6,
            move || {
                let mut fresh = stored.clone();
                update::freshen(&mut fresh, black_box(&update));
                fresh
            },
        ),
    ]
}

fn storing(rules: Rules, text: &str) -> impl FnMut() -> bool + use<> {
    let headers = headers(text);
    move || {
        let headers = black_box(&headers);
        let status = http::StatusCode::OK;
        may_store(&rules, &facts(), status, headers, false, received()).is_ok()
    }
}

fn row<R>(name: &'static str, allowed: u64, mut work: impl FnMut() -> R + 'static) -> Row {
    let work = Box::new(move || {
        for _ in 0..CALLS {
            drop(black_box(work()));
        }
    });
    Row {
        case: Case { name, work },
        allowed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rows: Vec<Row>) {
        for Row { mut case, allowed } in rows {
            let count = counted(&mut case);
            assert!(count <= allowed, "{}: {count} allocations", case.name);
        }
    }

    /// Only the list of a range's parts, where there is a range, is on the heap.
    #[test]
    fn no_decision_of_a_hit_allocates() {
        check(hits());
    }

    #[test]
    fn an_answer_is_judged_with_a_handful_of_allocations() {
        check(misses());
    }

    #[test]
    fn every_case_does_what_its_name_says() {
        let stored = headers(TYPICAL);
        assert_eq!(stored.len(), 10);
        assert_eq!(headers(&format!("{TYPICAL}\n{LARGE}")).len(), 60);
        assert_eq!(headers(exchange::NOT_MODIFIED).len(), 5);
        assert!(storing(rules(), TYPICAL)() && storing(rules().targets([]), LARGE)());
        assert!(update::confirms(&stored, &headers(exchange::NOT_MODIFIED)));
    }
}
