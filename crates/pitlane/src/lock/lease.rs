use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use pitlane_core::{StoreError, StoreErrorKind};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};

use super::{
    place::{Place, token},
    room::{Permit, Visit},
};

/// For so long a lock that Redis did not take back is offered again, first after so long.
const LONGEST_RETURN: Duration = Duration::from_secs(30);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(2);

/// What became of a question for a lock: the number of the lease; or another has it, until then
/// where that is known.
pub(super) type Asked = Result<u64, Option<Instant>>;

/// What somebody has, or has asked for: it is given back when it is dropped.
pub(super) struct Lease {
    ticket: Ticket,
    /// When it is over; none while there is nothing to give back.
    until: Mutex<Option<Instant>>,
    runtime: Option<Handle>,
}

/// What it takes to ask for a lock and to give it back.
#[derive(Clone)]
struct Ticket {
    place: Place,
    token: Bytes,
    length: Duration,
    visit: Visit,
}

impl Lease {
    pub(super) fn new(place: &Place, visit: Visit, length: Duration) -> Self {
        Self {
            ticket: Ticket {
                place: place.clone(),
                token: token(),
                length,
                visit,
            },
            until: Mutex::new(None),
            runtime: Handle::try_current().ok(),
        }
    }

    pub(super) const fn length(&self) -> Duration {
        self.ticket.length
    }

    pub(super) const fn runtime(&self) -> Option<&Handle> {
        self.runtime.as_ref()
    }

    /// How long it goes on, as far as this process's clock knows.
    pub(super) fn left(&self) -> Duration {
        let until = *self.until();
        until.map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        })
    }

    pub(super) async fn take(&self) -> Result<Asked, StoreError> {
        let now = Instant::now();
        // From before it is sent: whoever is dropped while it asks may have been given it.
        *self.until() = Some(now + self.length());
        let asked = self.ticket.take(now).await;
        let is_in_doubt = match &asked {
            Ok(asked) => asked.is_ok(),
            Err(error) => !matches!(error.kind(), StoreErrorKind::Open | StoreErrorKind::Busy),
        };
        if !is_in_doubt {
            *self.until() = None;
        }
        asked
    }

    /// Begins its length anew; says whether it was still there.
    pub(super) async fn renew(&self) -> Result<bool, StoreError> {
        let now = Instant::now();
        let renewed = self.ticket.renew(now).await?;
        let mut until = self.until();
        // What was given back meanwhile stays so.
        if until.is_some() {
            *until = renewed.then(|| now + self.length());
        }
        Ok(renewed)
    }

    /// Gives it back; says whether it was still there.
    pub(super) async fn give_back(&self) -> Result<bool, StoreError> {
        let was_there = self.ticket.give_back().await?;
        *self.until() = None;
        Ok(was_there)
    }

    /// Gives it back without waiting: at once where that is possible, else in the background. What
    /// can't be given back there ends by itself.
    pub(super) fn let_go(&self) {
        let Some(until) = self.until().take() else {
            return;
        };
        if self.ticket.place.remote.is_none() {
            self.ticket.give_back_own();
            return;
        }
        let Some(runtime) = &self.runtime else {
            return;
        };
        let Some(permit) = Permit::take(self.ticket.visit.shared()) else {
            tracing::debug!("a lock ends with its lease: too many are being given back");
            return;
        };
        let ticket = self.ticket.clone();
        runtime.spawn(async move {
            ticket.return_at_last(until).await;
            drop(permit);
        });
    }

    fn until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Neither waits nor panics.
impl Drop for Lease {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl Ticket {
    async fn take(&self, now: Instant) -> Result<Asked, StoreError> {
        let Some(remote) = &self.place.remote else {
            return Ok(self.take_own(now).map_err(Some));
        };
        let token = self.token.clone();
        let taken = remote
            .store
            .lease(&remote.key, &remote.counter, token, self.length);
        Ok(taken.await?.ok_or(None))
    }

    fn take_own(&self, now: Instant) -> Result<u64, Instant> {
        let shared = self.visit.shared();
        let room = self.visit.room();
        room.take(&self.token, now, now + self.length)?;
        let micros = shared.clock.now().as_millis().saturating_mul(1000);
        Ok(shared.locks.number(micros))
    }

    async fn renew(&self, now: Instant) -> Result<bool, StoreError> {
        let Some(remote) = &self.place.remote else {
            let room = self.visit.room();
            return Ok(room.renew(&self.token, now, now + self.length));
        };
        let token = self.token.clone();
        let same = Some(token.clone());
        let renewed = remote.store.exchange(&remote.key, token, same, self.length);
        renewed.await
    }

    /// Only what has this token is given back: a holder that is late leaves the next one alone.
    async fn give_back(&self) -> Result<bool, StoreError> {
        let Some(remote) = &self.place.remote else {
            return Ok(self.give_back_own());
        };
        let token = self.token.clone();
        let given = remote
            .store
            .exchange(&remote.key, token, None, Duration::ZERO);
        let was_there = given.await?;
        self.visit.room().tell();
        Ok(was_there)
    }

    fn give_back_own(&self) -> bool {
        let room = self.visit.room();
        let was_there = room.give_back(&self.token, Instant::now());
        room.tell();
        was_there
    }

    /// Gives it back as soon as Redis takes it, or lets it end.
    async fn return_at_last(&self, until: Instant) {
        let end = until.min(Instant::now() + LONGEST_RETURN);
        let mut pause = FIRST_RETRY;
        while let Err(error) = self.give_back().await {
            if Instant::now() + pause >= end {
                tracing::debug!(%error, "a lock was not given back: it ends with its lease");
                return;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_RETRY);
        }
    }
}

/// A lease that renews itself holds one of these.
pub(super) async fn keep_renewed(lease: Arc<Lease>) {
    let pause = lease.length() / 3;
    loop {
        sleep(pause).await;
        match lease.renew().await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!("a lock was lost before it could be renewed");
                return;
            }
            // The next time is in time still.
            Err(error) => tracing::debug!(%error, "a lock was not renewed"),
        }
    }
}
