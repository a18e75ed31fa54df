//! Properties that must hold for headers nobody would send.

use crate::{received, seconds};
use http::header::CDN_CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use pitlane_policy::{
    Freshness, Profile, RequestDirectives, RequestFacts, ResponseDirectives, Rules, Vary, Verdict,
    age, conditional, date, groups, hop, may_store, may_store_post, range, selecting_value, update,
};
use proptest::prelude::*;
use std::time::Duration;

pub(crate) fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

const FIELDS: [&str; 22] = [
    "cache-control",
    "cache-control",
    "cache-control",
    "expires",
    "date",
    "last-modified",
    "age",
    "vary",
    "etag",
    "pragma",
    "connection",
    "if-none-match",
    "if-match",
    "if-modified-since",
    "accept",
    "set-cookie",
    "cdn-cache-control",
    "range",
    "if-range",
    "cache-groups",
    "cache-group-invalidation",
    "content-length",
];

const DIRECTIVES: [&str; 22] = [
    "no-store",
    "private",
    "private=\"x, y\"",
    "no-cache",
    "must-revalidate",
    "proxy-revalidate",
    "public",
    "immutable",
    "must-understand",
    "max-age=60",
    "max-age=0",
    "max-age=99999999999",
    "s-maxage=5",
    "s-maxage=\"5\"",
    "stale-while-revalidate=30",
    "stale-if-error=30",
    "x",
    "x=y",
    "x=\"no-store, \\\" a\"",
    "max-age=05",
    "stale-if-error=0",
    "no-transform",
];

/// Directives that break the grammar or their own rules.
fn unparsable() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "max-age",
        "s-maxage",
        "public",
        "must-revalidate",
        "must-understand",
        "stale-while-revalidate",
        "stale-if-error",
        "immutable",
        "no-cache",
        "private",
        "x",
    ]);
    let tail = prop::sample::select(vec![
        "=", "=-1", "=a", "=1 2", " = 60", "=\"", "=\"60", ";=1", "=6\"0", "=60.0",
    ]);
    (name, tail).prop_map(|(name, tail)| format!("{name}{tail}"))
}

pub(crate) fn soup() -> impl Strategy<Value = HeaderMap> {
    let value = prop_oneof![
        "[ -~\t]{0,24}",
        "[\",;=*\\\\ /WGMT0-9a-z-]{0,24}",
        prop::collection::vec(prop::sample::select(DIRECTIVES.to_vec()), 0..5)
            .prop_map(|list| list.join(",")),
        Just("Sun, 06 Nov 1994 08:49:37 GMT".to_owned()),
        Just("Fri, 31 Dec 9999 23:59:59 GMT".to_owned()),
        "bytes=[-0-9,]{0,12}",
        "(W/)?\"[ab]?\"",
        "\"[ab\\\\\"]{0,4}\"(, *\"[ab]\")?",
        "[a-z-]{1,8}=[?0-9a\"(]{0,4}",
    ];
    let field = prop::sample::select(FIELDS.to_vec());
    prop::collection::vec((field, value), 0..8).prop_map(|fields| {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let value = HeaderValue::from_str(&value).expect("a field value");
            headers.append(HeaderName::from_static(name), value);
        }
        headers
    })
}

pub(crate) fn rules() -> impl Strategy<Value = Rules> {
    let window = || prop::option::of((0..100_u64).prop_map(seconds));
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (
        prop::sample::select(vec![Profile::Rfc, Profile::Application]),
        window(),
        window(),
        window(),
        window(),
        flags,
    )
        .prop_map(
            |(profile, ttl, revalidate, error, cap, (validate, user, rest, targeted))| {
                Rules::new(profile)
                    .ttl(ttl)
                    .stale_while_revalidate(revalidate)
                    .stale_if_error(error)
                    .max_stale(cap)
                    .can_validate(validate)
                    .private_to_user(user)
                    .store_empty(rest)
                    .store_redirects(rest)
                    .targets(targeted.then_some(CDN_CACHE_CONTROL))
            },
        )
}

pub(crate) fn facts() -> impl Strategy<Value = RequestFacts> {
    (any::<bool>(), any::<bool>()).prop_map(|(authorized, cross_origin)| RequestFacts {
        authorized,
        cross_origin,
    })
}

pub(crate) fn status() -> impl Strategy<Value = StatusCode> {
    prop_oneof![Just(200_u16), 100..600_u16]
        .prop_map(|code| StatusCode::from_u16(code).expect("a status code"))
}

/// For how long a response is fresh, and usable at all, without validation.
pub(crate) fn use_of(
    rules: &Rules,
    facts: &RequestFacts,
    status: StatusCode,
    headers: &HeaderMap,
) -> (Duration, Duration) {
    match may_store(rules, facts, status, headers, false, received()) {
        Ok(freshness) => (
            freshness.lifetime().saturating_sub(freshness.initial_age()),
            freshness.retention(),
        ),
        Err(_) => (Duration::ZERO, Duration::ZERO),
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_header_panics(
        headers in soup(), rules in rules(), facts in facts(), status in status(), empty in any::<bool>(),
    ) {
        if let Ok(freshness) = may_store(&rules, &facts, status, &headers, empty, received()) {
            // What was accepted can be added to any real time.
            prop_assert!(received().checked_add(freshness.retention()).is_some());
            let request = RequestDirectives::from_headers(&headers);
            if freshness.lifetime() <= freshness.initial_age() && request.max_stale.is_none() {
                prop_assert!(!request.accept(&freshness, Duration::ZERO));
            }
        }
        let (etag, changed) = (headers.get("etag"), headers.get("last-modified"));
        let outcome = conditional::evaluate(&Method::GET, &headers, etag, changed);
        prop_assert!(conditional::is_conditional(&headers) || outcome == conditional::Precondition::Proceed);
        prop_assert!(age::parse(&headers).is_none_or(|age| age <= seconds(1 << 31)));
        let mut key = Vec::new();
        for name in Vary::parse(&headers).fields().iter().chain(headers.keys()) {
            selecting_value(name, &headers, &mut key);
        }
        let mut stripped = headers.clone();
        hop::strip(&mut stripped);
        prop_assert!(!stripped.keys().any(hop::is_hop_by_hop));
    }

    #[test]
    fn no_pair_of_headers_panics(
        one in soup(), other in soup(), rules in rules(), facts in facts(), status in status(),
        empty in any::<bool>(), length in any::<u64>(),
    ) {
        let stored = may_store(&rules, &facts, status, &one, empty, received());
        let posted = may_store_post(&rules, &facts, status, &one, empty, received());
        // The answer to a POST is held to more.
        prop_assert!(posted.is_err() || posted == stored);
        let (directives, targeted) = ResponseDirectives::select(&one, &[CDN_CACHE_CONTROL]);
        prop_assert!(targeted || directives == ResponseDirectives::from_headers(&one));
        if let range::Selection::Parts(parts) = range::select(&one, &other, length) {
            prop_assert!(parts.iter().all(|part| part.first <= part.last && part.last < length));
        }
        prop_assert!(groups::of(&one).is_ok_and(|groups| groups.len() <= groups::MOST_GROUPS));
        prop_assert!(groups::invalidated(&one).len() <= groups::MOST_INVALIDATED);
        // What a response says, it says of itself.
        prop_assert!(update::confirms(&one, &one) || one.get_all("etag").iter().count() > 1 || one.get_all("last-modified").iter().count() > 1);
        let confirmed = (update::confirms(&one, &other), update::head_confirms(&one, length, &other));
        prop_assert!(other.contains_key("etag") || other.contains_key("last-modified") || confirmed.0);
        let mut request = other.clone();
        conditional::strip(&mut request);
        prop_assert_eq!(update::conditions(&one, &mut request), conditional::is_conditional(&request));
        prop_assert_eq!(conditional::is_conditional(&request), update::has_validator(&one));
        let mut freshened = one.clone();
        update::freshen(&mut freshened, &other);
        prop_assert!(!freshened.contains_key("age"));
    }

    #[test]
    fn an_unparsable_directive_on_its_own_line_never_makes_more_cacheable(
        headers in soup(), rules in rules(), facts in facts(), status in status(), bad in unparsable(), first in any::<bool>(),
    ) {
        let bad = HeaderValue::from_str(&bad).expect("a field value");
        let mut worse = HeaderMap::new();
        if first {
            worse.append("cache-control", bad.clone());
        }
        for (name, value) in &headers {
            worse.append(name, value.clone());
        }
        if !first {
            worse.append("cache-control", bad);
        }
        let (before, after) = (use_of(&rules, &facts, status, &headers), use_of(&rules, &facts, status, &worse));
        prop_assert!(after.0 <= before.0 && after.1 <= before.1, "{:?} to {:?}", before, after);
    }

    #[test]
    fn an_unparsable_directive_within_a_line_never_makes_more_cacheable(
        line in prop::collection::vec(prop::sample::select(DIRECTIVES.to_vec()), 0..5), at in 0..6_usize,
        rules in rules(), facts in facts(), status in status(), bad in unparsable(),
    ) {
        let mut longer: Vec<&str> = line.clone();
        longer.insert(at.min(line.len()), &bad);
        let [before, after] = [line, longer].map(|members| {
            let mut headers = HeaderMap::new();
            headers.insert("cache-control", HeaderValue::from_str(&members.join(", ")).expect("a field value"));
            headers.insert("last-modified", HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
            use_of(&rules, &facts, status, &headers)
        });
        prop_assert!(after.0 <= before.0 && after.1 <= before.1, "{:?} to {:?}", before, after);
    }

    #[test]
    fn only_what_is_younger_than_its_lifetime_is_fresh(
        lifetime in any::<u64>(), initial in any::<u64>(), resident in any::<u64>(),
        revalidate in any::<u64>(), error in any::<u64>(), close in any::<bool>(),
    ) {
        // Half of the cases sit right at the edge.
        let lifetime = if close { initial.saturating_add(resident).saturating_add(lifetime % 3).saturating_sub(1) } else { lifetime };
        let freshness = Freshness::new(seconds(lifetime))
            .with_initial_age(seconds(initial))
            .with_stale_while_revalidate(seconds(revalidate))
            .with_stale_if_error(seconds(error));
        let age = seconds(initial).saturating_add(seconds(resident));
        let fresh = matches!(freshness.judge(seconds(resident)), Verdict::Fresh { .. });
        prop_assert_eq!(fresh, age < seconds(lifetime));
    }

    #[test]
    fn every_date_that_is_written_is_read_back(since in 0..253_402_300_800_u64) {
        let time = std::time::SystemTime::UNIX_EPOCH + seconds(since);
        prop_assert_eq!(date::parse(&date::format(time)), Some(time));
        // A field has no fractions.
        prop_assert_eq!(date::parse(&date::format(time + Duration::from_millis(999))), Some(time));
    }
}
