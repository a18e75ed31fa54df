use crate::{application, check_lifetime, headers, received, rfc, seconds, store, store_status};
use http::StatusCode;
use pitlane_policy::Refusal::{
    self, ExpiredOnArrival, NeedsValidation, NoFreshness, NoStore, Private,
};
use pitlane_policy::{LifetimeSource, RequestFacts, may_store};

#[test]
fn explicit_lifetimes_are_taken_in_the_order_of_the_rfc() {
    for (section, response, lifetime) in [
        ("4.2.1", "cache-control: max-age=60", 60),
        ("4.2.1", "cache-control: s-maxage=30, max-age=60", 30),
        ("4.2.1", "cache-control: max-age=60\nexpires: {10}", 60),
        ("5.3", "cache-control: max-age=60\nexpires: 0", 60),
        ("4.2.1", "expires: {90}", 90),
        ("4.2.1", "cache-control: public\nexpires: {90}", 90),
        ("4.2.1", "expires: {90}\ndate: {0}", 90),
        // The origin's clock is an hour slow, or fast: both of its dates are.
        ("4.2.1", "expires: {-3000}\ndate: {-3600}", 600),
        ("4.2.1", "expires: {3700}\ndate: {3600}", 100),
        // No valid Date: the receipt counts.
        ("4.2.3", "expires: {90}\ndate: yesterday", 90),
        ("4.2.3", "expires: {90}\ndate: {0}\ndate: {10}", 90),
        ("1.2.2", "expires: Fri, 31 Dec 9999 23:59:59 GMT", 1 << 31),
    ] {
        // Some of them are stale on arrival, so they need a validator to be stored.
        let response = format!("{response}\netag: \"a\"");
        let validating = application().can_validate(true);
        check_lifetime(&validating, section, &response, Ok(lifetime));
        check_lifetime(&rfc(), section, &response, Ok(lifetime));
    }
}

#[test]
fn an_expires_that_is_not_one_future_date_is_stale() {
    for expires in [
        "0",
        "-1",
        "now",
        "{0}",
        "{-1}",
        "{60}\nexpires: {60}",
        "{60}, {60}",
    ] {
        let response = format!("expires: {expires}");
        check_lifetime(&application(), "5.3", &response, Err(ExpiredOnArrival));
        let validating = application().can_validate(true);
        check_lifetime(&validating, "5.3", &response, Err(ExpiredOnArrival));
        let tagged = format!("{response}\netag: \"a\"");
        check_lifetime(&validating, "5.3", &tagged, Ok(0));
        // Never absent: neither the operator's TTL nor a guess steps in.
        check_lifetime(
            &application().ttl(seconds(60)),
            "4.2.1",
            &response,
            Err(ExpiredOnArrival),
        );
        let guessable = format!("{response}\nlast-modified: {{-1000}}");
        let plain = rfc().stale_if_error(None);
        check_lifetime(&plain, "4.2.2", &guessable, Ok(0));
        let plain = plain.can_validate(false);
        check_lifetime(&plain, "4.2.2", &guessable, Err(ExpiredOnArrival));
    }
}

#[test]
fn an_expires_in_any_of_the_three_formats_counts_and_no_other() {
    for (section, expires, lifetime) in [
        ("9110 5.6.7", "Fri, 15 Jan 2027 08:01:00 GMT", 60),
        ("9110 5.6.7", "Friday, 15-Jan-27 08:01:00 GMT", 60),
        ("9110 5.6.7", "Fri Jan 15 08:01:00 2027", 60),
        ("4.2", "fri, 15 JAN 2027 08:01:00 gmt", 60),
        ("4.2", "Fri, 15 Jan 2027 08:01:00 UTC", 0),
        ("4.2", "Fri, 15 Jan 2027 08:01:00 EST", 0),
        ("4.2", "Fri, 15 Jan 2027 08:01:00 +0000", 0),
        ("9110 5.6.7", "Fri, 15 Jan 27 08:01:00 GMT", 0),
        ("9110 5.6.7", "Fri, 15 Jan 2027 8:01:00 GMT", 0),
        ("9110 5.6.7", "Fri, 15 Jan 2027 08.01.00 GMT", 0),
        ("9110 5.6.7", "Fri, 15-Jan-2027 08:01:00 GMT", 0),
        ("9110 5.6.7", "Fri 15 Jan 2027 08:01:00 GMT", 0),
        ("9110 5.6.7", "Fri, 15  Jan  2027 08:01:00 GMT", 0),
        ("9110 5.6.7", "Sat, 15 Jan 2027 08:01:00 GMT", 0),
        // More than fifty years ahead is the past.
        ("9110 5.6.7", "Thursday, 31-Dec-99 23:59:59 GMT", 0),
    ] {
        let response = format!("expires: {expires}\nlast-modified: {{-1000}}");
        check_lifetime(&rfc(), section, &response, Ok(lifetime));
    }
}

#[test]
fn the_operators_ttl_counts_only_where_the_response_is_silent() {
    let rules = application().ttl(seconds(300));
    for (response, expected) in [
        ("etag: \"a\"", Ok(300)),
        ("cache-control: public", Ok(300)),
        ("cache-control: surprise", Ok(300)),
        ("cache-control: stale-if-error=9", Ok(300)),
        ("cache-control: max-age=60", Ok(60)),
        ("cache-control: max-age=0", Err(ExpiredOnArrival)),
        ("cache-control: max-age=x", Err(ExpiredOnArrival)),
        ("expires: {60}", Ok(60)),
        ("cache-control: no-cache", Err(NeedsValidation)),
        ("cache-control: no-store", Err(NoStore)),
        ("cache-control: private", Err(Private)),
    ] {
        check_lifetime(&rules, "default deny", response, expected);
    }
}

#[test]
fn without_a_ttl_an_application_response_must_state_its_freshness() {
    for response in [
        "etag: \"a\"",
        "cache-control: public",
        "last-modified: {-1000}",
        "date: {0}",
    ] {
        check_lifetime(&application(), "default deny", response, Err(NoFreshness));
    }
}

#[test]
fn a_tenth_of_the_time_since_the_last_change_is_guessed() {
    for (section, response, expected) in [
        ("4.2.2", "last-modified: {-1000}", Ok(100)),
        ("4.2.2", "last-modified: {-1000}\ndate: {-100}", Ok(90)),
        (
            "4.2.2",
            "last-modified: {-1000}\ncache-control: immutable",
            Ok(100),
        ),
        ("4.2.2", "last-modified: {1000}", Ok(0)),
        ("4.2.2", "last-modified: then", Err(NoFreshness)),
        ("4.2.2", "etag: \"a\"", Err(NoFreshness)),
    ] {
        check_lifetime(&rfc(), section, response, expected);
    }
}

#[test]
fn only_some_statuses_may_be_guessed_at() {
    let dated = "last-modified: {-1000}";
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        assert!(
            store_status(&rfc(), status, dated).is_ok(),
            "RFC 9110 15.1: {status}"
        );
    }
    for status in [201, 302, 303, 307, 400, 403, 418, 500, 503, 599] {
        assert_eq!(
            store_status(&rfc(), status, dated),
            Err(NoFreshness),
            "RFC 9110 15.1: {status}"
        );
        let public = format!("{dated}\ncache-control: public");
        assert!(
            store_status(&rfc(), status, &public).is_ok(),
            "RFC 9111 4.2.2: {status}"
        );
        assert_eq!(
            store_status(&rfc().ttl(seconds(9)), status, dated),
            Err(NoFreshness),
            "{status}"
        );
    }
}

#[test]
fn no_cache_is_stored_only_to_be_validated() {
    let validating = application().can_validate(true);
    let response = "cache-control: no-cache, max-age=60, stale-if-error=60\netag: \"a\"";
    let freshness = store(&validating, response).unwrap();
    assert_eq!(freshness.lifetime(), seconds(0));
    assert!(freshness.forbids_stale() && freshness.retention().is_zero());
    check_lifetime(&application(), "5.2.2.4", response, Err(NeedsValidation));
    check_lifetime(
        &validating,
        "4.3.1",
        "cache-control: no-cache, max-age=60",
        Err(NeedsValidation),
    );
    check_lifetime(
        &validating,
        "5.2.2.4",
        "cache-control: no-cache=\"x\", max-age=60\netag: \"a\"",
        Ok(0),
    );
}

#[test]
fn a_response_older_than_its_lifetime_is_refused_unless_it_can_be_validated() {
    for (section, response) in [
        ("4.2.3", "cache-control: max-age=60\nage: 60"),
        ("4.2.3", "cache-control: max-age=60\ndate: {-60}"),
        (
            "4.2.3",
            "cache-control: max-age=60, stale-while-revalidate=10\nage: 70",
        ),
        ("4.2", "cache-control: max-age=0"),
    ] {
        check_lifetime(&application(), section, response, Err(ExpiredOnArrival));
        let validating = application().can_validate(true);
        check_lifetime(&validating, section, response, Err(ExpiredOnArrival));
        for (validator, usable) in [
            ("etag: \"a\"", true),
            ("last-modified: {-9}", true),
            ("etag: a", false),
            ("last-modified: then", false),
        ] {
            let stored = store(&validating, &format!("{response}\n{validator}"));
            assert_eq!(stored.is_ok(), usable, "{section}: {response} {validator}");
        }
    }
    check_lifetime(
        &application(),
        "5861 3",
        "cache-control: max-age=0, stale-while-revalidate=9",
        Ok(0),
    );
}

#[track_caller]
fn check_windows(
    rules: &pitlane_policy::Rules,
    section: &str,
    directives: &str,
    windows: (u64, u64),
) {
    let freshness =
        store(rules, &format!("cache-control: max-age=60, {directives}")).expect("storable");
    let seen = (
        freshness.stale_while_revalidate().as_secs(),
        freshness.stale_if_error().as_secs(),
    );
    assert_eq!(seen, windows, "{section}: {directives}");
}

#[test]
fn stale_windows_come_from_the_response_then_from_the_operator_within_the_cap() {
    let rules = application()
        .stale_while_revalidate(seconds(10))
        .stale_if_error(seconds(20));
    for (section, directives, windows) in [
        ("5861", "public", (10, 20)),
        ("5861 3", "stale-while-revalidate=5", (5, 20)),
        ("5861 4", "stale-if-error=900", (10, 900)),
        ("5861 3", "stale-while-revalidate=x", (0, 20)),
        ("5861 4", "stale-if-error", (10, 0)),
        ("9111 4.2.4", "must-revalidate", (0, 0)),
        ("9111 4.2.4", "proxy-revalidate, stale-if-error=5", (0, 0)),
        (
            "9111 5.2.2.10",
            "s-maxage=60, stale-while-revalidate=5",
            (0, 0),
        ),
    ] {
        check_windows(&rules, section, directives, windows);
    }
    check_windows(
        &rules.max_stale(seconds(15)),
        "operator",
        "stale-while-revalidate=99",
        (15, 15),
    );
    check_windows(&application(), "none", "public", (0, 0));
}

#[test]
fn an_operators_window_does_not_revive_what_is_stale_at_once() {
    let rules = application()
        .ttl(seconds(60))
        .stale_while_revalidate(seconds(60));
    for headers in ["cache-control: max-age=0", "expires: 0"] {
        let refused = store(&rules, headers);
        assert_eq!(refused, Err(Refusal::ExpiredOnArrival), "{headers}");
    }
    let stated = store(&rules, "cache-control: max-age=0, stale-while-revalidate=5");
    assert_eq!(stated.unwrap().retention(), seconds(5));
    let operators = store(&rules.ttl(seconds(0)), "content-type: text/plain");
    assert_eq!(operators.unwrap().retention(), seconds(60));
}

#[test]
fn a_lifetime_that_cannot_be_read_opens_no_stale_window() {
    let rules = application()
        .can_validate(true)
        .stale_while_revalidate(seconds(60));
    let freshness = store(
        &rules,
        "cache-control: max-age=x, stale-while-revalidate=60\netag: \"a\"",
    )
    .unwrap();
    assert!(freshness.retention().is_zero());
    let zero = store(
        &rules,
        "cache-control: max-age=0, stale-while-revalidate=60",
    )
    .unwrap();
    assert_eq!(zero.retention(), seconds(60));
}

#[test]
fn the_rfc_profile_prefers_a_stale_answer_to_an_error_for_a_day() {
    check_windows(&rfc(), "4.2.4", "public", (0, 86_400));
    check_windows(&rfc().stale_if_error(None), "4.2.4", "public", (0, 0));
}

#[test]
fn a_private_entry_may_have_the_operators_ttl() {
    let rules = application().private_to_user(true).ttl(seconds(60));
    check_lifetime(&rules, "5.2.2.7", "cache-control: private", Ok(60));
    check_lifetime(
        &rules,
        "5.2.2.7",
        "cache-control: private, max-age=5",
        Ok(5),
    );
}

#[test]
fn a_clock_at_the_end_of_time_does_not_overflow() {
    let response = headers(
        "expires: Fri, 31 Dec 9999 23:59:59 GMT\ndate: Thu, 01 Jan 1970 00:00:00 GMT\nage: 99999999999",
    );
    for received in [
        std::time::SystemTime::UNIX_EPOCH,
        received(),
        received() + seconds(u64::from(u32::MAX) * 60),
    ] {
        let facts = RequestFacts::default();
        let stored = may_store(
            &application(),
            &facts,
            StatusCode::OK,
            &response,
            false,
            received,
        );
        assert_eq!(stored, Err(Refusal::ExpiredOnArrival));
    }
}

#[test]
fn what_decides_a_lifetime_has_a_name() {
    use LifetimeSource::{Expires, Heuristic, MaxAge, Rules, SMaxage};
    for (response, without, with_ttl) in [
        (
            "cache-control: s-maxage=30, max-age=60",
            Some(SMaxage),
            Some(SMaxage),
        ),
        (
            "cache-control: max-age=60\nexpires: {10}",
            Some(MaxAge),
            Some(MaxAge),
        ),
        ("expires: {10}", Some(Expires), Some(Expires)),
        ("last-modified: {-1000}", Some(Heuristic), Some(Rules)),
        (
            "cdn-cache-control: max-age=5\nexpires: {10}",
            Some(MaxAge),
            Some(MaxAge),
        ),
        ("x-nothing: said", None, Some(Rules)),
    ] {
        let given = headers(response);
        let of = |rules| LifetimeSource::of(&rules, StatusCode::OK, &given, received());
        assert_eq!(of(rfc()), without, "{response}");
        assert_eq!(of(rfc().ttl(seconds(9))), with_ttl, "{response}");
        assert_eq!(
            store(&rfc(), response).is_ok(),
            without.is_some(),
            "{response}"
        );
    }
}
