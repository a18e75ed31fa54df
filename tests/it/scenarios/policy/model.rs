use std::time::SystemTime;

use http::{HeaderMap, Method, StatusCode, Uri, header};
use pitlane_policy::{
    Freshness, Profile, RequestDirectives, RequestFacts, Rules, Vary, conditional, groups, hop,
    may_store, may_store_post, selecting_value, update,
};

use super::{
    decide::{Last, Use, decide, rules},
    neighbour,
    reply::{Stored, Told, forwarded, from_store, only_if_cached},
};
use crate::scenarios::{
    expect::{Came, Seen},
    layer::{complete, name},
    script::Script,
    story::{Reply, Settings},
};

#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: bool,
}

/// What is kept of one answer.
#[derive(Clone, Debug)]
struct Entry {
    /// The URI, and what else the operator keys by.
    key: (Uri, Vec<u8>),
    vary: Vary,
    /// The request's own part of the variant's key.
    selected: Vec<u8>,
    stored: Stored,
    freshness: Freshness,
    since: SystemTime,
    /// A HEAD has shown that it is no longer right.
    outdated: bool,
    groups: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Cache {
    profile: Profile,
    settings: Settings,
    rules: Rules,
    origin: Script,
    entries: Vec<Entry>,
    now: SystemTime,
}

impl Cache {
    pub(super) fn new(profile: Profile, settings: &Settings, origin: Script) -> Self {
        Self {
            profile,
            settings: settings.clone(),
            rules: rules(profile, settings),
            origin,
            entries: Vec::new(),
            now: SystemTime::UNIX_EPOCH,
        }
    }

    pub(super) fn answer(&mut self, mut request: Request, now: SystemTime) -> Came {
        self.now = now;
        if !matches!(request.method, Method::GET | Method::HEAD) {
            return self.write(&request);
        }
        let open = self.profile == Profile::Rfc;
        // Whether these hold only the origin can know.
        let origins = [header::IF_MATCH, header::IF_UNMODIFIED_SINCE];
        let origins = origins
            .iter()
            .any(|name| request.headers.contains_key(name));
        if request.body || origins || (!open && self.is_somebody(&request.headers)) {
            return self.pass(&request, "bypass", "bypass");
        }
        if !open {
            request.headers.remove(header::COOKIE);
        }
        let said = RequestDirectives::from_headers(&request.headers);
        if open && said.no_store {
            return self.pass(&request, "request", "request-no-store");
        }
        let head = request.method == Method::HEAD;
        // Neither answer would be one to store.
        let passes_by = head || request.headers.contains_key(header::RANGE);
        let found = self.find(&request);
        let decided = found.and_then(|at| Some((at, self.decide(self.entries.get(at)?, &said))));
        match decided {
            Some((at, Use::AsItIs(told))) => self.serve(at, &request, &told),
            Some((at, Use::Meanwhile(told))) => {
                let answer = self.serve(at, &request, &told);
                self.fetch(&request, Some((at, Last::none("stale"))));
                answer
            }
            _ if said.only_if_cached => only_if_cached(),
            Some((at, Use::Validated(last))) if passes_by => self.pass_by(&request, at, last),
            Some((at, Use::Validated(last))) => self.fetch(&request, Some((at, last))),
            None if head => self.pass(&request, "uri-miss", "head-miss"),
            None if passes_by => self.pass(&request, "bypass", "range"),
            None => self.fetch(&request, None),
        }
    }

    /// An answer for everybody isn't one for those who say who they are.
    fn is_somebody(&self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(header::COOKIE).iter();
        let mut cookies = cookies.flat_map(|line| line.to_str().unwrap_or("?").split(';'));
        let harmless = |crumb: &str| {
            let name = crumb.split('=').next().unwrap_or_default().trim();
            name.is_empty()
                || self
                    .settings
                    .harmless_cookie
                    .iter()
                    .any(|known| known == name)
        };
        headers.contains_key(header::AUTHORIZATION) || !cookies.all(harmless)
    }

    fn key(&self, request: &Request) -> (Uri, Vec<u8>) {
        let mut beside = Vec::new();
        for header in &self.settings.key_header {
            selecting_value(&name(header), &request.headers, &mut beside);
        }
        (request.uri.clone(), beside)
    }

    /// The newest entry that fits. One that forgot to vary comes behind those that did (§4.1).
    fn find(&self, request: &Request) -> Option<usize> {
        let key = self.key(request);
        let fits = |varying: bool| {
            self.entries.iter().position(|entry| {
                entry.key == key
                    && (entry.vary != Vary::Absent) == varying
                    && entry.selected == selected(&entry.vary, &request.headers)
            })
        };
        fits(true).or_else(|| fits(false))
    }

    fn decide(&self, entry: &Entry, said: &RequestDirectives) -> Use {
        if entry.outdated {
            return Use::Validated(Last::none("stale"));
        }
        let resident = self.now.duration_since(entry.since).unwrap_or_default();
        let heeds = self.profile == Profile::Rfc;
        decide(&entry.freshness, resident, said, heeds)
    }

    fn serve(&self, at: usize, request: &Request, told: &Told) -> Came {
        let Some(entry) = self.entries.get(at) else {
            return forwarded(None);
        };
        let resident = self.now.duration_since(entry.since).unwrap_or_default();
        let age = entry.freshness.age(resident);
        let mut came = from_store(&entry.stored, &request.method, &request.headers);
        came.headers.insert(header::AGE, age.as_secs().into());
        told.write(&mut came.headers);
        self.finish(came)
    }

    /// Asks for the whole answer, with the validators of what is stored if there is any.
    fn fetch(&mut self, request: &Request, stale: Option<(usize, Last)>) -> Came {
        let why = stale.as_ref().map_or("uri-miss", |(_, last)| last.why);
        let mut headers = request.headers.clone();
        conditional::strip(&mut headers);
        headers.remove(header::RANGE);
        let entry = stale.as_ref().and_then(|(at, _)| self.entries.get(*at));
        let asked =
            entry.is_some_and(|entry| update::conditions(&entry.stored.headers, &mut headers));
        let mut answer = self.forward(request, headers);
        let told = answer.take_if(|answer| asked && answer.status == 304);
        if let (Some(told), Some((at, _))) = (&told, &stale)
            && self.freshen(*at, request, told)
        {
            return self.serve(*at, request, &Told::Validated(why));
        }
        // A 304 that speaks of something else than what is stored is as good as no answer.
        if let Some((at, last)) = stale.filter(|_| has_failed(answer.as_ref()))
            && let Some(told) = last.told
        {
            return self.serve(at, request, &told);
        }
        if told.is_some() {
            let told = Told::refused(why, "validation-mismatch");
            return self.finish(told.onto(forwarded(None)));
        }
        self.settle(request, forwarded(answer), why)
    }

    fn settle(&mut self, request: &Request, answer: Came, why: &str) -> Came {
        match self.store(request, &answer) {
            Ok(at) => {
                let whole = self.serve(at, request, &Told::stored(why));
                match whole.status {
                    // What was just fetched is answered as it came.
                    200 if answer.status == 200 => self.finish(Told::stored(why).onto(answer)),
                    _ => whole,
                }
            }
            Err(reason) => self.finish(Told::refused(why, reason).onto(answer)),
        }
    }

    fn store(&mut self, request: &Request, answer: &Came) -> Result<usize, &'static str> {
        let now = self.now;
        let status = StatusCode::from_u16(answer.status).map_err(|_| "status")?;
        let facts = RequestFacts::from_headers(&request.headers);
        let empty = answer.body.is_empty();
        let judged = if request.method == Method::POST {
            may_store_post(&self.rules, &facts, status, &answer.headers, empty, now)
        } else {
            may_store(&self.rules, &facts, status, &answer.headers, empty, now)
        };
        let freshness = judged.map_err(|refusal| refusal.as_str())?;
        if answer.cut {
            return Err("incomplete");
        }
        let groups = groups::of(&answer.headers).map_err(|_| "too-many-groups")?;
        let vary = Vary::parse(&answer.headers);
        let mut headers = answer.headers.clone();
        hop::strip(&mut headers);
        headers.insert(header::CONTENT_LENGTH, answer.body.len().into());
        let entry = Entry {
            key: self.key(request),
            selected: selected(&vary, &request.headers),
            vary,
            stored: Stored {
                status: answer.status,
                headers,
                body: answer.body.clone(),
            },
            freshness,
            since: now,
            outdated: false,
            groups,
        };
        let variant = |entry: &Entry| {
            (
                entry.key.clone(),
                entry.vary.clone(),
                entry.selected.clone(),
            )
        };
        self.entries.retain(|old| variant(old) != variant(&entry));
        self.entries.insert(0, entry);
        Ok(0)
    }

    /// Takes over what a 304 or a HEAD says; false where it speaks of something else.
    fn freshen(&mut self, at: usize, request: &Request, answer: &Came) -> bool {
        let now = self.now;
        let facts = RequestFacts::from_headers(&request.headers);
        let Some(entry) = self.entries.get_mut(at) else {
            return false;
        };
        let stored = &mut entry.stored;
        let length = stored.body.len() as u64;
        let confirmed = match request.method {
            Method::HEAD => update::head_confirms(&stored.headers, length, &answer.headers),
            _ => update::confirms(&stored.headers, &answer.headers),
        };
        if !confirmed {
            entry.outdated = true;
            return false;
        }
        update::freshen(&mut stored.headers, &answer.headers);
        entry.vary = Vary::parse(&stored.headers);
        entry.selected = selected(&entry.vary, &request.headers);
        // The age that the newer answer came with isn't stored, but it is where this one begins.
        let mut judged = stored.headers.clone();
        if let Some(age) = answer.headers.get(header::AGE) {
            judged.insert(header::AGE, age.clone());
        }
        let status = StatusCode::from_u16(stored.status).expect("it was one");
        let empty = stored.body.is_empty();
        match may_store(&self.rules, &facts, status, &judged, empty, now) {
            Ok(freshness) => (entry.freshness, entry.since) = (freshness, now),
            // It still answers this request, and none after it.
            Err(_) => (entry.outdated, entry.since) = (true, now),
        }
        true
    }

    /// A request for less than the whole asks for itself, and what a HEAD is told counts for the
    /// stored GET, too (§4.3.5).
    fn pass_by(&mut self, request: &Request, at: usize, last: Last) -> Came {
        let head = request.method == Method::HEAD;
        let answer = self.forward(request, request.headers.clone());
        let failed = has_failed(answer.as_ref());
        if failed && let Some(told) = last.told {
            return self.serve(at, request, &told);
        }
        let answer = forwarded(answer);
        if head && answer.status == 200 {
            self.freshen(at, request, &answer);
        }
        let told = match head {
            true => Told::refused(last.why, "head-miss"),
            false => Told::refused("bypass", "range"),
        };
        self.finish(told.onto(answer))
    }

    fn pass(&self, request: &Request, why: &str, detail: &str) -> Came {
        let answer = self.forward(request, request.headers.clone());
        self.finish(Told::refused(why, detail).onto(forwarded(answer)))
    }

    fn write(&mut self, request: &Request) -> Came {
        let answer = self.forward(request, request.headers.clone());
        let Some(answer) = answer else {
            return forwarded(None);
        };
        let safe = matches!(request.method, Method::OPTIONS | Method::TRACE);
        let own = neighbour(&request.uri, &answer.headers, "content-location");
        if !safe && answer.status < 400 {
            let named = neighbour(&request.uri, &answer.headers, "location");
            let groups = groups::invalidated(&answer.headers);
            self.entries.retain(|entry| {
                let (uri, _) = &entry.key;
                let here = [Some(&request.uri), own.as_ref(), named.as_ref()];
                let ours = uri.authority() == request.uri.authority();
                let grouped = entry.groups.iter().any(|group| groups.contains(group));
                !(here.contains(&Some(uri)) || (ours && grouped))
            });
        }
        let keeps = self.profile == Profile::Rfc && request.method == Method::POST;
        if keeps && own.as_ref() == Some(&request.uri) {
            let _ = self.store(request, &answer);
        }
        self.finish(Told::refused("method", "method").onto(answer))
    }

    fn forward(&self, request: &Request, headers: HeaderMap) -> Option<Came> {
        let method = request.method.to_string();
        let target = request.uri.path_and_query()?.to_string();
        let reply = self.origin.ask(Seen {
            method: method.clone(),
            target,
            headers,
        });
        let cut = reply.is_cut();
        let Reply::Answer(answer) = reply else {
            return None;
        };
        let answer = complete(&method, &answer);
        let mut headers = answer.headers().ok()?;
        if self.profile == Profile::Rfc && !headers.contains_key(header::DATE) {
            let date = httpdate::fmt_http_date(self.now);
            headers.insert(header::DATE, date.parse().ok()?);
        }
        Some(Came {
            status: answer.word(1).parse().ok()?,
            headers,
            cut: cut && answer.body.is_some(),
            body: answer.body.unwrap_or_default().into(),
        })
    }

    /// The last hand on every answer.
    fn finish(&self, mut came: Came) -> Came {
        hop::strip(&mut came.headers);
        if self.settings.strip_tags {
            for field in ["cache-tag", "surrogate-key", "cache-groups"] {
                came.headers.remove(field);
            }
            came.headers.remove("cache-group-invalidation");
            came.headers.remove("cdn-cache-control");
            for target in &self.settings.targets {
                came.headers.remove(target);
            }
        }
        came
    }
}

/// What a stale answer may stand in for (RFC 5861 §4).
fn has_failed(answer: Option<&Came>) -> bool {
    answer.is_none_or(|answer| matches!(answer.status, 500 | 502..=504))
}

fn selected(vary: &Vary, request: &HeaderMap) -> Vec<u8> {
    let mut out = Vec::new();
    for field in vary.fields() {
        selecting_value(field, request, &mut out);
    }
    out
}
