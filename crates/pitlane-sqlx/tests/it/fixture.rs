//! A site with one page that shows one row.

use std::{
    future::Future,
    panic::Location,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    response::{IntoResponse, Response},
    routing::get,
};
use http::Request;
use pitlane::{AnonymousCacheLayer, CacheHint, Caches, changes::Changes, tags};
use tower::ServiceExt;

/// Longer than anything here may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// Where the page's text comes from.
pub(crate) type Read = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = String> + Send>> + Send + Sync>;

pub(crate) struct Club {
    pub(crate) id: i64,
}

/// The row that the page shows.
pub(crate) const CLUB: Club = Club { id: 1 };

pub(crate) struct Site {
    pub(crate) caches: Caches,
    pub(crate) changes: Changes,
    /// `/club` shows the row, and `/other` doesn't.
    pub(crate) app: Router,
    reads: Arc<AtomicUsize>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Page {
    pub(crate) is_hit: bool,
    pub(crate) text: String,
}

impl Site {
    pub(crate) fn new(read: Read) -> Self {
        let caches = Caches::builder().build().unwrap();
        let changes = Changes::builder()
            .on_change::<Club>(|club| tags!["club:{}"(club.id)])
            .build()
            .unwrap();
        let reads = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&reads);
        let club = async move || {
            counted.fetch_add(1, Ordering::SeqCst);
            shown(read().await, "club:1")
        };
        let layer = AnonymousCacheLayer::new(&caches.get("default").unwrap());
        let app = Router::new()
            .route("/club", get(club))
            .route("/other", get(async || shown("other".to_owned(), "club:2")))
            .layer(layer.ttl(Duration::from_secs(900)));
        Self {
            caches,
            changes,
            app,
            reads,
        }
    }

    /// How often the page was made.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    pub(crate) async fn get(&self, path: &str) -> Page {
        let request = Request::get(path).header("host", "clubs.test");
        let request = request.body(Body::empty()).unwrap();
        let answer = self.app.clone().oneshot(request).await.unwrap();
        let status = answer.headers()["cache-status"].to_str().unwrap();
        let is_hit = status.starts_with("pitlane; hit");
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        Page {
            is_hit,
            text: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// Fills the cache with both pages.
    #[track_caller]
    pub(crate) fn warm(&self) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            for path in ["/club", "/other"] {
                self.get(path).await;
                assert!(self.get(path).await.is_hit, "{path} at {at}");
            }
        }
    }

    /// Nothing was ended since the cache was warm.
    #[track_caller]
    pub(crate) fn check_kept(&self, text: &str) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let reads = self.reads();
            let page = self.get("/club").await;
            assert_eq!((page.is_hit, &*page.text), (true, text), "at {at}");
            assert_eq!(self.reads(), reads, "at {at}");
        }
    }

    /// What shows the row was ended, and nothing else.
    #[track_caller]
    pub(crate) fn check_ended(&self, text: &str) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let page = self.get("/club").await;
            assert_eq!((page.is_hit, &*page.text), (false, text), "at {at}");
            assert!(self.get("/other").await.is_hit, "at {at}");
        }
    }

    /// Asks for the page until it shows the text.
    #[track_caller]
    pub(crate) fn until_shown(&self, text: &str) -> impl Future<Output = ()> {
        until(format!("the page shows {text}"), async move || {
            self.get("/club").await.text == text
        })
    }

    /// Asks for the page until it was made so often.
    #[track_caller]
    pub(crate) fn until_made(&self, times: usize) -> impl Future<Output = ()> {
        until(format!("the page is made {times} times"), async move || {
            self.get("/club").await;
            self.reads() >= times
        })
    }
}

pub(crate) fn shown(text: String, tag: &str) -> Response {
    let mut response = text.into_response();
    response.extensions_mut().insert(CacheHint::tags([tag]));
    response
}

/// Waits for something that must come.
#[track_caller]
pub(crate) fn until(
    what: impl Into<String>,
    mut holds: impl AsyncFnMut() -> bool,
) -> impl Future<Output = ()> {
    let (at, what) = (Location::caller(), what.into());
    async move {
        let wait = async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, wait).await;
        assert!(waited.is_ok(), "never: {what} (at {at})");
    }
}
