//! What a request says, read once: its path below the mount, its query, its body.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE};
use http::uri::Authority;
use http::{HeaderMap, Method};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::failure::Failure;

/// The largest body, in bytes: some thousand names.
pub(crate) const MAX_BODY: usize = 64 << 10;
/// The longest value of a query or of a form's field, in bytes.
const MAX_VALUE: usize = 16 << 10;
/// A body that has not arrived by then is not waited for.
const BODY_TIME: Duration = Duration::from_secs(10);

/// A request to the admin pages or the API, but for its body.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// Behind the mount, and as it was sent: nothing in it is decoded.
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    /// The host that it names, which is one of ours.
    pub(crate) host: Authority,
    pub(crate) peer: Option<IpAddr>,
    is_bodiless: bool,
}

impl Asked {
    /// The request and its body.
    pub(crate) fn split(
        request: Request,
        base: &str,
        host: Authority,
    ) -> Result<(Self, Body), Failure> {
        let (mut parts, body) = request.into_parts();
        // Nothing that opens a door is shown by whoever prints this.
        for (name, value) in &mut parts.headers {
            value.set_sensitive(name == AUTHORIZATION || name == COOKIE);
        }
        let path = parts
            .uri
            .path()
            .strip_prefix(base)
            .ok_or(Failure::NotFound)?;
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let asked = Self {
            method: parts.method,
            path: path.to_owned(),
            query: parts.uri.query().map(str::to_owned),
            headers: parts.headers,
            host,
            peer: peer.map(|ConnectInfo(address)| address.ip()),
            is_bodiless: body.is_end_stream(),
        };
        Ok((asked, body))
    }

    /// Whether it only reads.
    pub(crate) fn is_get(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }

    /// Lets no query through: what is not read must not look as if it were.
    pub(crate) fn no_query(&self) -> Result<(), Failure> {
        match self.query {
            None => Ok(()),
            Some(_) => Err(Failure::Query("this route takes no query".to_owned())),
        }
    }

    /// Lets no body through.
    pub(crate) fn no_body(&self) -> Result<(), Failure> {
        match self.is_bodiless {
            true => Ok(()),
            false => Err(Failure::Body),
        }
    }

    /// The parameters of the query, of which there may be those named, once each.
    pub(crate) fn parameters(&self, names: &[&str]) -> Result<Fields, Failure> {
        let fields = Fields::read(self.query.as_deref().unwrap_or_default().as_bytes());
        fields.check(names).map_err(Failure::Query)
    }

    /// The fields of a form that a page of ours posted.
    pub(crate) async fn form(&self, body: Body) -> Result<Fields, Failure> {
        if !is_of(&self.headers, "application/x-www-form-urlencoded") {
            return Err(Failure::ContentType("application/x-www-form-urlencoded"));
        }
        Ok(Fields::read(&read(body).await?))
    }

    /// The JSON object in the body. A form, which any page could make a browser send, is none.
    pub(crate) async fn json<T: DeserializeOwned>(&self, body: Body) -> Result<T, Failure> {
        if !is_of(&self.headers, "application/json") {
            return Err(Failure::ContentType("application/json"));
        }
        let body = read(body).await?;
        match serde_json::from_slice(&body) {
            // An array would be taken for the fields in their order.
            Ok(value) if body.trim_ascii_start().starts_with(b"{") => Ok(value),
            Ok(_) => Err(Failure::Invalid(
                "the body must be a JSON object".to_owned(),
            )),
            Err(error) if error.classify() == Category::Data => {
                Err(Failure::Invalid(error.to_string()))
            }
            Err(error) => Err(Failure::Malformed(format!("the body is no JSON: {error}"))),
        }
    }
}

async fn read(body: Body) -> Result<Bytes, Failure> {
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(Failure::TooLarge);
    }
    let body = Limited::new(body, MAX_BODY).collect();
    let body = tokio::time::timeout(BODY_TIME, body)
        .await
        .map_err(|_| Failure::TooSlow)?;
    let body = body.map_err(|error| match error.is::<LengthLimitError>() {
        true => Failure::TooLarge,
        false => Failure::Broken,
    })?;
    Ok(body.to_bytes())
}

/// Whether the one Content-Type is this one.
fn is_of(headers: &HeaderMap, kind: &str) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let essence = value.to_str().unwrap_or_default().split(';').next();
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(kind))
}

/// Names and values of a query or a form.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    fn read(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// A field's value; empty when it is absent.
    pub(crate) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(found, _)| found == name);
        found.map_or("", |(_, value)| value)
    }

    /// The lines of a field that are not blank.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        let lines = self.get(name).lines().map(str::trim);
        lines
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    }

    fn check(self, names: &[&str]) -> Result<Self, String> {
        for (at, (name, value)) in self.0.iter().enumerate() {
            if !names.contains(&name.as_str()) {
                let names = names.join(", ");
                return Err(format!("a parameter is unknown; there are: {names}"));
            }
            if self.0.iter().take(at).any(|(other, _)| other == name) {
                return Err(format!("{name} is there twice"));
            }
            if value.len() > MAX_VALUE {
                return Err(format!("{name} is longer than {MAX_VALUE} bytes"));
            }
        }
        Ok(self)
    }
}
