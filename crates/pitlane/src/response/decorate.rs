use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use pitlane_policy::ResponseDirectives;

use super::{forms, layer::Settings};

/// What [`decorate`] did to a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Decorated {
    #[default]
    Nothing,
    /// It added a line to Vary.
    Vary,
    /// It added a line to Vary, and Cache-Control.
    Both,
    /// It changed fields so that nobody knows what they were.
    Rewritten,
}

impl Decorated {
    pub(crate) const fn bits(self) -> u8 {
        self as u8
    }

    pub(crate) const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Nothing,
            1 => Self::Vary,
            2 => Self::Both,
            3 => Self::Rewritten,
            _ => return None,
        })
    }

    pub(crate) const fn is_rewritten(self) -> bool {
        matches!(self, Self::Rewritten)
    }

    /// Takes off again what was added.
    pub(crate) fn undo(self, headers: &mut HeaderMap) {
        if matches!(self, Self::Both) {
            headers.remove(header::CACHE_CONTROL);
        }
        if !matches!(self, Self::Vary | Self::Both) {
            return;
        }
        let mut lines: Vec<_> = headers.get_all(header::VARY).iter().cloned().collect();
        lines.pop();
        headers.remove(header::VARY);
        for line in lines {
            headers.append(header::VARY, line);
        }
    }
}

/// Tells clients what the layer's form promises them. The handler's own words win, except that
/// one user's answer is never left `public`.
///
/// Only what is stored here is `public` for caches outside: what this one refuses, and what it
/// has no part in, may be somebody's own.
pub(crate) fn decorate(settings: &Settings, headers: &mut HeaderMap, stored: bool) -> Decorated {
    if settings.per_user.is_some() {
        make_private(headers);
        return Decorated::Rewritten;
    }
    let Some(client_ttl) = settings.client_ttl else {
        return Decorated::Nothing;
    };
    let silent = !headers.contains_key(header::CACHE_CONTROL);
    if silent {
        let value = if stored {
            public(client_ttl)
        } else {
            HeaderValue::from_static("private, no-cache")
        };
        headers.insert(header::CACHE_CONTROL, value);
    }
    headers.append(
        header::VARY,
        HeaderValue::from_static("Cookie, Authorization"),
    );
    if silent {
        Decorated::Both
    } else {
        Decorated::Vary
    }
}

/// Prepares the head of an answer that did not come from the store.
pub(crate) fn dress(settings: &Settings, headers: &mut HeaderMap, stored: bool) {
    if settings.dry_run {
        return;
    }
    if !settings.encodings.is_empty() && forms::is_eligible(headers) {
        forms::add_vary(headers);
    }
    decorate(settings, headers, stored);
    strip(settings, headers);
}

/// Takes off what was meant for this cache, where the operator asked for it.
pub(crate) fn strip(settings: &Settings, headers: &mut HeaderMap) {
    for name in &settings.stripped {
        headers.remove(name);
    }
}

fn public(client_ttl: Duration) -> HeaderValue {
    if client_ttl.is_zero() {
        return HeaderValue::from_static("public, max-age=0, must-revalidate");
    }
    let text = format!("public, max-age={}, must-revalidate", client_ttl.as_secs());
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(
        "public, max-age=0, must-revalidate",
    ))
}

fn make_private(headers: &mut HeaderMap) {
    let said = ResponseDirectives::from_headers(headers);
    if said.private || said.no_store {
        return;
    }
    let value = if said.is_empty() {
        HeaderValue::from_static("private, no-cache")
    } else {
        without_public(headers).unwrap_or(HeaderValue::from_static("private, no-cache"))
    };
    headers.insert(header::CACHE_CONTROL, value);
    // A downstream cache that ignores Cache-Control must not find another lifetime either.
    headers.remove(header::EXPIRES);
}

/// The handler's directives less those that speak to shared caches. `None` where a quoted string
/// would need more than a look at commas.
fn without_public(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut kept = String::from("private");
    for line in headers.get_all(header::CACHE_CONTROL) {
        let line = line.to_str().ok().filter(|line| !line.contains('"'))?;
        for directive in line.split(',').map(str::trim).filter(|one| !one.is_empty()) {
            let name = directive.split('=').next().unwrap_or(directive).trim_end();
            if !name.eq_ignore_ascii_case("public") && !name.eq_ignore_ascii_case("s-maxage") {
                kept.push_str(", ");
                kept.push_str(directive);
            }
        }
    }
    // Without anything else, a client may guess a lifetime.
    if kept == "private" {
        kept.push_str(", no-cache");
    }
    HeaderValue::from_str(&kept).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ApiCacheLayer, Caches};

    #[track_caller]
    fn check_private(said: Option<&'static str>, told: &str) {
        let mut headers = HeaderMap::new();
        if let Some(said) = said {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(said));
        }
        make_private(&mut headers);
        assert_eq!(headers[header::CACHE_CONTROL], told, "{said:?}");
    }

    #[test]
    fn one_users_answer_is_never_left_public() {
        check_private(None, "private, no-cache");
        check_private(Some("public, max-age=60"), "private, max-age=60");
        check_private(Some("s-maxage=60"), "private, no-cache");
        check_private(Some("private, max-age=5"), "private, max-age=5");
        check_private(Some("no-store"), "no-store");
        check_private(
            Some("no-cache, max-age=60"),
            "private, no-cache, max-age=60",
        );
        check_private(
            Some("Public, max-age=60, must-revalidate"),
            "private, max-age=60, must-revalidate",
        );
        check_private(Some("max-age=60, x=\"a,public\""), "private, no-cache");
    }

    #[track_caller]
    fn check_api(stored: bool, said: Option<&'static str>, told: &str) {
        let cache = Caches::builder().build().unwrap().get("default").unwrap();
        let layer = ApiCacheLayer::new(&cache).client_ttl(Duration::from_secs(5));
        let mut headers = HeaderMap::new();
        if let Some(said) = said {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(said));
        }
        decorate(layer.settings(), &mut headers, stored);
        assert_eq!(headers[header::CACHE_CONTROL], told);
        assert_eq!(headers[header::VARY], "Cookie, Authorization");
    }

    #[test]
    fn an_api_tells_clients_what_the_handler_left_unsaid() {
        check_api(true, None, "public, max-age=5, must-revalidate");
        check_api(false, None, "private, no-cache");
        check_api(false, Some("max-age=9"), "max-age=9");
    }
}
