use std::{future::poll_fn, pin::pin};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::Body;

use crate::response::StoredResponse;

/// What of an answer is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Print {
    status: StatusCode,
    body: blake3::Hash,
    headers: Vec<(HeaderName, Vec<HeaderValue>)>,
}

impl Print {
    pub(crate) fn of_stored(stored: &StoredResponse, names: &[HeaderName]) -> Self {
        Self {
            status: stored.status(),
            body: blake3::hash(stored.body()),
            headers: chosen(&stored.given_head(), names),
        }
    }

    /// Reads an answer to its end; `None` when that fails, or it is longer than `limit` bytes.
    pub(crate) async fn of_answer<B>(
        answer: Response<B>,
        names: &[HeaderName],
        limit: u64,
    ) -> Option<Self>
    where
        B: Body<Data = Bytes>,
    {
        let (head, body) = answer.into_parts();
        let mut body = pin!(body);
        let mut hasher = blake3::Hasher::new();
        while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            if let Ok(data) = frame.ok()?.into_data() {
                hasher.update(&data);
                if hasher.count() > limit {
                    return None;
                }
            }
        }
        Some(Self {
            status: head.status,
            body: hasher.finalize(),
            headers: chosen(&head.headers, names),
        })
    }

    /// The names of what isn't the same.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let status = (self.status != other.status).then_some("status");
        let body = (self.body != other.body).then_some("body");
        let headers = self.headers.iter().zip(&other.headers);
        let headers = headers.filter(|(one, other)| one != other);
        let headers = headers.map(|((name, _), _)| name.as_str());
        let all = status.into_iter().chain(body).chain(headers);
        all.map(str::to_owned).collect()
    }
}

fn chosen(headers: &HeaderMap, names: &[HeaderName]) -> Vec<(HeaderName, Vec<HeaderValue>)> {
    let values = |name: &HeaderName| headers.get_all(name).iter().cloned().collect();
    let names = names.iter().map(|name| (name.clone(), values(name)));
    names.collect()
}
