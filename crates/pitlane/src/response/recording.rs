use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pitlane_core::Reason;

use super::store::{Committed, Draft};
use crate::cache::{Scope, Work, poll_in};

/// How many frames a driver reads before it lets others run.
const FRAMES_A_TURN: usize = 64;

type Read<R> = Result<Frame<Bytes>, <R as Body>::Error>;

/// A body that is on its way to a client and into the cache.
///
/// As long as nobody waits for the entry, the client's own reading drives it. Once somebody does,
/// a task reads at the handler's pace, bounded by the largest body that is stored, so that a
/// slow client stalls nobody. Whoever reads does so under the lock; a record is finished outside
/// of it.
pub(crate) struct Recording<R: Body>(Arc<Tape<R>>, Arc<Work>);

/// What the client's handle and a driver share.
struct Tape<R: Body>(Mutex<State<R>>);

struct State<R: Body> {
    /// `None` once it has ended.
    source: Option<Pin<Box<R>>>,
    /// What a driver has read and the client hasn't.
    ahead: VecDeque<Read<R>>,
    record: Option<Record>,
    /// What came behind the declared length.
    behind: Option<Read<R>>,
    driven: bool,
    /// The body panicked while a driver read it.
    panicked: bool,
    reader: Reader,
}

enum Reader {
    Reads(Option<Waker>),
    Gone,
}

/// What will be stored if the body ends as it should.
struct Record {
    draft: Box<Draft>,
    chunks: Vec<Bytes>,
    length: u64,
}

/// What a step made of the record.
enum Finish {
    Commit(Record),
    GiveUp(Record, Reason),
}

impl Finish {
    fn carry_out(self) -> Option<Committed> {
        match self {
            Self::Commit(record) => Some(record.draft.commit(&record.chunks)),
            Self::GiveUp(record, reason) => {
                record.draft.give_up(reason);
                None
            }
        }
    }
}

impl<R> Recording<R>
where
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
{
    pub(crate) fn new(source: R, draft: Box<Draft>) -> Self {
        let dependencies = Arc::clone(draft.dependencies());
        let state = State {
            source: Some(Box::pin(source)),
            ahead: VecDeque::new(),
            record: Some(Record {
                draft,
                chunks: Vec::new(),
                length: 0,
            }),
            behind: None,
            driven: false,
            panicked: false,
            reader: Reader::Reads(None),
        };
        Self(Arc::new(Tape(Mutex::new(state))), dependencies)
    }

    /// Takes what is there already without waiting: a body that is in memory as a whole is
    /// stored before the answer leaves, and the entry returned.
    pub(crate) fn prefetch(&self, cx: &mut Context<'_>) -> Option<Committed> {
        let mut state = self.0.lock();
        for _ in 0..2 {
            let (read, finish) = state.step(cx);
            let read_is_pending = read.is_pending();
            if let Poll::Ready(Some(frame)) = read {
                state.ahead.push_back(frame);
            }
            if let Some(finish) = finish {
                // Something may come behind a declared length: then the client reads on.
                let ended = state.source.is_none();
                drop(state);
                return finish.carry_out().filter(|_| ended);
            }
            if read_is_pending {
                break;
            }
        }
        None
    }

    /// What the answer is made of.
    pub(crate) const fn dependencies(&self) -> &Arc<Work> {
        &self.1
    }

    /// Whether the body may still be stored.
    pub(crate) fn is_recording(&self) -> bool {
        self.0.lock().record.is_some()
    }

    /// From the first follower on, a task reads.
    pub(crate) fn drive_for_followers(&self) {
        let weak = Arc::downgrade(&self.0);
        let hook = move || spawn_driver(&weak);
        let state = self.0.lock();
        let due = state
            .record
            .as_ref()
            .and_then(|record| record.draft.on_follower(hook));
        drop(state);
        // A runtime that shuts down drops what it is given at once, and the driver's drop locks.
        if let Some(hook) = due {
            hook();
        }
    }

    /// The client's next frame.
    pub(crate) fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Read<R>>> {
        let read = self.next(cx);
        if read.is_ready() {
            // A computation around this one shows what it reads here.
            Scope::current().absorb(&self.1);
        }
        read
    }

    fn next(&self, cx: &mut Context<'_>) -> Poll<Option<Read<R>>> {
        let mut state = self.0.lock();
        if let Some(read) = state.ahead.pop_front() {
            return Poll::Ready(Some(read));
        }
        // Somebody else may read in between, and then wakes whoever is noted here.
        state.reader = Reader::Reads(Some(cx.waker().clone()));
        if state.driven {
            return Poll::Pending;
        }
        if state.panicked {
            drop(state);
            // As without a cache: an end here would make half a body look whole.
            std::panic::resume_unwind(Box::new("the body panicked while it was read ahead"));
        }
        let (read, finish) = state.step(cx);
        drop(state);
        if let Some(finish) = finish {
            finish.carry_out();
        }
        read
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        let state = self.0.lock();
        state.ahead.is_empty() && state.behind.is_none() && !state.driven && state.source.is_none()
    }

    /// What is still to come, where that is known.
    pub(crate) fn size_hint(&self) -> SizeHint {
        let state = self.0.lock();
        let read_ahead: u64 = state
            .ahead
            .iter()
            .filter_map(|read| read.as_ref().ok()?.data_ref())
            .map(|data| data.len() as u64)
            .sum();
        let rest = state
            .source
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), |s| s.size_hint());
        let mut hint = SizeHint::new();
        // A server that knows the length ends there, and an error behind it would be lost.
        let plain = state.behind.is_none() && state.ahead.iter().all(is_data);
        if let Some(upper) = rest.upper().filter(|_| plain) {
            hint.set_upper(upper.saturating_add(read_ahead));
        }
        hint.set_lower(rest.lower().saturating_add(read_ahead));
        hint
    }
}

fn is_data<E>(read: &Result<Frame<Bytes>, E>) -> bool {
    read.as_ref().is_ok_and(Frame::is_data)
}

impl<R: Body> Tape<R> {
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Body<Data = Bytes>> Tape<R> {
    /// How long followers may wait for the body.
    fn patience(&self) -> Duration {
        self.lock()
            .record
            .as_ref()
            .map_or(Duration::ZERO, |record| record.draft.patience())
    }

    /// Nobody drives any more; what is not finished by now will not be stored.
    fn stop(&self, reason: Reason) {
        let mut state = self.lock();
        state.driven = false;
        let record = state.record.take();
        let (waker, leftover) = state.after_turn();
        drop(state);
        drop(leftover);
        if let Some(record) = record {
            Finish::GiveUp(record, reason).carry_out();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The task's turn: reads ahead of the client until the record is finished.
    fn poll_drive(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        state.driven = true;
        let mut finish = None;
        let mut turn = Poll::Ready(());
        for frame in 0.. {
            if finish.is_some() || state.record.is_none() || state.source.is_none() {
                break;
            }
            if frame == FRAMES_A_TURN {
                cx.waker().wake_by_ref();
                turn = Poll::Pending;
                break;
            }
            let (read, finished) = state.step(cx);
            finish = finished;
            match read {
                Poll::Ready(Some(read)) => state.keep_for_client(read),
                Poll::Ready(None) => {}
                Poll::Pending => {
                    turn = Poll::Pending;
                    break;
                }
            }
        }
        state.driven = turn.is_pending();
        let (waker, leftover) = state.after_turn();
        drop(state);
        drop(leftover);
        if let Some(finish) = finish {
            finish.carry_out();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
        turn
    }
}

/// The client is gone. A driver goes on; without one nothing is stored.
impl<R: Body> Drop for Recording<R> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.reader = Reader::Gone;
        let ahead = std::mem::take(&mut state.ahead);
        let (record, source) = if state.driven {
            (None, None)
        } else {
            (state.record.take(), state.source.take())
        };
        drop(state);
        drop((ahead, source));
        if let Some(record) = record {
            Finish::GiveUp(record, Reason::Abandoned).carry_out();
        }
    }
}

impl<R: Body> fmt::Debug for Recording<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").finish_non_exhaustive()
    }
}

impl<R: Body<Data = Bytes>> State<R> {
    /// Polls the source once and keeps the record.
    fn step(&mut self, cx: &mut Context<'_>) -> (Poll<Option<Read<R>>>, Option<Finish>) {
        if let Some(read) = self.behind.take() {
            return (Poll::Ready(Some(read)), None);
        }
        let Poll::Ready(read) = self.poll_source(cx) else {
            return (Poll::Pending, None);
        };
        let ended = self.source.as_ref().is_none_or(|s| s.is_end_stream());
        let outcome = self
            .record
            .as_mut()
            .and_then(|record| record.add(read.as_ref(), ended));
        if matches!(read, None | Some(Err(_))) || (ended && self.record.is_some()) {
            self.source = None;
        }
        let outcome = outcome.map(|outcome| outcome.and_then(|()| self.look_behind(cx)));
        let finish = outcome.and_then(|outcome| {
            let record = self.record.take()?;
            Some(match outcome {
                Ok(()) => Finish::Commit(record),
                Err(reason) => Finish::GiveUp(record, reason),
            })
        });
        (Poll::Ready(read), finish)
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Read<R>>> {
        let Some(source) = &mut self.source else {
            return Poll::Ready(None);
        };
        match &self.record {
            // The body may be made of cached values as well.
            Some(record) => poll_in(record.draft.dependencies(), || {
                source.as_mut().poll_frame(cx)
            }),
            None => source.as_mut().poll_frame(cx),
        }
    }

    /// A body that has reached its declared length may go on all the same: it is not what it
    /// says, and what was found is kept for the client.
    fn look_behind(&mut self, cx: &mut Context<'_>) -> Result<(), Reason> {
        let Poll::Ready(read) = self.poll_source(cx) else {
            return Ok(());
        };
        let verdict = match &read {
            None => Ok(()),
            Some(Err(_)) => Err(Reason::BodyError),
            Some(Ok(frame)) => match frame.data_ref() {
                Some(data) if data.is_empty() => Ok(()),
                Some(_) => Err(Reason::LengthMismatch),
                None => Err(Reason::Trailers),
            },
        };
        if matches!(read, None | Some(Err(_))) {
            self.source = None;
        }
        self.behind = read;
        verdict
    }

    fn keep_for_client(&mut self, read: Read<R>) {
        if matches!(self.reader, Reader::Reads(_)) {
            self.ahead.push_back(read);
        }
    }

    /// Whom to wake, and what nobody needs any more, after a driver's turn.
    fn after_turn(&mut self) -> (Option<Waker>, Option<Pin<Box<R>>>) {
        match &mut self.reader {
            Reader::Reads(waker) => (waker.take(), None),
            Reader::Gone if !self.driven => (None, self.source.take()),
            Reader::Gone => (None, None),
        }
    }
}

impl Record {
    /// Takes one frame in; `Some` when the record is finished, for better or worse.
    fn add<E>(
        &mut self,
        read: Option<&Result<Frame<Bytes>, E>>,
        ended: bool,
    ) -> Option<Result<(), Reason>> {
        let frame = match read {
            None => return Some(self.draft.check_length(self.length)),
            Some(Err(_)) => return Some(Err(Reason::BodyError)),
            Some(Ok(frame)) => frame,
        };
        let Some(data) = frame.data_ref() else {
            return Some(Err(Reason::Trailers));
        };
        self.length = self.length.saturating_add(data.len() as u64);
        if self.length > self.draft.max_body() {
            return Some(Err(Reason::TooLarge));
        }
        if !data.is_empty() {
            self.chunks.push(data.clone());
        }
        (ended || self.draft.is_declared_length(self.length))
            .then(|| self.draft.check_length(self.length))
    }
}

fn spawn_driver<R>(tape: &Weak<Tape<R>>)
where
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
{
    // Without a runtime the followers wait at the client's pace.
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return;
    };
    let Some(driver) = tape.upgrade().map(Driver) else {
        return;
    };
    // From here on the client's leaving is not the end of the body, even before the task runs.
    driver.0.lock().driven = true;
    runtime.spawn(async move {
        let patience = driver.0.patience();
        let work = std::future::poll_fn(|cx| driver.0.poll_drive(cx));
        if tokio::time::timeout(patience, work).await.is_err() {
            driver.0.stop(Reason::SlowBody);
        }
    });
}

/// A task that reads for followers. However it ends, even by a panic of the body, the client
/// goes on by itself and the followers are let go.
struct Driver<R>(Arc<Tape<R>>)
where
    R: Body<Data = Bytes>;

impl<R: Body<Data = Bytes>> Drop for Driver<R> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().panicked = true;
        }
        self.0.stop(Reason::Abandoned);
    }
}
