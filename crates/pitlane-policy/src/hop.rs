//! Fields that end at the next hop and are neither stored nor passed on (RFC 9110 §7.6.1,
//! RFC 9111 §3.1).

use crate::syntax;
use http::header::{
    CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName};

static STANDARD: [HeaderName; 7] = [
    CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Those that the `http` crate has no constant for.
static OTHERS: [&str; 3] = [
    "keep-alive",
    "proxy-authentication-info",
    "proxy-connection",
];

/// Removes every hop-by-hop field, and all that `Connection` names.
///
/// `Connection` can name any field, `Vary` and `Set-Cookie` too, so decide with
/// [`may_store`](crate::may_store) before stripping.
///
/// All others keep their order.
pub fn strip(headers: &mut HeaderMap) {
    let named = named_by_connection(headers);
    retain(headers, |name| {
        !is_hop_by_hop(name) && !named.contains(name)
    });
}

/// Whether a field is hop-by-hop whatever `Connection` says.
#[must_use]
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    STANDARD.contains(name) || OTHERS.contains(&name.as_str())
}

/// Removes fields without changing the order of the others, which `HeaderMap::remove` does.
pub fn retain(headers: &mut HeaderMap, keep: impl Fn(&HeaderName) -> bool) {
    if headers.keys().all(&keep) {
        return;
    }
    let all = std::mem::take(headers);
    headers.reserve(all.keys_len());
    let mut kept = None;
    for (name, value) in all {
        // Only the first line of a field comes with its name.
        if let Some(name) = name {
            kept = keep(&name).then_some(name);
        }
        if let Some(name) = &kept {
            headers.append(name, value);
        }
    }
}

pub(crate) fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let lines = headers.get_all(CONNECTION).into_iter();
    let members = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    members
        .filter_map(|member| HeaderName::from_bytes(syntax::trim(member)).ok())
        .collect()
}
