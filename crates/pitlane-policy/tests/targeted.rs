use crate::{application, check_lifetime, headers, received, rfc, seconds, store};
use http::header::CDN_CACHE_CONTROL;
use http::{HeaderName, StatusCode};
use pitlane_policy::Refusal::{
    self, ExpiredOnArrival, NeedsValidation, NoFreshness, NoStore, Private,
};
use pitlane_policy::{RequestFacts, ResponseDirectives, Rules, may_store};
use std::time::Duration;

fn own() -> HeaderName {
    HeaderName::from_static("pitlane-cache-control")
}

/// Nothing but freshness keeps a response.
fn plain() -> Rules {
    rfc().stale_if_error(None)
}

#[track_caller]
fn check(section: &str, response: &str, expected: Result<u64, Refusal>) {
    check_lifetime(&plain(), &format!("RFC 9213 {section}"), response, expected);
}

#[test]
fn a_targeted_field_replaces_cache_control_and_expires() {
    for (response, expected) in [
        ("cdn-cache-control: max-age=60", Ok(60)),
        (
            "cdn-cache-control: max-age=60\ncache-control: max-age=5",
            Ok(60),
        ),
        (
            "cdn-cache-control: max-age=5\ncache-control: max-age=60, s-maxage=60",
            Ok(5),
        ),
        (
            "cdn-cache-control: max-age=60\ncache-control: no-store",
            Ok(60),
        ),
        (
            "cdn-cache-control: max-age=60\ncache-control: private, no-cache",
            Ok(60),
        ),
        ("cdn-cache-control: max-age=60\nexpires: 0", Ok(60)),
        ("cdn-cache-control: max-age=60\nexpires: {-9}", Ok(60)),
        (
            "cdn-cache-control: no-store\ncache-control: max-age=60",
            Err(NoStore),
        ),
        (
            "cdn-cache-control: private\ncache-control: max-age=60",
            Err(Private),
        ),
        (
            "cdn-cache-control: no-cache\ncache-control: max-age=60",
            Err(NeedsValidation),
        ),
        (
            "cdn-cache-control: max-age=0\nexpires: {60}",
            Err(ExpiredOnArrival),
        ),
        ("cdn-cache-control: s-maxage=9, max-age=60", Ok(9)),
        // Nothing says for how long: what was said for others doesn't count.
        (
            "cdn-cache-control: public\ncache-control: max-age=60\nexpires: {60}",
            Err(NoFreshness),
        ),
        ("cdn-cache-control: public\nlast-modified: {-1000}", Ok(100)),
    ] {
        check("2.2", response, expected);
    }
}

#[test]
fn the_first_target_that_says_anything_counts() {
    let rules = application().targets([own(), CDN_CACHE_CONTROL]);
    for (response, expected) in [
        (
            "pitlane-cache-control: max-age=1\ncdn-cache-control: max-age=2\ncache-control: max-age=3",
            Ok(1),
        ),
        (
            "cdn-cache-control: max-age=2\npitlane-cache-control: max-age=1",
            Ok(1),
        ),
        (
            "cdn-cache-control: max-age=2\ncache-control: max-age=3",
            Ok(2),
        ),
        ("cache-control: max-age=3", Ok(3)),
        (
            "pitlane-cache-control:\ncdn-cache-control: max-age=2",
            Ok(2),
        ),
        (
            "pitlane-cache-control: max-age=\ncdn-cache-control: max-age=2",
            Ok(2),
        ),
        (
            "pitlane-cache-control: !\ncdn-cache-control:\ncache-control: max-age=3",
            Ok(3),
        ),
        (
            "surrogate-control: max-age=9\ncache-control: max-age=3",
            Ok(3),
        ),
    ] {
        check_lifetime(&rules, "RFC 9213 2.2", response, expected);
    }
}

#[test]
fn without_a_target_the_field_is_for_others() {
    let response = "cdn-cache-control: max-age=60\ncache-control: max-age=5";
    check_lifetime(&application(), "RFC 9213 2.2", response, Ok(5));
    check_lifetime(&rfc().targets([]), "RFC 9213 2.2", response, Ok(5));
    let forbidden = "cdn-cache-control: no-store\ncache-control: max-age=5";
    check_lifetime(&application(), "RFC 9213 2.2", forbidden, Ok(5));
}

#[test]
fn a_field_that_is_no_dictionary_is_ignored_whole() {
    for value in [
        "",
        " ",
        "max-age=60, &&&",
        "max-age =60",
        "max-age= 60",
        "MAX-AGE=60",
        "max-age=60,",
        ",max-age=60",
        "max-age=60 no-store",
        "no-store, x=\"",
        "private, \u{e9}",
    ] {
        for (fallback, expected) in [("max-age=5", Ok(5)), ("no-store, max-age=5", Err(NoStore))] {
            let response = format!("cdn-cache-control: {value}\ncache-control: {fallback}");
            check("2.1", &response, expected);
        }
    }
    // Sixteen digits are too many for an integer of RFC 9651, so the field doesn't parse.
    check(
        "2.1",
        "cdn-cache-control: max-age=1000000000000000\ncache-control: max-age=5",
        Ok(5),
    );
    check(
        "2.1",
        "cdn-cache-control: max-age=60\ncdn-cache-control: x=\ncache-control: max-age=5",
        Ok(5),
    );
}

#[test]
fn spans_are_integers_and_saturate() {
    for (value, lifetime) in [
        ("max-age=60", 60),
        ("max-age=0060", 60),
        ("max-age=60;x=y", 60),
        ("foobar, max-age=60", 60),
        ("foo=(1 2), max-age=60, bar=\"no-store, x\"", 60),
        ("max-age=99999999999", 1 << 31),
        ("max-age=999999999999999", 1 << 31),
        ("x\ncdn-cache-control: max-age=60", 60),
    ] {
        check(
            "2.1",
            &format!("cdn-cache-control: {value}\ncache-control: no-store"),
            Ok(lifetime),
        );
    }
}

#[test]
fn a_known_directive_with_a_wrong_type_restricts() {
    for value in [
        "max-age",
        "max-age=?0",
        "max-age=\"60\"",
        "max-age=60.0",
        "max-age=-1",
        "max-age=abc",
        "max-age=(60)",
        "max-age=:YQ==:",
        "max-age=@60",
        "s-maxage=\"60\", max-age=60",
        "s-maxage, max-age=60",
    ] {
        let response =
            format!("cdn-cache-control: {value}\ncache-control: max-age=60\nexpires: {{60}}");
        check("2.1", &response, Err(ExpiredOnArrival));
        // Neither an operator's TTL nor a stale window steps in.
        let generous = application().targets([CDN_CACHE_CONTROL]).ttl(seconds(60));
        let generous = generous
            .stale_while_revalidate(seconds(60))
            .stale_if_error(seconds(60));
        check_lifetime(&generous, "RFC 9213 2.1", &response, Err(ExpiredOnArrival));
    }
    for form in ["=\"x\"", "=x", "=1", "=()", "=(\"a\" \"b\")", "=1.5", ""] {
        for (name, refusal) in [
            ("no-store", NoStore),
            ("private", Private),
            ("no-cache", NeedsValidation),
        ] {
            check(
                "2.1",
                &format!("cdn-cache-control: max-age=60, {name}{form}"),
                Err(refusal),
            );
        }
    }
}

#[track_caller]
fn read(value: &str) -> ResponseDirectives {
    let (directives, targeted) = ResponseDirectives::select(
        &headers(&format!("cdn-cache-control: {value}")),
        &[CDN_CACHE_CONTROL],
    );
    assert!(targeted && !directives.is_empty(), "{value}");
    directives
}

#[test]
fn every_directive_is_read() {
    let all = read(
        "no-store, private, no-cache, must-revalidate, proxy-revalidate, public, immutable, must-understand, \
         no-transform, max-age=1, s-maxage=2, stale-while-revalidate=3, stale-if-error=4",
    );
    assert!(
        all.no_store && all.private && all.no_cache && all.must_revalidate && all.proxy_revalidate
    );
    assert!(all.public && all.immutable && all.must_understand && all.no_transform);
    assert!(all.permits_authorized() && all.overrides_no_store());
    let spans = [
        all.max_age,
        all.s_maxage,
        all.stale_while_revalidate,
        all.stale_if_error,
    ];
    assert_eq!(spans, [1, 2, 3, 4].map(|n| Some(seconds(n))));
}

#[test]
fn a_flag_that_is_false_is_absent() {
    let none = read(
        "no-store=?0, private=?0, no-cache=?0, must-revalidate=?0, proxy-revalidate=?0, public=?0, immutable=?0, \
         must-understand=?0, no-transform=?0",
    );
    let (empty, _) =
        ResponseDirectives::select(&headers("cdn-cache-control: x"), &[CDN_CACHE_CONTROL]);
    assert_eq!(none, empty);
    check("2.1", "cdn-cache-control: max-age=60, no-store=?0", Ok(60));
    assert_eq!(read("no-store=?1"), read("no-store"));
}

#[test]
fn what_permits_must_have_no_value() {
    for directive in ["public", "must-revalidate", "immutable", "must-understand"] {
        for form in ["=1", "=\"x\"", "=x", "=()", "=?0"] {
            let directives = read(&format!("{directive}{form}"));
            assert!(
                !directives.public && !directives.immutable,
                "{directive}{form}"
            );
            assert!(!directives.permits_authorized(), "{directive}{form}");
            assert!(!directives.overrides_no_store(), "{directive}{form}");
        }
    }
    assert!(!read("s-maxage=\"60\"").permits_authorized());
    assert!(read("s-maxage=60").permits_authorized());
}

#[test]
fn of_equal_keys_the_strictest_counts() {
    for (value, max_age) in [
        ("max-age=5, max-age=60", 5),
        ("max-age=60, max-age=5", 5),
        ("max-age=60, max-age=x", 0),
    ] {
        assert_eq!(read(value).max_age, Some(seconds(max_age)), "{value}");
    }
    assert!(read("no-store, no-store=?0").no_store);
    assert!(read("no-store=?0, no-store").no_store);
    // The last of several is the one that RFC 9651 keeps, so no other can permit.
    assert!(!read("public, public=?0").public);
    assert!(!read("public, public=1").permits_authorized());
    assert!(read("public=1, public").public);
    assert!(!read("must-understand, must-understand=x").overrides_no_store());
    let revalidate = read("must-revalidate, must-revalidate=?0");
    assert!(revalidate.must_revalidate && !revalidate.permits_authorized());
}

#[test]
fn what_cache_control_permits_does_not_count_beside_a_target() {
    let authorized = RequestFacts {
        authorized: true,
        ..RequestFacts::default()
    };
    for (response, facts, expected) in [
        (
            "cdn-cache-control: max-age=60\ncache-control: public",
            authorized,
            Err(Refusal::Authorization),
        ),
        (
            "cdn-cache-control: max-age=60, public\ncache-control: private",
            authorized,
            Ok(()),
        ),
        (
            "cdn-cache-control: max-age=60\ncache-control: public\nset-cookie: a=b",
            RequestFacts::default(),
            Err(Refusal::SetCookie),
        ),
        (
            "cdn-cache-control: max-age=60, public\nset-cookie: a=b",
            RequestFacts::default(),
            Ok(()),
        ),
    ] {
        let stored = may_store(
            &plain(),
            &facts,
            StatusCode::OK,
            &headers(response),
            false,
            received(),
        );
        assert_eq!(stored.map(drop), expected, "RFC 9213 2.2: {response}");
    }
}

#[test]
fn stale_windows_come_from_the_targeted_field_too() {
    let rules = application().targets([CDN_CACHE_CONTROL]);
    let response = "cdn-cache-control: max-age=60, stale-while-revalidate=9, stale-if-error=8\n\
                    cache-control: must-revalidate, max-age=1";
    let freshness = store(&rules, response).expect("storable");
    assert_eq!(freshness.stale_while_revalidate(), seconds(9));
    assert_eq!(freshness.stale_if_error(), seconds(8));
    let forbidden = store(
        &rules,
        "cdn-cache-control: max-age=60, must-revalidate, stale-if-error=8",
    );
    assert_eq!(
        forbidden.expect("storable").stale_if_error(),
        Duration::ZERO
    );
}

#[test]
fn cache_control_is_read_where_no_target_speaks() {
    let response = headers("cache-control: max-age=5\ncdn-cache-control: &");
    let (directives, targeted) = ResponseDirectives::select(&response, &[own(), CDN_CACHE_CONTROL]);
    assert!(!targeted);
    assert_eq!(directives, ResponseDirectives::from_headers(&response));
}
