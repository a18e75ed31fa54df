//! The service: nothing in it waits for the cache, and only a write speaks to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pitlane::{Cache, CacheHint, Caches, depend_on};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::Options;
use crate::model;
use crate::proto::clubs_server::Clubs;
use crate::proto::{
    Club, Drivers, Finish, GetClubRequest, ListDriversRequest, RenameClubRequest,
    WatchResultsRequest,
};

/// Racing clubs over gRPC. Clones share their data.
#[derive(Clone, Debug)]
pub struct Racing(Arc<State>);

#[derive(Debug)]
struct State {
    clubs: model::Clubs,
    caches: Caches,
    cache: Cache,
    delay: Duration,
    pause: Duration,
    computed: AtomicU64,
}

impl Racing {
    /// A service with demo data, as slow as the options say.
    ///
    /// # Errors
    ///
    /// There is no cache called `default`.
    pub fn new(caches: &Caches, options: &Options) -> Result<Self, pitlane::Error> {
        Ok(Self(Arc::new(State {
            clubs: model::Clubs::demo(),
            caches: caches.clone(),
            cache: caches.get("default")?,
            delay: options.handler_delay,
            pause: options.result_pause,
            computed: AtomicU64::new(0),
        })))
    }

    /// How often a cached method's handler has run.
    #[must_use]
    pub fn computed(&self) -> u64 {
        self.0.computed.load(Ordering::SeqCst)
    }

    /// What is worth caching: it takes its time.
    async fn compute(&self) {
        self.0.computed.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(self.0.delay).await;
    }
}

/// What everything that shows a club is tagged with.
fn tag(club: u32) -> String {
    format!("club:{club}")
}

fn no_club() -> Status {
    Status::not_found("there is no such club")
}

#[tonic::async_trait]
impl Clubs for Racing {
    type WatchResultsStream = ReceiverStream<Result<Finish, Status>>;

    /// Its answer names its tags in a hint.
    async fn get_club(&self, request: Request<GetClubRequest>) -> Result<Response<Club>, Status> {
        let id = request.into_inner().id;
        self.compute().await;
        let club = self.0.clubs.get(id).ok_or_else(no_club)?;
        let mut response = Response::new(club);
        response.extensions_mut().insert(CacheHint::tags([tag(id)]));
        Ok(response)
    }

    /// The same from anywhere within the handler, which is handy far below it.
    async fn list_drivers(
        &self,
        request: Request<ListDriversRequest>,
    ) -> Result<Response<Drivers>, Status> {
        let id = request.into_inner().club;
        depend_on(&self.0.cache, [tag(id)]);
        self.compute().await;
        let club = self.0.clubs.get(id).ok_or_else(no_club)?;
        let drivers = self.0.clubs.drivers(id).ok_or_else(no_club)?;
        Ok(Response::new(Drivers {
            club: club.name,
            drivers,
        }))
    }

    async fn watch_results(
        &self,
        request: Request<WatchResultsRequest>,
    ) -> Result<Response<Self::WatchResultsStream>, Status> {
        let id = request.into_inner().club;
        let drivers = self.0.clubs.drivers(id).ok_or_else(no_club)?;
        let pause = self.0.pause;
        let (results, watched) = mpsc::channel(1);
        tokio::spawn(async move {
            for (place, driver) in (1..).zip(drivers) {
                let driver = driver.name;
                // Whoever has left needs no more of them.
                if results.send(Ok(Finish { place, driver })).await.is_err() {
                    return;
                }
                tokio::time::sleep(pause).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(watched)))
    }

    /// The invalidation is owed before anything is written: if the call is cancelled half-way, it
    /// is made all the same.
    async fn rename_club(
        &self,
        request: Request<RenameClubRequest>,
    ) -> Result<Response<Club>, Status> {
        let RenameClubRequest { id, name } = request.into_inner();
        let owed = self.0.caches.owe([tag(id)]);
        let Some(club) = self.0.clubs.rename(id, name) else {
            owed.cancel();
            return Err(no_club());
        };
        match owed.publish().await {
            Ok(_) => Ok(Response::new(club)),
            Err(error) => Err(Status::internal(error.to_string())),
        }
    }
}
