//! A body whose frames a test sends one by one.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::sync::mpsc;

/// The sending half. Dropping it ends the body.
pub(crate) struct Sender(mpsc::Sender<Frame<Bytes>>);

/// The body. It tells nothing about its length.
pub(crate) struct Pipe(mpsc::Receiver<Frame<Bytes>>);

/// A body that holds at most `capacity` frames nobody asked for yet.
pub(crate) fn pipe(capacity: usize) -> (Sender, Pipe) {
    let (sender, receiver) = mpsc::channel(capacity);
    (Sender(sender), Pipe(receiver))
}

impl Sender {
    /// Waits for room; whether there was still a reader.
    pub(crate) async fn data(&mut self, data: impl Into<Bytes>) -> bool {
        self.0.send(Frame::data(data.into())).await.is_ok()
    }

    pub(crate) async fn trailers(&mut self, trailers: HeaderMap) -> bool {
        self.0.send(Frame::trailers(trailers)).await.is_ok()
    }
}

impl Body for Pipe {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}
