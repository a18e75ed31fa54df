//! Bodies that don't end as they should.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use pitlane_testkit::{Origin, Reply};

/// How a body ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Fine,
    Error,
    Trailers,
}

/// A fresh answer with a streamed body of `chunks` times `size` bytes.
pub(crate) fn streamed(headers: &[(&str, &str)], chunks: usize, size: usize, end: End) -> Reply {
    let body = Stream {
        chunks,
        chunk: Bytes::from(vec![b'x'; size]),
        end: Some(end),
    };
    let headers = [headers, &[("cache-control", "max-age=60")]].concat();
    Origin::reply(&headers, "").map(|_| UnsyncBoxBody::new(body))
}

struct Stream {
    chunks: usize,
    chunk: Bytes,
    end: Option<End>,
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(left) = self.chunks.checked_sub(1) {
            self.chunks = left;
            return Poll::Ready(Some(Ok(Frame::data(self.chunk.clone()))));
        }
        Poll::Ready(match self.end.take() {
            Some(End::Error) => Some(Err("broken off".into())),
            Some(End::Trailers) => {
                let mut trailers = HeaderMap::new();
                trailers.insert("x-trailer", "evil".parse().unwrap());
                Some(Ok(Frame::trailers(trailers)))
            }
            Some(End::Fine) | None => None,
        })
    }
}
