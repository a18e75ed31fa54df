use crate::{application, headers, received, rfc, seconds};
use http::StatusCode;
use pitlane_policy::Refusal::{
    self, EmptyBody, ExpiredOnArrival, NoFreshness, NoStore, PartialContent, Status,
};
use pitlane_policy::{RequestFacts, Rules, may_store_post};

#[track_caller]
fn check(rules: &Rules, status: u16, response: &str, expected: Result<u64, Refusal>) {
    let status = StatusCode::from_u16(status).expect("a status code");
    let facts = RequestFacts::default();
    let stored = may_store_post(rules, &facts, status, &headers(response), false, received());
    let lifetime = stored.map(|freshness| freshness.lifetime().as_secs());
    assert_eq!(lifetime, expected, "RFC 9110 9.3.3: {status} {response}");
}

#[test]
fn the_answer_to_a_post_must_state_its_freshness() {
    for (response, expected) in [
        ("cache-control: max-age=60", Ok(60)),
        ("cache-control: s-maxage=60", Ok(60)),
        ("expires: {60}", Ok(60)),
        ("cdn-cache-control: max-age=60", Ok(60)),
        ("etag: \"a\"", Err(NoFreshness)),
        ("last-modified: {-1000}", Err(NoFreshness)),
        (
            "cache-control: public\nlast-modified: {-1000}",
            Err(NoFreshness),
        ),
        ("cache-control: no-cache\netag: \"a\"", Err(NoFreshness)),
        (
            "cdn-cache-control: public\nexpires: {60}\nlast-modified: {-1000}",
            Err(NoFreshness),
        ),
        ("cache-control: max-age=60, no-store", Err(NoStore)),
    ] {
        check(&rfc(), 200, response, expected);
    }
    let patient = application().ttl(seconds(60));
    check(&patient, 200, "x: y", Err(NoFreshness));
    check(&patient, 200, "cache-control: max-age=5", Ok(5));
    check(&application(), 200, "expires: 0", Err(ExpiredOnArrival));
}

#[test]
fn only_a_200_stands_for_a_later_get() {
    for status in [201, 202, 203, 204, 301, 303, 404, 410, 500] {
        check(&rfc(), status, "cache-control: max-age=60", Err(Status));
    }
    check(
        &rfc(),
        206,
        "cache-control: max-age=60",
        Err(PartialContent),
    );
}

#[test]
fn what_forbids_for_a_get_forbids_for_a_post() {
    let facts = RequestFacts {
        authorized: true,
        ..RequestFacts::default()
    };
    let lasting = headers("cache-control: max-age=60");
    let store = |rules: &Rules, facts, empty| {
        may_store_post(rules, facts, StatusCode::OK, &lasting, empty, received()).map(drop)
    };
    assert_eq!(store(&rfc(), &facts, false), Err(Refusal::Authorization));
    assert_eq!(
        store(&application(), &RequestFacts::default(), true),
        Err(EmptyBody)
    );
}
