//! What marks each answer (request ids, nonces) belongs outside.

use http::{HeaderName, HeaderValue, header};
use pitlane_testkit::Origin;
use tower::ServiceBuilder;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};

use crate::support::{BOTH, Site, TEXT, cache, check};

const ID: HeaderName = HeaderName::from_static("x-request-id");

fn set() -> SetRequestIdLayer<MakeRequestUuid> {
    SetRequestIdLayer::new(ID, MakeRequestUuid)
}

fn propagate() -> PropagateRequestIdLayer {
    PropagateRequestIdLayer::new(ID)
}

#[tokio::test]
async fn outside_each_answer_has_an_id_of_its_own() {
    for protocol in BOTH {
        let stack = ServiceBuilder::new()
            .layer(set())
            .layer(propagate())
            .layer(cache())
            .service(Origin::counting(TEXT));
        let site = Site::start(protocol, stack).await;
        let first = site.get("/", &[]).await;
        let second = site.get("/", &[]).await;
        check(&second, 200, "pitlane; hit");
        assert_eq!(first.header("x-request-id").len(), 36);
        assert_eq!(second.header("x-request-id").len(), 36);
        assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
    }
}

#[tokio::test]
async fn inside_an_id_is_stored_with_the_page() {
    for protocol in BOTH {
        let stack = ServiceBuilder::new()
            .layer(cache())
            .layer(set())
            .layer(propagate())
            .service(Origin::counting(TEXT));
        let site = Site::start(protocol, stack).await;
        let first = site.get("/", &[]).await;
        let second = site.get("/", &[]).await;
        check(&second, 200, "pitlane; hit");
        assert_eq!(first.header("x-request-id"), second.header("x-request-id"));
    }
}

#[tokio::test]
async fn inside_what_has_a_nonce_is_not_stored() {
    for protocol in BOTH {
        let origin = Origin::new(|_, call| async move {
            let mut answer = Origin::reply(TEXT, format!("<script nonce=n{call}>"));
            let policy = HeaderValue::from_str(&format!("script-src 'nonce-n{call}'")).unwrap();
            answer
                .headers_mut()
                .insert(header::CONTENT_SECURITY_POLICY, policy);
            answer
        });
        let stack = ServiceBuilder::new().layer(cache()).service(origin.clone());
        let site = Site::start(protocol, stack).await;
        for number in 1..=3 {
            let answer = site.get("/", &[]).await;
            assert_eq!(answer.text(), format!("<script nonce=n{number}>"));
        }
    }
}
