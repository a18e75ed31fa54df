//! Markers in pages, and what is put in their place in each answer.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::{Body, Frame, SizeHint};

use super::{body::ResponseBody, content::is_text, forms::DIGESTS, layer::Settings};

/// What one answer gets in the place of its markers.
#[derive(Clone, Debug)]
pub(crate) struct Swaps(Vec<Swap>);

#[derive(Clone, Debug)]
struct Swap {
    marker: Box<[u8]>,
    value: Box<[u8]>,
}

impl Swaps {
    pub(crate) fn of(settings: &Settings) -> Self {
        let swap = |(marker, value): &(Box<str>, super::options::SwapOf)| Swap {
            marker: marker.as_bytes().into(),
            value: value().into_bytes().into(),
        };
        Self(settings.swaps.iter().map(swap).collect())
    }

    /// Puts the values in their places, in the head and in a body of text.
    pub(crate) fn swap<R>(self, response: Response<ResponseBody<R>>) -> Response<ResponseBody<R>>
    where
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Send,
    {
        let (mut parts, body) = response.into_parts();
        self.swap_head(&mut parts.headers);
        if !is_text(&parts.headers) || parts.headers.contains_key(header::CONTENT_ENCODING) {
            return Response::from_parts(parts, body);
        }
        // Two answers from one entry are two contents.
        let validators = [header::ETAG, header::LAST_MODIFIED, header::ACCEPT_RANGES];
        for name in validators.iter().chain(&DIGESTS) {
            parts.headers.remove(name);
        }
        let body = match body.into_full() {
            // To HEAD: how long the content would be isn't known.
            Ok(bytes) if bytes.is_empty() => {
                parts.headers.remove(header::CONTENT_LENGTH);
                ResponseBody::full(bytes)
            }
            Ok(bytes) => {
                let mut swapping = Swapping::new(self);
                let mut whole = swapping.feed(&bytes);
                whole.extend_from_slice(&swapping.rest());
                if parts.headers.contains_key(header::CONTENT_LENGTH) {
                    let length = HeaderValue::from(whole.len());
                    parts.headers.insert(header::CONTENT_LENGTH, length);
                }
                ResponseBody::full(whole.freeze())
            }
            Err(body) => {
                if self.0.iter().any(|one| one.marker.len() != one.value.len()) {
                    parts.headers.remove(header::CONTENT_LENGTH);
                }
                ResponseBody::swapped(SwappedBody::new(body, self))
            }
        };
        Response::from_parts(parts, body)
    }

    /// A value that no field may have leaves the marker: a policy without its nonce lets nothing
    /// run.
    fn swap_head(&self, headers: &mut HeaderMap) {
        for value in headers.values_mut() {
            if !self
                .0
                .iter()
                .any(|one| contains(value.as_bytes(), &one.marker))
            {
                continue;
            }
            let mut swapping = Swapping::new(self.clone());
            let mut swapped = swapping.feed(value.as_bytes());
            swapped.extend_from_slice(&swapping.rest());
            if let Ok(swapped) = HeaderValue::from_maybe_shared(swapped.freeze()) {
                *value = swapped;
            }
        }
    }
}

fn contains(text: &[u8], marker: &[u8]) -> bool {
    text.windows(marker.len()).any(|window| window == marker)
}

/// A search that goes on from one piece of a text to the next.
#[derive(Debug)]
struct Swapping {
    swaps: Swaps,
    /// The end of what was read, where a marker may have begun.
    held: BytesMut,
}

impl Swapping {
    fn new(swaps: Swaps) -> Self {
        Self {
            swaps,
            held: BytesMut::new(),
        }
    }

    /// Reads on, and gives back what can't change any more.
    fn feed(&mut self, piece: &[u8]) -> BytesMut {
        let mut text = mem::take(&mut self.held);
        text.extend_from_slice(piece);
        let mut done = BytesMut::with_capacity(text.len());
        while !text.is_empty() {
            let start = self.find_start(&text);
            done.extend_from_slice(&text.split_to(start));
            match self.at(&text) {
                Here::Marker(swap) => {
                    done.extend_from_slice(&swap.value);
                    text.advance(swap.marker.len());
                }
                Here::Perhaps => break,
                Here::Nothing => {
                    let end = text.len().min(1);
                    done.extend_from_slice(&text.split_to(end));
                }
            }
        }
        self.held = text;
        done
    }

    /// Where the first byte of a marker stands.
    fn find_start(&self, text: &[u8]) -> usize {
        let starts = |byte: &u8| {
            let mut swaps = self.swaps.0.iter();
            swaps.any(|swap| swap.marker.first() == Some(byte))
        };
        text.iter().position(starts).unwrap_or(text.len())
    }

    /// What is left at the end, where no marker can become whole any more.
    fn rest(&mut self) -> BytesMut {
        mem::take(&mut self.held)
    }

    fn at(&self, text: &[u8]) -> Here<'_> {
        if text.is_empty() {
            return Here::Nothing;
        }
        let whole = |swap: &&Swap| text.starts_with(&swap.marker);
        if let Some(swap) = self.swaps.0.iter().find(whole) {
            return Here::Marker(swap);
        }
        let begins = |swap: &Swap| swap.marker.starts_with(text);
        if self.swaps.0.iter().any(begins) {
            return Here::Perhaps;
        }
        Here::Nothing
    }
}

enum Here<'a> {
    Marker(&'a Swap),
    Perhaps,
    Nothing,
}

/// A body in which markers are replaced while it streams through.
#[derive(Debug)]
pub(crate) struct SwappedBody<R: Body> {
    body: Pin<Box<ResponseBody<R>>>,
    swapping: Swapping,
    /// What comes behind the rest of the text: trailers, or an error.
    behind: Option<Result<Frame<Bytes>, R::Error>>,
    ended: bool,
}

impl<R: Body> SwappedBody<R> {
    fn new(body: ResponseBody<R>, swaps: Swaps) -> Self {
        Self {
            body: Box::pin(body),
            swapping: Swapping::new(swaps),
            behind: None,
            ended: false,
        }
    }
}

impl<R> SwappedBody<R>
where
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
{
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        loop {
            if self.ended {
                return Poll::Ready(self.behind.take());
            }
            match ready!(self.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        let done = self.swapping.feed(&data);
                        if !done.is_empty() {
                            return Poll::Ready(Some(Ok(Frame::data(done.freeze()))));
                        }
                        continue;
                    }
                    Err(other) => self.behind = Some(Ok(other)),
                },
                Some(Err(error)) => self.behind = Some(Err(error)),
                None => {}
            }
            self.ended = true;
            let rest = self.swapping.rest();
            if !rest.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(rest.freeze()))));
            }
        }
    }

    pub(crate) const fn is_end_stream(&self) -> bool {
        self.ended && self.behind.is_none()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swaps(pairs: &[(&str, &str)]) -> Swaps {
        let swap = |(marker, value): &(&str, &str)| Swap {
            marker: marker.as_bytes().into(),
            value: value.as_bytes().into(),
        };
        Swaps(pairs.iter().map(swap).collect())
    }

    /// Cuts the text in every possible place, and in all of them.
    #[track_caller]
    fn check(pairs: &[(&str, &str)], text: &str, expected: &str) {
        let pieces = |cuts: &[usize]| {
            let mut swapping = Swapping::new(swaps(pairs));
            let mut found = Vec::new();
            let mut from = 0;
            for cut in cuts {
                found.extend_from_slice(&swapping.feed(&text.as_bytes()[from..*cut]));
                from = *cut;
            }
            found.extend_from_slice(&swapping.feed(&text.as_bytes()[from..]));
            found.extend_from_slice(&swapping.rest());
            String::from_utf8(found).unwrap()
        };
        for cut in 0..=text.len() {
            assert_eq!(pieces(&[cut]), expected, "{text} cut at {cut}");
        }
        let everywhere: Vec<usize> = (0..=text.len()).collect();
        assert_eq!(pieces(&everywhere), expected, "{text} cut everywhere");
    }

    #[test]
    fn markers_are_found_across_pieces() {
        let one = &[("%N%", "abc")];
        check(one, "", "");
        check(one, "%N%", "abc");
        check(one, "<x n=%N%>%N%%N%", "<x n=abc>abcabc");
        check(one, "%%N%N%", "%abcN%");
        check(one, "100 % of %N", "100 % of %N");
        check(&[("aab", "x")], "aaab aaaab", "ax aax");
    }

    #[test]
    fn a_value_is_not_searched_and_of_two_markers_each_has_its_own() {
        check(&[("A", "BA"), ("B", "A")], "AB", "BAA");
        check(&[("ab", "1"), ("abc", "2")], "abc ab", "1c 1");
    }
}
