//! tower-http's CORS: outside, answers are stored without it; inside, an entry for each origin.

use http::Method;
use pitlane_testkit::Origin;
use tower::ServiceBuilder;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::support::{BOTH, Site, TEXT, cache, check};

const ALLOWED: &str = "access-control-allow-origin";

fn mirror() -> CorsLayer {
    let layer = CorsLayer::new().allow_origin(AllowOrigin::mirror_request());
    layer.allow_methods([Method::GET, Method::PUT])
}

const SITES: [&str; 3] = ["https://a.example", "https://b.example", "null"];

#[tokio::test]
async fn outside_one_entry_is_told_to_each_origin() {
    for protocol in BOTH {
        let origin = Origin::counting(TEXT);
        let stack = ServiceBuilder::new()
            .layer(mirror())
            .layer(cache())
            .service(origin.clone());
        let site = Site::start(protocol, stack).await;
        for from in SITES.iter().chain(&SITES) {
            let answer = site.get("/", &[("origin", from)]).await;
            assert_eq!(answer.header(ALLOWED), *from);
            assert!(answer.header("vary").contains("origin"));
        }
        check(&site.get("/", &[]).await, 200, "pitlane; hit");
        assert_eq!(origin.calls(), 1);
        check_preflight(&site).await;
        assert_eq!(origin.calls(), 1);
    }
}

#[tokio::test]
async fn inside_each_origin_has_an_entry_and_none_is_told_anothers() {
    for protocol in BOTH {
        let origin = Origin::counting(TEXT);
        let stack = ServiceBuilder::new()
            .layer(cache())
            .layer(mirror())
            .service(origin.clone());
        let site = Site::start(protocol, stack).await;
        for from in SITES.iter().chain(&SITES) {
            let answer = site.get("/", &[("origin", from)]).await;
            assert_eq!(answer.header(ALLOWED), *from);
        }
        assert_eq!(origin.calls(), SITES.len());
        check_preflight(&site).await;
    }
}

async fn check_preflight(site: &Site) {
    let headers = [
        ("origin", SITES[0]),
        ("access-control-request-method", "PUT"),
    ];
    let url = site.server.url("/");
    let answer = site.client.ask(Method::OPTIONS, &url, &headers).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header(ALLOWED), SITES[0]);
    assert!(
        answer
            .header("access-control-allow-methods")
            .contains("PUT")
    );
}

#[tokio::test]
async fn inside_without_vary_what_names_an_origin_is_not_stored() {
    for protocol in BOTH {
        let origin = Origin::counting(TEXT);
        let stack = ServiceBuilder::new()
            .layer(cache())
            .layer(mirror().vary([]))
            .service(origin.clone());
        let site = Site::start(protocol, stack).await;
        for from in SITES {
            let answer = site.get("/", &[("origin", from)]).await;
            assert_eq!(answer.header(ALLOWED), from);
            check(&answer, 200, "fwd=");
            assert!(!answer.header("cache-status").contains("stored"));
        }
        assert_eq!(origin.calls(), SITES.len());
    }
}

#[tokio::test]
async fn what_is_for_everybody_may_be_told_inside() {
    for protocol in BOTH {
        let origin = Origin::counting(TEXT);
        let everybody = CorsLayer::new().allow_origin(Any).vary([]);
        let stack = ServiceBuilder::new()
            .layer(cache())
            .layer(everybody)
            .service(origin.clone());
        let site = Site::start(protocol, stack).await;
        for from in SITES {
            let answer = site.get("/", &[("origin", from)]).await;
            assert_eq!(answer.header(ALLOWED), "*");
        }
        assert_eq!(origin.calls(), 1);
    }
}
