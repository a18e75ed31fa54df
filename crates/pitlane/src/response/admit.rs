use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header, request::Parts};
use pitlane_core::Reason;
use pitlane_policy::{Profile, hop};

use super::{
    key::{Beside, FORWARDED, Host, KeyBytes, Who, write_key},
    layer::Settings,
    shape::matches,
};
use crate::cache::Budget;

/// A request whose answer may be in the cache.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) who: Who,
    pub(crate) scan: Scan,
    /// What the request may still lose to Redis, once something of it was spent.
    pub(crate) budget: Option<Budget>,
}

/// What of a request says what is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asking<'a> {
    /// Its head. A body has no meaning then, and a handler might give it one.
    Head { body_is_empty: bool },
    /// Its body as well, by its digest.
    Content(&'a [u8; 32]),
    /// Nothing: what its answer stands for is looked for.
    Answer,
}

/// What one pass over the request's headers finds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scan {
    pub(crate) head: bool,
    pub(crate) authorized: bool,
    credential: bool,
    pub(crate) cookie: bool,
    pub(crate) origin: bool,
    pub(crate) conditional: bool,
    pub(crate) directives: bool,
    /// A part of the content is asked for. GET alone knows parts.
    pub(crate) range: bool,
    /// A precondition on what the origin has now (RFC 9111 §4.3.2: none of a cache's business).
    guarded: bool,
    forwarded: bool,
    body: bool,
    refusal: Option<Reason>,
}

/// Decides whether a request may be answered from the cache, and writes its key.
///
/// # Errors
///
/// Why the cache has no part in it.
pub(crate) fn admit(
    settings: &Settings,
    parts: &Parts,
    body: Asking<'_>,
    key: &mut KeyBytes,
) -> Result<Ask, Reason> {
    let head = parts.method == Method::HEAD;
    let (scan, host) = scan(&parts.headers, head);
    if let Some(reason) = scan.refusal {
        return Err(reason);
    }
    let content = match body {
        Asking::Content(digest) => Some(digest),
        Asking::Answer => None,
        Asking::Head { body_is_empty } if scan.body || !body_is_empty => {
            return Err(Reason::RequestBody);
        }
        Asking::Head { .. } => None,
    };
    // The cache of an application speaks for it. Nobody can make it pass requests that way.
    if scan.guarded && settings.profile == Profile::Rfc {
        return Err(Reason::Precondition);
    }
    let uri = settings.uri_of(parts);
    if uri.query().is_some_and(tunnels_method) {
        return Err(Reason::MethodOverride);
    }
    let who = identify(settings, parts, scan)?;
    let beside = Beside {
        trial: settings.dry_run,
        swaps: &settings.swaps,
        said: settings
            .effective(parts)
            .and_then(|effective| effective.said.as_deref()),
        content: content.map(|digest| (&parts.method, digest)),
        host,
        version: parts.version,
        forwarded: scan.forwarded,
        headers: &settings.key_headers,
        who: &who,
    };
    let prefix = settings.cache.key_prefix();
    write_key(key, prefix, uri, &parts.headers, beside)?;
    Ok(Ask {
        who,
        scan,
        budget: None,
    })
}

/// Who may be answered: a known user or tenant with entries of their own, or nobody in
/// particular.
fn identify(settings: &Settings, parts: &Parts, scan: Scan) -> Result<Who, Reason> {
    let mut who = Who::default();
    if let Some(tenant_of) = &settings.tenant {
        who.tenant = Some(tenant_of(parts).ok_or(Reason::NoTenant)?);
    }
    if let Some(user_of) = &settings.per_user {
        who.user = Some(user_of(parts).ok_or(Reason::NoUser)?);
        return Ok(who);
    }
    if settings.profile == Profile::Rfc {
        return Ok(who);
    }
    if scan.authorized {
        return Err(Reason::Authorization);
    }
    if scan.credential && has_credential(settings, &parts.headers)
        || settings
            .credentials
            .iter()
            .any(|name| parts.headers.contains_key(name))
    {
        return Err(Reason::Credential);
    }
    if scan.cookie && !only_harmless_cookies(&parts.headers, &settings.harmless_cookies) {
        return Err(Reason::Cookie);
    }
    Ok(who)
}

fn scan(headers: &HeaderMap, head: bool) -> (Scan, Host<'_>) {
    let mut scan = Scan {
        head,
        ..Scan::default()
    };
    let mut host = Host::default();
    for (name, value) in headers {
        match name.as_str() {
            "host" => {
                host.repeated = host.value.is_some();
                host.value = Some(value.as_bytes());
            }
            "authorization" | "proxy-authorization" => scan.authorized = true,
            "cookie" => scan.cookie = true,
            "origin" => scan.origin = true,
            "cache-control" | "pragma" => scan.directives = true,
            "if-none-match" | "if-modified-since" | "if-range" => scan.conditional = true,
            "if-match" | "if-unmodified-since" => {
                scan.conditional = true;
                scan.guarded = true;
            }
            "connection" if names_fields(value) => scan.refusal = Some(Reason::Connection),
            "content-length" => scan.body |= value != HeaderValue::from_static("0"),
            "transfer-encoding" => scan.body = true,
            "upgrade" => scan.refusal = Some(Reason::Upgrade),
            "range" if !head => {
                scan.range = true;
                scan.conditional = true;
            }
            other => match other.as_bytes() {
                // Few fields are anybody's own but these.
                [b'x', ..] => scan.custom(name),
                [b'f', ..] => scan.forwarded |= is_forwarding(other),
                _ => scan.credential |= is_credential(other),
            },
        }
    }
    (scan, host)
}

impl Scan {
    /// Looks at a field that no standard knows.
    fn custom(&mut self, name: &HeaderName) {
        if overrides_uri(name) {
            self.refusal = Some(Reason::UriOverride);
        } else if overrides_method(name) {
            self.refusal = Some(Reason::MethodOverride);
        }
        self.forwarded |= is_forwarding(name.as_str());
        self.credential |= is_credential(name.as_str());
    }
}

/// Whether a proxy behind the cache would take away fields that may be part of the key.
fn names_fields(connection: &HeaderValue) -> bool {
    let mut options = connection.as_bytes().split(|byte| *byte == b',');
    !options.all(usual_connection)
}

/// Whether an option of `Connection` is a connection's own.
pub(crate) fn usual_connection(option: &[u8]) -> bool {
    let option = option.trim_ascii();
    let alone: [&[u8]; 3] = [b"keep-alive", b"close", b"http2-settings"];
    option.is_empty()
        || alone.iter().any(|known| option.eq_ignore_ascii_case(known))
        || HeaderName::from_bytes(option).is_ok_and(|name| hop::is_hop_by_hop(&name))
}

fn is_forwarding(name: &str) -> bool {
    FORWARDED.contains(&name)
}

/// Whether a request whose body only asks is nothing but what it looks like.
pub(crate) fn only_asks(uri: &Uri, headers: &HeaderMap) -> bool {
    let is_changed = |name: &HeaderName| overrides_method(name) || overrides_uri(name);
    !headers.keys().any(is_changed) && !uri.query().is_some_and(tunnels_method)
}

pub(crate) fn overrides_uri(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "x-original-url" | "x-rewrite-url" | "x-original-uri"
    )
}

/// Whether a field makes another method of a request's.
pub(crate) fn overrides_method(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "x-http-method-override" | "x-http-method" | "x-method-override"
    )
}

/// Fields that gateways, proxies and applications put credentials and identities into, beside
/// `Authorization` and `Cookie`. A check of them that lies inside the cache would be made once.
pub(crate) fn is_credential(name: &str) -> bool {
    // Looked at for every field of every request: few have names that begin like these.
    match name.as_bytes() {
        [b'x', b'-', ..] => {
            is_telling(name)
                || matches!(
                    name,
                    "x-access-token"
                        | "x-amz-security-token"
                        | "x-amzn-oidc-accesstoken"
                        | "x-amzn-oidc-data"
                        | "x-amzn-oidc-identity"
                        | "x-api-key"
                        | "x-apikey"
                        | "x-auth-request-access-token"
                        | "x-auth-request-email"
                        | "x-auth-request-user"
                        | "x-auth-token"
                        | "x-authenticated-user"
                        | "x-client-cert"
                        | "x-client-dn"
                        | "x-forwarded-access-token"
                        | "x-forwarded-client-cert"
                        | "x-forwarded-email"
                        | "x-forwarded-user"
                        | "x-goog-authenticated-user-email"
                        | "x-goog-authenticated-user-id"
                        | "x-goog-iap-jwt-assertion"
                        | "x-ms-client-principal"
                        | "x-ms-client-principal-id"
                        | "x-ms-client-principal-name"
                        | "x-remote-user"
                        | "x-session-id"
                        | "x-session-token"
                        | "x-ssl-client-cert"
                        | "x-ssl-client-dn"
                        | "x-user"
                        | "x-user-email"
                        | "x-user-id"
                        | "x-webauth-user"
                )
        }
        [b'a', b'p', ..] => matches!(name, "api-key" | "apikey"),
        [b'c', b'f', ..] => matches!(
            name,
            "cf-access-authenticated-user-email"
                | "cf-access-client-id"
                | "cf-access-client-secret"
                | "cf-access-jwt-assertion"
        ),
        [b'c', b'l', ..] => name == "client-cert",
        [b'j', b'o', ..] => name == "job-token",
        [b'o', b'c', ..] => name == "ocp-apim-subscription-key",
        [b'p', b'r', ..] => name == "private-token",
        [b's', b's', ..] => matches!(
            name,
            "ssl-client-cert" | "ssl-client-dn" | "ssl-client-verify"
        ),
        [b't', b'a', ..] => name == "tailscale-user-login",
        [b'r', b'e', b'm', ..] => matches!(
            name,
            "remote-email" | "remote-groups" | "remote-name" | "remote-user"
        ),
        _ => false,
    }
}

/// Whether the name of a field says that it is about a person or a right.
fn is_telling(name: &str) -> bool {
    const WORDS: [&str; 6] = ["user", "username", "userid", "email", "groups", "principal"];
    const ENDS: [&str; 6] = [
        "-token",
        "-api-key",
        "-functions-key",
        "-assertion",
        "-cert",
        "-dn",
    ];
    // Most names end in another letter, and are done with here.
    let (Some(last), false) = (name.bytes().last(), name.starts_with("x-forwarded-for")) else {
        return false;
    };
    if !matches!(last, b'd' | b'e' | b'l' | b'n' | b'r' | b's' | b't' | b'y') {
        return false;
    }
    let telling = name.rsplit('-').any(|word| WORDS.contains(&word))
        || ENDS.iter().any(|end| name.ends_with(end));
    telling
        && !["user-agent", "csrf", "xsrf"]
            .iter()
            .any(|other| name.contains(other))
}

/// Whether one of them is there that is no part of the key.
fn has_credential(settings: &Settings, headers: &HeaderMap) -> bool {
    let mut names = headers.keys();
    names.any(|name| is_credential(name.as_str()) && !settings.key_headers.contains(name))
}

/// `_method=` is how some frameworks tunnel other methods through forms.
pub(crate) fn tunnels_method(query: &str) -> bool {
    query.split(['&', ';']).any(|pair| {
        let name = pair.split('=').next().unwrap_or(pair);
        name == "_method" || name.eq_ignore_ascii_case("%5fmethod")
    })
}

fn only_harmless_cookies(headers: &HeaderMap, harmless: &[Box<str>]) -> bool {
    headers.get_all(header::COOKIE).iter().all(|line| {
        let Ok(line) = line.to_str() else {
            return false;
        };
        line.split(';')
            .map(str::trim)
            .filter(|crumb| !crumb.is_empty())
            .all(|crumb| {
                let name = crumb
                    .split_once('=')
                    .map_or(crumb, |(name, _)| name.trim_end());
                is_harmless(harmless, name)
            })
    })
}

/// Whether a cookie doesn't make its sender somebody.
pub(crate) fn is_harmless(harmless: &[Box<str>], name: &str) -> bool {
    harmless.iter().any(|pattern| matches(pattern, name))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::{AnonymousCacheLayer, Caches};

    #[track_caller]
    fn check(uri: &str, headers: &[(&str, &str)], expected: Option<Reason>) {
        let cache = Caches::builder().build().unwrap().get("default").unwrap();
        let layer = AnonymousCacheLayer::new(&cache).add_harmless_cookie("_ga*");
        let layer = layer.add_harmless_cookie("theme");
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let body = Asking::Head {
            body_is_empty: true,
        };
        let found = admit(layer.settings(), &parts, body, &mut KeyBytes::new()).err();
        assert_eq!(found, expected, "{uri} {headers:?}");
    }

    #[test]
    fn any_cookie_that_is_not_harmless_is_somebody() {
        let cookie = Some(Reason::Cookie);
        check("/", &[("cookie", "_ga=1; _ga_X=2; theme=dark")], None);
        check("/", &[("cookie", "")], None);
        check("/", &[("cookie", "session=1")], cookie);
        check("/", &[("cookie", "theme=dark; session=1")], cookie);
        check("/", &[("cookie", "THEME=dark")], cookie);
        check("/", &[("cookie", "themes=dark")], cookie);
        check(
            "/",
            &[("cookie", "theme=dark"), ("cookie", "session=1")],
            cookie,
        );
        check("/", &[("cookie", "bare")], cookie);
        check(
            "/",
            &[("authorization", "Bearer x")],
            Some(Reason::Authorization),
        );
    }

    #[test]
    fn a_credential_of_any_name_is_somebody() {
        for name in [
            "x-api-key",
            "api-key",
            "x-forwarded-user",
            "remote-user",
            "client-cert",
        ] {
            check("/", &[(name, "1")], Some(Reason::Credential));
        }
        for name in [
            "x-request-id",
            "x-requested-with",
            "api-version",
            "referer",
            "cf-ray",
            "x-apis",
        ] {
            check("/", &[(name, "1")], None);
        }
    }

    #[test]
    fn what_changes_a_requests_meaning_passes() {
        check("/", &[], None);
        check("/", &[("content-length", "0")], None);
        check("/", &[("content-length", "5")], Some(Reason::RequestBody));
        check(
            "/",
            &[("transfer-encoding", "chunked")],
            Some(Reason::RequestBody),
        );
        check("/", &[("range", "bytes=0-0")], None);
        check("/", &[("upgrade", "websocket")], Some(Reason::Upgrade));
        check("/", &[("connection", "Keep-Alive, TE")], None);
        let connection = Some(Reason::Connection);
        check(
            "/",
            &[("connection", "close, x-forwarded-host")],
            connection,
        );
        check(
            "/",
            &[("x-original-url", "/admin")],
            Some(Reason::UriOverride),
        );
        check(
            "/",
            &[("x-rewrite-url", "/admin")],
            Some(Reason::UriOverride),
        );
        check(
            "/",
            &[("x-http-method-override", "DELETE")],
            Some(Reason::MethodOverride),
        );
        check("/?a=1&_method=DELETE", &[], Some(Reason::MethodOverride));
    }
}
