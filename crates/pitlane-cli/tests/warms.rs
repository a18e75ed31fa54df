//! `pitlane warm`: pages are asked for, and then they are there.

use std::fs;

use pitlane::stats::StatsOptions;
use pitlane::{Caches, ResponseCacheLayer};
use pitlane_testkit::{Origin, Server};
use tower::Layer;

use crate::run::{Ended, pitlane};
use crate::schemas::check;
use crate::site::Site;

const SITEMAP: &str = "<urlset><url><loc>https://site.org/a?x=1&amp;y=2</loc></url>\
                       <url><loc>https://site.org/b</loc></url></urlset>";
const INDEX: &str = "<sitemapindex><sitemap><loc>https://site.org/sitemap.xml</loc></sitemap>\
                     </sitemapindex>";

/// A server with a cache, and a handler that has sitemaps and a page that fails.
struct Target {
    server: Server,
    origin: Origin,
}

impl Target {
    async fn start() -> Self {
        let caches = Caches::builder().build().expect("caches");
        let origin = Origin::new(|request, _| async move {
            let fresh = [("cache-control", "max-age=600")];
            match request.uri().path() {
                "/sitemap.xml" => Origin::reply(&[], SITEMAP),
                "/index.xml" => Origin::reply(&[], INDEX),
                "/fails" => {
                    let mut answer = Origin::reply(&[], "no");
                    *answer.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
                    answer
                }
                "/never" => Origin::reply(&[("cache-control", "no-store")], "no"),
                path => {
                    let host = request.headers().get("host");
                    let host = host.and_then(|host| host.to_str().ok()).unwrap_or("-");
                    Origin::reply(&fresh, format!("{host}{path}"))
                }
            }
        });
        let layer = ResponseCacheLayer::new(&caches.get("default").expect("a cache"));
        Self {
            server: Server::start(layer.layer(origin.clone())).await,
            origin,
        }
    }

    async fn warm(&self, arguments: &[&str]) -> Ended {
        let mut all = vec![
            "warm".to_owned(),
            "--target".to_owned(),
            self.server.url(""),
        ];
        all.extend(arguments.iter().map(ToString::to_string));
        let run = tokio::task::spawn_blocking(move || pitlane(&all));
        run.await.expect("a run")
    }
}

/// A file with these lines, named for its test.
fn list(name: &str, lines: &str) -> String {
    let path = std::env::temp_dir().join(format!("pitlane-{}-{name}", std::process::id()));
    fs::write(&path, lines).expect("a file");
    path.to_str().expect("text").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_list_are_stored_and_then_there() {
    let target = Target::start().await;
    let urls = list(
        "urls",
        "# pages\n/a\n\n/b?x=1\nhttps://site.org/c\n/a\nnonsense\n/never\n",
    );
    let first = target.warm(&["--urls", &urls, "--json"]).await.ok();
    let document = check("warm", &first);
    let count = |name: &str| document[name].as_u64().expect("a number");
    assert_eq!(
        (count("requested"), count("stored"), count("hits")),
        (4, 3, 0)
    );
    assert_eq!((count("not_stored"), count("not_understood")), (1, 1));
    let calls = target.origin.calls();
    let again = target.warm(&["--urls", &urls]).await.ok();
    assert!(
        again
            .out
            .contains("0 stored, 3 there already, 1 not stored"),
        "{again:?}"
    );
    assert_eq!(
        target.origin.calls(),
        calls + 1,
        "only what is never stored"
    );
    fs::remove_file(urls).expect("the file");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_sitemap_are_asked_of_the_target_by_their_own_host() {
    let target = Target::start().await;
    for map in ["/sitemap.xml", "https://site.org/index.xml"] {
        target.warm(&["--sitemap", map]).await.ok();
    }
    let client = pitlane_testkit::Client::new(pitlane_testkit::Protocol::Http1);
    let host = [("host", "site.org")];
    let calls = target.origin.calls();
    for path in ["/a?x=1&y=2", "/b"] {
        let answer = client.get(&target.server.url(path), &host).await;
        assert!(answer.text().starts_with("site.org/"), "{answer:?}");
    }
    assert_eq!(target.origin.calls(), calls, "both were there");
    let none = target.warm(&["--sitemap", "/a"]).await;
    assert_eq!(none.code, 1, "{none:?}");
    assert!(none.err.contains("names no page"), "{none:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_fail_are_named() {
    let target = Target::start().await;
    let urls = list("fails", "/a\n/fails\n");
    let ended = target.warm(&["--urls", &urls]).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended.out.contains("/fails: it is answered with 500"),
        "{ended:?}"
    );
    assert!(ended.err.contains("1 of 2 pages failed"), "{ended:?}");
    let nobody = pitlane(&["warm", "--urls", &urls, "--target", "http://127.0.0.1:9"]);
    assert_eq!(nobody.code, 1, "{nobody:?}");
    assert!(nobody.out.contains("can't be reached"), "{nobody:?}");
    let tls = pitlane(&["warm", "--urls", &urls, "--target", "https://127.0.0.1:9"]);
    assert_eq!(tls.code, 2, "{tls:?}");
    fs::remove_file(urls).expect("the file");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_that_were_asked_for_most_are_warmed_first() {
    let target = Target::start().await;
    let site = Site::start().await;
    let every = std::time::Duration::from_millis(200);
    let options = StatsOptions::new().name("web-1").publish_every(every);
    let keeper = site.caches.keep_stats(options);
    let mut warmed = String::new();
    // Which keys are asked for most is told by samples: they need some requests.
    for _ in 0..100 {
        for _ in 0..200 {
            site.get("api", "http://site.org/popular").await;
        }
        for _ in 0..20 {
            site.get("api", "http://site.org/seldom").await;
        }
        let url = target.server.url("");
        let arguments = [
            "warm",
            "--popular",
            "1",
            "--cache",
            "api",
            "--target",
            &url,
            "--json",
        ];
        let ended = site.run(&arguments).await;
        if ended.code == 0 {
            warmed = ended.out;
            break;
        }
        assert!(ended.err.contains("no server tells"), "{ended:?}");
    }
    drop(keeper);
    assert!(warmed.contains("\"requested\": 1"), "{warmed}");
    let client = pitlane_testkit::Client::new(pitlane_testkit::Protocol::Http1);
    let calls = target.origin.calls();
    let page = target.server.url("/popular");
    client.get(&page, &[("host", "site.org")]).await;
    assert_eq!(target.origin.calls(), calls, "it was there");
}
