//! SimLane, the flagship example of Pitlane: a racing-club site with pages, a
//! JSON API and sessions, where every page says which rows it shows and every
//! write says which rows it changed.
//!
//! `routes.rs` is the map of the site, `changes.rs` the contract between its
//! reads and its writes.

mod admin;
mod api;
mod caching;
mod changes;
mod db;
mod failure;
mod model;
mod monitoring;
mod options;
mod pages;
mod read;
mod routes;
mod session;
mod tags;
mod templates;
mod write;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use caching::Caching;
use pitlane::Caches;
use pitlane::changes::Changes;
use pitlane::stats::{StatsKeeper, StatsOptions};
use sqlx::SqlitePool;
use templates::Templates;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use options::{Options, Switch};

/// Whatever kept the site from starting or from running on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The longest that open connections may take to finish after a shutdown.
const DRAIN: Duration = Duration::from_secs(10);
/// How long telling other servers of the last writes may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// What every handler shares.
#[derive(Clone)]
struct Site(Arc<Shared>);

struct Shared {
    db: SqlitePool,
    /// Which database this is: sessions are of one.
    identity: String,
    caching: Caching,
    changes: Changes,
    templates: Templates,
    handler_delay: Duration,
    expose_tags: bool,
}

impl Site {
    /// Where the results of queries are kept.
    fn queries(&self) -> &Caches {
        self.0.caching.queries()
    }
}

/// The site with its database open, ready to serve.
pub struct Opened {
    site: Site,
    database: db::Database,
    door: admin::Door,
    stats: StatsKeeper,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
    }
}

/// Opens the database, and fills an empty one with the demo data.
///
/// # Errors
///
/// The database cannot be opened or filled.
pub async fn open(options: Options) -> Result<Opened, BoxError> {
    let door = admin::Door::open(options.admin_token_file.as_deref())?;
    let database = db::open(options.database.as_deref()).await?;
    let caching = Caching::new(&options)?;
    if database.is_new {
        caching.forget().await?;
    }
    let site = Site(Arc::new(Shared {
        db: database.pool.clone(),
        identity: database.identity.clone(),
        templates: Templates::load(caching.fragments())?,
        caching,
        changes: changes::registry()?,
        handler_delay: options.handler_delay,
        expose_tags: options.expose_tags,
    }));
    let stats = site.0.caching.caches.keep_stats(StatsOptions::new());
    Ok(Opened {
        site,
        database,
        door,
        stats,
    })
}

impl Opened {
    /// The site as a service, for whoever brings a server of their own. It
    /// needs `self` to stay, which owns the temporary folder.
    pub fn router(&self) -> Router {
        routes::routes(self.site.clone())
    }

    /// The file with the token that opens the dashboard.
    #[must_use]
    pub fn token_file(&self) -> &Path {
        self.door.file()
    }

    /// Serves the site on `listener` until `shutdown` resolves, then lets the
    /// requests in progress finish (at most 10 seconds), and Redis hear of
    /// their writes (at most 2).
    ///
    /// # Errors
    ///
    /// The listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), BoxError> {
        let (stopping, mut stopped) = watch::channel(false);
        let address = listener.local_addr()?;
        let caches = &self.site.0.caching.caches;
        let router = admin::mount(self.router(), caches, &self.door, address, stopped.clone());
        // The admin pages tell peers apart by their addresses.
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let server = axum::serve(listener, service).with_graceful_shutdown(async move {
            shutdown.await;
            let _ = stopping.send(true);
        });
        let overdue = async move {
            // An error means that the server ended by itself; the other branch
            // of the select has its result.
            let _ = stopped.wait_for(|stopping| *stopping).await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            done = async { server.await } => done?,
            () = overdue => {}
            () = monitoring::upkeep() => {}
        }
        self.stats.end().await;
        // A commit that nobody waits for any more still has something to tell.
        let closed = tokio::time::timeout(FAREWELL, self.database.pool.close()).await;
        if closed.is_err() {
            eprintln!("simlane: the database is still busy with the last writes");
        }
        let caching = &self.site.0.caching;
        let (told, saved) =
            tokio::join!(caching.shutdown(FAREWELL), caching.save_sessions(FAREWELL));
        if !told {
            eprintln!("simlane: Redis was not told of the last writes");
        }
        if !saved {
            eprintln!("simlane: Redis does not have the last sessions");
        }
        Ok(())
    }
}

/// Opens the site and serves it: [`open`] and [`Opened::serve`] in one.
///
/// # Errors
///
/// Those of either.
pub async fn serve(
    options: Options,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), BoxError> {
    open(options).await?.serve(listener, shutdown).await
}

/// What the program prints when it starts. Whoever reads the file can open
/// the dashboard.
#[must_use]
pub fn banner(address: SocketAddr, token_file: &Path) -> String {
    let url = format!("http://{address}");
    format!(
        "SimLane is open\n\
         \n  home     {url}/\
         \n  clubs    {url}/clubs\
         \n  a club   {url}/clubs/1\
         \n  search   {url}/search?q=night\
         \n  the API  {url}/api/clubs\
         \n  metrics  {url}/metrics\
         \n  sign in  {url}/login   (user: {user}, password: {password})\n\
         \nWhat the cache does, and why: {url}{dashboard}/\
         \n  its token is in {token_file}\n\
         \nAsk twice, and Cache-Status tells of a miss and then of a hit:\n\
         \n  curl -i {url}/clubs/1\n\
         \nChange what it shows, and the next answer is a miss with the change in it:\n\
         \n  curl -i -X PATCH {url}/api/clubs/1 -H 'content-type: application/json' -d '{{\"tagline\":\"Still on the limit\"}}'\n\
         \nctrl-c stops it.",
        dashboard = admin::MOUNT,
        token_file = token_file.display(),
        user = db::DEMO_USER,
        password = db::DEMO_PASSWORD,
    )
}
