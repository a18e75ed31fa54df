//! tower-sessions: inside the cache for everybody, outside the cache for each user.

use std::convert::Infallible;

use http::{Request, header};
use hyper::body::Incoming;
use pitlane::CacheHint;
use pitlane_testkit::{Answer, Origin};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

use crate::support::{BOTH, Site, TEXT, cache, check};

fn sessions() -> SessionManagerLayer<MemoryStore> {
    SessionManagerLayer::new(MemoryStore::default()).with_secure(false)
}

/// `/` is the same for all; `/form` has a token in it that belongs to the visitor's session.
fn shop(hint: Option<fn() -> CacheHint>) -> Origin {
    Origin::new(move |request: Request<()>, call| async move {
        if request.uri().path() == "/" {
            return Origin::reply(TEXT, format!("welcome {call}"));
        }
        let session = request.extensions().get::<Session>().unwrap();
        let token = match session.get::<usize>("token").await.unwrap() {
            Some(token) => token,
            None => {
                session.insert("token", call).await.unwrap();
                call
            }
        };
        let mut answer = Origin::reply(TEXT, format!("token {token}"));
        if let Some(hint) = hint {
            answer.extensions_mut().insert(hint());
        }
        answer
    })
}

fn cookie_of(answer: &Answer) -> String {
    let cookie = answer.header(header::SET_COOKIE.as_str());
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn inside_what_begins_a_session_is_not_stored() {
    for protocol in BOTH {
        let stack = ServiceBuilder::new()
            .layer(cache())
            .layer(sessions())
            .service(shop(None));
        let site = Site::start(protocol, stack).await;
        check_sessions(&site).await;
        // Pages that leave the session alone are cached for those who have none.
        let first = site.get("/", &[]).await;
        let second = site.get("/", &[]).await;
        check(&second, 200, "pitlane; hit");
        assert_eq!(first.text(), second.text());
        assert_eq!(cookie_of(&second), "");
    }
}

/// Each visitor has a token, keeps it, and sees nobody else's.
async fn check_sessions(site: &Site) {
    let ada = site.get("/form", &[]).await;
    let ben = site.get("/form", &[]).await;
    assert_ne!(ada.text(), ben.text());
    assert_ne!(cookie_of(&ada), cookie_of(&ben));
    for visitor in [ada, ben] {
        let cookie = cookie_of(&visitor);
        let again = site.get("/form", &[("cookie", &cookie)]).await;
        check(&again, 200, "detail=cookie");
        assert_eq!(again.text(), visitor.text());
    }
}

#[tokio::test]
async fn outside_what_has_written_to_a_session_is_personal() {
    for protocol in BOTH {
        let pages = cache().personal(|extensions| {
            extensions
                .get::<Session>()
                .is_some_and(Session::is_modified)
        });
        let stack = ServiceBuilder::new()
            .layer(sessions())
            .layer(pages)
            .service(shop(None));
        let site = Site::start(protocol, stack).await;
        check_sessions(&site).await;
        check(&site.get("/form", &[]).await, 200, "detail=");
        check(&site.get("/", &[]).await, 200, "stored");
        check(&site.get("/", &[]).await, 200, "pitlane; hit");
    }
}

#[tokio::test]
async fn outside_a_handler_may_say_so_itself() {
    for protocol in BOTH {
        let stack = ServiceBuilder::new()
            .layer(sessions())
            .layer(cache())
            .service(shop(Some(CacheHint::no_store)));
        let site = Site::start(protocol, stack).await;
        check_sessions(&site).await;
    }
}

/// What the guide warns of: the cookie is added when the page is already stored.
#[tokio::test]
async fn outside_and_unsaid_one_visitors_token_is_everybodys() {
    for protocol in BOTH {
        let stack = ServiceBuilder::new()
            .layer(sessions())
            .layer(cache())
            .service(shop(None));
        let site = Site::start(protocol, stack).await;
        let first = site.get("/form", &[]).await;
        let second = site.get("/form", &[]).await;
        assert_ne!(cookie_of(&first), "");
        assert_eq!(first.text(), second.text());
    }
}

/// Who asks, as their session says.
#[derive(Clone)]
struct User(String);

/// Looks up who a session belongs to, before the cache asks.
fn look_up<S>(
    inner: S,
) -> impl Service<Request<Incoming>, Response = S::Response, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync
where
    S: Service<Request<Incoming>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    service_fn(move |mut request: Request<Incoming>| {
        let inner = inner.clone();
        async move {
            let session = request.extensions().get::<Session>().cloned().unwrap();
            if let Ok(Some(name)) = session.get::<String>("user").await {
                request.extensions_mut().insert(User(name));
            }
            inner.oneshot(request).await
        }
    })
}

/// `/login/NAME` signs in; everything else greets.
fn club() -> Origin {
    Origin::new(|request: Request<()>, call| async move {
        let session = request.extensions().get::<Session>().unwrap();
        if let Some(name) = request.uri().path().strip_prefix("/login/") {
            session.insert("user", name).await.unwrap();
        }
        let name: Option<String> = session.get("user").await.unwrap();
        Origin::reply(TEXT, format!("hello {} {call}", name.unwrap_or_default()))
    })
}

#[tokio::test]
async fn outside_it_says_whose_entry_a_page_is() {
    for protocol in BOTH {
        let per_user = cache().per_user(|parts| Some(parts.extensions.get::<User>()?.0.clone()));
        let stack = sessions().layer(look_up(per_user.layer(club())));
        let site = Site::start(protocol, stack).await;
        let mut cookies = Vec::new();
        for name in ["ada", "ben"] {
            let signed_in = site.get(&format!("/login/{name}"), &[]).await;
            check(&signed_in, 200, "detail=no-user");
            cookies.push((name, cookie_of(&signed_in)));
        }
        for told in ["stored", "pitlane; hit"] {
            for (name, cookie) in &cookies {
                let answer = site.get("/me", &[("cookie", cookie)]).await;
                check(&answer, 200, told);
                assert!(answer.text().starts_with(&format!("hello {name} ")));
            }
            let nobody = site.get("/me", &[]).await;
            check(&nobody, 200, "detail=no-user");
            assert!(nobody.text().starts_with("hello  "));
        }
    }
}
