//! Readings of the tail, shared by those who begin at the same moment.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pitlane_core::Watermark;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// A reading that has not been sent yet: whoever begins now may share it.
#[derive(Debug)]
pub(super) struct Tails {
    /// How many callers read now.
    reading: AtomicUsize,
    waiting: Arc<Waiting>,
    runtime: Handle,
}

/// What a reading brought: a tail, or nothing that can be relied on.
pub(super) type Reading = Option<Watermark>;

type Waiting = Mutex<Option<watch::Receiver<Option<Reading>>>>;

impl Tails {
    /// Reads in the background of the runtime that this is called in.
    pub(super) fn new() -> Self {
        Self {
            reading: AtomicUsize::new(0),
            waiting: Arc::default(),
            runtime: Handle::current(),
        }
    }

    /// The tail as it was at some moment after this call began. `read` is called only after
    /// nobody can join those who share the reading any more.
    ///
    /// Whoever finds nobody else reading does so at once and shares with nobody: the question goes
    /// out along with the one for the entry. What is shared is a task of its own: no request that
    /// is dropped, or not polled for a while, keeps the others waiting.
    pub(super) async fn read<F>(&self, read: impl FnOnce() -> F + Send + 'static) -> Reading
    where
        F: Future<Output = Reading> + Send + 'static,
    {
        let one = One::of(&self.reading);
        if one.is_alone {
            return read().await;
        }
        let mut reading = self.join(read);
        let reading = reading.wait_for(Option::is_some).await;
        reading.ok()?.flatten()
    }

    fn join<F>(&self, read: impl FnOnce() -> F + Send + 'static) -> watch::Receiver<Option<Reading>>
    where
        F: Future<Output = Reading> + Send + 'static,
    {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reading) = &*waiting {
            return reading.clone();
        }
        let (sender, receiver) = watch::channel(None);
        *waiting = Some(receiver.clone());
        let closing = Closing(Arc::clone(&self.waiting));
        self.runtime.spawn(async move {
            let closing = closing;
            // The tasks that woke together begin together.
            tokio::task::yield_now().await;
            drop(closing);
            let _ = sender.send(Some(read().await));
        });
        receiver
    }
}

/// One of those who read now. It steers who shares and guards nothing.
struct One<'a> {
    all: &'a AtomicUsize,
    is_alone: bool,
}

impl<'a> One<'a> {
    fn of(all: &'a AtomicUsize) -> Self {
        let is_alone = all.fetch_add(1, Ordering::Relaxed) == 0;
        Self { all, is_alone }
    }
}

impl Drop for One<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Lets nobody else join, once it is dropped: whatever becomes of the task.
struct Closing(Arc<Waiting>);

impl Drop for Closing {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use pitlane_core::{Incarnation, LogId};
    use tokio::sync::Notify;

    use super::*;

    fn mark(nonce: u64) -> Watermark {
        Watermark::new(Incarnation::from_random(1), LogId::ZERO, nonce)
    }

    #[tokio::test]
    async fn those_who_begin_together_share_one_reading() {
        let (tails, count) = (Tails::new(), Arc::new(AtomicUsize::new(0)));
        let _other = One::of(&tails.reading);
        let read = || {
            let count = Arc::clone(&count);
            async move {
                count.fetch_add(1, Ordering::SeqCst);
                Some(mark(7))
            }
        };
        let (a, b) = (read(), read());
        let all = tokio::join!(tails.read(|| a), tails.read(|| b));
        assert_eq!(all, (Some(mark(7)), Some(mark(7))));
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_reading_that_was_sent_before_is_not_shared() {
        let tails = Tails::new();
        let _other = One::of(&tails.reading);
        let (sent, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (told, held) = (Arc::clone(&sent), Arc::clone(&answer));
        let early = tails.read(|| async move {
            told.notify_one();
            held.notified().await;
            Some(mark(1))
        });
        let late = async {
            sent.notified().await;
            let late = tails.read(|| async { Some(mark(2)) }).await;
            answer.notify_one();
            late
        };
        assert_eq!(tokio::join!(early, late), (Some(mark(1)), Some(mark(2))));
    }

    #[tokio::test]
    async fn the_first_reader_may_be_dropped_or_never_polled_again() {
        for dropped in [true, false] {
            let tails = Tails::new();
            let _other = One::of(&tails.reading);
            let mut first = Box::pin(tails.read(|| async { Some(mark(1)) }));
            let pending = std::future::poll_fn(|cx| {
                std::task::Poll::Ready(first.as_mut().poll(cx).is_pending())
            });
            assert!(pending.await);
            let kept = (!dropped).then_some(first);
            assert_eq!(tails.read(|| async { Some(mark(2)) }).await, Some(mark(1)));
            drop(kept);
            assert_eq!(tails.read(|| async { Some(mark(3)) }).await, Some(mark(3)));
        }
    }

    #[tokio::test]
    async fn a_reading_that_panics_brings_nothing_and_the_next_one_is_not_its() {
        let tails = Tails::new();
        let _other = One::of(&tails.reading);
        let panicking = tails.read(|| async { panic!("a reading") });
        assert_eq!(panicking.await, None);
        assert_eq!(tails.read(|| async { Some(mark(3)) }).await, Some(mark(3)));
    }

    #[tokio::test]
    async fn whoever_reads_alone_asks_at_once_and_shares_with_nobody() {
        let tails = Tails::new();
        let mut first = Box::pin(tails.read(std::future::pending));
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(first.as_mut().poll(cx)));
        assert!(polled.await.is_pending());
        // It never ends, and nobody waits for it.
        assert_eq!(tails.read(|| async { Some(mark(2)) }).await, Some(mark(2)));
        drop(first);
        let mut alone = Box::pin(tails.read(|| async { Some(mark(3)) }));
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(alone.as_mut().poll(cx)));
        assert_eq!(polled.await, std::task::Poll::Ready(Some(mark(3))));
    }
}
