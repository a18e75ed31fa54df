//! What passes through the proxy: bodies that are never collected.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Empty, Full};
use hyper::body::Incoming;

/// A response body: the origin's as it arrives, or a short text of the proxy's own.
pub type ProxyBody = Either<Incoming, Full<Bytes>>;

/// A request body: a client's as it arrives, or none, of who asks within the process.
pub type RequestBody = Either<Incoming, Empty<Bytes>>;

/// A request body on its way to the origin that tells how it gets on.
#[derive(Debug)]
pub(super) struct Upload {
    inner: RequestBody,
    progress: Arc<Progress>,
}

impl Upload {
    pub(super) fn new(inner: RequestBody) -> (Self, Arc<Progress>) {
        let progress = Arc::new(Progress::default());
        (
            Self {
                inner,
                progress: Arc::clone(&progress),
            },
            progress,
        )
    }
}

/// How a request body gets on.
#[derive(Debug, Default)]
pub(super) struct Progress {
    frames: AtomicU64,
    broken: AtomicBool,
}

impl Progress {
    /// Frames taken from the client so far.
    pub(super) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Whether the client's body broke off or was malformed.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = <RequestBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(_))) => {
                self.progress.frames.fetch_add(1, Ordering::Relaxed);
            }
            Poll::Ready(Some(Err(_))) => self.progress.broken.store(true, Ordering::Relaxed),
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
