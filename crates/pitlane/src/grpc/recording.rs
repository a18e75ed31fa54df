use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header, response};
use http_body::{Body, Frame};
use pitlane_core::{Reason, Tag};
use pitlane_policy::hop;

use super::{
    admit::Codings,
    layer::{Method, Settings},
    message::{Framing, Misfit},
    reply::{GRPC_ENCODING, GRPC_STATUS, encode, is_ok},
};
use crate::{
    cache::{Fill, poll_in},
    response::CacheHint,
    stats::Filling,
};

/// How many frames are read before others run.
const FRAMES_A_TURN: usize = 64;

type Read<R> = Result<Frame<Bytes>, <R as Body>::Error>;

/// What will be stored if the answer ends as it should.
pub(crate) struct Draft {
    pub(crate) settings: Arc<Settings>,
    pub(crate) method: Arc<Method>,
    pub(crate) codings: Codings,
    pub(crate) head: HeaderMap,
    /// What the handler said instead of the method's.
    pub(crate) ttl: Option<Duration>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) fill: Fill,
    pub(crate) filling: Filling,
}

impl Draft {
    /// Takes down what the head says.
    pub(crate) fn describe(&mut self, parts: &response::Parts) {
        if let Some(hint) = parts.extensions.get::<CacheHint>() {
            self.ttl = hint.ttl;
            self.tags.extend(hint.tags.iter().cloned());
        }
        self.head = parts.headers.clone();
        hop::strip(&mut self.head);
        // Servers date each answer, and frame it, by themselves.
        self.head.remove(header::DATE);
        self.head.remove(header::CONTENT_LENGTH);
    }

    /// Gives the computation up without a word about the next one.
    pub(crate) fn give_up(self, reason: Reason) {
        self.count(reason);
        self.fill.release();
    }

    /// Gives up because of what the answer is. The next one will be alike, unless it failed.
    pub(crate) fn refuse(self, reason: Reason, status: Option<&HeaderValue>) {
        if reason == Reason::GrpcStatus && status.is_none_or(is_failure) {
            return self.give_up(reason);
        }
        self.count(reason);
        let settings = self.settings;
        let now = settings.cache.shared().clock.now();
        self.fill.refuse(now.plus(settings.hit_for_miss));
    }

    fn store(self, message: &[Bytes], trailers: &HeaderMap) -> Result<(), Reason> {
        // Other nodes read no more than that, metadata included.
        let limit = self.settings.cache.tier().max_body();
        let bytes = encode(&self.head, trailers, message);
        let Some(bytes) = bytes.filter(|bytes| bytes.len() as u64 <= limit) else {
            self.refuse(Reason::TooLarge, None);
            return Err(Reason::TooLarge);
        };
        let freshness = self.settings.freshness(self.ttl.unwrap_or(self.method.ttl));
        let value = self.fill.store_exact(bytes, freshness, self.tags);
        let refusal = value.is_stale().then_some(Reason::StaleDependency);
        let reason = refusal.unwrap_or(Reason::Stored);
        self.settings.cache.stats().count_fill(reason);
        self.filling.end(reason);
        refusal.map_or(Ok(()), Err)
    }

    fn count(&self, reason: Reason) {
        self.settings.cache.stats().count_fill(reason);
        self.filling.end(reason);
    }
}

/// Statuses that say something about the moment and nothing about the call.
fn is_failure(status: &HeaderValue) -> bool {
    // CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, INTERNAL, UNAVAILABLE,
    // DATA_LOSS.
    let failures = ["1", "2", "4", "8", "10", "13", "14", "15"];
    failures.iter().any(|failure| status == failure)
}

/// How far an answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// It is on its way.
    Open,
    Stored,
    Refused(Reason),
}

/// An answer that is on its way to a client and into the cache.
///
/// The client's own reading drives it. Once somebody else waits for it a task reads at the
/// handler's pace, so that a slow client stalls nobody. Whoever reads does so under the lock; what
/// is finished is stored outside of it.
pub(crate) struct Recording<R: Body>(Arc<Tape<R>>);

/// What the client's handle and a driver share.
struct Tape<R: Body>(Mutex<State<R>>);

struct State<R: Body> {
    /// `None` once it has ended.
    source: Option<Pin<Box<R>>>,
    /// What was read and the client hasn't.
    ahead: VecDeque<Read<R>>,
    record: Option<Record>,
    driven: bool,
    /// The body panicked while a driver read it.
    panicked: bool,
    /// Whom to wake when there is something to read.
    waker: Option<Waker>,
    gone: bool,
}

struct Record {
    draft: Draft,
    framing: Framing,
    message: Vec<Bytes>,
}

/// What a step made of the record.
struct Finish {
    record: Record,
    trailers: Result<HeaderMap, Reason>,
}

impl<R> Recording<R>
where
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
{
    pub(crate) fn new(source: R, draft: Draft) -> Self {
        let record = Record {
            draft,
            framing: Framing::default(),
            message: Vec::new(),
        };
        let state = State {
            source: Some(Box::pin(source)),
            ahead: VecDeque::new(),
            record: Some(record),
            driven: false,
            panicked: false,
            waker: None,
            gone: false,
        };
        Self(Arc::new(Tape(Mutex::new(state))))
    }

    /// Takes what is there without waiting: most answers are stored before they leave.
    pub(crate) fn prefetch(&self, cx: &mut Context<'_>) -> Recorded {
        let mut state = self.0.lock();
        for _ in 0..FRAMES_A_TURN {
            let (read, finish) = state.step(cx);
            let is_pending = read.is_pending();
            if let Poll::Ready(Some(read)) = read {
                state.ahead.push_back(read);
            }
            if let Some(finish) = finish {
                drop(state);
                return match finish.carry_out() {
                    Ok(()) => Recorded::Stored,
                    Err(reason) => Recorded::Refused(reason),
                };
            }
            if is_pending {
                break;
            }
        }
        Recorded::Open
    }

    /// From the first follower on, a task reads.
    pub(crate) fn drive_for_followers(&self) {
        let weak = Arc::downgrade(&self.0);
        let hook = move || spawn_driver(&weak);
        let state = self.0.lock();
        let record = state.record.as_ref();
        let due = record.and_then(|record| record.draft.fill.on_follower(hook));
        drop(state);
        // A runtime that shuts down drops what it is given at once, and the driver's drop locks.
        if let Some(hook) = due {
            hook();
        }
    }

    /// The client's next frame.
    pub(crate) fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Read<R>>> {
        let mut state = self.0.lock();
        if let Some(read) = state.ahead.pop_front() {
            return Poll::Ready(Some(read));
        }
        state.waker = Some(cx.waker().clone());
        if state.driven {
            return Poll::Pending;
        }
        if state.panicked {
            drop(state);
            // As without a cache: an end here would make half an answer look whole.
            std::panic::resume_unwind(Box::new("the body panicked while it was read ahead"));
        }
        let (read, finish) = state.step(cx);
        drop(state);
        if let Some(finish) = finish {
            let _ = finish.carry_out();
        }
        read
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        let state = self.0.lock();
        state.ahead.is_empty() && !state.driven && !state.panicked && state.source.is_none()
    }
}

/// The client is gone. A driver goes on; without one nothing is stored, and whoever comes next
/// computes.
impl<R: Body> Drop for Recording<R> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.gone = true;
        let ahead = std::mem::take(&mut state.ahead);
        let (record, source) = if state.driven {
            (None, None)
        } else {
            (state.record.take(), state.source.take())
        };
        drop(state);
        drop((ahead, source));
        if let Some(record) = record {
            record.abandon();
        }
    }
}

impl<R: Body> fmt::Debug for Recording<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").finish_non_exhaustive()
    }
}

impl<R: Body> Tape<R> {
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Body<Data = Bytes>> Tape<R> {
    /// How long others may wait for the rest.
    fn patience(&self) -> Duration {
        let state = self.lock();
        let record = state.record.as_ref();
        record.map_or(Duration::ZERO, |record| record.draft.settings.patience)
    }

    /// The task's turn: reads ahead of the client until the record is finished.
    fn poll_drive(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        let mut finish = None;
        let mut turn = Poll::Ready(());
        for frame in 0.. {
            if finish.is_some() || state.record.is_none() {
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
                Poll::Ready(Some(read)) if !state.gone => state.ahead.push_back(read),
                Poll::Ready(_) => {}
                Poll::Pending => {
                    turn = Poll::Pending;
                    break;
                }
            }
        }
        state.driven = turn.is_pending();
        let waker = state.waker.take();
        drop(state);
        if let Some(finish) = finish {
            let _ = finish.carry_out();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
        turn
    }

    /// Nobody drives any more. What is not finished by now will not be stored.
    fn stop(&self, reason: Reason) {
        let mut state = self.lock();
        state.driven = false;
        let record = state.record.take();
        let source = if state.gone {
            state.source.take()
        } else {
            None
        };
        let waker = state.waker.take();
        drop(state);
        drop(source);
        if let Some(record) = record {
            record.draft.give_up(reason);
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<R: Body<Data = Bytes>> State<R> {
    /// Polls the source once and keeps the record.
    fn step(&mut self, cx: &mut Context<'_>) -> (Poll<Option<Read<R>>>, Option<Finish>) {
        let Some(source) = &mut self.source else {
            return (Poll::Ready(None), None);
        };
        let poll = || source.as_mut().poll_frame(cx);
        let polled = match &self.record {
            // The message may be made of cached values as well.
            Some(record) => poll_in(record.draft.fill.work(), poll),
            None => source.as_mut().poll_frame(cx),
        };
        let Poll::Ready(read) = polled else {
            return (Poll::Pending, None);
        };
        let is_last = match &read {
            None | Some(Err(_)) => true,
            Some(Ok(frame)) => frame.is_trailers(),
        };
        if is_last {
            self.source = None;
        }
        let verdict = self.record.as_mut().and_then(|it| it.add(read.as_ref()));
        let finish = verdict.and_then(|trailers| {
            let record = self.record.take()?;
            Some(Finish { record, trailers })
        });
        (Poll::Ready(read), finish)
    }
}

impl Record {
    /// Takes one frame in; `Some` when the answer is finished, for better or worse.
    fn add<E>(
        &mut self,
        read: Option<&Result<Frame<Bytes>, E>>,
    ) -> Option<Result<HeaderMap, Reason>> {
        let frame = match read {
            None => return Some(Err(Reason::GrpcStatus)),
            Some(Err(_)) => return Some(Err(Reason::BodyError)),
            Some(Ok(frame)) => frame,
        };
        if let Some(trailers) = frame.trailers_ref() {
            return Some(Ok(trailers.clone()));
        }
        let data = frame.data_ref()?;
        let limit = self.draft.settings.cache.tier().max_body();
        if let Err(misfit) = self.framing.add(data, limit) {
            return Some(Err(match misfit {
                Misfit::TooLong => Reason::TooLarge,
                Misfit::More => Reason::NotUnary,
                Misfit::Flag => Reason::NotGrpc,
            }));
        }
        self.message.push(data.clone());
        None
    }

    /// Whether an answer with these trailers is what may be stored.
    fn check(&self, trailers: &HeaderMap) -> Result<(), Reason> {
        let coding = self.draft.head.get(GRPC_ENCODING);
        if !is_ok(trailers) {
            Err(Reason::GrpcStatus)
        } else if self.framing.is_empty() {
            Err(Reason::NotUnary)
        } else if !self.framing.is_whole() {
            Err(Reason::LengthMismatch)
        } else if self.framing.is_compressed() && coding.is_none() {
            Err(Reason::NotGrpc)
        } else if trailers.contains_key(header::SET_COOKIE) {
            Err(Reason::SetCookie)
        } else {
            Ok(())
        }
    }

    /// Leaves the work to whoever waits, or comes next.
    fn abandon(self) {
        self.draft.count(Reason::Abandoned);
    }
}

impl Finish {
    fn carry_out(self) -> Result<(), Reason> {
        let Self { record, trailers } = self;
        let refused = match &trailers {
            Ok(trailers) => record.check(trailers).err(),
            Err(reason) => Some(*reason),
        };
        match (refused, trailers) {
            (None, Ok(trailers)) => record.draft.store(&record.message, &trailers),
            (refused, trailers) => {
                let reason = refused.unwrap_or(Reason::GrpcStatus);
                let trailers = trailers.unwrap_or_default();
                match reason {
                    Reason::BodyError | Reason::LengthMismatch => record.draft.give_up(reason),
                    _ => record.draft.refuse(reason, trailers.get(GRPC_STATUS)),
                }
                Err(reason)
            }
        }
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
    // From here on the client's leaving is not the end, even before the task runs.
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
