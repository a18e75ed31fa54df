use std::{
    fmt,
    future::poll_fn,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};

pin_project_lite::pin_project! {
    /// The body of a request that a layer may have read before the inner service is asked.
    ///
    /// What was read comes first, as one piece; what was not follows as it arrives. A body that no
    /// layer looked at passes through as it is.
    pub struct ReplayBody<Q>
    where
        Q: Body,
    {
        #[pin]
        kind: Kind<Q>,
    }
}

pin_project_lite::pin_project! {
    #[project = KindProjection]
    enum Kind<Q>
    where
        Q: Body,
    {
        Passing { #[pin] body: Q },
        Read {
            first: Bytes,
            // What came where no more data was expected, or what went wrong.
            behind: Option<Result<Frame<Bytes>, Q::Error>>,
            rest: Option<Pin<Box<Q>>>,
        },
    }
}

/// What became of reading a body.
pub(crate) enum Reading<Q: Body> {
    /// All of it is there.
    Whole(Bytes),
    /// It is longer than the limit, has trailers, or broke off.
    Partly(ReplayBody<Q>),
}

impl<Q: Body<Data = Bytes>> ReplayBody<Q> {
    pub(crate) const fn passing(body: Q) -> Self {
        Self {
            kind: Kind::Passing { body },
        }
    }

    pub(crate) const fn whole(bytes: Bytes) -> Self {
        Self {
            kind: Kind::Read {
                first: bytes,
                behind: None,
                rest: None,
            },
        }
    }

    /// What was read of a body, what came behind it, and what is left.
    pub(crate) const fn partly(
        first: Bytes,
        behind: Option<Result<Frame<Bytes>, Q::Error>>,
        rest: Option<Pin<Box<Q>>>,
    ) -> Self {
        Self {
            kind: Kind::Read {
                first,
                behind,
                rest,
            },
        }
    }

    /// Reads a body to its end, but no more than `limit` bytes (and what came together with the
    /// byte behind them).
    pub(crate) async fn read(body: Q, limit: usize) -> Reading<Q> {
        let mut rest = Box::pin(body);
        let mut first = BytesMut::new();
        let mut only = Bytes::new();
        let behind = loop {
            match poll_fn(|cx| rest.as_mut().poll_frame(cx)).await {
                None => {
                    let whole = if first.is_empty() {
                        only
                    } else {
                        first.freeze()
                    };
                    return Reading::Whole(whole);
                }
                Some(Err(error)) => break Some(Err(error)),
                Some(Ok(frame)) => match frame.into_data() {
                    Err(trailers) => break Some(Ok(trailers)),
                    // Most bodies are one piece, which needs no copy.
                    Ok(data) if first.is_empty() && only.is_empty() => only = data,
                    Ok(data) => {
                        if first.is_empty() {
                            first.extend_from_slice(&mem::take(&mut only));
                        }
                        first.extend_from_slice(&data);
                    }
                },
            }
            if first.len().max(only.len()) > limit {
                break None;
            }
        };
        let first = if first.is_empty() {
            only
        } else {
            first.freeze()
        };
        let kind = Kind::Read {
            first,
            behind,
            rest: Some(rest),
        };
        Reading::Partly(Self { kind })
    }
}

impl<Q: Body<Data = Bytes>> Body for ReplayBody<Q> {
    type Data = Bytes;
    type Error = Q::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Q::Error>>> {
        match self.project().kind.project() {
            KindProjection::Passing { body } => body.poll_frame(cx),
            KindProjection::Read {
                first,
                behind,
                rest,
            } => {
                if !first.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(mem::take(first)))));
                }
                if let Some(behind) = behind.take() {
                    return Poll::Ready(Some(behind));
                }
                match rest {
                    Some(rest) => rest.as_mut().poll_frame(cx),
                    None => Poll::Ready(None),
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Passing { body } => body.is_end_stream(),
            Kind::Read {
                first,
                behind,
                rest,
            } => {
                let ended = rest.as_ref().is_none_or(|rest| rest.is_end_stream());
                first.is_empty() && behind.is_none() && ended
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Passing { body } => body.size_hint(),
            Kind::Read { first, rest, .. } => {
                let here = first.len() as u64;
                let rest = rest
                    .as_ref()
                    .map_or_else(|| SizeHint::with_exact(0), |rest| rest.size_hint());
                let mut hint = SizeHint::new();
                hint.set_lower(here.saturating_add(rest.lower()));
                if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(here)) {
                    hint.set_upper(upper);
                }
                hint
            }
        }
    }
}

impl<Q: Body> fmt::Debug for ReplayBody<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Passing { .. } => "Passing",
            Kind::Read { rest: None, .. } => "Whole",
            Kind::Read { .. } => "Partly",
        };
        f.debug_tuple("ReplayBody").field(&kind).finish()
    }
}
