//! The handlers, and which request goes to which: everything a framework would do.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use pitlane::{CacheHint, Caches};

use crate::{Lap, Laps, Live};

/// What every handler answers with: a text that is there, or a stream.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The most that is read of a form, in bytes.
const LONGEST_FORM: usize = 1024;

/// The front page shows all tracks.
const ALL_TRACKS: &str = "tracks";

/// The board of lap times.
#[derive(Clone, Debug)]
pub struct Site {
    laps: Laps,
    live: Live,
    caches: Caches,
}

impl Site {
    /// A site over these laps; what a new lap changes is invalidated in these caches.
    #[must_use]
    pub fn new(laps: Laps, caches: Caches) -> Self {
        Self {
            laps,
            live: Live::default(),
            caches,
        }
    }

    /// Those who watch.
    #[must_use]
    pub const fn live(&self) -> &Live {
        &self.live
    }

    /// Answers one request.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let is_head = head.method == Method::HEAD;
        let path = head.uri.path().trim_start_matches('/');
        let segments: Vec<&str> = path.split('/').collect();
        let answer = match (&head.method, segments.as_slice()) {
            (&Method::GET | &Method::HEAD, [""]) => self.home(&head.headers).await,
            (&Method::GET | &Method::HEAD, ["tracks", track]) => self.track(track).await,
            (&Method::GET, ["live"]) => Ok(self.watch()),
            (&Method::POST, ["tracks", track, "laps"]) => self.drive(track, body).await,
            (_, [""] | ["live"] | ["tracks", _] | ["tracks", _, "laps"]) => Ok(text(
                StatusCode::METHOD_NOT_ALLOWED,
                "no such method here\n",
            )),
            _ => Ok(text(StatusCode::NOT_FOUND, "no such page\n")),
        };
        let answer = answer.unwrap_or_else(|error| {
            eprintln!("hyper-server: the laps are out of reach: {error}");
            text(StatusCode::INTERNAL_SERVER_ERROR, "out of order\n")
        });
        if is_head {
            return answer.map(|_| Full::default().boxed_unsync());
        }
        answer
    }

    /// The best lap of each track, for whoever has told their name in a cookie with a greeting.
    async fn home(&self, headers: &HeaderMap) -> io::Result<Response<Body>> {
        let mut laps = self.read().await?;
        laps.sort_by(|a, b| (&a.track, a.milliseconds).cmp(&(&b.track, b.milliseconds)));
        laps.dedup_by(|later, first| later.track == first.track);
        let mut page = match name_in_cookie(headers) {
            Some(name) => format!("Welcome back, {name}.\n\n"),
            None => "Lap records\n\n".to_owned(),
        };
        for lap in &laps {
            let _ = writeln!(page, "/tracks/{:<20}{}", lap.track, line(lap));
        }
        let mut answer = text(StatusCode::OK, page);
        answer
            .extensions_mut()
            .insert(CacheHint::tags([ALL_TRACKS]));
        Ok(answer)
    }

    /// The laps of one track, the best first.
    async fn track(&self, track: &str) -> io::Result<Response<Body>> {
        let mut laps = self.read().await?;
        laps.retain(|lap| lap.track == track);
        if laps.is_empty() {
            return Ok(text(StatusCode::NOT_FOUND, "nobody has driven here\n"));
        }
        laps.sort_by_key(|lap| lap.milliseconds);
        let page: String = laps.iter().map(|lap| line(lap) + "\n").collect();
        let mut answer = text(StatusCode::OK, page);
        let hint = CacheHint::tags([tag_of(track)]);
        answer.extensions_mut().insert(hint);
        Ok(answer)
    }

    /// Takes a lap, `driver=Ada&ms=80246`, and ends the pages that show it.
    async fn drive(&self, track: &str, body: Incoming) -> io::Result<Response<Body>> {
        let Ok(form) = Limited::new(body, LONGEST_FORM).collect().await else {
            return Ok(text(StatusCode::BAD_REQUEST, "no form\n"));
        };
        let Some(lap) = lap_of(track, &form.to_bytes()) else {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return Ok(text(status, "a lap is driver=NAME&ms=MILLISECONDS\n"));
        };
        // Stated before the lap is written, so that it holds if this handler is dropped midway.
        let owed = self.caches.owe([tag_of(track).as_str(), ALL_TRACKS]);
        let (laps, driven) = (self.laps.clone(), lap.clone());
        blocking(move || laps.add(&driven)).await?;
        // Where Redis is out of reach the other servers hear of it later; here it holds at once.
        let _ = owed.publish().await.map_err(io::Error::other)?;
        self.live.tell(&lap.to_string());
        Ok(text(StatusCode::CREATED, format!("{lap}\n")))
    }

    /// Laps as they happen: a stream that is never stored and passes the cache at once.
    fn watch(&self) -> Response<Body> {
        let mut answer = Response::new(self.live.watch().boxed_unsync());
        let stream = HeaderValue::from_static("text/event-stream");
        answer.headers_mut().insert(header::CONTENT_TYPE, stream);
        answer
    }

    async fn read(&self) -> io::Result<Vec<Lap>> {
        let laps = self.laps.clone();
        blocking(move || laps.read()).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let text = text.into();
    let length = HeaderValue::from(text.len());
    let mut answer = Response::new(Full::new(text).boxed_unsync());
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer.headers_mut().insert(header::CONTENT_LENGTH, length);
    answer
}

fn tag_of(track: &str) -> String {
    format!("track:{track}")
}

fn line(lap: &Lap) -> String {
    let (seconds, rest) = (lap.milliseconds / 1000, lap.milliseconds % 1000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    format!("{minutes}:{seconds:02}.{rest:03}  {}", lap.driver)
}

fn name_in_cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE).iter();
    let mut crumbs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'));
    crumbs.find_map(|crumb| crumb.trim().strip_prefix("name="))
}

fn lap_of(track: &str, form: &[u8]) -> Option<Lap> {
    let form = std::str::from_utf8(form).ok()?.trim();
    let field = |name: &str| {
        let mut pairs = form.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let driver = field("driver")?.replace('+', " ");
    Lap::new(track, field("ms")?, &driver)
}
