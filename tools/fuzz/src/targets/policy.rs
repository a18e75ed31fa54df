//! A whole exchange: a request, the response that may be stored, and a newer one that updates it.

mod stored;

use crate::input::{self, Knobs, Setting, received, sections};
use http::header::{
    CACHE_CONTROL, CDN_CACHE_CONTROL, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_UNMODIFIED_SINCE, SET_COOKIE,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use pitlane_policy::conditional::{self, Precondition};
use pitlane_policy::{
    Freshness, Profile, Refusal, RequestDirectives, ResponseDirectives, Vary, Verdict, groups,
    may_store, may_store_post, selecting_value, update,
};
use std::time::Duration;

/// Knobs, then the fields of a request, of its response and of a newer response.
pub(crate) fn run(bytes: &[u8]) {
    let mut knobs = Knobs::new(bytes);
    let setting = Setting::new(&mut knobs);
    let resident = resident(&mut knobs);
    let length = u64::from(knobs.byte());
    let [request, response, newer] = sections(knobs.text()).map(input::fields);
    let outcome = decide(&setting, &response);
    if let Ok(freshness) = &outcome {
        what_is_stored_may_be(&setting, &response, freshness);
        what_is_said_is_heeded(&setting, &response, freshness);
        time_only_takes_away(freshness, resident);
        a_request_only_restricts(&request, freshness, resident);
    }
    a_post_needs_more(&setting, &response, &outcome);
    preconditions_are_the_clients(&request, &response);
    stored::is_updated(&response, &newer);
    stored::is_stripped(&response);
    stored::is_validated(&request, &response);
    stored::is_confirmed_by_itself(&response, length);
    keys_and_groups_are_total(&request, &response, &newer);
}

/// Seconds, small ones as often as not.
fn resident(knobs: &mut Knobs<'_>) -> Duration {
    let [high, low] = [knobs.byte(), knobs.byte()];
    let scale = [1, 1, 60, 86_400][usize::from(high & 3)];
    Duration::from_secs(u64::from(low) * scale)
}

fn decide(setting: &Setting, response: &HeaderMap) -> Result<Freshness, Refusal> {
    let Setting {
        rules,
        facts,
        status,
        empty,
        ..
    } = setting;
    may_store(rules, facts, *status, response, *empty, received())
}

fn what_is_stored_may_be(setting: &Setting, response: &HeaderMap, freshness: &Freshness) {
    let status = setting.status;
    let never = matches!(
        status,
        StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED
    );
    assert!(!never && !status.is_informational(), "{status}");
    assert_ne!(Vary::parse(response), Vary::Any, "{response:?}");
    let is_deaf = setting.profile == Profile::Application;
    let sets_cookies = response.contains_key(SET_COOKIE);
    assert!(!(is_deaf && sets_cookies), "{response:?}");
    assert!(received().checked_add(freshness.retention()).is_some());
    if freshness.retention().is_zero() {
        let can = setting.can_validate && update::has_validator(response);
        assert!(can, "{response:?} is of no use: {freshness:?}");
    }
}

/// What a response says of itself, in the field that applies.
fn what_is_said_is_heeded(setting: &Setting, response: &HeaderMap, freshness: &Freshness) {
    let is_open = setting.profile == Profile::Rfc;
    let targets = is_open.then_some(CDN_CACHE_CONTROL);
    let (said, _) = ResponseDirectives::select(response, targets.as_slice());
    let may_know = is_open && said.overrides_no_store();
    assert!(!said.no_store || may_know, "{response:?}");
    assert!(!said.private || setting.private_to_user, "{response:?}");
    let may_share = setting.private_to_user || said.permits_authorized();
    assert!(!setting.facts.authorized || may_share, "{response:?}");
    let stated = said.s_maxage.or(said.max_age);
    let stated = if said.no_cache {
        Some(Duration::ZERO)
    } else {
        stated
    };
    if let Some(lifetime) = stated {
        assert_eq!(freshness.lifetime(), lifetime, "{response:?}");
    }
    if said.forbids_stale() {
        assert!(freshness.forbids_stale(), "{response:?}: {freshness:?}");
    }
}

fn time_only_takes_away(freshness: &Freshness, resident: Duration) {
    let second = Duration::from_secs(1);
    let (now, next) = (
        freshness.judge(resident),
        freshness.judge(resident + second),
    );
    assert!(age(&now) <= age(&next), "{freshness:?} at {resident:?}");
    assert!(rank(&now) <= rank(&next), "{freshness:?} at {resident:?}");
    let is_over = resident >= freshness.retention();
    assert_eq!(rank(&now) == 3, is_over, "{freshness:?} at {resident:?}");
    if let Verdict::Fresh { age, ttl } = now {
        assert_eq!(age + ttl, freshness.lifetime());
        assert!(!ttl.is_zero());
    }
    if freshness.forbids_stale() {
        assert!(matches!(rank(&now), 0 | 3), "{freshness:?} at {resident:?}");
    }
}

fn age(verdict: &Verdict) -> Duration {
    match verdict {
        Verdict::Fresh { age, .. }
        | Verdict::StaleWhileRevalidate { age, .. }
        | Verdict::StaleIfError { age, .. }
        | Verdict::Stale { age, .. } => *age,
        other => panic!("an unknown verdict: {other:?}"),
    }
}

fn rank(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Fresh { .. } => 0,
        Verdict::StaleWhileRevalidate { .. } => 1,
        Verdict::StaleIfError { .. } => 2,
        _ => 3,
    }
}

fn a_request_only_restricts(request: &HeaderMap, freshness: &Freshness, resident: Duration) {
    let directives = RequestDirectives::from_headers(request);
    let accepted = directives.accept(freshness, resident);
    let is_fresh = matches!(freshness.judge(resident), Verdict::Fresh { .. });
    if accepted && !is_fresh {
        assert!(
            directives.max_stale.is_some(),
            "{request:?} of {freshness:?}"
        );
        assert!(!freshness.forbids_stale(), "{request:?} of {freshness:?}");
    }
    let silent = *request == HeaderMap::new() || directives == RequestDirectives::default();
    assert!(
        !silent || accepted == is_fresh,
        "{request:?} of {freshness:?}"
    );
    for more in [
        "no-cache",
        "max-age=3",
        "min-fresh=7",
        "max-age=",
        "min-fresh=x",
    ] {
        let mut stricter = request.clone();
        stricter.append(CACHE_CONTROL, HeaderValue::from_static(more));
        let still = RequestDirectives::from_headers(&stricter).accept(freshness, resident);
        // `Pragma` counts only where there is no `Cache-Control`.
        let was = accepted || !request.contains_key(CACHE_CONTROL);
        assert!(was || !still, "{stricter:?} of {freshness:?}");
        assert!(
            more != "no-cache" || !still,
            "{stricter:?} of {freshness:?}"
        );
    }
}

fn a_post_needs_more(
    setting: &Setting,
    response: &HeaderMap,
    outcome: &Result<Freshness, Refusal>,
) {
    let Setting {
        rules,
        facts,
        status,
        empty,
        ..
    } = setting;
    let post = may_store_post(rules, facts, *status, response, *empty, received());
    if let Ok(freshness) = post {
        assert_eq!(*outcome, Ok(freshness), "{response:?}");
        assert_eq!(*status, StatusCode::OK);
    } else if outcome.is_err() {
        assert_eq!(
            post, *outcome,
            "one of the two has another reason: {response:?}"
        );
    }
}

fn preconditions_are_the_clients(request: &HeaderMap, stored: &HeaderMap) {
    let (etag, changed) = (stored.get("etag"), stored.get("last-modified"));
    let [get, head, post] = [Method::GET, Method::HEAD, Method::POST]
        .map(|method| conditional::evaluate(&method, request, etag, changed));
    assert_eq!(get, head, "{request:?} of {stored:?}");
    assert_ne!(post, Precondition::NotModified, "{request:?} of {stored:?}");
    if !conditional::is_conditional(request) {
        assert_eq!(get, Precondition::Proceed, "{request:?}");
    }
    // A tag beats the date beside it (RFC 9110 §13.2.2).
    for (tag, date) in [
        (IF_NONE_MATCH, IF_MODIFIED_SINCE),
        (IF_MATCH, IF_UNMODIFIED_SINCE),
    ] {
        let mut without = request.clone();
        if without.contains_key(tag) && without.remove(date).is_some() {
            let same = conditional::evaluate(&Method::GET, &without, etag, changed);
            assert_eq!(get, same, "{request:?} of {stored:?}");
        }
    }
    let bare = conditional::evaluate(&Method::GET, request, None, None);
    let any = request
        .get_all("if-none-match")
        .iter()
        .any(|line| line.as_bytes().trim_ascii() == b"*");
    assert!(
        bare != Precondition::NotModified || any,
        "{request:?} of nothing"
    );
}

fn keys_and_groups_are_total(request: &HeaderMap, response: &HeaderMap, newer: &HeaderMap) {
    let vary = Vary::parse(response).union(&Vary::parse(newer));
    let mut key = Vec::new();
    for name in vary.fields().iter().chain(request.keys()) {
        let start = key.len();
        selecting_value(name, request, &mut key);
        assert!(
            key.len() > start,
            "every field leaves something, {name} too"
        );
    }
    for headers in [response, newer] {
        let names = groups::of(headers).unwrap_or_default();
        assert!(names.len() <= groups::MOST_GROUPS);
        assert!(groups::invalidated(headers).len() <= groups::MOST_INVALIDATED);
    }
}
