use crate::{application, headers, received, rfc, store, store_status};
use http::StatusCode;
use pitlane_policy::{Refusal, RequestFacts, Rules, may_store};

const LASTING: &str = "cache-control: public, max-age=60";

#[track_caller]
fn check(rules: &Rules, status: u16, response: &str, expected: Result<(), Refusal>) {
    assert_eq!(
        store_status(rules, status, response).map(drop),
        expected,
        "{status}: {response}"
    );
}

#[test]
fn interim_partial_and_bodiless_answers_are_never_stored() {
    let statuses = [100, 101, 103, 206, 304].map(|code| StatusCode::from_u16(code).unwrap());
    for rules in [
        rfc(),
        application().statuses(statuses).store_redirects(true),
    ] {
        for status in [100, 101, 102, 103, 199] {
            check(&rules, status, LASTING, Err(Refusal::Informational));
        }
        check(&rules, 206, LASTING, Err(Refusal::PartialContent));
        check(&rules, 304, LASTING, Err(Refusal::NotModified));
    }
}

#[test]
fn the_rfc_profile_stores_any_final_status_with_explicit_freshness() {
    for status in [
        200, 201, 204, 299, 301, 302, 307, 400, 404, 430, 500, 503, 599, 999,
    ] {
        check(&rfc(), status, "cache-control: max-age=60", Ok(()));
    }
}

/// RFC 6585 §3 to §6.
#[test]
fn no_operator_makes_answers_to_one_clients_behaviour_storable() {
    for status in [428, 429, 431, 511] {
        let listed = StatusCode::from_u16(status).unwrap();
        for rules in [
            rfc(),
            rfc().statuses([listed]),
            application().statuses([listed]),
        ] {
            check(&rules, status, LASTING, Err(Refusal::Status));
        }
    }
}

#[test]
fn an_application_stores_200_and_what_is_listed() {
    let listed = application().statuses([StatusCode::NOT_FOUND, StatusCode::MOVED_PERMANENTLY]);
    check(&application(), 200, LASTING, Ok(()));
    for status in [
        201, 400, 401, 403, 404, 405, 407, 412, 413, 414, 416, 429, 431, 500, 502, 503, 599,
    ] {
        check(&application(), status, LASTING, Err(Refusal::Status));
    }
    check(&listed, 404, LASTING, Ok(()));
    check(&listed, 410, LASTING, Err(Refusal::Status));
    check(&listed, 301, LASTING, Err(Refusal::Redirect));
}

#[test]
fn redirects_are_stored_only_when_that_is_turned_on() {
    for status in [300, 301, 302, 303, 307, 308] {
        check(&application(), status, LASTING, Err(Refusal::Redirect));
        check(
            &application().store_redirects(true),
            status,
            LASTING,
            Ok(()),
        );
        check(
            &rfc().store_redirects(false),
            status,
            LASTING,
            Err(Refusal::Redirect),
        );
    }
}

#[track_caller]
fn check_empty(rules: &Rules, status: StatusCode, expected: Result<(), Refusal>) {
    let facts = RequestFacts::default();
    let stored = may_store(rules, &facts, status, &headers(LASTING), true, received());
    assert_eq!(stored.map(drop), expected, "{status}");
}

#[test]
fn empty_bodies_are_stored_only_when_that_is_turned_on() {
    for status in [StatusCode::OK, StatusCode::NO_CONTENT] {
        check_empty(&application(), status, Err(Refusal::EmptyBody));
        check_empty(&application().store_empty(true), status, Ok(()));
        check_empty(&rfc(), status, Ok(()));
    }
    check(&application(), 204, LASTING, Err(Refusal::EmptyBody));
    check_empty(
        &application().store_redirects(true),
        StatusCode::FOUND,
        Ok(()),
    );
}

#[test]
fn must_understand_overrides_no_store_for_known_statuses_only() {
    let both = "cache-control: no-store, must-understand, max-age=60";
    for status in [200, 204, 301, 404, 410, 503] {
        check(&rfc(), status, both, Ok(()));
    }
    for status in [299, 399, 425, 499, 599] {
        check(&rfc(), status, both, Err(Refusal::NoStore));
        for form in [
            "must-understand",
            "must-understand=x",
            "x=\"y, must-understand",
        ] {
            let response = format!("cache-control: max-age=60, {form}");
            check(&rfc(), status, &response, Err(Refusal::UnknownStatus));
        }
    }
    check(&application(), 200, both, Err(Refusal::NoStore));
    check(
        &rfc(),
        200,
        "cache-control: no-store, must-understand=x, max-age=60",
        Err(Refusal::NoStore),
    );
}

#[test]
fn what_the_response_says_of_itself_is_named_first() {
    for (response, expected) in [
        (
            "cache-control: no-store, private\nset-cookie: a=b",
            Refusal::NoStore,
        ),
        ("cache-control: private\nset-cookie: a=b", Refusal::Private),
        ("set-cookie: a=b\nvary: *", Refusal::SetCookie),
    ] {
        assert_eq!(store(&application(), response), Err(expected), "{response}");
    }
}
