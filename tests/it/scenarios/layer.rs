//! The layer over the story's origin, in this process.

use std::{
    future::{Ready, ready},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use pitlane::{Caches, Clock, Profile, ResponseCache, ResponseCacheLayer, Timestamp};
use tower::ServiceExt;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    Teller,
    expect::{Came, Seen},
    script::{Script, is_bodiless},
    story::{Reply, Settings, Story, Way},
    text::{Message, start},
};

/// Longer than anything in the background takes.
const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct InProcess {
    clock: Clock,
    caches: Caches,
    service: ResponseCache<Scripted>,
}

/// A cache of its own, with a clock that stands where stories begin.
pub(super) fn caches() -> (Clock, Caches) {
    let clock = Clock::manual(Timestamp::from(start()));
    let caches = Caches::builder().clock(clock.clone()).memory(16 << 20);
    (clock, caches.build().unwrap())
}

/// The layer as the story's operator sets it up.
pub(super) fn configure(mut layer: ResponseCacheLayer, settings: &Settings) -> ResponseCacheLayer {
    if let Some(span) = settings.ttl {
        layer = layer.ttl(span.0);
    }
    if let Some(span) = settings.stale_while_revalidate {
        layer = layer.stale_while_revalidate(span.0);
    }
    if let Some(span) = settings.stale_if_error {
        layer = layer.stale_if_error(span.0);
    }
    if let Some(span) = settings.max_stale {
        layer = layer.max_stale(span.0);
    }
    if !settings.targets.is_empty() {
        layer = layer.targets(settings.targets.iter().map(|target| name(target)));
    }
    for status in &settings.status {
        layer = layer.add_status(StatusCode::from_u16(*status).expect("a status"));
    }
    for header in &settings.key_header {
        layer = layer.key_header(name(header));
    }
    for cookie in &settings.harmless_cookie {
        layer = layer.add_harmless_cookie(cookie);
    }
    if settings.store_redirects {
        layer = layer.store_redirects();
    }
    if settings.store_empty {
        layer = layer.store_empty();
    }
    if settings.cache_status_key {
        layer = layer.cache_status_key();
    }
    if settings.strip_tags {
        layer = layer.strip_tags();
    }
    layer
}

pub(super) fn name(text: &str) -> HeaderName {
    text.parse().expect("a field name")
}

/// Waits until nothing runs in the background any more.
pub(super) async fn settled(caches: &Caches) -> Result<(), String> {
    let idle = async {
        while caches.background() > 0 {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    };
    let idle = tokio::time::timeout(DEADLINE, idle).await;
    idle.map_err(|_| "something still runs in the background after 10 s".to_owned())
}

impl Teller for InProcess {
    const WAY: Way = Way::Layer;

    async fn begin(story: &Story, profile: Profile, origin: Script) -> Self {
        let (clock, caches) = caches();
        let layer = ResponseCacheLayer::new(&caches.get("default").unwrap()).profile(profile);
        let service = configure(layer, &story.settings).layer(Scripted(origin));
        Self {
            clock,
            caches,
            service,
        }
    }

    fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
    }

    async fn ask(&mut self, request: &Message) -> Result<Came, String> {
        let mut asked = Request::builder()
            .method(request.word(0))
            .uri(request.word(1))
            .body(Full::from(request.body.clone().unwrap_or_default()))
            .map_err(|error| format!("a story that can't be told here: {error}"))?;
        *asked.headers_mut() = request.headers()?;
        let answer = self.service.clone().oneshot(asked).await;
        let Ok(answer) = answer else {
            // What a server makes of it.
            return Ok(Came {
                status: 502,
                headers: http::HeaderMap::new(),
                body: Bytes::new(),
                cut: false,
            });
        };
        let (head, mut body) = answer.into_parts();
        let (mut bytes, mut cut) = (Vec::new(), false);
        while let Some(frame) = body.frame().await {
            match frame.map(Frame::into_data) {
                Ok(Ok(data)) => bytes.extend_from_slice(&data),
                Ok(Err(_)) => {}
                Err(_) => cut = true,
            }
        }
        Ok(Came {
            status: head.status.as_u16(),
            headers: head.headers,
            body: bytes.into(),
            cut,
        })
    }

    async fn settle(&mut self) -> Result<(), String> {
        settled(&self.caches).await
    }
}

/// The origin as an inner service.
#[derive(Clone, Debug)]
struct Scripted(Script);

impl Service<Request<Full<Bytes>>> for Scripted {
    type Response = Response<OriginBody>;
    type Error = String;
    type Future = Ready<Result<Self::Response, String>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), String>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let method = request.method().to_string();
        let reply = self.0.ask(Seen {
            method: method.clone(),
            target: request.uri().to_string(),
            headers: request.headers().clone(),
        });
        ready(match reply {
            Reply::Answer(answer) => respond(&method, &answer),
            Reply::Refusal | Reply::Nothing => Err("no answer".to_owned()),
        })
    }
}

fn respond(method: &str, answer: &Message) -> Result<Response<OriginBody>, String> {
    let whole = complete(method, answer);
    let cut = Reply::Answer(whole.clone()).is_cut() && whole.body.is_some();
    let body = OriginBody {
        rest: whole.body.clone().map(Bytes::from),
        known: !whole.is_chunked(),
        cut,
    };
    let mut response = Response::new(body);
    *response.status_mut() = whole.word(1).parse().map_err(|_| "no status")?;
    *response.headers_mut() = whole.headers()?;
    Ok(response)
}

/// The answer to this method as it goes over a connection: with a body that says how long it is,
/// or without any.
pub(super) fn complete(method: &str, answer: &Message) -> Message {
    let status = answer.word(1).parse().unwrap_or_default();
    let mut whole = answer.clone();
    if is_bodiless(method, status) {
        whole.body = None;
        return whole;
    }
    whole.body.get_or_insert_default();
    whole.with_length()
}

/// A body of one piece, which may break off behind it.
#[derive(Debug)]
struct OriginBody {
    rest: Option<Bytes>,
    known: bool,
    cut: bool,
}

impl Body for OriginBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let piece = self.rest.take().filter(|piece| !piece.is_empty());
        Poll::Ready(match piece {
            Some(piece) => Some(Ok(Frame::data(piece))),
            None if std::mem::take(&mut self.cut) => Some(Err("the origin broke off".into())),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.known && !self.cut && self.rest.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            Some(rest) if self.known && !self.cut => SizeHint::with_exact(rest.len() as u64),
            None => SizeHint::with_exact(0),
            Some(_) => SizeHint::default(),
        }
    }
}
