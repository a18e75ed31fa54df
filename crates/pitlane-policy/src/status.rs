//! Which status codes may be stored.

use crate::{Profile, Refusal, ResponseDirectives, Rules};
use http::StatusCode;

/// Refuses what no profile stores: interim, partial and bodiless answers (RFC 9111 §3).
pub(crate) fn check_final(status: StatusCode) -> Result<(), Refusal> {
    match status {
        StatusCode::PARTIAL_CONTENT => Err(Refusal::PartialContent),
        StatusCode::NOT_MODIFIED => Err(Refusal::NotModified),
        status if status.is_informational() => Err(Refusal::Informational),
        // They speak of one client's behaviour, and caches must not store them (RFC 6585 §3 to §6).
        status if matches!(status.as_u16(), 428 | 429 | 431 | 511) => Err(Refusal::Status),
        _ => Ok(()),
    }
}

/// Applies the operator's choice of statuses and bodies.
pub(crate) fn check(
    rules: &Rules,
    status: StatusCode,
    directives: &ResponseDirectives,
    body_is_empty: bool,
) -> Result<(), Refusal> {
    if directives.must_understand && !is_understood(status) {
        return Err(Refusal::UnknownStatus);
    }
    if status.is_redirection() {
        // An empty body is normal here, so only this one switch decides.
        return if rules.store_redirects {
            Ok(())
        } else {
            Err(Refusal::Redirect)
        };
    }
    if !is_chosen(rules, status) {
        return Err(Refusal::Status);
    }
    let empty =
        body_is_empty || matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT);
    if empty && !rules.store_empty {
        return Err(Refusal::EmptyBody);
    }
    Ok(())
}

fn is_chosen(rules: &Rules, status: StatusCode) -> bool {
    match rules.profile {
        // Explicit freshness makes any final status storable; `lifetime` looks after that.
        Profile::Rfc => true,
        Profile::Application => {
            matches!(status, StatusCode::OK | StatusCode::NO_CONTENT)
                || rules.statuses.contains(&status)
        }
    }
}

/// Whether a status may be given a lifetime that it doesn't state (RFC 9110 §15.1).
///
/// 206 is on that list too, but partial responses are never stored here.
pub(crate) fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    )
}

/// The final status codes of RFC 9110 §15 without 206 and 304: the ones whose caching is
/// implemented here, which is what `must-understand` asks (RFC 9111 §5.2.2.3).
pub(crate) fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=205 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505
    )
}
