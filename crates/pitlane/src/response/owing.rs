//! What a write invalidates (RFC 9111 §4.4, RFC 9875 §3).

use std::{future::Future, mem, pin::Pin};

use http::{HeaderMap, HeaderValue, StatusCode, Uri, header, request::Parts};
use iri_string::types::{UriAbsoluteStr, UriReferenceStr};
use pitlane_core::{Basis, Position, Record, TagId, TagKind};
use pitlane_policy::groups;

use super::{
    key::{Host, group_tag, site_of, uri_tag},
    layer::Settings,
};
use crate::cache::Cache;

pub(crate) type Publishing = Pin<Box<dyn Future<Output = Option<Position>> + Send>>;

/// An unsafe request's debt: once its handler has begun, its URI is invalidated, whatever
/// becomes of the request, unless the handler answers with an error.
pub(crate) struct Owing {
    cache: Cache,
    uri: TagId,
    begun: bool,
    /// Every answer's future has room for a debt, so what few debts need lies elsewhere.
    beside: Box<Beside>,
}

struct Beside {
    uri: Uri,
    host: Option<HeaderValue>,
    /// What the answer names.
    named: Vec<(TagKind, TagId)>,
}

impl Owing {
    /// `None` for a URI that nothing can be stored under.
    pub(crate) fn of(settings: &Settings, parts: &Parts) -> Option<Self> {
        let cache = &settings.cache;
        let target = settings.uri_of(parts);
        let uri = uri_tag(cache, target, Host::of(&parts.headers))?;
        Some(Self {
            cache: cache.clone(),
            uri,
            begun: false,
            beside: Box::new(Beside {
                uri: target.clone(),
                host: parts.headers.get(header::HOST).cloned(),
                named: Vec::new(),
            }),
        })
    }

    /// The handler has begun: from now on it may have changed something.
    pub(crate) const fn begin(&mut self) {
        self.begun = true;
    }

    /// An error answer changes nothing; an error without an answer leaves the outcome unknown,
    /// and that invalidates.
    pub(crate) fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.begun = status.is_success() || status.is_redirection();
        if self.begun {
            self.beside.read(&self.cache, headers);
        }
    }

    /// Pays the debt: at once, or by waiting for a log that lies outside the process.
    pub(crate) fn publish(mut self) -> Option<Publishing> {
        let uplink = self.cache.shared().uplink.clone()?;
        if !mem::take(&mut self.begun) {
            return None;
        }
        let record = self.record();
        Some(Box::pin(async move { uplink.append(record).await }))
    }

    /// Whether an answer says that it is what its URI stands for.
    pub(crate) fn names_itself(&self, headers: &HeaderMap) -> bool {
        let mut names = headers.get_all(header::CONTENT_LOCATION).iter();
        let (Some(name), None) = (names.next(), names.next()) else {
            return false;
        };
        let there = self.beside.site().and_then(|site| {
            let there = resolve(&site, &self.beside.uri, name)?;
            uri_tag(&self.cache, &there, Host::default())
        });
        there == Some(self.uri)
    }

    /// Pays the debt to the process's own log, and says where what was computed at `at`
    /// stands behind it. `None` when it doesn't, or when others write to the log too: what they invalidate
    /// meanwhile can't be told from what this does.
    pub(crate) fn pay_over(mut self, at: &Basis, tags: &[TagId]) -> Option<Basis> {
        let shared = self.cache.shared();
        if shared.uplink.is_some() || !self.begun {
            return None;
        }
        let marks = self.record();
        let basis = shared.log.append_over(at, tags, marks.marks());
        self.begun = false;
        basis
    }

    fn record(&self) -> Record {
        let named = self.beside.named.iter().copied();
        Record::of_ids([(TagKind::Uri, self.uri)].into_iter().chain(named))
    }
}

impl Drop for Owing {
    fn drop(&mut self) {
        if !self.begun {
            return;
        }
        let shared = self.cache.shared();
        match &shared.uplink {
            Some(uplink) => uplink.owe(self.record()),
            None => {
                shared.log.append(self.record().marks());
            }
        }
    }
}

impl Beside {
    fn site(&self) -> Option<Vec<u8>> {
        let host = Host {
            value: self.host.as_ref().map(HeaderValue::as_bytes),
            repeated: false,
        };
        site_of(&self.uri, host)
    }

    /// Notes the URIs of the same origin and the groups that an answer names.
    fn read(&mut self, cache: &Cache, headers: &HeaderMap) {
        let Some(site) = self.site() else {
            return;
        };
        for name in [header::LOCATION, header::CONTENT_LOCATION] {
            for reference in headers.get_all(name) {
                let there = resolve(&site, &self.uri, reference);
                // Another origin's URI is no business of this answer's.
                let there = there.filter(|uri| {
                    site_of(uri, Host::default()).as_deref() == Some(site.as_slice())
                });
                let tag = there.and_then(|uri| uri_tag(cache, &uri, Host::default()));
                self.named.extend(tag.map(|tag| (TagKind::Uri, tag)));
            }
        }
        for group in groups::invalidated(headers) {
            let tag = group_tag(&site, &group).id(cache.shared().log.tags());
            self.named.push((TagKind::Group, tag));
        }
    }
}

/// What `reference` means in an answer from `target`, without a fragment (RFC 9110 §10.2.2).
pub(crate) fn resolve(site: &[u8], target: &Uri, reference: &HeaderValue) -> Option<Uri> {
    let reference = reference.to_str().ok()?.trim();
    let reference = reference.split('#').next().unwrap_or(reference);
    let site = std::str::from_utf8(site).ok()?;
    let path = target.path_and_query().map_or("/", |path| path.as_str());
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
        let target = Uri::from_static("/clubs/42?page=2");
        let reference = HeaderValue::from_str(reference).unwrap();
        let found = resolve(b"a.org:81", &target, &reference);
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
