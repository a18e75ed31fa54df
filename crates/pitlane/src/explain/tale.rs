use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::{HeaderMap, StatusCode, request, response};
use pitlane_core::{Outcome, Reason};
use pitlane_policy::{Freshness, LifetimeSource};

use super::{
    detail,
    explanation::{Explanation, Stage, Step},
    facts::EntryFacts,
    telling::{self, Ending},
};
use crate::{
    cache::{Cache, Entry, Place, RemoteLookup, Said},
    response::{Ask, CacheHint, Found, Settings, find, find_variants, key_text, tags_of},
};

/// What one layer tells of the way to one answer.
pub(crate) struct Tale {
    /// The layer's own settings, not those of the shadow that it is told in.
    settings: Arc<Settings>,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    request: Option<Step>,
    memory: Option<Step>,
    response: Option<Step>,
    body: Option<Step>,
    flight: bool,
    place: Option<(Place, HeaderMap)>,
    key: Option<String>,
    /// Why the log lets nobody use what is in Redis.
    remote: Option<Reason>,
    /// What the inner service answered with.
    status: Option<StatusCode>,
    made: Option<EntryFacts>,
    /// The last word on why it is not stored, and what that was.
    refusal: Option<(Reason, Option<String>)>,
    /// The layer's answer, if it has come; `None` in it when there is none.
    answered: Option<Option<StatusCode>>,
}

impl Tale {
    pub(crate) fn new(settings: &Arc<Settings>) -> Self {
        Self {
            settings: Arc::clone(settings),
            heard: Mutex::default(),
        }
    }

    /// The request may not be answered from the cache.
    pub(crate) fn passed(&self, reason: Reason, request: &request::Parts) {
        let detail = detail::of_request(reason, &self.settings, request);
        let text = telling::sentence(reason, detail.as_deref());
        let mut heard = self.heard();
        heard.request = Some(Step::new(Stage::Request, Some(reason), text));
        heard.refusal = Some((reason, detail));
    }

    /// The request may be answered from the cache; looks into memory.
    pub(crate) fn admitted(&self, ask: &Ask, key: &[u8], request: &request::Parts, shadow: &Cache) {
        let now = shadow.shared().clock.now();
        let (found, variant) = find(shadow, key, &request.headers, now);
        let place = Place::new(shadow, key.to_vec());
        let there = variant.as_ref().unwrap_or(&place);
        let shared = self.settings.cache.shared();
        let uri = self.settings.uri_of(request);
        let tags = tags_of(&self.settings, uri, &request.headers, &ask.who);
        let current = |basis: &_| shared.is_current(basis, &tags);
        let flight = shared.flights.is_led(there.digest, current);
        let text = key_text(&self.settings, request, &ask.who);
        let admitted = format!("It may be answered from the cache, under the key `{text}`.");
        let mut heard = self.heard();
        heard.request = Some(Step::new(Stage::Request, None, admitted));
        heard.memory = Some(telling::memory(&found));
        heard.flight = flight && !matches!(found, Found::Fresh { .. } | Found::Pass);
        heard.key = Some(text);
        heard.place = Some((place, request.headers.clone()));
    }

    /// Takes in what is decided on the way.
    pub(crate) fn hear(&self, said: Said<'_>, shadow: &Cache) {
        match said {
            Said::Unusable(reason) => self.heard().remote = Some(reason),
            Said::Judged(head, judged) => self.judged(head, judged, shadow),
            Said::Complete(entry, None) => {
                let made = self.facts(entry, shadow);
                let text = format!(
                    "It is complete, {} bytes, and would be stored.",
                    made.body_bytes
                );
                let mut heard = self.heard();
                heard.body = Some(Step::new(Stage::Body, None, text));
                heard.made = Some(made);
            }
            Said::Complete(_, Some(reason)) | Said::GivenUp(reason) => {
                let text = telling::sentence(reason, None);
                let mut heard = self.heard();
                heard.body = Some(Step::new(Stage::Body, Some(reason), text));
                heard.refusal = Some((reason, None));
            }
        }
    }

    fn judged(&self, head: &response::Parts, judged: Result<Freshness, Reason>, shadow: &Cache) {
        let mut heard = self.heard();
        heard.status = Some(head.status);
        heard.response = Some(match judged {
            Ok(freshness) => {
                let hint = head.extensions.get::<CacheHint>();
                let hinted = hint.is_some_and(|hint| hint.ttl.is_some());
                let now = shadow.shared().clock.now().as_system_time();
                let rules = &self.settings.rules;
                let source = LifetimeSource::of(rules, head.status, &head.headers, now);
                let text = telling::storable(&freshness, source, hinted);
                Step::new(Stage::Response, None, text)
            }
            Err(reason) => {
                let detail = detail::of_response(reason, &self.settings, head);
                let text = telling::sentence(reason, detail.as_deref());
                heard.refusal = Some((reason, detail));
                Step::new(Stage::Response, Some(reason), text)
            }
        });
    }

    /// The layer has answered, with a response or not.
    pub(crate) fn answered(&self, status: Option<StatusCode>) {
        self.heard().answered = Some(status);
    }

    /// All of it, once the layer has answered. It was told in `shadow`, and nothing else was.
    pub(crate) fn end(&self, shadow: &Cache) -> Option<Explanation> {
        let counted = shadow.counts().pop()?;
        let heard = self.heard();
        let answered = heard.answered?;
        let ending = Ending {
            counted: (counted.outcome, counted.reason),
            status: heard.status.or(answered),
            redis: lookup(shadow),
        };
        let (outcome, reason) = heard.outcome(&ending);
        let detail = heard.refusal.as_ref().filter(|(why, _)| *why == reason);
        let detail = detail.and_then(|(_, detail)| detail.clone());
        let entry = heard.entry(shadow);
        let stored = match outcome {
            Outcome::Bypass | Outcome::Miss => heard.made.is_some(),
            Outcome::Revalidated => heard.made.is_some() || reason == Reason::Validated,
            _ => true,
        };
        let mut steps: Vec<Step> = heard.request.iter().chain(&heard.memory).cloned().collect();
        if heard.flight {
            steps.push(telling::flight());
        }
        steps.extend(telling::redis(&ending, heard.remote));
        steps.extend(telling::handler(&ending));
        steps.extend(heard.response.iter().chain(&heard.body).cloned());
        steps.push(telling::answer((outcome, reason), entry.as_ref()));
        if let Some(entry) = entry.as_ref().filter(|_| stored) {
            steps.push(telling::reuse(entry));
        }
        Some(Explanation {
            cache: shadow.name().to_owned(),
            outcome,
            reason,
            sentence: telling::sentence(reason, detail.as_deref()),
            advice: reason.advice().map(str::to_owned),
            stored,
            key: heard.key.clone(),
            entry,
            steps,
        })
    }

    fn facts(&self, entry: &Entry, shadow: &Cache) -> EntryFacts {
        let vary = self.heard().vary(shadow);
        EntryFacts::of(entry, vary, shadow.shared().clock.now())
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    /// The request's own outcome. One that would wait for another's computation was computed for
    /// apart from that, so as not to disturb it.
    fn outcome(&self, ending: &Ending) -> (Outcome, Reason) {
        let (outcome, counted) = ending.counted;
        let shared = self.made.as_ref().is_some_and(|made| {
            made.ttl_seconds > 0.0 || made.stale_while_revalidate_seconds > 0.0
        });
        if self.flight && outcome == Outcome::Miss && shared {
            return (Outcome::Collapsed, Reason::Collapsed);
        }
        let late = self.body.as_ref().and_then(|step| step.reason);
        (outcome, late.unwrap_or(counted))
    }

    /// What is there now: as it was found, or as it would be stored.
    fn entry(&self, shadow: &Cache) -> Option<EntryFacts> {
        let (place, headers) = self.place.as_ref()?;
        let now = shadow.shared().clock.now();
        let entry = match find(shadow, &place.key, headers, now).0 {
            Found::Fresh { entry, .. }
            | Found::WhileRevalidate { entry, .. }
            | Found::Accepted { entry, .. } => Some(entry),
            Found::Miss { stale, .. } => stale.map(|stale| stale.entry),
            Found::Pass => None,
        };
        let facts = entry.map(|entry| EntryFacts::of(&entry, self.vary(shadow), now));
        facts.or_else(|| self.made.clone())
    }

    fn vary(&self, shadow: &Cache) -> Vec<String> {
        let place = self.place.as_ref().map(|(place, _)| place);
        let marker = place.and_then(|place| find_variants(shadow, place));
        let names = marker.as_ref().map_or(&[][..], |marker| marker.vary());
        names.iter().map(ToString::to_string).collect()
    }
}

/// How the look into Redis ended, if there was one.
fn lookup(shadow: &Cache) -> Option<RemoteLookup> {
    let all = shadow.remote_lookups().into_iter().rev();
    all.filter(|(_, count)| *count > 0)
        .map(|(lookup, _)| lookup)
        .next()
}

impl fmt::Debug for Tale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tale").finish_non_exhaustive()
    }
}
