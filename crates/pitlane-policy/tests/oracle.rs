//! The policy beside `http-cache-semantics`, an implementation of the same RFCs by others.
//!
//! The two must agree on every generated exchange: is it stored, is it fresh later, and what is
//! sent to validate it. Where they are known to differ, [`dialect::DIALECT`] says who is right by
//! which section, and rewrites the exchange into what means the same to the other one. Nothing
//! is left out: a difference that no row of that table explains fails.

mod case;
mod dialect;
mod rewrite;

use crate::{received, rfc, seconds};
use case::{Case, case};
use dialect::DIALECT;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_cache_semantics::{BeforeRequest, CacheOptions, CachePolicy};
use pitlane_policy::{RequestDirectives, RequestFacts, date, may_store, update};
use proptest::test_runner::{Config, TestRunner};
use std::cell::{Cell, RefCell};
use std::time::Duration;

const CASES: u32 = 20_000;

/// `refused`, `fresh`, or `stale` and the conditions that would be sent.
type Outcome = String;

fn ours(case: &Case) -> Outcome {
    let (request, response) = (case.request(), case.response());
    let asks = RequestDirectives::from_headers(&request);
    let facts = RequestFacts::from_headers(&request);
    // The other one knows neither stale windows nor targeted fields.
    let rules = rfc().max_stale(Duration::ZERO).targets([]);
    let stored = may_store(&rules, &facts, case.status(), &response, false, received());
    match stored {
        Ok(_) if asks.no_store => "refused".to_owned(),
        Ok(freshness) if asks.accept(&freshness, seconds(case.resident)) => "fresh".to_owned(),
        Ok(_) => {
            let mut conditional = HeaderMap::new();
            let any = update::conditions(&response, &mut conditional);
            assert_eq!(any, !conditional.is_empty());
            stale(&conditional)
        }
        Err(_) => "refused".to_owned(),
    }
}

fn theirs(case: &Case) -> Outcome {
    let (policy, request) = policy(case);
    if !policy.is_storable() {
        return "refused".to_owned();
    }
    match policy.before_request(&request, received() + seconds(case.resident)) {
        BeforeRequest::Fresh(_) => "fresh".to_owned(),
        BeforeRequest::Stale { request, .. } => stale(&request.headers),
    }
}

fn policy(case: &Case) -> (CachePolicy, Request<()>) {
    let mut request = Request::new(());
    *request.headers_mut() = case.request();
    let mut response = Response::new(());
    *response.status_mut() = case.status();
    *response.headers_mut() = case.response();
    let policy = CachePolicy::new_options(&request, &response, received(), CacheOptions::default());
    (policy, request)
}

/// Dates are shown in one format: that they are sent as they came is tested elsewhere.
fn stale(conditional: &HeaderMap) -> Outcome {
    let sent = ["if-none-match", "if-modified-since"].map(|name| {
        let line = |line: &HeaderValue| {
            let text = String::from_utf8_lossy(line.as_bytes()).into_owned();
            let text = date::parse(line).map_or(text, httpdate::fmt_http_date);
            format!(", {name}: {text}")
        };
        conditional
            .get_all(name)
            .into_iter()
            .map(line)
            .collect::<String>()
    });
    format!("stale{}", sent.concat())
}

/// The same exchange in the other one's dialect, and which rows of the table changed it.
fn translated(case: &Case) -> (Case, Vec<usize>) {
    let mut translated = case.clone();
    let mut used = Vec::new();
    for (row, difference) in DIALECT.iter().enumerate() {
        let before = translated.clone();
        (difference.translate)(&mut translated);
        if translated != before {
            used.push(row);
        }
    }
    (translated, used)
}

#[test]
fn both_agree_on_every_exchange_but_for_the_differences_that_are_explained() {
    let uses = RefCell::new(vec![0_u32; DIALECT.len()]);
    let alike = Cell::new(0_u32);
    let outcomes = RefCell::new([0_u32; 3]);
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 5_000,
        ..Config::default()
    });
    let result = runner.run(&case(), |case| {
        let (translated, used) = translated(&case);
        let (ours, as_it_is, theirs) = (ours(&case), theirs(&case), theirs(&translated));
        proptest::prop_assert_eq!(
            &ours,
            &theirs,
            "{:#?} is in their words {:#?}",
            case,
            translated
        );
        alike.set(alike.get() + u32::from(as_it_is == ours));
        for row in used {
            uses.borrow_mut()[row] += 1;
        }
        let kind = usize::from(ours == "refused") + 2 * usize::from(ours == "fresh");
        outcomes.borrow_mut()[kind] += 1;
        Ok(())
    });
    if let Err(difference) = result {
        panic!("{difference}");
    }
    // No row is dead, and most exchanges need no row at all.
    for (difference, uses) in DIALECT.iter().zip(uses.take()) {
        assert!(uses > 0, "{} was never used", difference.name);
    }
    assert!(alike.get() > CASES / 2, "{alike:?} alike");
    assert!(
        outcomes.take().iter().all(|&count| count > CASES / 20),
        "{outcomes:?}"
    );
}

#[test]
fn every_difference_is_as_its_row_says() {
    for row in DIALECT {
        let at = format!("{} ({}, {:?})", row.name, row.section, row.right);
        let example = Case::of(&row.example);
        assert_eq!(ours(&example), row.ours, "{at}: ours");
        assert_eq!(theirs(&example), row.theirs, "{at}: theirs");
        assert_ne!(row.ours, row.theirs, "{at} is no difference");
        let (translated, used) = translated(&example);
        assert_eq!(theirs(&translated), row.ours, "{at}: {translated:?}");
        let names: Vec<_> = used.iter().map(|&row| DIALECT[row].name).collect();
        assert!(names.contains(&row.name), "{at} is explained by {names:?}");
    }
}
