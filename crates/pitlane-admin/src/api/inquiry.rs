//! What is asked of the program's own service: a path, and nothing that could lead elsewhere.

use std::net::IpAddr;

use axum::body::Body;
use axum::extract::Request;
use http::header::{HOST, USER_AGENT};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, HeaderValue, Method, Uri};
use http_body_util::BodyExt;

use crate::admin::Shared;
use crate::failure::Failure;

/// No more of an answer's body is read than this, in bytes.
const MAX_ANSWER: usize = 64 << 20;
/// More fields than a client sends.
const MAX_FIELDS: usize = 100;

/// Headers that are about the connection, of which there is none.
const OF_CONNECTIONS: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
];

/// A request that somebody may make of this node.
#[derive(Clone, Debug)]
pub(crate) struct Inquiry {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Inquiry {
    /// The request as the program's service gets it. Its host is the one that the admin pages
    /// were called by, unless the headers name one of the program's sites.
    pub(crate) fn request(&self, shared: &Shared, own: &Authority) -> Result<Request, Failure> {
        let path = self.path(&shared.base)?;
        let mut request = Request::new(Body::empty());
        *request.method_mut() = match self.method.as_str() {
            "GET" => Method::GET,
            "HEAD" => Method::HEAD,
            _ => {
                return Err(invalid(
                    "only GET and HEAD can be asked: others may change something",
                ));
            }
        };
        *request.uri_mut() = Uri::from(path);
        let headers = request.headers_mut();
        if self.headers.len() > MAX_FIELDS {
            return Err(invalid("these are too many headers"));
        }
        for (name, value) in &self.headers {
            let name: HeaderName = name.parse().map_err(|_| {
                invalid(&format!(
                    "{} is no name of a header",
                    crate::view::shown(name, 60)
                ))
            })?;
            if OF_CONNECTIONS.contains(&name.as_str()) {
                return Err(invalid(&format!(
                    "{name} is about a connection, and there is none"
                )));
            }
            let value = HeaderValue::from_str(value)
                .map_err(|_| invalid(&format!("the value of {name} holds what no header may")))?;
            headers.append(name, value);
        }
        let mut hosts = headers.get_all(HOST).iter();
        match (hosts.next(), hosts.next()) {
            (None, _) => {
                let own = HeaderValue::from_str(own.as_str());
                headers.insert(HOST, own.map_err(|error| Failure::Internal(error.into()))?);
            }
            (Some(host), None) if is_of_ours(shared, host) => {}
            _ => return Err(invalid("the host is none that this program says it is")),
        }
        if !headers.contains_key(USER_AGENT) {
            headers.insert(USER_AGENT, HeaderValue::from_static("pitlane-admin"));
        }
        Ok(request)
    }

    /// A path of this node: never a whole URL, nor what some reader could take for one.
    fn path(&self, base: &str) -> Result<PathAndQuery, Failure> {
        let path = self.path.as_str();
        let is_path = path.starts_with('/')
            && !path.starts_with("//")
            && path
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#');
        if !is_path {
            return Err(invalid(
                "the path begins with one slash, and is written as in a request",
            ));
        }
        let below = path.strip_prefix(base).unwrap_or_default();
        if !base.is_empty()
            && (below.is_empty() || below.starts_with(['/', '?']))
            && path.starts_with(base)
        {
            return Err(invalid("these are the admin pages themselves"));
        }
        path.parse().map_err(|_| invalid("this is no path"))
    }
}

/// Reads a body to its end and keeps nothing of it. Whether that worked.
pub(super) async fn drain(mut body: Body) -> bool {
    let mut left = MAX_ANSWER;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return false;
        };
        let read = frame.data_ref().map_or(0, bytes::Bytes::len);
        let Some(rest) = left.checked_sub(read) else {
            return false;
        };
        left = rest;
    }
    true
}

fn is_of_ours(shared: &Shared, host: &HeaderValue) -> bool {
    let host: Option<Authority> = host.to_str().ok().and_then(|host| host.parse().ok());
    host.is_some_and(|host| {
        let name = host.host().to_ascii_lowercase();
        let is_own = |address: IpAddr| address.is_loopback();
        !host.as_str().contains('@')
            && (shared.any_site
                || shared.sites.contains(&name)
                || shared.hosts.names.contains(&name)
                || name == "localhost"
                || name.trim_matches(['[', ']']).parse().is_ok_and(is_own))
    })
}

fn invalid(why: &str) -> Failure {
    Failure::Invalid(why.to_owned())
}
