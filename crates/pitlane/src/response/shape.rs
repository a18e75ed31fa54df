//! What of a request the cache and the handler are to see at all.
//!
//! A part of a request that is not in the key must not reach the handler either: or one visitor
//! could put something into everybody's page.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header, request::Parts, uri};

use super::key::{FORWARDED, with_host};

pub(crate) type TrustOf = Arc<dyn Fn(&Parts) -> bool + Send + Sync>;

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// How requests are changed before they are keyed, and before the handler sees them.
#[derive(Clone, Default)]
pub(crate) struct Shape {
    /// The parameters that count; all of them where nothing is said.
    pub(crate) allow: Option<Vec<Box<str>>>,
    /// The parameters that don't.
    pub(crate) ignore: Vec<Box<str>>,
    /// Whose word about host and scheme is taken.
    pub(crate) trust: Option<TrustOf>,
}

/// The URI that a request is for, after its shape was given to it.
#[derive(Clone, Debug)]
pub(crate) struct Effective {
    pub(crate) uri: Uri,
    /// Which site the URI itself named, where a proxy's word counts instead: the handler may see it.
    pub(crate) said: Option<Box<str>>,
}

impl Shape {
    pub(crate) const fn is_plain(&self) -> bool {
        self.allow.is_none() && self.ignore.is_empty() && self.trust.is_none()
    }

    /// The request as the cache keys it and as the handler will see it. `asked` is the URI that
    /// the client asked for.
    pub(crate) fn give(&self, parts: &Parts, asked: &Uri) -> Parts {
        let mut shaped = parts.clone();
        let mut effective = self.filtered(asked);
        let mut said = None;
        shaped.uri = self.filtered(&parts.uri);
        if let Some(trust) = &self.trust {
            if trust(parts) {
                let believed = believe(effective.clone(), &mut shaped.headers);
                if believed != effective && effective.authority().is_some() {
                    said = Some(effective.to_string().into());
                }
                effective = believed;
            } else {
                for name in FORWARDED {
                    shaped.headers.remove(name);
                }
            }
        }
        shaped.extensions.insert(Effective {
            uri: effective,
            said,
        });
        shaped
    }

    /// The URI without the parameters that don't count, the others as they came.
    pub(crate) fn filtered(&self, uri: &Uri) -> Uri {
        let Some(query) = uri.query() else {
            return uri.clone();
        };
        let kept: Vec<&str> = query.split('&').filter(|pair| self.counts(pair)).collect();
        if kept.len() == query.split('&').count() {
            return uri.clone();
        }
        let path = uri.path();
        let target = if kept.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{}", kept.join("&"))
        };
        let mut parts = uri.clone().into_parts();
        // What was cut out of a valid one is valid.
        parts.path_and_query = target.parse().ok();
        Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
    }

    /// Names are compared as they stand: one that is written in another way counts, or is
    /// hidden, and either is safe.
    fn counts(&self, pair: &str) -> bool {
        let name = pair.split('=').next().unwrap_or(pair);
        let listed = |list: &[Box<str>]| list.iter().any(|pattern| matches(pattern, name));
        self.allow.as_deref().is_none_or(listed) && !listed(&self.ignore)
    }
}

/// Whether a name is meant by a pattern, which may end in `*`.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    }
}

/// Takes over what a trusted proxy says about host and scheme, and writes it down as it was
/// understood, so that the handler sees nothing that isn't in the key. What can't be understood
/// is left as it came, and keyed like that.
fn believe(uri: Uri, headers: &mut HeaderMap) -> Uri {
    let host = single(headers, &X_FORWARDED_HOST).and_then(normal_host);
    let scheme = single(headers, &X_FORWARDED_PROTO).and_then(scheme_of);
    let mut parts = uri.clone().into_parts();
    let known = parts.authority.clone().or_else(|| {
        let host = single(headers, &header::HOST)?;
        host.parse().ok()
    });
    let scheme = scheme.inspect(|scheme| set(headers, X_FORWARDED_PROTO, scheme.as_str()));
    let host = host.inspect(|host| set(headers, X_FORWARDED_HOST, host.as_str()));
    if scheme.is_none() && host.is_none() {
        return uri;
    }
    parts.scheme = scheme.or(parts.scheme).or(Some(uri::Scheme::HTTP));
    parts.authority = host.or(known);
    if parts.authority.is_none() {
        return uri;
    }
    Uri::from_parts(parts).unwrap_or(uri)
}

/// The value of a field that is there once, as one word.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let value = value.to_str().ok()?.trim();
    (!value.is_empty() && !value.contains(',')).then_some(value)
}

fn normal_host(host: &str) -> Option<uri::Authority> {
    with_host(host.as_bytes(), |host| {
        std::str::from_utf8(host).ok()?.parse().ok()
    })
}

fn scheme_of(said: &str) -> Option<uri::Scheme> {
    if said.eq_ignore_ascii_case("https") {
        Some(uri::Scheme::HTTPS)
    } else if said.eq_ignore_ascii_case("http") {
        Some(uri::Scheme::HTTP)
    } else {
        None
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shape")
            .field("allow", &self.allow)
            .field("ignore", &self.ignore)
            .field("trusts", &self.trust.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn list(names: &[&str]) -> Vec<Box<str>> {
        names.iter().map(|name| (*name).into()).collect()
    }

    #[track_caller]
    fn check(allow: Option<&[&str]>, ignore: &[&str], asked: &str, seen: &str) {
        let shape = Shape {
            allow: allow.map(list),
            ignore: list(ignore),
            trust: None,
        };
        let asked: Uri = asked.parse().unwrap();
        assert_eq!(shape.filtered(&asked).to_string(), seen, "{asked}");
    }

    #[test]
    fn ignored_parameters_are_cut_out_and_the_rest_stays_as_it_came() {
        let utm = &["utm_*", "gclid"];
        check(None, utm, "/a", "/a");
        check(None, utm, "/a?", "/a?");
        check(None, utm, "/a?b=1&utm_x=2&c=%26", "/a?b=1&c=%26");
        check(None, utm, "/a?utm_x=2", "/a");
        check(None, utm, "/a?gclid&gclids=1", "/a?gclids=1");
        check(None, utm, "/a?b=1;utm_x=2", "/a?b=1;utm_x=2");
        check(None, utm, "/a?utm_x=1;cb=evil&b=1", "/a?b=1");
        check(None, utm, "/a?%75tm_x=1", "/a?%75tm_x=1");
        check(None, utm, "/a?b=1&b=2&&utm_y", "/a?b=1&b=2&");
        check(None, utm, "http://a.org/a?utm_x=1", "http://a.org/a");
    }

    #[test]
    fn of_an_allow_list_all_else_is_cut_out() {
        let page = Some(&["page", "q"][..]);
        check(page, &[], "/a?page=2&evil=1&q=x", "/a?page=2&q=x");
        check(page, &[], "/a?PAGE=2", "/a");
        check(page, &[], "/a?&page", "/a?page");
        check(page, &["q"], "/a?page=2&q=x", "/a?page=2");
        check(Some(&[]), &[], "/a?page=2", "/a");
    }

    #[track_caller]
    fn check_proxy(trusted: bool, headers: &[(&str, &str)], effective: &str, seen: &[&str]) {
        let mut request = Request::builder().uri("/a");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let shape = Shape {
            trust: Some(Arc::new(move |_| trusted)),
            ..Shape::default()
        };
        let shaped = shape.give(&parts, &parts.uri);
        let Effective { uri, .. } = shaped.extensions.get().unwrap();
        assert_eq!(uri.to_string(), effective, "{headers:?}");
        let left: Vec<String> = shaped
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        assert_eq!(left, seen, "{headers:?}");
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_the_handler_sees_what_was_understood() {
        let host = ("host", "upstream:8080");
        let forwarded = [
            host,
            ("x-forwarded-host", "Shop.Example:443"),
            ("x-forwarded-proto", "HTTPS"),
        ];
        check_proxy(
            true,
            &forwarded,
            "https://shop.example/a",
            &[
                "host: upstream:8080",
                "x-forwarded-host: shop.example",
                "x-forwarded-proto: https",
            ],
        );
        let scheme = [host, ("x-forwarded-proto", "https")];
        let told = ["host: upstream:8080", "x-forwarded-proto: https"];
        check_proxy(true, &scheme, "https://upstream:8080/a", &told);
    }

    #[test]
    fn what_cannot_be_understood_is_left_to_the_key() {
        for value in ["a.org, b.org", "u@a.org", "a.org/x", ""] {
            let line = format!("x-forwarded-host: {value}");
            check_proxy(true, &[("x-forwarded-host", value)], "/a", &[&line]);
        }
        let scheme = [("x-forwarded-proto", "gopher")];
        check_proxy(true, &scheme, "/a", &["x-forwarded-proto: gopher"]);
    }

    #[test]
    fn nobody_else_is_heard() {
        let forwarded = [
            ("host", "a.org"),
            ("x-forwarded-host", "evil.org"),
            ("forwarded", "host=evil.org"),
            ("x-forwarded-prefix", "/evil"),
        ];
        check_proxy(false, &forwarded, "/a", &["host: a.org"]);
    }
}
