//! What a reason was in one request or its answer: names, and never a value that may be a secret.

use http::{HeaderMap, header, request, response};
use pitlane_core::Reason;

use crate::response::{
    Settings, is_credential, is_harmless, overrides_method, overrides_uri, tunnels_method,
    usual_connection,
};

/// A sentence stays one.
const MOST_NAMES: usize = 8;
const LONGEST_NAME: usize = 64;

/// What of a request made the cache pass it.
pub(super) fn of_request(
    reason: Reason,
    settings: &Settings,
    request: &request::Parts,
) -> Option<String> {
    let headers = &request.headers;
    match reason {
        Reason::Method => Some(quoted([request.method.as_str()])),
        Reason::Authorization => fields(headers, |name| {
            [header::AUTHORIZATION, header::PROXY_AUTHORIZATION].contains(name)
        }),
        Reason::Credential => fields(headers, |name| {
            settings.credentials.contains(name)
                || is_credential(name.as_str()) && !settings.key_headers.contains(name)
        }),
        Reason::Cookie => {
            let foreign = |name: &&str| !is_harmless(&settings.harmless_cookies, name);
            some(cookies(headers).filter(foreign))
        }
        Reason::UriOverride => fields(headers, overrides_uri),
        Reason::MethodOverride => fields(headers, overrides_method).or_else(|| {
            let query = settings.uri_of(request).query()?;
            tunnels_method(query).then(|| "the parameter `_method`".to_owned())
        }),
        Reason::Connection => {
            let lines = headers.get_all(header::CONNECTION).iter();
            let lines = lines.filter_map(|line| line.to_str().ok());
            let options = lines.flat_map(|line| line.split(',')).map(str::trim);
            some(options.filter(|option| !usual_connection(option.as_bytes())))
        }
        Reason::RequestBody => fields(headers, |name| {
            [header::CONTENT_LENGTH, header::TRANSFER_ENCODING].contains(name)
        }),
        Reason::Precondition => fields(headers, |name| {
            [header::IF_MATCH, header::IF_UNMODIFIED_SINCE].contains(name)
        }),
        Reason::RequestNoStore | Reason::RequestNoCache | Reason::OnlyIfCached => {
            said(headers, &header::CACHE_CONTROL)
        }
        _ => None,
    }
}

/// What of an answer's head made it one that isn't stored.
pub(super) fn of_response(
    reason: Reason,
    settings: &Settings,
    head: &response::Parts,
) -> Option<String> {
    let headers = &head.headers;
    match reason {
        Reason::SetCookie => {
            let lines = headers.get_all(header::SET_COOKIE).iter();
            let lines = lines.filter_map(|line| line.to_str().ok());
            some(lines.map(|line| name_of(line.split(';').next().unwrap_or_default())))
        }
        Reason::Status | Reason::UnknownStatus | Reason::Redirect | Reason::Failed => {
            Some(head.status.as_str().to_owned())
        }
        Reason::NoStore | Reason::Private | Reason::NeedsValidation => settings
            .targets
            .iter()
            .chain([&header::CACHE_CONTROL])
            .find_map(|name| said(headers, name)),
        Reason::VaryAny => said(headers, &header::VARY),
        Reason::ExpiredOnArrival => [header::CACHE_CONTROL, header::EXPIRES]
            .iter()
            .find_map(|name| said(headers, name)),
        Reason::EventStream => Some("`text/event-stream`".to_owned()),
        Reason::ReflectedOrigin => said(headers, &header::ACCESS_CONTROL_ALLOW_ORIGIN),
        Reason::CspNonce => fields(headers, |name| {
            [
                header::CONTENT_SECURITY_POLICY,
                header::CONTENT_SECURITY_POLICY_REPORT_ONLY,
            ]
            .contains(name)
        }),
        Reason::TooLarge => Some(format!(
            "{} bytes are the most",
            settings.cache.tier().max_body()
        )),
        _ => None,
    }
}

/// A header that speaks to caches, as it stands: such have no secrets.
fn said(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    let lines = headers.get_all(name).iter();
    let lines: Vec<&str> = lines.filter_map(|line| line.to_str().ok()).collect();
    (!lines.is_empty()).then(|| quoted([format!("{name}: {}", lines.join(", "))]))
}

/// The names of the fields that are meant.
fn fields(headers: &HeaderMap, meant: impl Fn(&header::HeaderName) -> bool) -> Option<String> {
    some(
        headers
            .keys()
            .filter(|name| meant(name))
            .map(|name| name.as_str()),
    )
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(header::COOKIE).iter();
    let lines = lines.map(|line| line.to_str().unwrap_or_default());
    let crumbs = lines.flat_map(|line| line.split(';')).map(str::trim);
    crumbs.filter(|crumb| !crumb.is_empty()).map(name_of)
}

/// What stands before the equals sign. Without one nobody can tell a name from a value.
fn name_of(crumb: &str) -> &str {
    crumb
        .split_once('=')
        .map_or("without a name", |(name, _)| name.trim())
}

fn some<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let names: Vec<&str> = names.collect();
    (!names.is_empty()).then(|| quoted(names))
}

/// A few names, as they can be printed anywhere.
fn quoted<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> String {
    let mut names: Vec<String> = names.into_iter().map(|name| plain(name.as_ref())).collect();
    names.dedup();
    let more = names.len().saturating_sub(MOST_NAMES);
    names.truncate(MOST_NAMES);
    let list = names.join(", ");
    match more {
        0 => list,
        more => format!("{list} and {more} more"),
    }
}

fn plain(name: &str) -> String {
    let is_plain = |c: char| (c.is_ascii_graphic() || c == ' ') && c != '`';
    let shown: String = name
        .chars()
        .take(LONGEST_NAME)
        .map(|c| if is_plain(c) { c } else { '?' })
        .collect();
    let end = if name.chars().nth(LONGEST_NAME).is_some() {
        "…"
    } else {
        ""
    };
    format!("`{shown}{end}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_and_values_never() {
        let mut headers = HeaderMap::new();
        let line = "session=SECRET; bare-SECRET; =SECRET; theme=dark";
        headers.insert(header::COOKIE, line.parse().unwrap());
        let names: Vec<_> = cookies(&headers).collect();
        assert_eq!(names, ["session", "without a name", "", "theme"]);
    }

    #[test]
    fn what_a_client_chose_is_short_and_plain_when_it_is_shown() {
        assert_eq!(quoted(["a", "a", "b"]), "`a`, `b`");
        assert_eq!(quoted(["a`\u{1b}[2J\u{202e}"]), "`a??[2J?`");
        let many: Vec<String> = (0..11).map(|n| n.to_string()).collect();
        assert!(quoted(many).ends_with("`7` and 3 more"));
        assert_eq!(quoted(["x".repeat(99)]).chars().count(), LONGEST_NAME + 3);
    }
}
