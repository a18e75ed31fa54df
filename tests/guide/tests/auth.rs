//! Who may see a page: a check belongs outside the cache, or the cache must know what it looks at.

use http::{HeaderName, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use pitlane::AnonymousCacheLayer;
use pitlane_testkit::Origin;
use tower::ServiceBuilder;
use tower::util::MapRequestLayer;
use tower_http::auth::AsyncRequireAuthorizationLayer;
use tower_http::validate_request::ValidateRequestHeaderLayer;

use crate::support::{BOTH, Site, TEXT, cache, check};

/// One of the names that the cache knows.
const KEY: HeaderName = HeaderName::from_static("x-api-key");
const OPEN: (&str, &str) = ("x-api-key", "open-sesame");
const WRONG: (&str, &str) = ("x-api-key", "please");

/// A name that nobody else uses.
const CARD: HeaderName = HeaderName::from_static("club-card");
const MEMBER: (&str, &str) = ("club-card", "open-sesame");
const GUEST: (&str, &str) = ("club-card", "please");

/// Lets through who brings the right key.
fn key_check<B: Default>(request: &mut Request<Incoming>) -> Result<(), Response<B>> {
    let headers = request.headers();
    match headers.get(KEY).or_else(|| headers.get(CARD)) {
        Some(key) if key == OPEN.1 => Ok(()),
        _ => Err(refusal(StatusCode::UNAUTHORIZED)),
    }
}

fn refusal<B: Default>(status: StatusCode) -> Response<B> {
    let mut refusal = Response::new(B::default());
    *refusal.status_mut() = status;
    refusal
}

#[tokio::test]
async fn a_check_outside_is_made_for_every_answer() {
    for protocol in BOTH {
        let origin = Origin::counting(TEXT);
        let stack = ServiceBuilder::new()
            .layer(ValidateRequestHeaderLayer::custom(key_check))
            .layer(cache().key_header(KEY))
            .service(origin.clone());
        let site = Site::start(protocol, stack).await;
        for _ in 0..2 {
            check(&site.get("/", &[]).await, 401, "");
            check(&site.get("/", &[WRONG]).await, 401, "");
            check(&site.get("/", &[OPEN]).await, 200, "pitlane");
        }
        check(&site.get("/", &[OPEN]).await, 200, "pitlane; hit");
        assert_eq!(origin.calls(), 1);
    }
}

/// A site with the check inside, asked by somebody who may, then by others.
async fn check_inside(layer: AnonymousCacheLayer, [good, bad]: [(&str, &str); 2], told: [&str; 2]) {
    for protocol in BOTH {
        let stack = ServiceBuilder::new()
            .layer(layer.clone())
            .layer(ValidateRequestHeaderLayer::custom(key_check))
            .service(Origin::counting(TEXT));
        let site = Site::start(protocol, stack).await;
        let path = format!("/{protocol:?}");
        for told in told {
            check(&site.get(&path, &[good]).await, 200, told);
            check(&site.get(&path, &[]).await, 401, "fwd=");
            check(&site.get(&path, &[bad]).await, 401, "fwd=");
        }
    }
}

#[tokio::test]
async fn a_request_with_a_known_credential_passes_a_check_inside() {
    let told = "fwd=bypass; detail=credential";
    check_inside(cache(), [OPEN, WRONG], [told, told]).await;
}

#[tokio::test]
async fn a_credential_of_ones_own_has_to_be_named() {
    let told = "fwd=bypass; detail=credential";
    let layer = cache().add_credential(CARD);
    check_inside(layer, [MEMBER, GUEST], [told, told]).await;
}

#[tokio::test]
async fn a_check_inside_of_what_is_in_the_key_is_made_for_each_key() {
    let told = ["stored", "pitlane; hit"];
    check_inside(cache().key_header(KEY), [OPEN, WRONG], told).await;
    check_inside(cache().key_header(CARD), [MEMBER, GUEST], told).await;
}

#[tokio::test]
async fn a_check_inside_of_what_is_hidden_lets_nobody_in() {
    for protocol in BOTH {
        let origin = Origin::counting(TEXT);
        let stack = ServiceBuilder::new()
            .layer(cache().strip_unkeyed())
            .layer(ValidateRequestHeaderLayer::custom(key_check))
            .service(origin.clone());
        let site = Site::start(protocol, stack).await;
        for headers in [&[MEMBER][..], &[], &[GUEST]] {
            check(&site.get("/", headers).await, 401, "");
        }
        assert_eq!(origin.calls(), 0);
    }
}

/// What the guide warns of: the cache can't know what it was not told.
#[tokio::test]
async fn a_check_inside_of_a_header_without_a_name_is_made_once() {
    for protocol in BOTH {
        let stack = ServiceBuilder::new()
            .layer(cache())
            .layer(ValidateRequestHeaderLayer::custom(key_check))
            .service(Origin::counting(TEXT));
        let site = Site::start(protocol, stack).await;
        check(&site.get("/", &[]).await, 401, "fwd=uri-miss");
        check(&site.get("/", &[MEMBER]).await, 200, "stored");
        check(&site.get("/", &[]).await, 200, "pitlane; hit");
    }
}

#[tokio::test]
async fn a_bearer_token_bypasses_wherever_it_is_checked() {
    const ADA: (&str, &str) = ("authorization", "Bearer ada");
    for protocol in BOTH {
        let origin = Origin::counting(TEXT);
        let inside = ServiceBuilder::new()
            .layer(cache())
            .layer(ValidateRequestHeaderLayer::custom(bearer))
            .service(origin.clone());
        let inside = Site::start(protocol, inside).await;
        let outside = ServiceBuilder::new()
            .layer(ValidateRequestHeaderLayer::custom(bearer))
            .layer(cache())
            .service(origin.clone());
        let outside = Site::start(protocol, outside).await;
        for site in [inside, outside] {
            for _ in 0..2 {
                check(&site.get("/", &[ADA]).await, 200, "detail=authorization");
                check(&site.get("/", &[]).await, 401, "");
                let ben = ("authorization", "Bearer ben");
                check(&site.get("/", &[ben]).await, 401, "");
            }
        }
        assert_eq!(origin.calls(), 4);
    }
}

fn bearer<B: Default>(request: &mut Request<Incoming>) -> Result<(), Response<B>> {
    match request.headers().get(header::AUTHORIZATION) {
        Some(token) if token == "Bearer ada" => Ok(()),
        _ => Err(refusal(StatusCode::UNAUTHORIZED)),
    }
}

/// Who asks, as found out by the check.
#[derive(Clone)]
struct User(String);

/// Knows two people by their tokens.
async fn identify<B: Default>(
    mut request: Request<Incoming>,
) -> Result<Request<Incoming>, Response<B>> {
    let token = request.headers().get(header::AUTHORIZATION);
    let name = match token.and_then(|token| token.to_str().ok()) {
        Some("Bearer a") => "ada",
        Some("Bearer b") => "ben",
        _ => return Err(refusal(StatusCode::UNAUTHORIZED)),
    };
    request.extensions_mut().insert(User(name.to_owned()));
    Ok(request)
}

fn per_user() -> AnonymousCacheLayer {
    cache().per_user(|parts| Some(parts.extensions.get::<User>()?.0.clone()))
}

fn personal() -> Origin {
    Origin::new(|request: Request<()>, call| async move {
        let User(name) = request.extensions().get().unwrap();
        Origin::reply(TEXT, format!("{name} {call}"))
    })
}

#[tokio::test]
async fn outside_it_says_whose_entry_a_page_is() {
    for protocol in BOTH {
        let stack = ServiceBuilder::new()
            .layer(AsyncRequireAuthorizationLayer::new(identify))
            .layer(per_user())
            .service(personal());
        let site = Site::start(protocol, stack).await;
        for (token, text) in [("Bearer a", "ada 1"), ("Bearer b", "ben 2")] {
            let first = site.get("/", &[("authorization", token)]).await;
            assert_eq!(first.text(), text);
            let again = site.get("/", &[("authorization", token)]).await;
            check(&again, 200, "pitlane; hit");
            assert_eq!(again.text(), text);
            assert_eq!(again.header("cache-control"), "private, no-cache");
        }
        check(&site.get("/", &[]).await, 401, "");
        let forged = site.get("/", &[("authorization", "Bearer c")]).await;
        check(&forged, 401, "");
    }
}

#[tokio::test]
async fn inside_nobody_is_known_and_nothing_is_stored() {
    for protocol in BOTH {
        let stack = ServiceBuilder::new()
            .layer(per_user())
            .layer(AsyncRequireAuthorizationLayer::new(identify))
            .service(personal());
        let site = Site::start(protocol, stack).await;
        for number in 1..=3 {
            let answer = site.get("/", &[("authorization", "Bearer a")]).await;
            check(&answer, 200, "detail=no-user");
            assert_eq!(answer.text(), format!("ada {number}"));
        }
        check(&site.get("/", &[]).await, 401, "detail=no-user");
    }
}

/// What a server knows of a connection, which no header tells.
#[derive(Clone, PartialEq)]
struct Peer(String);

/// Stands for a server that notes the peer's address; the tests name it.
fn note_peer() -> MapRequestLayer<impl Fn(Request<Incoming>) -> Request<Incoming> + Clone> {
    MapRequestLayer::new(|mut request: Request<Incoming>| {
        let peer = request.headers_mut().remove("test-peer").unwrap();
        let peer = peer.to_str().unwrap().to_owned();
        request.extensions_mut().insert(Peer(peer));
        request
    })
}

fn peer_check<B: Default>(request: &mut Request<Incoming>) -> Result<(), Response<B>> {
    match request.extensions().get::<Peer>() {
        Some(Peer(peer)) if peer == "office" => Ok(()),
        _ => Err(refusal(StatusCode::FORBIDDEN)),
    }
}

const OFFICE: (&str, &str) = ("test-peer", "office");
const STREET: (&str, &str) = ("test-peer", "street");

#[tokio::test]
async fn a_list_of_addresses_outside_is_asked_for_hits_too() {
    for protocol in BOTH {
        let stack = ServiceBuilder::new()
            .layer(note_peer())
            .layer(ValidateRequestHeaderLayer::custom(peer_check))
            .layer(cache())
            .service(Origin::counting(TEXT));
        let site = Site::start(protocol, stack).await;
        check(&site.get("/", &[OFFICE]).await, 200, "stored");
        check(&site.get("/", &[STREET]).await, 403, "");
        check(&site.get("/", &[OFFICE]).await, 200, "pitlane; hit");
    }
}

/// What the guide warns of: nothing in a request or in an answer tells of it.
#[tokio::test]
async fn a_list_of_addresses_inside_is_asked_once() {
    for protocol in BOTH {
        let stack = ServiceBuilder::new()
            .layer(note_peer())
            .layer(cache().strip_unkeyed())
            .layer(ValidateRequestHeaderLayer::custom(peer_check))
            .service(Origin::counting(TEXT));
        let site = Site::start(protocol, stack).await;
        check(&site.get("/", &[STREET]).await, 403, "fwd=uri-miss");
        check(&site.get("/", &[OFFICE]).await, 200, "stored");
        check(&site.get("/", &[STREET]).await, 200, "pitlane; hit");
    }
}

#[tokio::test]
async fn a_list_of_addresses_inside_is_asked_when_it_says_whose_entry_a_page_is() {
    for protocol in BOTH {
        let by_peer = cache().tenant(|parts| Some(parts.extensions.get::<Peer>()?.0.clone()));
        let stack = ServiceBuilder::new()
            .layer(note_peer())
            .layer(by_peer)
            .layer(ValidateRequestHeaderLayer::custom(peer_check))
            .service(Origin::counting(TEXT));
        let site = Site::start(protocol, stack).await;
        for told in ["stored", "pitlane; hit"] {
            check(&site.get("/", &[OFFICE]).await, 200, told);
            check(&site.get("/", &[STREET]).await, 403, "fwd=");
        }
    }
}
