//! Parts of stored answers.

use http::{Method, StatusCode};
use pitlane_testkit::Origin;
use tower::Layer;

use crate::drive::{Bench, ask, bench, get};

const TAGGED: &[(&str, &str)] = &[
    ("cache-control", "max-age=60"),
    ("etag", "\"a\""),
    ("content-type", "text/plain"),
];

#[tokio::test]
async fn a_part_is_cut_from_what_is_stored_whole() {
    let Bench { layer, .. } = bench();
    let origin = Origin::new(|_, _| async { Origin::reply(TAGGED, "0123456789") });
    let service = layer.layer(origin.clone());
    get(&service, "/").await;
    let part = ask(&service, Method::GET, "/", &[("range", "bytes=2-4")]).await;
    assert_eq!(
        (part.status, part.text()),
        (StatusCode::PARTIAL_CONTENT, "234")
    );
    assert_eq!(part.header("content-range"), "bytes 2-4/10");
    assert_eq!(part.header("content-length"), "3");
    assert_eq!(part.header("etag"), "\"a\"");
    assert_eq!(part.detail(), "fresh");
    let none = ask(&service, Method::GET, "/", &[("range", "bytes=10-")]).await;
    assert_eq!(none.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(none.header("content-range"), "bytes */10");
    // The whole is as it was.
    assert_eq!(get(&service, "/").await.text(), "0123456789");
    assert_eq!(origin.calls(), 1);
}

#[tokio::test]
async fn a_part_of_another_representation_is_not_mixed_in() {
    let Bench { layer, .. } = bench();
    let origin = Origin::new(|_, _| async { Origin::reply(TAGGED, "0123456789") });
    let service = layer.layer(origin);
    get(&service, "/").await;
    let of = |tag| {
        ask(
            &service,
            Method::GET,
            "/",
            &[("range", "bytes=2-4"), ("if-range", tag)],
        )
    };
    assert_eq!(of("\"a\"").await.text(), "234");
    for other in ["\"b\"", "W/\"a\"", "nonsense"] {
        let whole = of(other).await;
        assert_eq!((whole.status, whole.text()), (StatusCode::OK, "0123456789"));
    }
}

#[tokio::test]
async fn a_precondition_counts_before_a_range() {
    let Bench { layer, .. } = bench();
    let origin = Origin::new(|_, _| async { Origin::reply(TAGGED, "0123456789") });
    let service = layer.layer(origin);
    get(&service, "/").await;
    let asked = [("range", "bytes=2-4"), ("if-none-match", "\"a\"")];
    let same = ask(&service, Method::GET, "/", &asked).await;
    assert_eq!(same.status, StatusCode::NOT_MODIFIED);
    let head = ask(&service, Method::HEAD, "/", &[("range", "bytes=2-4")]).await;
    assert_eq!(head.status, StatusCode::OK);
    assert_eq!(head.header("content-length"), "10");
}

#[tokio::test]
async fn a_part_that_is_not_stored_passes_and_leaves_nothing() {
    let Bench { layer, .. } = bench();
    let origin = Origin::new(|request, _| async move {
        let asked = request.headers().contains_key("range");
        let mut reply = Origin::reply(TAGGED, if asked { "234" } else { "0123456789" });
        if asked {
            *reply.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        reply
    });
    let service = layer.layer(origin.clone());
    let part = ask(&service, Method::GET, "/", &[("range", "bytes=2-4")]).await;
    assert_eq!((part.detail(), part.text()), ("range", "234"));
    assert_eq!(get(&service, "/").await.text(), "0123456789");
    assert_eq!(origin.calls(), 2);
}
