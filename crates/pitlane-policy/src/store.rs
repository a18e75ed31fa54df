use crate::{
    Freshness, Profile, Refusal, RequestFacts, ResponseDirectives, Rules, content, lifetime, status,
};
use http::{HeaderMap, StatusCode};
use std::time::SystemTime;

/// Whether a response may be stored, and if so for how long it is fresh (RFC 9111 §3).
///
/// `headers` are the response's, before hop-by-hop fields are stripped; `received` is when they
/// arrived. The caller has made sure that the method is one whose answers are stored and, before
/// it keeps the entry, that the body was complete.
///
/// # Errors
///
/// The first reason that forbids it: what the response says of itself comes first, then what it
/// carries, then the rules.
pub fn may_store(
    rules: &Rules,
    request: &RequestFacts,
    status: StatusCode,
    headers: &HeaderMap,
    body_is_empty: bool,
    received: SystemTime,
) -> Result<Freshness, Refusal> {
    let (directives, _) = ResponseDirectives::select(headers, &rules.targets);
    judge(
        rules,
        request,
        status,
        headers,
        body_is_empty,
        received,
        &directives,
    )
}

/// Like [`may_store`], for the answer to a POST that a later GET may get (RFC 9110 §9.3.3).
///
/// It has to be a 200 that states its freshness itself. Whether its `Content-Location` is the URI
/// that was posted to is the caller's to check.
///
/// # Errors
///
/// The first reason that forbids it; [`Refusal::NoFreshness`] where only the operator or a guess gives
/// it a lifetime.
pub fn may_store_post(
    rules: &Rules,
    request: &RequestFacts,
    status: StatusCode,
    headers: &HeaderMap,
    body_is_empty: bool,
    received: SystemTime,
) -> Result<Freshness, Refusal> {
    let (directives, _) = ResponseDirectives::select(headers, &rules.targets);
    let freshness = judge(
        rules,
        request,
        status,
        headers,
        body_is_empty,
        received,
        &directives,
    )?;
    if status != StatusCode::OK {
        return Err(Refusal::Status);
    }
    if !lifetime::is_explicit(headers, &directives) {
        return Err(Refusal::NoFreshness);
    }
    Ok(freshness)
}

fn judge(
    rules: &Rules,
    request: &RequestFacts,
    status: StatusCode,
    headers: &HeaderMap,
    body_is_empty: bool,
    received: SystemTime,
    directives: &ResponseDirectives,
) -> Result<Freshness, Refusal> {
    status::check_final(status)?;
    if directives.no_store && !is_overridden(rules, status, directives) {
        return Err(Refusal::NoStore);
    }
    if directives.private && !rules.private_to_user {
        return Err(Refusal::Private);
    }
    content::check(rules, request, headers, directives)?;
    status::check(rules, status, directives, body_is_empty)?;
    lifetime::freshness(rules, status, headers, directives, received)
}

/// `must-understand` comes with a `no-store` that is meant for caches which don't know the
/// directive (RFC 9111 §5.2.2.3). Where the default is to deny, `no-store` wins all the same.
fn is_overridden(rules: &Rules, status: StatusCode, directives: &ResponseDirectives) -> bool {
    rules.profile == Profile::Rfc
        && directives.overrides_no_store()
        && status::is_understood(status)
}
