//! What a scrape says. The servers of other tests are in this process as well, and so are their
//! numbers: only what nobody else does is exact.

use crate::server::Server;

#[tokio::test]
async fn a_scrape_names_routes_by_their_templates_and_outcomes_by_what_the_cache_did() {
    let server = Server::start().await;
    let mut client = server.client().await;
    // No other test asks for this series, or in this way.
    for _ in 0..3 {
        assert_eq!(client.get("/series/2").await.status, 200);
    }
    let coffee = client.send("BREW", "/contact", &[], "").await;
    assert_eq!(coffee.status, 405);

    let scrape = client.get("/metrics").await;
    assert_eq!(scrape.status, 200);
    assert_eq!(scrape.header("cache-control"), Some("no-store"));
    let count = |series: &str| -> u64 {
        let line = scrape.body.lines().find(|line| line.starts_with(series));
        let line = line.unwrap_or_else(|| panic!("{series} is not in\n{}", scrape.body));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let duration = "http_server_request_duration_seconds_count";
    let page = "method=\"GET\",route=\"/series/{id}\",status=\"200\"";
    assert!(count(&format!("{duration}{{{page},outcome=\"hit\"}}")) >= 2);
    assert!(count(&format!("{duration}{{{page},outcome=\"miss\"}}")) >= 1);
    let brewed = "method=\"_OTHER\",route=\"/contact\",status=\"405\"";
    assert_eq!(count(&format!("{duration}{{{brewed},outcome=")), 1);
    let request = "cache=\"default\",route=\"/series/{id}\",outcome=\"hit\",reason=\"fresh\"";
    assert!(count(&format!("pitlane_requests_total{{{request}}}")) >= 2);
    assert!(count("pitlane_entries{cache=\"default\",tier=\"memory\"}") >= 1);
}
