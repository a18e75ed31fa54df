//! Readings of the tail, shared by those who begin at the same moment.

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use pitlane_core::Watermark;
use tokio::sync::watch;

/// A reading that has not been sent yet: whoever begins now may share it.
#[derive(Debug, Default)]
pub(super) struct Tails {
    waiting: Mutex<Option<watch::Receiver<Option<Reading>>>>,
}

/// What a reading brought: a tail, or nothing that can be relied on.
pub(super) type Reading = Option<Watermark>;

impl Tails {
    /// The tail as it was at some moment after this call began. `read` is called by one of those
    /// who share the reading, and only after nobody can join them any more.
    ///
    /// When the one who reads is dropped, the others read again.
    pub(super) async fn read<F>(&self, read: impl Fn() -> F) -> Reading
    where
        F: Future<Output = Reading>,
    {
        loop {
            match self.join() {
                Joined::Share(mut reading) => {
                    if let Ok(reading) = reading.wait_for(Option::is_some).await {
                        return reading.flatten();
                    }
                }
                Joined::Lead(sender) => {
                    let closed = Closing(self);
                    // The tasks that woke together begin together.
                    tokio::task::yield_now().await;
                    drop(closed);
                    let reading = read().await;
                    let _ = sender.send(Some(reading));
                    return reading;
                }
            }
        }
    }

    fn join(&self) -> Joined {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reading) = &*waiting {
            return Joined::Share(reading.clone());
        }
        let (sender, receiver) = watch::channel(None);
        *waiting = Some(receiver);
        Joined::Lead(sender)
    }
}

enum Joined {
    Lead(watch::Sender<Option<Reading>>),
    Share(watch::Receiver<Option<Reading>>),
}

/// Lets nobody else join, once it is dropped: whatever becomes of the one who reads.
struct Closing<'a>(&'a Tails);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let mut waiting = self
            .0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *waiting = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use pitlane_core::{Incarnation, LogId};
    use tokio::sync::Notify;

    use super::*;

    fn mark(nonce: u64) -> Watermark {
        Watermark::new(Incarnation::from_random(1), LogId::ZERO, nonce)
    }

    #[tokio::test]
    async fn those_who_begin_together_share_one_reading() {
        let (tails, count) = (Tails::default(), AtomicUsize::new(0));
        let read = || async {
            count.fetch_add(1, Ordering::SeqCst);
            Some(mark(7))
        };
        let all = tokio::join!(tails.read(read), tails.read(read), tails.read(read));
        assert_eq!(all, (Some(mark(7)), Some(mark(7)), Some(mark(7))));
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_reading_that_was_sent_before_is_not_shared() {
        let tails = Tails::default();
        let (sent, answer) = (Notify::new(), Notify::new());
        let early = tails.read(|| async {
            sent.notify_one();
            answer.notified().await;
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
    async fn when_the_reader_is_dropped_the_others_read_again() {
        let tails = Tails::default();
        let mut first = Box::pin(tails.read(|| async { Some(mark(1)) }));
        let pending =
            std::future::poll_fn(|cx| std::task::Poll::Ready(first.as_mut().poll(cx).is_pending()));
        assert!(pending.await);
        let mut second = Box::pin(tails.read(|| async { Some(mark(2)) }));
        let pending = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(second.as_mut().poll(cx).is_pending())
        });
        assert!(pending.await);
        drop(first);
        assert_eq!(second.await, Some(mark(2)));
    }
}
