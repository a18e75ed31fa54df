//! A server in this process.

use std::net::SocketAddr;

use simlane::{BoxError, Options, serve};
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
