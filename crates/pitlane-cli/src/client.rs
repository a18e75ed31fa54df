//! Requests over plain HTTP: to servers that are warmed, and to their admin APIs.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::{Client as Pooled, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use crate::failure::Failure;

/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_millis(1500);
/// How long it may take to answer: a cold page may be slow.
const ANSWER: Duration = Duration::from_secs(30);

/// A client that keeps its connections.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pool: Pooled<HttpConnector, Full<Bytes>>,
}

impl Client {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_nodelay(true);
        Self {
            pool: Pooled::builder(TokioExecutor::new()).build(connector),
        }
    }

    /// Sends a request, and reads at most `limit` bytes of the answer's body.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<Response<Bytes>, String> {
        let uri = request.uri().clone();
        let place = uri
            .authority()
            .map_or_else(String::new, ToString::to_string);
        let work = async {
            let answer = self.pool.request(request).await;
            let answer =
                answer.map_err(|error| format!("{place} can't be reached: {}", cause(&error)))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, limit).collect().await;
            let body =
                body.map_err(|error| format!("the answer broke off, or is too long: {error}"))?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        timeout(ANSWER, work).await.unwrap_or_else(|_| {
            Err(format!(
                "{place} did not answer within {} s",
                ANSWER.as_secs()
            ))
        })
    }
}

/// The deepest cause says most.
fn cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => cause(source),
        None => error.to_string(),
    }
}

/// The URL of a server, without a slash at its end.
#[derive(Clone, Debug)]
pub(crate) struct Base(String);

impl Base {
    pub(crate) fn parse(option: &str, url: &str) -> Result<Self, Failure> {
        let wrong = |what: &str| Err(Failure::usage(format!("{option} {what}")));
        let Ok(uri) = url.parse::<Uri>() else {
            return wrong("is no URL such as http://127.0.0.1:3000");
        };
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return wrong("speaks HTTP without TLS only: name the server itself, not a proxy");
            }
            _ => return wrong("is no URL such as http://127.0.0.1:3000"),
        }
        if uri
            .authority()
            .is_none_or(|authority| authority.as_str().contains('@'))
        {
            return wrong("has no host, or a password in it");
        }
        Ok(Self(url.trim_end_matches('/').to_owned()))
    }

    /// Whether what is sent there stays on this machine.
    pub(crate) fn is_local(&self) -> bool {
        let uri: Option<Uri> = self.0.parse().ok();
        let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    /// The URL of a path of it, which begins with a slash.
    pub(crate) fn join(&self, path: &str) -> Option<Uri> {
        format!("{}{path}", self.0).parse().ok()
    }
}

/// A page: what its host is called, where it isn't the server's own name, and path and query.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Page {
    pub(crate) host: Option<String>,
    pub(crate) target: String,
}

impl Page {
    /// A path, or an absolute URL.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.starts_with('/') && !text.starts_with("//") {
            let uri: Uri = text.parse().ok()?;
            return Some(Self {
                host: None,
                target: uri.to_string(),
            });
        }
        let uri: Uri = text.parse().ok()?;
        uri.scheme()
            .filter(|scheme| matches!(scheme.as_str(), "http" | "https"))?;
        let authority = uri
            .authority()
            .filter(|authority| !authority.as_str().contains('@'))?;
        Some(Self {
            host: Some(authority.to_string()),
            target: uri
                .path_and_query()
                .map_or_else(|| "/".to_owned(), ToString::to_string),
        })
    }

    /// What other pages see of it: its own URL.
    pub(crate) fn shown(&self) -> String {
        match &self.host {
            Some(host) => format!("//{host}{}", self.target),
            None => self.target.clone(),
        }
    }

    /// A request for it, to the server at `base`.
    pub(crate) fn request(
        &self,
        base: &Base,
        headers: &[(HeaderName, HeaderValue)],
    ) -> Option<Request<Full<Bytes>>> {
        let mut request = Request::get(base.join(&self.target)?);
        if let Some(host) = &self.host {
            request = request.header(header::HOST, host);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.body(Full::default()).ok()
    }
}

/// A header as people write it.
pub(crate) fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let parse = || {
        let (name, value) = text.split_once(':')?;
        let name = name.trim().parse().ok()?;
        let value = HeaderValue::from_str(value.trim()).ok()?;
        Some((name, value))
    };
    // It may hold a secret, so it isn't shown.
    parse().ok_or_else(|| Failure::usage("a --header is no header such as `Accept-Language: de`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(Option<&str>, &str)>) {
        let page = Page::parse(text);
        let found = page
            .as_ref()
            .map(|page| (page.host.as_deref(), &*page.target));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn pages_are_paths_and_urls_and_nothing_else() {
        check("/clubs?page=2", Some((None, "/clubs?page=2")));
        check("https://site.org/a%20b", Some((Some("site.org"), "/a%20b")));
        check("http://site.org:8080", Some((Some("site.org:8080"), "/")));
        check("//site.org/a", None);
        check("clubs", None);
        check("ftp://site.org/a", None);
        check("http://me:secret@site.org/", None);
        check("/a b", None);
        check("", None);
    }

    #[test]
    fn a_base_is_plain_http_without_a_password() {
        let base = Base::parse("--target", "http://127.0.0.1:3000/").unwrap();
        let uri = base.join("/clubs?a=b").unwrap();
        assert_eq!(uri, "http://127.0.0.1:3000/clubs?a=b");
        for (url, local) in [
            ("http://localhost:1", true),
            ("http://127.0.0.9/x", true),
            ("http://[::1]:80", true),
            ("http://10.0.0.1", false),
            ("http://localhost.evil.org", false),
        ] {
            let base = Base::parse("--admin", url).unwrap();
            assert_eq!(base.is_local(), local, "{url}");
        }
        for wrong in ["https://h", "h:80", "/x", "http://u:hunter2@h/"] {
            let failure = Base::parse("--target", wrong).unwrap_err().to_string();
            assert!(!failure.contains("hunter2"), "{failure}");
        }
    }
}
