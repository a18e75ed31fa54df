//! Requests that only ask how they would be answered.

use std::sync::Arc;

use http::{Method, Response, request::Parts};
use pitlane_core::Reason;

use super::{
    admit::{Asking, admit},
    bounds::{Answered, Asked, Inner},
    future::ResponseFuture,
    key::{Host, KeyBytes, Who, text_of},
    layer::Settings,
    service::ResponseCache,
};
use crate::{
    cache::Cache,
    explain::{Inquiry, Tale},
};

impl<S: Clone> ResponseCache<S> {
    /// The inquiry that a request belongs to, if it only asks.
    #[inline]
    pub(super) fn inquiry(parts: &Parts) -> Option<&Inquiry> {
        Inquiry::of(&parts.extensions, &parts.method)
    }

    /// Answers in a shadow of the cache: decided as ever, and without a trace.
    #[cold]
    pub(super) fn answer_asked<Q, R>(&self, parts: Parts, body: Q) -> ResponseFuture<S, Q, R>
    where
        S: Inner<Q, R>,
        Q: Asked,
        R: Answered,
    {
        let tale = Arc::new(Tale::new(&self.settings));
        let shadow = self.settings.cache.shadow(&tale);
        if let Some(inquiry) = Self::inquiry(&parts) {
            inquiry.listen(&tale, &shadow);
        }
        let settings = Arc::new(Settings {
            cache: shadow.clone(),
            ..(*self.settings).clone()
        });
        let body_is_empty = body.is_end_stream();
        let seen = settings.shapes().then(|| settings.shaped(&parts));
        introduce(
            &tale,
            &settings,
            seen.as_ref().unwrap_or(&parts),
            body_is_empty,
        );
        let answer = self.under(settings).answer_now(parts, body);
        ResponseFuture::boxed(async move {
            let answer = answer.await;
            tale.answered(answer.as_ref().ok().map(Response::status));
            drop(shadow);
            answer
        })
    }
}

/// Tells what the request is to the cache, before it is answered.
fn introduce(tale: &Tale, settings: &Settings, parts: &Parts, body_is_empty: bool) {
    let shadow: &Cache = &settings.cache;
    let mut key = KeyBytes::new();
    if !settings.enabled {
        return tale.passed(Reason::Disabled, parts);
    }
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return tale.passed(Reason::Method, parts);
    }
    match admit(settings, parts, Asking::Head { body_is_empty }, &mut key) {
        Ok(ask) => tale.admitted(&ask, &key, parts, shadow),
        Err(reason) => tale.passed(reason, parts),
    }
}

/// A key as people read it.
pub(crate) fn key_text(settings: &Settings, parts: &Parts, who: &Who) -> String {
    let mut text = text_of(settings.uri_of(parts), Host::of(&parts.headers));
    for tag in who.tags() {
        text.push(' ');
        text.push_str(tag.name());
    }
    text
}
