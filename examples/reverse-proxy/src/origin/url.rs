//! `--origin`: a scheme, a host and perhaps a port, and nothing else.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::Authority;

/// Where the origin is. Always plain HTTP, with the request's own path and query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginUrl(Authority);

impl OriginUrl {
    pub(crate) fn authority(&self) -> &Authority {
        &self.0
    }
}

impl fmt::Display for OriginUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

impl FromStr for OriginUrl {
    type Err = OriginUrlError;

    fn from_str(text: &str) -> Result<Self, OriginUrlError> {
        // `Uri` drops a fragment without a word, so it is looked for here.
        if text.contains('#') {
            return Err(OriginUrlError::MoreThanAHost);
        }
        let uri: Uri = text.parse().map_err(|_| OriginUrlError::NotAUrl)?;
        match uri.scheme_str() {
            Some("http") => {}
            Some(_) => return Err(OriginUrlError::Scheme),
            None => return Err(OriginUrlError::NotAUrl),
        }
        if uri.query().is_some() || !matches!(uri.path(), "" | "/") {
            return Err(OriginUrlError::MoreThanAHost);
        }
        let authority = uri.into_parts().authority.ok_or(OriginUrlError::NoHost)?;
        check_authority(&authority)?;
        Ok(Self(authority))
    }
}

/// Why a text is not the URL of an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginUrlError {
    /// Not a URL at all, or one without a scheme.
    #[error("expected http://HOST or http://HOST:PORT")]
    NotAUrl,
    /// Some other scheme.
    #[error("the scheme must be http (TLS to the origin is not supported)")]
    Scheme,
    /// A user name or password.
    #[error("a user name or password does not belong into the origin's URL")]
    UserInfo,
    /// No host.
    #[error("the host is missing")]
    NoHost,
    /// A port that is no number from 1 to 65535.
    #[error("the port must be a number from 1 to 65535")]
    Port,
    /// A path, query or fragment.
    #[error("only a host and port are allowed: paths, queries and fragments are the request's own")]
    MoreThanAHost,
}

fn check_authority(authority: &Authority) -> Result<(), OriginUrlError> {
    if authority.as_str().contains('@') {
        return Err(OriginUrlError::UserInfo);
    }
    if authority.host().is_empty() {
        return Err(OriginUrlError::NoHost);
    }
    let rest = authority
        .as_str()
        .strip_prefix(authority.host())
        .unwrap_or_default();
    match (rest, authority.port_u16()) {
        ("", _) | (_, Some(1..)) => Ok(()),
        _ => Err(OriginUrlError::Port),
    }
}

#[cfg(test)]
mod tests {
    use super::OriginUrlError::{MoreThanAHost, NoHost, NotAUrl, Port, Scheme, UserInfo};
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, OriginUrlError>) {
        let parsed = text.parse::<OriginUrl>().map(|url| url.to_string());
        assert_eq!(parsed, expected.map(str::to_owned), "for {text:?}");
    }

    #[test]
    fn a_host_with_or_without_a_port_is_an_origin() {
        check("http://example.com", Ok("http://example.com"));
        check("http://example.com/", Ok("http://example.com"));
        check("http://127.0.0.1:8080", Ok("http://127.0.0.1:8080"));
        check("http://[::1]:8080/", Ok("http://[::1]:8080"));
        check("HTTP://example.com", Ok("http://example.com"));
    }

    #[test]
    fn anything_more_or_less_is_refused_with_its_reason() {
        check("https://example.com", Err(Scheme));
        check("unix:/run/app.sock", Err(NotAUrl));
        check("example.com", Err(NotAUrl));
        check("example.com:80", Err(NotAUrl));
        check("", Err(NotAUrl));
        check("http://", Err(NotAUrl));
        check("http://:80", Err(NoHost));
        check("http://user@example.com", Err(UserInfo));
        check("http://user:pass@example.com", Err(UserInfo));
        check("http://example.com/app", Err(MoreThanAHost));
        check("http://example.com//", Err(MoreThanAHost));
        check("http://example.com?x", Err(MoreThanAHost));
        check("http://example.com#x", Err(MoreThanAHost));
        check("http://example.com:0", Err(Port));
        check("http://example.com:", Err(Port));
        check("http://example.com:99999", Err(Port));
        check("http://[::1", Err(NotAUrl));
    }
}
