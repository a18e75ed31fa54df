use std::{fmt, sync::Arc, time::Duration};

use fred::{clients::Client, error::Error as RedisError, interfaces::ClientLike};
use tokio::{
    runtime::Handle,
    sync::Notify,
    task::AbortHandle,
    time::{sleep, timeout},
};

use crate::{
    connection::{self, keep_connected},
    failure::{Failure, FailureKind},
    server::Server,
};

/// How often a call looks whether there is a connection again.
const LOOK: Duration = Duration::from_millis(5);

/// A connection of its own, for commands that block (such as `XREAD BLOCK`): outside the
/// circuit, so its failures open nothing, and the circuit doesn't stop it.
///
/// It reconnects by itself, for ever, until it is dropped. For one caller at a time: commands
/// wait behind a command that blocks.
pub struct Dedicated {
    client: Client,
    broken: Arc<Notify>,
    tasks: [AbortHandle; 2],
}

impl Dedicated {
    pub(crate) fn new(server: &Server, database: u8, runtime: &Handle) -> Self {
        let client = connection::client(server, database, Duration::ZERO);
        let broken = Arc::new(Notify::new());
        let keeper = client.clone();
        let keep = runtime.spawn(async move { keep_connected(&keeper).await });
        let repair = runtime.spawn(repair(client.clone(), Arc::clone(&broken)));
        Self {
            client,
            broken,
            tasks: [keep.abort_handle(), repair.abort_handle()],
        }
    }

    /// Whether there is a connection, as far as anybody knows.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.is_connected()
    }

    /// Waits at most `limit` for a connection, and then at most `limit` for `call`. Choose a
    /// limit longer than the command blocks: after a limit has passed the connection is made
    /// anew, because the answer to the old command would otherwise come before the next one's.
    ///
    /// # Errors
    ///
    /// The kinds of [`FailureKind`].
    pub async fn run<T, C, F>(&self, limit: Duration, call: C) -> Result<T, Failure>
    where
        C: FnOnce(Client) -> F,
        F: Future<Output = Result<T, RedisError>>,
    {
        if timeout(limit, self.connected()).await.is_err() {
            return Err(FailureKind::Unreachable.into());
        }
        match timeout(limit, call(self.client.clone())).await {
            Ok(result) => result.map_err(Failure::from),
            Err(_) => {
                self.broken.notify_one();
                Err(FailureKind::TimedOut.into())
            }
        }
    }

    async fn connected(&self) {
        while !self.is_connected() {
            sleep(LOOK).await;
        }
    }
}

impl Drop for Dedicated {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl fmt::Debug for Dedicated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dedicated")
            .field("is_connected", &self.is_connected())
            .finish_non_exhaustive()
    }
}

/// One forced reconnect at a time: orders that pile up would each break the last one's work.
async fn repair(client: Client, broken: Arc<Notify>) {
    loop {
        broken.notified().await;
        if !client.is_connected() {
            continue;
        }
        if let Err(error) = client.force_reconnection().await {
            tracing::debug!(%error, "forced reconnect failed");
        }
    }
}
