//! What of the site is kept, for how long and for whom.
//!
//! The times are those of a site in production. They only bound how long an
//! answer takes up memory: what makes an answer wrong is a write, and
//! `changes::commit` says so to all caches at once.

use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;
use pitlane::fragment::Fragments;
use pitlane::{
    AnonymousCacheLayer, ApiCacheLayer, Cache, CacheLayer, Caches, ResponseCacheLayer, Scope,
};
use pitlane_sessions::PitlaneStore;

use crate::failure::Failure;
use crate::options::{Options, Switch};
use crate::{Site, session};
use tower_sessions::{Session, SessionManagerLayer};

const MINUTE: Duration = Duration::from_secs(60);

/// The site's caches, and where they are in Redis: sessions in a database of
/// their own, which nobody flushes to empty a cache. The log of invalidations
/// is beside the pages.
const CACHES: &str = r#"
namespace = "simlane"
[redis]
log_database = 2
[caches.default]
database = 2
[caches.sessions]
kind = "store"
database = 1
ttl = "14d"
[caches.query]
database = 3
[caches.api]
database = 4
"#;

/// The site's caches, and the layers over them.
#[derive(Debug)]
pub(crate) struct Caching {
    pub(crate) caches: Caches,
    sessions: PitlaneStore,
    pages: Cache,
    api: Cache,
    on: bool,
}

impl Caching {
    /// Needs a tokio runtime, and no Redis that answers.
    pub(crate) fn new(options: &Options) -> Result<Self, pitlane::Error> {
        let caches = caches(options)?;
        Ok(Self {
            sessions: PitlaneStore::new(&caches.get("sessions")?)?,
            pages: caches.get("default")?,
            api: caches.get("api")?,
            on: options.cache == Switch::On,
            caches,
        })
    }

    /// Where the results of queries are kept.
    pub(crate) const fn queries(&self) -> &Caches {
        &self.caches
    }

    /// Says, while a query runs for the cache, which tags end its result; with
    /// `--cache off` it ends before it can be kept.
    pub(crate) fn note<'a>(
        &self,
        tags: impl Iterator<Item = &'a str>,
    ) -> Result<(), pitlane::Error> {
        const NEVER: &str = "never";
        let queries = self.caches.get("query")?;
        pitlane::depend_on(&queries, tags);
        if !self.on {
            pitlane::depend_on(&queries, [NEVER]);
            // What is owed and not published is ended at once.
            drop(self.caches.owe([NEVER]));
        }
        Ok(())
    }

    /// Gives requests their session.
    pub(crate) fn sessions(&self) -> SessionManagerLayer<PitlaneStore> {
        session::layer(self.sessions.clone())
    }

    /// Ends everything that is kept. Redis may hold pages of a database that
    /// was here before this one, under the same names.
    pub(crate) async fn forget(&self) -> Result<(), pitlane::Error> {
        for name in ["default", "query", "api"] {
            let _position = self.caches.clear(name).await?;
        }
        Ok(())
    }

    /// Tells other servers of the last writes, for at most this long. Whether
    /// they all know.
    pub(crate) async fn shutdown(&self, limit: Duration) -> bool {
        self.caches.shutdown(limit).await
    }

    /// Writes back what Redis lacks of the sessions, for at most this long.
    /// Whether it has them all.
    pub(crate) async fn save_sessions(&self, limit: Duration) -> bool {
        let status = self.sessions.status();
        let is_saved = status.unsaved == 0 && status.owed_deletions == 0;
        !status.is_away || is_saved || self.sessions.drain(limit).await
    }

    /// Pages that are the same for everybody who is not signed in. Visitors
    /// who are have a cookie, and pass.
    pub(crate) fn public(&self) -> AnonymousCacheLayer {
        let layer = AnonymousCacheLayer::new(&self.pages)
            .ttl(15 * MINUTE)
            .stale_while_revalidate(MINUTE);
        self.common(layer)
    }

    pub(crate) fn search(&self) -> AnonymousCacheLayer {
        self.common(AnonymousCacheLayer::new(&self.pages).ttl(5 * MINUTE))
    }

    /// Pages of the person who is signed in, for each of them apart. Goes
    /// inside of [`identify`].
    pub(crate) fn personal(&self) -> ResponseCacheLayer {
        let layer = ResponseCacheLayer::new(&self.pages)
            .ttl(5 * MINUTE)
            .per_user(signed_in);
        self.common(layer)
    }

    pub(crate) fn api(&self) -> ApiCacheLayer {
        self.common(ApiCacheLayer::new(&self.api).ttl(3 * MINUTE))
    }

    /// What the API says of the person who is signed in. Goes inside of
    /// [`identify`].
    pub(crate) fn personal_api(&self) -> ApiCacheLayer {
        let layer = ApiCacheLayer::new(&self.api)
            .ttl(3 * MINUTE)
            .per_user(signed_in);
        self.common(layer)
    }

    /// The parts of pages, beside the pages: shown to everybody who sees a
    /// page with the part in it, whether that page itself is kept or not.
    pub(crate) fn fragments(&self) -> Fragments {
        Fragments::new(&self.pages).ttl(5 * MINUTE).enabled(self.on)
    }

    /// Around a handler, before it reads anything: what it renders of that is
    /// known to be as old as this.
    pub(crate) fn scope(&self) -> Scope {
        Scope::open(&self.pages)
    }

    fn common<Form>(&self, layer: CacheLayer<Form>) -> CacheLayer<Form> {
        layer
            .enabled(self.on)
            .route_label(matched_path)
            .add_harmless_cookie("_ga*")
            .add_harmless_cookie("theme")
    }
}

/// The environment can say more about Redis than the command line does, such
/// as the password, and the command line wins.
fn caches(options: &Options) -> Result<Caches, pitlane::Error> {
    let builder = Caches::builder().config(CACHES, "SimLane's own configuration")?;
    let Some(url) = &options.redis else {
        return builder.build();
    };
    let mut builder = builder.environment()?.redis(url.clone());
    if let Some(budget) = options.redis_budget {
        builder = builder.redis_budget(budget);
    }
    builder.build()
}

/// Whose session a request carries, by the store of sessions and not by the
/// request's own word.
///
/// The id is all that may be read in front of a cache, because it never
/// changes while the session lasts. What a page shows must be read behind it:
/// a name from before the cache noted its position in the log would be stored
/// as if it were newer than a change that came in between.
#[derive(Clone, Copy, Debug)]
struct SignedIn(i64);

/// Finds out who is signed in, for the cache inside of it.
pub(crate) async fn identify(
    State(site): State<Site>,
    session: Session,
    mut request: Request,
    next: Next,
) -> Result<Response, Failure> {
    if let Some(id) = session::user_id(&site, &session).await? {
        request.extensions_mut().insert(SignedIn(id));
    }
    Ok(next.run(request).await)
}

fn signed_in(parts: &Parts) -> Option<String> {
    parts
        .extensions
        .get::<SignedIn>()
        .map(|SignedIn(id)| id.to_string())
}

pub(crate) fn matched_path(parts: &Parts) -> Option<&str> {
    parts
        .extensions
        .get::<MatchedPath>()
        .map(MatchedPath::as_str)
}
