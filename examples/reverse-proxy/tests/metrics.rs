//! What a scrape of the program says.

use pitlane_testkit::{Origin, Server};

use crate::support::running::{signal, start, start_with};

#[tokio::test]
async fn a_scrape_says_exactly_what_came_and_how_long_it_took() {
    let origin = Origin::counting(&[("cache-control", "max-age=600")]);
    let server = Server::start(origin.clone()).await;
    let flags = ["--metrics", "127.0.0.1:0"];
    let mut started = start_with(server.address(), &flags, &[]).await;
    let page = format!("http://{}/page", started.address);
    for _ in 0..4 {
        pitlane_testkit::get(&page, &[]).await;
    }
    pitlane_testkit::get(&page, &[("cookie", "session=1")]).await;

    let metrics = started.metrics.unwrap();
    let scrape = pitlane_testkit::get(&format!("http://{metrics}/metrics"), &[]).await;
    assert_eq!(
        scrape.headers["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert_eq!(scrape.headers["cache-control"], "no-store");
    let text = scrape.text();
    let request = "pitlane_requests_total{cache=\"default\",route=\"unmatched\"";
    let duration = "http_server_request_duration_seconds_count{method=\"GET\",route=\"unmatched\",status=\"200\"";
    for line in [
        format!("{request},outcome=\"hit\",reason=\"fresh\"}} 3"),
        format!("{request},outcome=\"miss\",reason=\"uri-miss\"}} 1"),
        format!("{request},outcome=\"bypass\",reason=\"cookie\"}} 1"),
        format!("{duration},outcome=\"hit\"}} 3"),
        format!("{duration},outcome=\"miss\"}} 1"),
        "pitlane_entries{cache=\"default\",tier=\"memory\"} 1".to_owned(),
        "# TYPE pitlane_fills_total counter".to_owned(),
        "# TYPE http_server_request_duration_seconds histogram".to_owned(),
    ] {
        assert!(
            text.lines().any(|said| said == line),
            "{line} is not in\n{text}"
        );
    }
    for path in ["/", "/metrics/"] {
        let other = pitlane_testkit::get(&format!("http://{metrics}{path}"), &[]).await;
        assert_eq!(other.status, 404, "{path}");
    }
    // The proxy's end is the end of this as well.
    signal(&started.child, "TERM").await;
    assert_eq!(started.child.wait().await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn without_the_flag_the_path_is_the_origins() {
    let origin = Origin::counting(&[]);
    let server = Server::start(origin.clone()).await;
    let (_child, address) = start(server.address(), &[]).await;
    let answer = pitlane_testkit::get(&format!("http://{address}/metrics"), &[]).await;
    assert_eq!(answer.text(), "/metrics 1");
}
