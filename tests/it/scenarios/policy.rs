//! A cache of nothing but the policy's functions: one request after another, entries in a list.
//!
//! What it does between those functions is only to keep, to look up and to forward.

mod decide;
mod model;
mod reply;

use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method, Uri};
use pitlane::Profile;

use self::model::{Cache, Request};
use super::{
    Teller,
    expect::Came,
    script::Script,
    story::{Story, Way},
    text::{Message, start},
};

#[derive(Debug)]
pub(super) struct Policed {
    now: SystemTime,
    cache: Cache,
}

impl Teller for Policed {
    const WAY: Way = Way::Policy;

    async fn begin(story: &Story, profile: Profile, origin: Script) -> Self {
        Self {
            now: start(),
            cache: Cache::new(profile, &story.settings, origin),
        }
    }

    fn advance(&mut self, by: Duration) {
        self.now += by;
    }

    async fn ask(&mut self, request: &Message) -> Result<Came, String> {
        let wrong = |what: &str| format!("a story that can't be told here: {what}");
        let headers = request.headers()?;
        let host = headers.get("host").and_then(|host| host.to_str().ok());
        let request = Request {
            method: Method::from_bytes(request.word(0).as_bytes()).map_err(|_| wrong("method"))?,
            uri: whole(host.unwrap_or_default(), request.word(1)).ok_or_else(|| wrong("target"))?,
            body: request.body.is_some(),
            headers,
        };
        Ok(self.cache.answer(request, self.now))
    }

    async fn settle(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// The URI of a request; `Location` and `Content-Location` are read the same way.
fn whole(host: &str, target: &str) -> Option<Uri> {
    let target: Uri = target.parse().ok()?;
    let host = target
        .authority()
        .map_or(host, |authority| authority.as_str());
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix(":80").unwrap_or(&host);
    Uri::builder()
        .scheme(target.scheme_str().unwrap_or("http"))
        .authority(host)
        .path_and_query(target.path_and_query()?.clone())
        .build()
        .ok()
}

/// The URI that a field of an answer names, if it lies at the same origin.
fn neighbour(uri: &Uri, headers: &HeaderMap, field: &str) -> Option<Uri> {
    let value = headers.get(field)?.to_str().ok()?;
    let (value, _) = value.split_once('#').unwrap_or((value, ""));
    let directory = uri.path().rsplit_once('/').map_or("", |(before, _)| before);
    let target = match value {
        _ if value.contains("://") => value.to_owned(),
        _ if value.starts_with("//") => format!("http:{value}"),
        _ if value.starts_with('/') => value.to_owned(),
        _ if value.starts_with('?') => format!("{}{value}", uri.path()),
        _ => format!("{directory}/{value}"),
    };
    let named = whole(uri.authority()?.as_str(), &target)?;
    let same = named.authority() == uri.authority() && named.scheme() == uri.scheme();
    same.then_some(named)
}
