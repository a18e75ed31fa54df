use std::{sync::Arc, time::Duration};

use fred::{
    interfaces::{ClientLike, KeysInterface},
    types::Expiration,
};
use pitlane_core::BreakerState;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    circuit::{Found, Side},
    client::Shared,
    connection::Connection,
    failure::{FailureKind, classify},
};

/// How often a connection that is down is asked, whatever the circuit says.
const EVERY: Duration = Duration::from_millis(500);

/// Two rounds are never closer than this, unless there is news.
const PAUSE: Duration = Duration::from_millis(20);

/// How long the probe key lives.
const PROBE_LIFE: i64 = 60;

/// Brings back what is down: forces reconnects, asks connections, and closes the circuit. The
/// only one to probe, so that no request ever pays for finding out.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut reconnects = JoinSet::new();
    loop {
        round(&shared, &mut reconnects).await;
        shared.rounds.send_replace(());
        while reconnects.try_join_next().is_some() {}
        let news = shared.circuit.work.notified();
        match due(&shared) {
            Some(due) => wait(due, news).await,
            None => news.await,
        }
    }
}

async fn wait(due: Instant, news: impl Future<Output = ()>) {
    let earliest = Instant::now() + PAUSE;
    tokio::select! {
        () = sleep_until(due.max(earliest)) => {}
        () = news => {}
    }
}

/// When there is something to do without news; none while all is well.
fn due(shared: &Shared) -> Option<Instant> {
    let circuit = &shared.circuit;
    let any = |is: fn(&Connection) -> bool| shared.connections.iter().any(|one| is(one));
    let ask = any(Connection::is_down).then(|| Instant::now() + EVERY);
    if !any(|connection| !connection.is_reconnecting()) {
        return ask;
    }
    let read = circuit.probe_at(Side::Read);
    let probe = read.or_else(|| circuit.probe_at(Side::Write));
    let probe = probe.map(|moment| circuit.at(moment));
    ask.into_iter().chain(probe).min()
}

async fn round(shared: &Arc<Shared>, reconnects: &mut JoinSet<()>) {
    for connection in &shared.connections {
        if connection.begin_reconnect() {
            let (shared, connection) = (Arc::clone(shared), Arc::clone(connection));
            reconnects.spawn(async move {
                connection.reconnect().await;
                shared.circuit.expedite();
                shared.circuit.work.notify_one();
            });
        }
    }
    let was_open = shared.circuit.state(Side::Read) != BreakerState::Closed;
    if was_open {
        probe_reads(shared).await;
    } else {
        // What it finds is on the connections; the circuit is closed and stays so.
        let _ = ask(shared, Connection::is_down).await;
    }
    if shared.circuit.state(Side::Read) == BreakerState::Closed {
        if was_open {
            // It was opened along with the read side: it need not wait any longer.
            shared.circuit.expedite();
        }
        probe_writes(shared).await;
    }
}

async fn probe_reads(shared: &Arc<Shared>) {
    while shared.connections.iter().any(|one| !one.is_reconnecting()) {
        let Some(permit) = shared.circuit.try_probe(Side::Read) else {
            return;
        };
        let found = ask(shared, |_| true).await;
        shared.circuit.record_probe(permit, Side::Read, found);
    }
}

async fn probe_writes(shared: &Arc<Shared>) {
    let mut connections = shared.connections.iter();
    let Some(connection) = connections.find(|connection| !connection.is_down()) else {
        return;
    };
    while let Some(permit) = shared.circuit.try_probe(Side::Write) {
        let found = within(shared.budget, write(connection, &shared.probe_key)).await;
        shared.circuit.record_probe(permit, Side::Write, found);
    }
}

/// Asks all connections of a kind at once; the server is there if it answers on one of them.
async fn ask(shared: &Arc<Shared>, which: impl Fn(&Connection) -> bool) -> Found {
    let mut asked = JoinSet::new();
    for connection in &shared.connections {
        if connection.is_reconnecting() || !which(connection) {
            continue;
        }
        let (shared, connection) = (Arc::clone(shared), Arc::clone(connection));
        asked.spawn(async move {
            let found = within(shared.budget, read(&connection, &shared.probe_key)).await;
            connection.is_probed(found);
            found
        });
    }
    let mut all = Err(FailureKind::Unreachable);
    while let Some(found) = asked.join_next().await {
        all = all.or(found.unwrap_or(Err(FailureKind::Unreachable)));
    }
    all
}

/// A probe that takes longer than a call may take has found nothing good.
async fn within(budget: Duration, probe: impl Future<Output = Found>) -> Found {
    let found = timeout(budget, probe).await;
    found.unwrap_or(Err(FailureKind::TimedOut))
}

async fn read(connection: &Connection, key: &str) -> Found {
    let commands = &connection.commands;
    let asked = async {
        commands.ping::<()>(None).await?;
        commands.get::<Option<String>, _>(key).await
    };
    let answered = asked.await.map_err(|error| classify(&error));
    match answered {
        // PING tells about writes too, where the disk refuses them.
        Err(kind) if kind.blame().read == pitlane_core::CallOutcome::Success => Ok(()),
        other => other.map(drop),
    }
}

async fn write(connection: &Connection, key: &str) -> Found {
    let commands = &connection.commands;
    let expires = Some(Expiration::EX(PROBE_LIFE));
    let written = async {
        commands
            .set::<(), _, _>(key, "probe", expires, None, false)
            .await?;
        commands.get::<Option<String>, _>(key).await
    };
    written.await.map(drop).map_err(|error| classify(&error))
}
