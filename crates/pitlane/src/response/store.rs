use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, header, response};
use pitlane_core::{Gathered, Meta, Reason, Stamp, Tag, TagId, TagSet, Timestamp};
use pitlane_policy::{
    Freshness, Profile, Refusal, RequestFacts, Rules, Vary, groups, hop, may_store, may_store_post,
    update,
};

use super::{
    CacheHint,
    decorate::{Decorated, decorate},
    key::{Host, Place, Target, Who, group_tag},
    layer::Settings,
    lookup::is_never_fresh,
    stored::StoredResponse,
};
use crate::cache::{Entry, Flown, Lead, Marker, MarkerKind, Payload, Said, Scope, Slot, Work};
use crate::stats::Filling;

/// How many variants of one URI are kept; further ones pass.
const MAX_VARIANTS: usize = 32;
/// How many request headers may select variants.
const MAX_VARY: usize = 16;

/// What is known of a request whose answer may be stored.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) settings: Arc<Settings>,
    /// The place without variants.
    pub(crate) place: Place,
    pub(crate) who: Who,
    pub(crate) uri: http::Uri,
    pub(crate) host: Option<HeaderValue>,
    /// The headers that the inner service saw; `None` where they were not kept, and then only an
    /// answer that doesn't vary can be stored.
    pub(crate) headers: Option<HeaderMap>,
    pub(crate) facts: RequestFacts,
    /// The request's own data, where they may tell that the answer is one person's.
    pub(crate) extensions: Option<Box<Extensions>>,
    /// The inner service saw the client's preconditions: only a plain 200 speaks for others.
    pub(crate) conditional: bool,
    /// It is an answer to POST, which stands for GET only if it says so.
    pub(crate) post: bool,
    pub(crate) dependencies: Arc<Work>,
    pub(crate) began: Timestamp,
    pub(crate) filling: Filling,
}

/// An answer that will be stored when its body is complete.
#[derive(Debug)]
pub(crate) struct Draft {
    asked: Asked,
    judged: Judged,
    status: StatusCode,
    headers: HeaderMap,
    decorated: Decorated,
    /// The layer's own entity tag, where it is known already.
    etag: Option<HeaderValue>,
    names: Vec<Tag>,
    lead: Option<Lead>,
}

/// The marker that leads to a variant, and whether it has to be put in its place.
type Variants = (Arc<Marker>, bool);

/// What the head of an answer says when it may be stored.
#[derive(Debug)]
pub(crate) struct Judged {
    /// The body's length, where that is known.
    declared: Option<u64>,
    target: Target,
    freshness: Freshness,
    place: Place,
    variants: Option<Variants>,
    received: Timestamp,
}

/// An answer whose body is complete.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) entry: Arc<Entry>,
    /// Why it was not stored after all.
    pub(crate) refusal: Option<Reason>,
}

impl Asked {
    /// Tells a computation around this one, which shows this answer, what it is made of and what
    /// ends it, whether or not it is stored.
    pub(crate) fn pass_on(&self, head: &response::Parts, outer: &Scope) {
        self.dependencies.absorb(&self.named_by(head));
        outer.absorb(&self.dependencies);
    }

    fn named_by(&self, head: &response::Parts) -> Gathered {
        let cache = &self.settings.cache;
        let target = self.target();
        Gathered {
            basis: self.dependencies.basis(),
            ids: target.map_or_else(Vec::new, |target| target.implied_tags(cache, &self.uri)),
            names: self.names(head),
            // Groups that can't be kept can't end what is around this answer either.
            stale: groups::of(&head.headers).is_err(),
        }
    }

    /// All that an answer was made of so far, and the numbers of all its tags.
    pub(crate) fn gathered(&self, head: &response::Parts) -> (Gathered, Vec<TagId>) {
        self.dependencies.absorb(&self.named_by(head));
        let gathered = self.dependencies.gathered();
        let tags = self.settings.cache.shared().log.tags();
        let named = gathered.names.iter().map(|tag| tag.id(tags));
        let ids = gathered.ids.iter().copied().chain(named).collect();
        (gathered, ids)
    }

    /// Gives an answer the head of what is `stored`, updated by its own (RFC 9111 §3.2).
    pub(crate) fn give_head(&self, answer: &mut response::Parts, stored: &StoredResponse) {
        let mut headers = stored.given_head();
        if !answer.headers.contains_key(header::DATE) {
            // The old one would make the confirmed answer as old as it was.
            headers.remove(header::DATE);
        }
        update::freshen(&mut headers, &answer.headers);
        if let Some(age) = answer.headers.remove(header::AGE) {
            headers.insert(header::AGE, age);
        }
        self.date(&mut headers);
        answer.status = stored.status();
        answer.headers = headers;
    }

    fn target(&self) -> Option<Target> {
        let host = Host {
            value: self.host.as_ref().map(HeaderValue::as_bytes),
            repeated: false,
        };
        Target::of(&self.uri, host)
    }

    /// Decides whether an answer may be stored, from its head.
    pub(crate) fn judge(
        &self,
        head: &response::Parts,
        body_is_empty: bool,
        exact: Option<u64>,
    ) -> Result<Judged, Reason> {
        let judged = self.decide(head, body_is_empty, exact);
        let said = judged.as_ref().map(|judged| judged.freshness);
        let said = said.map_err(|reason| *reason);
        self.settings.cache.tell(Said::Judged(head, said));
        judged
    }

    fn decide(
        &self,
        head: &response::Parts,
        body_is_empty: bool,
        exact: Option<u64>,
    ) -> Result<Judged, Reason> {
        let received = self.settings.cache.shared().clock.now();
        let hint = head.extensions.get::<CacheHint>();
        if hint.is_some_and(|hint| hint.no_store) {
            return Err(Reason::Hint);
        }
        if self.is_personal() {
            return Err(Reason::Personal);
        }
        let hinted: Option<Rules> = hint
            .and_then(|hint| hint.ttl)
            .map(|ttl| self.settings.rules.clone().ttl(ttl));
        let rules = hinted.as_ref().unwrap_or(&self.settings.rules);
        let at = received.as_system_time();
        let may_store = if self.post { may_store_post } else { may_store };
        let freshness = may_store(
            rules,
            &self.facts,
            head.status,
            &head.headers,
            body_is_empty,
            at,
        )
        .map_err(reason_of)?;
        let freshness = self.with_delay(freshness, &head.headers, received);
        if self.conditional && head.status != StatusCode::OK {
            return Err(Reason::Status);
        }
        if is_event_stream(&head.headers) {
            return Err(Reason::EventStream);
        }
        if groups::of(&head.headers).is_err() {
            return Err(Reason::TooManyGroups);
        }
        let declared = declared_length(&head.headers).or(exact);
        if declared.is_some_and(|length| length > self.settings.cache.tier().max_body()) {
            return Err(Reason::TooLarge);
        }
        if self.dependencies.gathered().stale {
            return Err(Reason::StaleDependency);
        }
        let (place, variants) = self.place_for(&selected_by(&head.headers))?;
        let target = self.target().ok_or(Reason::Host)?;
        Ok(Judged {
            declared,
            target,
            freshness,
            place,
            variants,
            received,
        })
    }

    fn is_personal(&self) -> bool {
        let asked = self
            .settings
            .personal
            .as_ref()
            .zip(self.extensions.as_ref());
        asked.is_some_and(|(personal, extensions)| personal(extensions))
    }

    /// RFC 9110 §6.6.1: who stores or forwards an answer without a Date writes down when it came.
    /// Within an application the server writes one on every answer.
    pub(crate) fn date(&self, headers: &mut HeaderMap) {
        if self.settings.profile == Profile::Rfc && !headers.contains_key(header::DATE) {
            let now = self.settings.cache.shared().clock.now();
            let date = pitlane_policy::date::format(now.as_system_time());
            headers.insert(header::DATE, date);
        }
    }

    /// RFC 9111 §4.2.3: an Age was right when the answer was made, which took up to as long as the
    /// request. An application's own handlers are no caches, and what is slow to make is not old.
    fn with_delay(
        &self,
        freshness: Freshness,
        headers: &HeaderMap,
        received: Timestamp,
    ) -> Freshness {
        let age = pitlane_policy::age::parse(headers);
        let Some(age) = age.filter(|_| self.settings.profile == Profile::Rfc) else {
            return freshness;
        };
        let age = age.saturating_add(received.since(self.began));
        freshness.with_initial_age(freshness.initial_age().max(age))
    }

    /// Prepares what is stored once the body is complete.
    pub(crate) fn draft(
        self,
        head: &response::Parts,
        judged: Judged,
        lead: Option<Lead>,
    ) -> Box<Draft> {
        let mut headers = head.headers.clone();
        hop::strip(&mut headers);
        hop::retain(&mut headers, |name| *name != header::AGE);
        let decorated = decorate(&self.settings, &mut headers, true);
        let names = self.names(head);
        Box::new(Draft {
            names,
            asked: self,
            judged,
            status: head.status,
            headers,
            decorated,
            etag: None,
            lead,
        })
    }

    /// Where the answer belongs: at its key, or at a variant of it. The headers that select
    /// variants only ever grow, so that one lookup finds the variant whatever earlier answers
    /// varied on.
    fn place_for(&self, vary: &Vary) -> Result<(Place, Option<Variants>), Reason> {
        let cache = &self.settings.cache;
        let there = find_variants(cache, &self.place);
        let known: &[HeaderName] = there.as_deref().map_or(&[], Marker::vary);
        if known.is_empty() && vary.fields().is_empty() {
            return Ok((self.place.clone(), None));
        }
        let request = self.headers.as_ref().ok_or(Reason::HitForMiss)?;
        let mut names = known.to_vec();
        names.extend(
            vary.fields()
                .iter()
                .filter(|name| !known.contains(name))
                .cloned(),
        );
        if names.len() > MAX_VARY {
            return Err(Reason::VaryLimit);
        }
        let place = Place::variant(cache, &self.place.key, &names, request);
        let (marker, new) = match there {
            Some(marker) if known.len() == names.len() => (marker, false),
            _ => (
                Arc::new(Marker::variants(&self.place.key, names.into())),
                true,
            ),
        };
        let admitted = marker.admit(place.digest, MAX_VARIANTS, |there| {
            // Where entries live in Redis alone nobody can tell: then the first ones stay.
            !cache.tier().holds_entries() || cache.tier().contains(there)
        });
        if !admitted {
            return Err(Reason::VaryLimit);
        }
        Ok((place, Some((marker, new))))
    }

    /// Everything that somebody named: the handler, the layer, the response, the user.
    fn names(&self, head: &response::Parts) -> Vec<Tag> {
        let hint = head.extensions.get::<CacheHint>();
        let mut names = hint.map(|hint| hint.tags.clone()).unwrap_or_default();
        if let Some(tags) = &self.settings.tags {
            names.extend(tags(&self.uri, head));
        }
        names.extend(self.who.tags());
        if let (Some(target), Ok(groups)) = (self.target(), groups::of(&head.headers)) {
            let tag = |group: &String| group_tag(target.site(), group);
            names.extend(groups.iter().map(tag));
        }
        names.extend(listed_tags(&head.headers, "cache-tag", |c| c == ','));
        names.extend(listed_tags(&head.headers, "surrogate-key", |c| {
            c.is_ascii_whitespace()
        }));
        names
    }

    /// What is stored is not right any more, here and in Redis, though nobody knows what is.
    /// Something newer in its place stays.
    pub(crate) fn withdraw(&self, entry: &Arc<Entry>) {
        let cache = &self.settings.cache;
        let place = Place::new(cache, entry.key.to_vec());
        if cache.tier().withdraw(place.digest, entry) {
            cache.withdraw(&place);
        }
    }

    /// Lets requests for this key pass each other for a while.
    pub(crate) fn remember_pass(&self) {
        let cache = &self.settings.cache;
        let variant = find_variants(cache, &self.place).zip(self.headers.as_ref());
        let place = match variant {
            Some((marker, request)) => {
                Place::variant(cache, &self.place.key, marker.vary(), request)
            }
            None => self.place.clone(),
        };
        let kind = MarkerKind::Pass {
            until: cache.shared().clock.now().plus(self.settings.hit_for_miss),
        };
        let marker = Marker {
            key: place.key.into(),
            kind,
        };
        cache
            .tier()
            .insert(place.digest, Slot::Marker(Arc::new(marker)));
    }
}

/// The marker that says on what a URI's answers vary.
pub(crate) fn find_variants(cache: &crate::cache::Cache, place: &Place) -> Option<Arc<Marker>> {
    match cache.tier().get(place.digest)? {
        Slot::Marker(marker) if *marker.key == *place.key && !marker.vary().is_empty() => {
            Some(marker)
        }
        _ => None,
    }
}

fn listed_tags(
    headers: &HeaderMap,
    name: &'static str,
    separator: impl Fn(char) -> bool + Copy,
) -> Vec<Tag> {
    let lines = headers
        .get_all(name)
        .into_iter()
        .filter_map(|line| line.to_str().ok());
    let tags = lines.flat_map(|line| line.split(separator)).map(str::trim);
    tags.filter(|tag| !tag.is_empty()).map(Tag::from).collect()
}

impl Judged {
    /// Whether the answer can be served to nobody but who has validated it.
    pub(crate) fn is_never_fresh(&self) -> bool {
        is_never_fresh(&self.freshness)
    }
}

impl Draft {
    pub(crate) const fn dependencies(&self) -> &Arc<Work> {
        &self.asked.dependencies
    }

    /// Keeps the tag that was made for the same content.
    pub(crate) fn keep_tag(&mut self, stored: &StoredResponse) {
        self.etag = stored.own_tag(&self.headers);
    }

    pub(crate) fn max_body(&self) -> u64 {
        self.asked.settings.cache.tier().max_body()
    }

    pub(crate) fn patience(&self) -> Duration {
        self.asked.settings.patience
    }

    pub(crate) fn is_declared_length(&self, length: u64) -> bool {
        self.judged.declared == Some(length)
    }

    pub(crate) fn check_length(&self, length: u64) -> Result<(), Reason> {
        match self.judged.declared {
            Some(declared) if declared != length => Err(Reason::LengthMismatch),
            _ => Ok(()),
        }
    }

    #[must_use = "a hook that is given back has to be run"]
    pub(crate) fn on_follower<H: FnOnce() + Send + 'static>(&self, hook: H) -> Option<H> {
        self.lead.as_ref()?.on_follower(hook)
    }

    /// Stores the complete answer and hands it to everybody who waits.
    ///
    /// The body may have used cached values while it was made, and what it holds is known only
    /// now: an entry that turns out not to be storable is still handed back, for this answer.
    pub(crate) fn commit(self: Box<Self>, chunks: &[Bytes]) -> Committed {
        self.commit_body(join(chunks), true)
    }

    /// [`commit`](Self::commit) with a body in one piece. `share` gives it to other nodes.
    pub(crate) fn commit_body(mut self: Box<Self>, body: Bytes, share: bool) -> Committed {
        let lead = self.lead.take();
        let gathered = self.asked.dependencies.gathered();
        let settings = Arc::clone(&self.asked.settings);
        // A trial looks into memory alone.
        let share = share && !settings.dry_run;
        let shared = settings.cache.shared();
        let refusal = self.refusal(&body, gathered.stale);
        let mut implied = gathered.ids;
        let target = &self.judged.target;
        implied.extend(target.implied_tags(&settings.cache, &self.asked.uri));
        let names = self.names.into_iter().chain(gathered.names);
        let judged = self.judged;
        let place = judged.place;
        let tags = TagSet::new(&shared.log, names, &implied);
        let response = StoredResponse::new(
            self.status,
            self.headers,
            body,
            settings.cache_status,
            self.decorated,
            self.etag,
        );
        let entry = Arc::new(Entry {
            key: place.key.as_slice().into(),
            meta: Meta {
                stored_at: judged.received,
                cost: judged.received.since(self.asked.began),
                tags,
                stamp: Stamp::new(gathered.basis),
            },
            freshness: judged.freshness,
            payload: Payload::Response(response),
        });
        settings.cache.tell(Said::Complete(&entry, refusal));
        if let Some(reason) = refusal {
            settings.cache.stats().count_fill(reason);
            self.asked.filling.end(reason);
            if let Some(lead) = lead {
                // A stale value is soon renewed; what else is refused here stays as it is.
                if reason != Reason::StaleDependency {
                    self.asked.remember_pass();
                }
                lead.release();
            }
            return Committed { entry, refusal };
        }
        if let Some((marker, new)) = judged.variants {
            if !settings.dry_run {
                settings
                    .cache
                    .push_variants(&self.asked.place, &marker, &entry);
            }
            if new {
                let slot = Slot::Marker(marker);
                settings.cache.tier().insert(self.asked.place.digest, slot);
            }
        }
        settings
            .cache
            .tier()
            .insert(place.digest, Slot::Entry(Arc::clone(&entry)));
        if share {
            settings.cache.push(&place, &entry);
        }
        settings.cache.stats().count_fill(Reason::Stored);
        settings.cache.stats().note_cost(&entry);
        self.asked.filling.end(Reason::Stored);
        if let Some(lead) = lead {
            lead.land(Flown::Entry(Arc::clone(&entry)));
        }
        Committed { entry, refusal }
    }

    /// The body did not become an entry.
    pub(crate) fn give_up(mut self: Box<Self>, reason: Reason) {
        self.asked.settings.cache.tell(Said::GivenUp(reason));
        self.asked.settings.cache.stats().count_fill(reason);
        self.asked.filling.end(reason);
        let Some(lead) = self.lead.take() else { return };
        match reason {
            // The client left: somebody else may have more patience.
            Reason::Abandoned => drop(lead),
            Reason::TooLarge | Reason::Trailers | Reason::SlowBody => {
                self.asked.remember_pass();
                lead.release();
            }
            _ => lead.release(),
        }
    }

    fn refusal(&self, body: &[u8], stale: bool) -> Option<Reason> {
        if stale {
            return Some(Reason::StaleDependency);
        }
        // What a body that streams has written is known only now.
        if self.asked.is_personal() {
            return Some(Reason::Personal);
        }
        // A stream's head doesn't tell that it is empty.
        if body.is_empty() && !self.asked.settings.rules.permits_empty(self.status) {
            return Some(Reason::EmptyBody);
        }
        let guarded = self.asked.settings.profile == pitlane_policy::Profile::Application;
        let rules = &self.asked.settings.rules;
        (guarded && has_nonce(rules, &self.headers, body)).then_some(Reason::CspNonce)
    }
}

fn join(chunks: &[Bytes]) -> Bytes {
    // One allocation of the right size: a chunk may be a small part of a large read buffer.
    let mut body = BytesMut::with_capacity(chunks.iter().map(Bytes::len).sum());
    for chunk in chunks {
        body.extend_from_slice(chunk);
    }
    body.freeze()
}

/// What Content-Length says; a value that is no number is left to the server.
fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// The request headers that select an answer: those that it names, and the one that it forgot
/// when it is encoded.
fn selected_by(headers: &HeaderMap) -> Vary {
    let vary = Vary::parse(headers);
    if headers.contains_key(header::CONTENT_ENCODING) {
        return vary.union(&Vary::Fields([header::ACCEPT_ENCODING].into()));
    }
    vary
}

/// Event streams have no end that anybody should wait for.
fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| {
        let essence = value.as_bytes().split(|byte| *byte == b';').next();
        essence.is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream"))
    })
}

/// Whether a page carries a nonce that the next visitor must not get: as an attribute, or in a
/// policy of its own.
fn has_nonce(rules: &Rules, headers: &HeaderMap, body: &[u8]) -> bool {
    let kinds: [&[u8]; 3] = [b"text/html", b"application/xhtml+xml", b"image/svg+xml"];
    let is_page = headers.get(header::CONTENT_TYPE).is_some_and(|said| {
        let start = |kind: &&[u8]| {
            said.as_bytes()
                .get(..kind.len())
                .map(<[u8]>::to_ascii_lowercase)
        };
        kinds
            .iter()
            .any(|kind| start(kind).as_deref() == Some(*kind))
    });
    is_page && (1..body.len()).any(|at| is_nonce(rules, body, at))
}

fn is_nonce(rules: &Rules, page: &[u8], at: usize) -> bool {
    let (before, here) = page.split_at(at);
    let (Some(before), Some((word, behind))) = (before.last(), here.split_at_checked(5)) else {
        return false;
    };
    if !word.eq_ignore_ascii_case(b"nonce") {
        return false;
    }
    let nonce = match (before, behind) {
        (b'\'', [b'-', nonce @ ..]) => Some(nonce),
        // An attribute may follow a quote or a slash without a space.
        (b'\'' | b'"' | b'/', behind) => behind.trim_ascii_start().strip_prefix(b"="),
        (before, behind) if before.is_ascii_whitespace() => {
            behind.trim_ascii_start().strip_prefix(b"=")
        }
        _ => None,
    };
    nonce.is_some_and(|nonce| {
        let nonce = nonce.trim_ascii_start();
        let nonce = nonce
            .strip_prefix(b"\"")
            .or(nonce.strip_prefix(b"'"))
            .unwrap_or(nonce);
        let ends = |byte: &u8| matches!(byte, b'"' | b'\'' | b'>') || byte.is_ascii_whitespace();
        let nonce = nonce.split(ends).next().unwrap_or_default();
        !rules.replaces_nonce(nonce)
    })
}

fn reason_of(refusal: Refusal) -> Reason {
    match refusal {
        Refusal::NoStore => Reason::NoStore,
        Refusal::Private => Reason::Private,
        Refusal::NeedsValidation => Reason::NeedsValidation,
        Refusal::SetCookie => Reason::SetCookie,
        Refusal::Authorization => Reason::Authorization,
        Refusal::Status => Reason::Status,
        Refusal::UnknownStatus => Reason::UnknownStatus,
        Refusal::Informational => Reason::Informational,
        Refusal::PartialContent => Reason::PartialContent,
        Refusal::NotModified => Reason::NotModified,
        Refusal::Redirect => Reason::Redirect,
        Refusal::EmptyBody => Reason::EmptyBody,
        Refusal::VaryAny => Reason::VaryAny,
        Refusal::ReflectedOrigin => Reason::ReflectedOrigin,
        Refusal::CspNonce => Reason::CspNonce,
        Refusal::ControlCharacter => Reason::ControlCharacter,
        Refusal::NoFreshness => Reason::NoFreshness,
        Refusal::ExpiredOnArrival => Reason::ExpiredOnArrival,
        _ => Reason::Policy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_a_reason_of_the_same_name() {
        for refusal in Refusal::ALL {
            assert_eq!(reason_of(*refusal).as_str(), refusal.as_str());
        }
    }

    #[test]
    fn a_nonce_in_a_page_is_found_in_html_only() {
        let rules = Rules::new(Profile::Application).replaced_nonces(["MARK".into()]);
        let has_nonce = |headers: &HeaderMap, body: &[u8]| has_nonce(&rules, headers, body);
        let headers = |kind: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
            headers
        };
        let page = b"<script NONCE=\"abc\">";
        assert!(has_nonce(&headers("text/html; charset=utf-8"), page));
        assert!(has_nonce(&headers("TEXT/HTML"), page));
        assert!(has_nonce(&headers("application/xhtml+xml"), page));
        assert!(has_nonce(
            &headers("text/html"),
            b"<script src='x'nonce\n= 1>"
        ));
        assert!(has_nonce(&headers("text/html"), b"content=\"'nonce-1'\""));
        assert!(!has_nonce(&headers("application/json"), page));
        assert!(!has_nonce(&headers("text/html"), b"<p>announcement=1</p>"));
        for replaced in [
            "nonce=MARK>",
            "nonce = 'MARK'",
            "nonce=\"MARK\" x",
            "'nonce-MARK'",
        ] {
            let page = format!("<script {replaced}");
            assert!(!has_nonce(&headers("text/html"), page.as_bytes()), "{page}");
            let page = page.replace("MARK", "MARKER");
            assert!(has_nonce(&headers("text/html"), page.as_bytes()), "{page}");
        }
    }
}
