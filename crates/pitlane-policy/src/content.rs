//! What a response must not carry if others are to see it.

use crate::{Profile, Refusal, RequestFacts, ResponseDirectives, Rules, Vary};
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY,
    ORIGIN, SET_COOKIE,
};
use http::{HeaderMap, HeaderName};

const NONCE: &[u8] = b"'nonce-";

/// Refuses what belongs to one user or to one request.
pub(crate) fn check(
    rules: &Rules,
    request: &RequestFacts,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
) -> Result<(), Refusal> {
    let open = rules.profile == Profile::Rfc;
    if headers.contains_key(SET_COOKIE) && !(open && directives.public) {
        return Err(Refusal::SetCookie);
    }
    let shareable = rules.private_to_user || directives.permits_authorized();
    if request.authorized && !shareable {
        return Err(Refusal::Authorization);
    }
    let vary = Vary::parse(headers);
    if vary == Vary::Any {
        return Err(Refusal::VaryAny);
    }
    if headers.values().any(|value| has_control(value.as_bytes())) {
        return Err(Refusal::ControlCharacter);
    }
    if open {
        return Ok(());
    }
    if request.cross_origin && names_an_origin(headers) && !vary.contains(&ORIGIN) {
        return Err(Refusal::ReflectedOrigin);
    }
    if has_nonce(rules, headers, CONTENT_SECURITY_POLICY)
        || has_nonce(rules, headers, CONTENT_SECURITY_POLICY_REPORT_ONLY)
    {
        return Err(Refusal::CspNonce);
    }
    Ok(())
}

/// A named origin may be the operator's only one or the reflected one: nobody can tell.
fn names_an_origin(headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(ACCESS_CONTROL_ALLOW_ORIGIN).into_iter();
    origins.any(|origin| crate::syntax::trim(origin.as_bytes()) != b"*")
}

/// Whether a policy names a nonce that the cache doesn't replace.
fn has_nonce(rules: &Rules, headers: &HeaderMap, field: HeaderName) -> bool {
    headers.get_all(field).into_iter().any(|policy| {
        let policy = policy.as_bytes();
        let mut starts = (0..policy.len()).filter_map(|at| {
            let (word, nonce) = policy.get(at..)?.split_at_checked(NONCE.len())?;
            word.eq_ignore_ascii_case(NONCE).then_some(nonce)
        });
        starts.any(|nonce| {
            let nonce = nonce.split(|byte| *byte == b'\'').next();
            !nonce.is_some_and(|nonce| rules.replaces_nonce(nonce))
        })
    })
}

/// `HeaderValue` refuses these when it is built safely; a value built otherwise must not
/// reach the store.
fn has_control(value: &[u8]) -> bool {
    value
        .iter()
        .any(|&byte| byte.is_ascii_control() && byte != b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_control_character_but_tab_is_found() {
        for byte in 0..=u8::MAX {
            let control = (byte < 0x20 && byte != b'\t') || byte == 0x7f;
            assert_eq!(has_control(&[b'a', byte, b'b']), control, "{byte:#x}");
        }
    }
}
