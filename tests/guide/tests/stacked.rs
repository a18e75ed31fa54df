//! A cache around a cache: on a router and on a route of it, for everybody and for each user.

use http::Request;
use pitlane::{AnonymousCacheLayer, CacheHint, Caches, testing};
use pitlane_testkit::Origin;
use tower::ServiceBuilder;
use tower::util::MapRequestLayer;

use crate::support::{BOTH, MINUTE, Site, TEXT, within};

#[derive(Clone)]
struct User(String);

/// A page that greets, and the two layers for it.
fn site() -> (Caches, AnonymousCacheLayer, AnonymousCacheLayer, Origin) {
    let (caches, _clock) = testing::caches();
    let cache = caches.get("default").unwrap();
    let everybodys = AnonymousCacheLayer::new(&cache).ttl(MINUTE);
    let users = everybodys
        .clone()
        .per_user(|parts| Some(parts.extensions.get::<User>()?.0.clone()));
    let origin = Origin::new(|request: Request<()>, call| async move {
        let user = request.extensions().get::<User>();
        let name = user.map_or("nobody", |user| &user.0);
        let mut answer = Origin::reply(TEXT, format!("{name} {call}"));
        answer.extensions_mut().insert(CacheHint::tags(["pages"]));
        answer
    });
    (caches, everybodys, users, origin)
}

const VISITORS: [(&str, &[(&str, &str)]); 3] = [
    ("nobody", &[]),
    ("ada", &[("cookie", "user=ada")]),
    ("ben", &[("cookie", "user=ben")]),
];

#[tokio::test]
async fn each_users_cache_around_everybodys_serves_both() {
    for protocol in BOTH {
        let (caches, everybodys, users, origin) = site();
        let stack = ServiceBuilder::new()
            .layer(MapRequestLayer::new(look_up))
            .layer(users)
            .layer(everybodys)
            .service(origin);
        let site = Site::start(protocol, stack).await;
        for round in 0..2 {
            for (number, (name, cookie)) in VISITORS.iter().enumerate() {
                let expected = format!("{name} {}", 3 * round + number + 1);
                for _ in 0..2 {
                    let answer = within("nobody waits for itself", site.get("/", cookie)).await;
                    assert_eq!(answer.text(), expected, "{}", answer.header("cache-status"));
                }
            }
            let _ = caches.invalidate(["pages"]).await.unwrap();
        }
    }
}

#[tokio::test]
async fn everybodys_cache_around_each_users_leaves_nobody_uncached() {
    for protocol in BOTH {
        let (_caches, everybodys, users, origin) = site();
        let stack = ServiceBuilder::new()
            .layer(everybodys)
            .layer(MapRequestLayer::new(look_up))
            .layer(users)
            .service(origin);
        let site = Site::start(protocol, stack).await;
        for (name, cookie) in VISITORS.iter().chain(&VISITORS) {
            let answer = within("nobody waits for itself", site.get("/", cookie)).await;
            assert!(answer.text().starts_with(name), "{}", answer.text());
            let is_hit = site
                .get("/", cookie)
                .await
                .header("cache-status")
                .contains("hit;");
            // Without a user the inner cache calls a page private, and the outer one heeds that.
            assert_eq!(is_hit, *name != "nobody", "{name}");
        }
    }
}

fn look_up<B>(mut request: Request<B>) -> Request<B> {
    let cookie = request.headers().get("cookie");
    let cookie = cookie.and_then(|cookie| cookie.to_str().ok());
    if let Some(name) = cookie.and_then(|cookie| cookie.strip_prefix("user=")) {
        let user = User(name.to_owned());
        request.extensions_mut().insert(user);
    }
    request
}
