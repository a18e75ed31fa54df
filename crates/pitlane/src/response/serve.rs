//! Answers that are there already.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, request::Parts};
use http_body::Body;
use pitlane_core::Reason;

use super::{
    admit::Ask, body::ResponseBody, decorate::strip, forms, layer::Settings, lookup::response_of,
    status::Telling, stored::Serve,
};
use crate::cache::{Entry, Scope};

/// What of a request decides how an entry is served to it.
pub(crate) struct Reading<'a> {
    pub(crate) head: bool,
    pub(crate) conditional: Option<&'a HeaderMap>,
    /// All headers, where they are at hand.
    pub(crate) headers: Option<&'a HeaderMap>,
}

impl Ask {
    pub(super) fn reading<'a>(&self, parts: &'a Parts) -> Reading<'a> {
        let conditional = self.scan.conditional.then_some(&parts.headers);
        Reading {
            head: self.scan.head,
            conditional,
            headers: Some(&parts.headers),
        }
    }
}

pub(crate) fn serve<R: Body>(
    settings: &Settings,
    entry: &Arc<Entry>,
    asked: &Reading<'_>,
    age: u64,
    telling: Telling,
) -> Response<ResponseBody<R>> {
    // A computation around this one depends on what it takes from here.
    Scope::current().depend(&entry.meta, telling.is_fresh());
    let nothing;
    let accept = if settings.encodings.is_empty() {
        None
    } else {
        nothing = HeaderMap::new();
        let accept = asked.headers.unwrap_or(&nothing);
        forms::begin(settings, entry, accept);
        Some(accept)
    };
    let serve = Serve {
        head: asked.head,
        conditional: asked.conditional,
        accept,
        age,
        telling: settings.cache_status.then_some(telling),
    };
    let mut response = response_of(entry).map_or_else(
        || Response::new(ResponseBody::full(Bytes::new())),
        |response| response.serve(&serve),
    );
    strip(settings, response.headers_mut());
    response
}

pub(super) fn gateway_timeout<R: Body>(settings: &Settings) -> Response<ResponseBody<R>> {
    let mut response = Response::new(ResponseBody::full(Bytes::new()));
    *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
    if settings.cache_status {
        let detail = Reason::OnlyIfCached;
        Telling::Made { detail }.write(response.headers_mut());
    }
    response
}
