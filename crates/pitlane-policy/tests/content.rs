use crate::{application, headers, received, rfc};
use http::StatusCode;
use pitlane_policy::{Refusal, RequestFacts, Rules, may_store};

#[track_caller]
fn check(rules: &Rules, request: &str, response: &str, expected: Result<(), Refusal>) {
    let facts = RequestFacts::from_headers(&headers(request));
    let response_headers = headers(&format!("expires: {{60}}\n{response}"));
    let stored = may_store(
        rules,
        &facts,
        StatusCode::OK,
        &response_headers,
        false,
        received(),
    );
    assert_eq!(stored.map(drop), expected, "{request} -> {response}");
}

#[test]
fn authorized_answers_are_shared_only_by_permission() {
    let secret = "authorization: Bearer x";
    for (section, response, expected) in [
        ("3.5", "x: y", Err(Refusal::Authorization)),
        (
            "3.5",
            "cache-control: max-age=60",
            Err(Refusal::Authorization),
        ),
        (
            "3.5",
            "cache-control: proxy-revalidate, max-age=60",
            Err(Refusal::Authorization),
        ),
        ("3.5", "cache-control: public", Ok(())),
        ("3.5", "cache-control: must-revalidate", Ok(())),
        ("3.5", "cache-control: s-maxage=60", Ok(())),
        (
            "3.5",
            "cache-control: must-revalidate=x",
            Err(Refusal::Authorization),
        ),
        (
            "3.5",
            "cache-control: s-maxage=x",
            Err(Refusal::Authorization),
        ),
    ] {
        for rules in [rfc(), application()] {
            check(&rules, secret, response, expected);
        }
        check(&application().private_to_user(true), secret, "x: y", Ok(()));
        assert_eq!(section, "3.5");
    }
}

#[test]
fn private_is_stored_only_where_entries_are_keyed_by_user() {
    for response in [
        "cache-control: private",
        "cache-control: private=\"set-cookie\"",
        "cache-control: private=\"x",
    ] {
        for rules in [rfc(), application()] {
            check(&rules, "", response, Err(Refusal::Private));
        }
        check(&application().private_to_user(true), "", response, Ok(()));
    }
}

#[test]
fn a_response_that_sets_a_cookie_is_stored_only_by_the_rfc_profile_and_only_if_public() {
    let cookie = "set-cookie: a=b";
    let public = "set-cookie: a=b\ncache-control: public";
    for rules in [application(), application().private_to_user(true)] {
        check(&rules, "", cookie, Err(Refusal::SetCookie));
        check(&rules, "", public, Err(Refusal::SetCookie));
    }
    check(&rfc(), "", cookie, Err(Refusal::SetCookie));
    check(&rfc(), "", public, Ok(()));
    check(
        &rfc(),
        "",
        "set-cookie: a=b\ncache-control: public=x",
        Err(Refusal::SetCookie),
    );
}

#[test]
fn a_response_that_varies_on_everything_is_not_stored() {
    for vary in [
        "vary: *",
        "vary: accept, *",
        "vary: accept\nvary: ,, *",
        "vary: a b",
    ] {
        for rules in [rfc(), application()] {
            check(&rules, "", vary, Err(Refusal::VaryAny));
        }
    }
}

#[test]
fn an_answer_for_one_origin_needs_vary() {
    let origin = "origin: https://a.example";
    let named = "access-control-allow-origin: https://a.example";
    check(&application(), origin, named, Err(Refusal::ReflectedOrigin));
    check(
        &application(),
        origin,
        &format!("{named}\nvary: accept"),
        Err(Refusal::ReflectedOrigin),
    );
    check(
        &application(),
        origin,
        &format!("{named}\nvary: Accept, Origin"),
        Ok(()),
    );
    check(
        &application(),
        origin,
        "access-control-allow-origin: *",
        Ok(()),
    );
    check(
        &application(),
        origin,
        "access-control-allow-origin: null",
        Err(Refusal::ReflectedOrigin),
    );
    let both = "access-control-allow-origin: *\naccess-control-allow-origin: https://a.example";
    check(&application(), origin, both, Err(Refusal::ReflectedOrigin));
    check(&application(), "", named, Ok(()));
    check(&rfc(), origin, named, Ok(()));
}

#[test]
fn a_page_with_a_nonce_is_not_stored_by_an_application() {
    for response in [
        "content-security-policy: script-src 'nonce-abc'",
        "content-security-policy: default-src 'self'\ncontent-security-policy: script-src 'NONCE-abc'",
        "content-security-policy-report-only: script-src 'nonce-abc'",
    ] {
        check(&application(), "", response, Err(Refusal::CspNonce));
        check(&rfc(), "", response, Ok(()));
    }
    check(
        &application(),
        "",
        "content-security-policy: script-src 'sha256-nonce'",
        Ok(()),
    );
}
