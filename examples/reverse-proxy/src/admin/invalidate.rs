//! `POST api/invalidate`: ends what carries a tag, lies below a key or a URL, or has a URL.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use pitlane::{Caches, Invalidated, Invalidation, Key};
use serde::{Deserialize, Serialize};
use serde_json::error::Category;

use super::BoxError;
use super::failure::Failure;

/// The largest body, in bytes: some thousand names.
pub(super) const MAX_BODY: usize = 64 << 10;
/// A body that has not arrived by then is not waited for.
const BODY_TIME: Duration = Duration::from_secs(10);

/// What a caller asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    tags: Vec<String>,
    keys: Vec<String>,
    prefixes: Vec<String>,
    urls: Vec<String>,
    soft: bool,
}

/// What became of it.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(super) enum Done {
    /// It is in the log: no read that begins now returns anything older, on any node.
    Applied { position: String },
    /// It holds on this node, which owes it to the others.
    Queued,
}

pub(super) async fn run<B>(caches: &Caches, request: Request<B>) -> Result<Done, Failure>
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send,
{
    let invalidation = read(request).await?.invalidation()?;
    match caches.publish(invalidation).await {
        Ok(Invalidated::Applied { position }) => Ok(Done::Applied {
            position: position.to_string(),
        }),
        // Whatever else there may be, it is not in the log yet.
        Ok(_) => Ok(Done::Queued),
        Err(error) => Err(Failure::Internal(error.into())),
    }
}

async fn read<B>(request: Request<B>) -> Result<Wanted, Failure>
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send,
{
    if !is_json(&request) {
        return Err(Failure::ContentType);
    }
    let body = request.into_body();
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
    parse(&body.to_bytes())
}

/// A form, which any page could make a browser send, is none of this.
fn is_json<B>(request: &Request<B>) -> bool {
    let mut values = request.headers().get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let essence = value.to_str().unwrap_or_default().split(';').next();
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

fn parse(body: &Bytes) -> Result<Wanted, Failure> {
    let wanted: Result<Wanted, _> = serde_json::from_slice(body);
    match wanted {
        // An array would be taken for the fields in their order.
        Ok(wanted) if body.trim_ascii_start().starts_with(b"{") => Ok(wanted),
        Ok(_) => Err(Failure::Invalid(
            "the body must be a JSON object".to_owned(),
        )),
        Err(error) if error.classify() == Category::Data => {
            Err(Failure::Invalid(error.to_string()))
        }
        Err(error) => Err(Failure::Malformed(format!("the body is no JSON: {error}"))),
    }
}

impl Wanted {
    fn invalidation(&self) -> Result<Invalidation, Failure> {
        let mut all = Invalidation::default();
        for (at, tag) in self.tags.iter().enumerate() {
            if tag.is_empty() {
                return Err(invalid("tags", at, &"a tag has at least one character"));
            }
            all = all.add_tag(tag.as_str());
        }
        for (at, key) in self.keys.iter().enumerate() {
            all = all.add_key(&parse_key("keys", at, key)?);
        }
        for (at, prefix) in self.prefixes.iter().enumerate() {
            all = add_prefix(all, at, prefix)?;
        }
        for (at, url) in self.urls.iter().enumerate() {
            all = all
                .add_url(url)
                .map_err(|error| invalid("urls", at, &error))?;
        }
        if all.is_empty() {
            let why = "name at least one of tags, keys, prefixes and urls";
            return Err(Failure::Invalid(why.to_owned()));
        }
        Ok(if self.soft { all.soft() } else { all })
    }
}

/// A URL or a key, and everything below it. A key that looks like a URL is one of `keys`, which
/// end what lies below them too.
fn add_prefix(all: Invalidation, at: usize, prefix: &str) -> Result<Invalidation, Failure> {
    if !prefix.contains("://") {
        return Ok(all.add_key(&parse_key("prefixes", at, prefix)?));
    }
    if prefix.contains(['?', '#']) {
        let why = "a prefix ends with its path: a query has nothing below it";
        return Err(invalid("prefixes", at, &why));
    }
    all.add_url_prefix(prefix)
        .map_err(|error| invalid("prefixes", at, &error))
}

fn parse_key(field: &str, at: usize, key: &str) -> Result<Key, Failure> {
    key.parse()
        .map_err(|error: pitlane::KeyError| invalid(field, at, &error))
}

fn invalid(field: &str, at: usize, why: &dyn std::fmt::Display) -> Failure {
    Failure::Invalid(format!("{field}[{at}]: {why}"))
}
