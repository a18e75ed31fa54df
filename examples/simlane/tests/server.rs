//! A server in this process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pitlane_testkit::RedisServer;
use simlane::{BoxError, Options, Switch, serve};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::Client;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    done: JoinHandle<Result<(), BoxError>>,
}

impl Server {
    /// A server that says which tags it shows and touches.
    pub(crate) async fn start() -> Self {
        Self::with(Options {
            expose_tags: true,
            ..Options::default()
        })
        .await
    }

    /// One that does so too, over a database that others may be open on.
    pub(crate) async fn over(database: &Database, cache: Switch) -> Self {
        Self::with(Options {
            expose_tags: true,
            database: Some(database.file()),
            cache,
            ..Options::default()
        })
        .await
    }

    /// One that shares its pages through Redis with others over the same
    /// database. Its budget is one that a busy machine keeps.
    pub(crate) async fn sharing(database: &Database, redis: &RedisServer) -> Self {
        Self::with(Options {
            database: Some(database.file()),
            redis: Some(redis.url().into()),
            redis_budget: Some(Duration::from_secs(5)),
            ..Options::default()
        })
        .await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move { drop(stopped.await) };
        let done = tokio::spawn(serve(options, listener, shutdown));
        Self {
            address,
            stop,
            done,
        }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// A client that is signed in as one of the demo's users.
    pub(crate) async fn signed_in(&self, username: &str) -> Client {
        let mut client = self.client().await;
        client.sign_in(username, "pitlane").await;
        client
    }

    /// Drains the server; every client must be gone or idle.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.done.await.unwrap().unwrap();
    }
}

/// A folder with a database file, removed on drop.
pub(crate) struct Database(PathBuf);

impl Database {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("simlane-test-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn file(&self) -> String {
        self.0.join("simlane.sqlite").to_str().unwrap().to_owned()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // What stays behind is the system's to clean up.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
