//! What a write invalidates (RFC 9111 §4.4, RFC 9875 §3).

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::{HeaderMap, HeaderValue, Response, Uri, header, request::Parts};
use iri_string::types::{UriAbsoluteStr, UriReferenceStr};
use pitlane_core::{Basis, Item, Mark, Position, Record, Tag, TagId, TagKind};
use pitlane_policy::groups;

use super::{
    key::{Host, group_tag, site_of, with_name},
    keyed::OnlyAsks,
    layer::Settings,
    shape::Shape,
};
use crate::cache::Shared;
use crate::stats::Invalidating;

pub(crate) type Publishing = Pin<Box<dyn Future<Output = Option<Position>> + Send>>;

/// An unsafe request's debt: once its handler has begun, its URI is invalidated, whatever
/// becomes of the request, unless the handler refuses it (4xx).
///
/// It lies in a box, because every answer's future has room for it, and most are hits.
pub(crate) struct Owing(Box<Debt>);

struct Debt {
    shared: Arc<Shared>,
    /// The URI's own tag; none for a URI that nothing can be stored under.
    uri: Option<TagId>,
    /// The URI is only marked as stale.
    soft: bool,
    begun: bool,
    /// The URI as a name: where its path begins, and the whole.
    path: usize,
    name: Box<[u8]>,
    /// What is ended beside the URI.
    named: Vec<Item>,
    trouble: Option<Trouble>,
    /// What of a URI's parameters counts.
    shape: Option<Box<Shape>>,
}

/// Whether the log has kept the request waiting in vain, in a layer further in: then nobody
/// further out waits for it again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble(Arc<AtomicBool>);

impl Trouble {
    fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_noted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Owing {
    /// `None` for a URI that nothing can be stored under.
    pub(crate) fn of(settings: &Settings, parts: &Parts) -> Option<Self> {
        let mut owing = Self::over(settings.cache.shared(), settings.uri_of(parts), parts);
        owing.heed(&settings.shape);
        owing.0.uri.is_some().then_some(owing)
    }

    /// The debt of a request for `uri`.
    pub(crate) fn over(shared: &Arc<Shared>, uri: &Uri, parts: &Parts) -> Self {
        let tags = shared.log.tags();
        let mut owing = Self::nothing(shared);
        let debt = &mut *owing.0;
        with_name(uri, Host::of(&parts.headers), |name, path| {
            debt.uri = Some(TagId::of(tags, TagKind::Uri, name));
            debt.path = path;
            debt.name = name.into();
        });
        debt.trouble = parts.extensions.get().cloned();
        owing
    }

    /// Has the URIs that the answer names understood as this one was.
    pub(crate) fn heed(&mut self, shape: &Shape) {
        self.0.shape = (!shape.is_plain()).then(|| Box::new(shape.clone()));
    }

    /// No debt yet: something may be added to it.
    pub(crate) fn nothing(shared: &Arc<Shared>) -> Self {
        Self(Box::new(Debt {
            shared: Arc::clone(shared),
            uri: None,
            soft: false,
            begun: false,
            path: 0,
            name: Box::default(),
            named: Vec::new(),
            trouble: None,
            shape: None,
        }))
    }

    /// Owes these as well.
    pub(crate) fn add(&mut self, tags: &[Tag], soft: bool) {
        let record = Record::of(self.0.shared.log.tags(), tags, soft);
        self.0.named.extend(record.items);
    }

    /// The handler has begun: from now on it may have changed something.
    pub(crate) const fn begin(&mut self) {
        self.0.begun = true;
    }

    /// What the handler refuses it hasn't done (4xx). One that has failed, or something around it
    /// that lost its patience, may have changed something before (5xx): nobody knows, so that what is
    /// stored is asked about before it is used again. It may still stand in for a failure: or
    /// anybody who writes while the origin is down would take the pages away that bridge that.
    /// RFC 9111 §4.4 asks for less, and forbids nothing.
    pub(crate) fn answered<R>(&mut self, answer: &Response<R>) {
        let (status, headers) = (answer.status(), answer.headers());
        let only_asked = answer.extensions().get::<OnlyAsks>().is_some();
        // These say that nothing was begun.
        let refused = status.is_client_error() || matches!(status.as_u16(), 501 | 503 | 505);
        self.0.begun = !refused && !only_asked;
        if status.is_server_error() && self.0.begun {
            self.0.soft = true;
            for item in &mut self.0.named {
                item.mark.soft = true;
            }
        } else if self.0.begun {
            let named = self.0.read(headers);
            self.0.named.extend(named);
        }
    }

    /// Whether something is ended if this is dropped now.
    pub(crate) const fn is_begun(&self) -> bool {
        self.0.begun
    }

    /// Pays the debt: at once, or by waiting for a log that lies outside the process.
    pub(crate) fn publish(mut self) -> Option<Publishing> {
        let uplink = self.0.shared.uplink.clone()?;
        if self.0.trouble.as_ref().is_some_and(Trouble::is_noted) {
            return None;
        }
        if !mem::take(&mut self.0.begun) {
            return None;
        }
        let record = self.0.record();
        Some(Box::pin(async move {
            let mut counting = self.0.counting();
            let position = uplink.append(record).await;
            if position.is_some() {
                counting.applied();
            } else if let Some(trouble) = &self.0.trouble {
                trouble.note();
            }
            drop(counting);
            position
        }))
    }

    /// Whether an answer says that it is what its URI stands for.
    pub(crate) fn names_itself(&self, headers: &HeaderMap) -> bool {
        let mut names = headers.get_all(header::CONTENT_LOCATION).iter();
        let (Some(name), None) = (names.next(), names.next()) else {
            return false;
        };
        let there = self.0.resolve(name);
        there.is_some() && there == self.0.uri
    }

    /// Pays the debt to the process's own log, and says where what was computed at `at`
    /// stands behind it. `None` when it doesn't, or when others write to the log too: what they invalidate
    /// meanwhile can't be told from what this does.
    pub(crate) fn pay_over(mut self, at: &Basis, tags: &[TagId]) -> Option<Basis> {
        let shared = &self.0.shared;
        if shared.uplink.is_some() || !self.0.begun {
            return None;
        }
        self.0.counting().applied();
        let basis = shared.log.append_over(at, tags, self.0.marks());
        self.0.begun = false;
        basis
    }
}

impl Drop for Debt {
    fn drop(&mut self) {
        if !self.begun {
            return;
        }
        let shared = &self.shared;
        let mut counting = self.counting();
        match &shared.uplink {
            Some(uplink) => uplink.owe(self.record()),
            None => {
                counting.applied();
                shared.log.append(self.marks());
            }
        }
    }
}

impl Debt {
    /// The URIs of the same origin and the groups that an answer names.
    fn read(&self, headers: &HeaderMap) -> Vec<Item> {
        // Most answers name nothing.
        let fields = [header::LOCATION, header::CONTENT_LOCATION];
        let named = fields.iter().any(|name| headers.contains_key(name));
        let grouped = headers.contains_key(&groups::CACHE_GROUP_INVALIDATION);
        if !(named || grouped) || self.uri.is_none() {
            return Vec::new();
        }
        let references = fields.iter().flat_map(|name| headers.get_all(name));
        let uris = references.filter_map(|reference| self.resolve(reference));
        let tags = self.shared.log.tags();
        let (site, _) = self.name.split_at(self.path);
        let groups = groups::invalidated(headers);
        let groups = groups.iter().map(|group| group_tag(site, group).id(tags));
        uris.map(|uri| item(TagKind::Uri, uri))
            .chain(groups.map(|group| item(TagKind::Group, group)))
            .collect()
    }

    /// The URI that a reference in the answer means. `None` for another origin's, which is no
    /// business of this answer's.
    fn resolve(&self, reference: &HeaderValue) -> Option<TagId> {
        let (site, path) = self.name.split_at(self.path);
        let mut there = resolve(site, path, reference)?;
        if let Some(shape) = &self.shape {
            there = shape.filtered(&there);
        }
        let same = site_of(&there, Host::default()).as_deref() == Some(site);
        let tags = self.shared.log.tags();
        let tag = |name: &[u8], _| TagId::of(tags, TagKind::Uri, name);
        same.then(|| with_name(&there, Host::default(), tag))?
    }

    fn counting(&self) -> Invalidating<'_> {
        Invalidating::begin(&self.shared, self.items().map(|item| item.kind))
    }

    fn record(&self) -> Record {
        Record {
            lsn: None,
            items: self.items().collect(),
        }
    }

    fn marks(&self) -> impl Iterator<Item = Mark> {
        self.items().map(|item| item.mark)
    }

    fn items(&self) -> impl Iterator<Item = Item> {
        let uri = self.uri.map(|uri| {
            let mut uri = item(TagKind::Uri, uri);
            uri.mark.soft = self.soft;
            uri
        });
        uri.into_iter().chain(self.named.iter().cloned())
    }
}

/// Of what is named by an answer the number alone is known.
const fn item(kind: TagKind, tag: TagId) -> Item {
    Item {
        kind,
        mark: Mark { tag, soft: false },
        name: None,
    }
}

/// What `reference` means in an answer from `path` of `site`, without a fragment (RFC 9110 §10.2.2).
fn resolve(site: &[u8], path: &[u8], reference: &HeaderValue) -> Option<Uri> {
    let reference = reference.to_str().ok()?.trim();
    let reference = reference.split('#').next().unwrap_or(reference);
    let site = std::str::from_utf8(site).ok()?;
    let path = std::str::from_utf8(path).ok()?;
    let base = format!("http://{site}{path}");
    let resolved = UriAbsoluteStr::new(&base)
        .ok()
        .zip(UriReferenceStr::new(reference).ok())
        .map(|(base, reference)| reference.resolve_against(base).to_string());
    let whole = match resolved {
        Some(resolved) => resolved,
        // Many paths hold characters that no URI may have, and are understood all the same.
        None if reference.starts_with('/') && !reference.starts_with("//") => {
            format!("http://{site}{reference}")
        }
        None => reference.to_owned(),
    };
    whole.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reference: &str, expected: &str) {
        let reference = HeaderValue::from_str(reference).unwrap();
        let found = resolve(b"a.org:81", b"/clubs/42?page=2", &reference);
        let found = found.map(|uri| uri.to_string()).unwrap_or_default();
        assert_eq!(found, expected, "{reference:?}");
    }

    #[test]
    fn references_are_resolved_against_the_target() {
        check("/teams/1", "http://a.org:81/teams/1");
        check("43", "http://a.org:81/clubs/43");
        check("../teams?x=1#top", "http://a.org:81/teams?x=1");
        check("?page=3", "http://a.org:81/clubs/42?page=3");
        check("", "http://a.org:81/clubs/42?page=2");
        check("//b.org/x", "http://b.org/x");
        check("https://a.org:81/x", "https://a.org:81/x");
    }

    #[test]
    fn a_path_with_odd_characters_is_taken_as_it_stands() {
        check("/a|b{c}", "http://a.org:81/a|b{c}");
    }
}
