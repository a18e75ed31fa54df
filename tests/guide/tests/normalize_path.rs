//! tower-http's NormalizePath: outside, one page is one entry; inside, one for each spelling.

use http::{Method, Request};
use pitlane::CacheHint;
use pitlane_testkit::Origin;
use tower::ServiceBuilder;
use tower_http::normalize_path::NormalizePathLayer;

use crate::support::{BOTH, Site, TEXT, check};

const SPELLINGS: [&str; 3] = ["/clubs", "/clubs/", "//clubs//"];

/// Reads answer with the path and how often it was asked; writes touch what is named.
fn handler(tagged: bool) -> Origin {
    Origin::new(move |request: Request<()>, call| async move {
        let mut answer = Origin::reply(TEXT, format!("{} {call}", request.uri().path()));
        if tagged {
            answer.extensions_mut().insert(CacheHint::tags(["clubs"]));
        }
        answer
    })
}

#[tokio::test]
async fn outside_every_spelling_is_one_entry_and_a_write_ends_it() {
    for protocol in BOTH {
        let origin = handler(false);
        let stack = ServiceBuilder::new()
            .layer(NormalizePathLayer::trim_trailing_slash())
            .layer(crate::support::cache())
            .service(origin.clone());
        let site = Site::start(protocol, stack).await;
        for path in SPELLINGS {
            assert_eq!(site.get(path, &[]).await.text(), "/clubs 1");
        }
        let url = site.server.url("/clubs/");
        site.client.ask(Method::POST, &url, &[]).await;
        for path in SPELLINGS {
            assert_eq!(site.get(path, &[]).await.text(), "/clubs 3");
        }
    }
}

#[tokio::test]
async fn inside_every_spelling_is_an_entry_and_a_write_ends_only_its_own() {
    for protocol in BOTH {
        let origin = handler(false);
        let stack = ServiceBuilder::new()
            .layer(crate::support::cache())
            .layer(NormalizePathLayer::trim_trailing_slash())
            .service(origin.clone());
        let site = Site::start(protocol, stack).await;
        for (path, text) in SPELLINGS.iter().zip(["/clubs 1", "/clubs 2", "/clubs 3"]) {
            assert_eq!(site.get(path, &[]).await.text(), text);
            check(&site.get(path, &[]).await, 200, "pitlane; hit");
        }
        let url = site.server.url("/clubs/");
        site.client.ask(Method::POST, &url, &[]).await;
        assert_eq!(site.get("/clubs/", &[]).await.text(), "/clubs 5");
        // The cache can't know that these are the same page: a tag does.
        assert_eq!(site.get("/clubs", &[]).await.text(), "/clubs 1");
    }
}

#[tokio::test]
async fn inside_a_tag_ends_every_spelling() {
    for protocol in BOTH {
        let (caches, _clock) = pitlane::testing::caches();
        let cache = caches.get("default").unwrap();
        let layer = pitlane::AnonymousCacheLayer::new(&cache).ttl(crate::support::MINUTE);
        let stack = ServiceBuilder::new()
            .layer(layer)
            .layer(NormalizePathLayer::trim_trailing_slash())
            .service(handler(true));
        let site = Site::start(protocol, stack).await;
        for path in SPELLINGS {
            site.get(path, &[]).await;
            check(&site.get(path, &[]).await, 200, "pitlane; hit");
        }
        let _ = caches.invalidate(["clubs"]).await.unwrap();
        for path in SPELLINGS {
            check(&site.get(path, &[]).await, 200, "detail=invalidated");
        }
    }
}
