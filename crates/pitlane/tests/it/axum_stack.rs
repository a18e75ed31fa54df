use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{MatchedPath, OriginalUri, Path},
    routing::get,
};
use http::request::Parts;
use pitlane::{AnonymousCacheLayer, ApiCacheLayer, Caches, Outcome};
use pitlane_testkit::{Client, Protocol};

fn matched_path(parts: &Parts) -> Option<&str> {
    parts
        .extensions
        .get::<MatchedPath>()
        .map(MatchedPath::as_str)
}

/// Type-checks and runs what the guide promises: layers per route and per router, without
/// `HandleError`, over handlers with extractors.
#[tokio::test]
async fn layers_fit_routes_and_routers_and_extractors_still_work() {
    let caches = Caches::builder()
        .cache("default")
        .cache("api")
        .build()
        .unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let show = move |Path(id): Path<u32>, path: MatchedPath| async move {
        count.fetch_add(1, Ordering::SeqCst);
        format!("club {id} at {}", path.as_str())
    };
    let minute = Duration::from_secs(60);
    let default = caches.get("default").unwrap();
    let app = Router::new()
        .route("/clubs/{id}", get(show))
        .route_layer(
            AnonymousCacheLayer::new(&default)
                .ttl(minute)
                .route_label(matched_path),
        )
        .nest(
            "/api",
            Router::new()
                .route("/clubs", get(|| async { "[]" }))
                .layer(ApiCacheLayer::new(&caches.get("api").unwrap()).ttl(minute)),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let client = Client::new(Protocol::Http1);
    let url = format!("http://{address}/clubs/7");
    for hit in [false, true] {
        let page = client.get(&url, &[]).await;
        assert_eq!(page.text(), "club 7 at /clubs/{id}");
        assert_eq!(page.is_hit(), hit);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let counts = default.counts();
    let hits = counts
        .iter()
        .find(|count| count.outcome == Outcome::Hit)
        .unwrap();
    assert_eq!((hits.route.as_str(), hits.count), ("/clubs/{id}", 1));
    let api = format!("http://{address}/api/clubs");
    client.get(&api, &[]).await;
    let hit = client.get(&api, &[]).await;
    assert!(hit.is_hit());
    assert_eq!(
        hit.header("cache-control"),
        "public, max-age=0, must-revalidate"
    );
    let known = client.get(&api, &[("authorization", "Bearer x")]).await;
    assert_eq!(known.header("cache-control"), "private, no-cache");
    assert_eq!(known.detail(), "authorization");
    server.abort();
}

fn original(parts: &Parts) -> Option<&http::Uri> {
    parts.extensions.get::<OriginalUri>().map(|uri| &uri.0)
}

/// axum takes the prefix off before a layer inside `nest` sees the request.
#[tokio::test]
async fn nested_routers_over_one_cache_keep_their_answers_apart() {
    let caches = Caches::builder().build().unwrap();
    let layer = ApiCacheLayer::new(&caches.get("default").unwrap())
        .ttl(Duration::from_secs(60))
        .original_uri(original);
    let api = |text: &'static str| {
        Router::new()
            .route("/clubs", get(move || async move { text }).post(|| async {}))
            .layer(layer.clone())
    };
    let app: Router = Router::new()
        .nest("/v1", api("one"))
        .nest("/v2", api("two"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let client = Client::new(Protocol::Http1);
    let url = |version: &str| format!("http://{address}/{version}/clubs");
    for hit in [false, true] {
        for (version, text) in [("v1", "one"), ("v2", "two")] {
            let answer = client.get(&url(version), &[]).await;
            assert_eq!((answer.text(), answer.is_hit()), (text, hit));
        }
    }
    // A write ends its own URI, and an invalidation names it as the client does.
    client.ask(http::Method::POST, &url("v1"), &[]).await;
    assert_eq!(client.get(&url("v1"), &[]).await.detail(), "invalidated");
    assert!(client.get(&url("v2"), &[]).await.is_hit());
    let named = pitlane::Invalidation::default()
        .add_url(&url("v2"))
        .unwrap();
    let _ = caches.publish(named).await.unwrap();
    assert!(client.get(&url("v1"), &[]).await.is_hit());
    assert_eq!(client.get(&url("v2"), &[]).await.detail(), "invalidated");
    server.abort();
}
