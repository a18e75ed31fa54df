//! What the pages say.

use serde_json::json;
use simlane::Options;
use std::time::Duration;

use crate::server::Server;

#[tokio::test]
async fn every_page_shows_what_it_is_about() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let pages = [
        ("/", "Find your grid."),
        ("/clubs", "Kanto Touge Club"),
        ("/clubs/1", "Four drivers, one car"),
        ("/clubs/5", "Les Essoufflés"),
        ("/teams/1", "Porsche 911 GT3 R"),
        ("/drivers/iracing/101", "Profile of Ada Marlow"),
        ("/drivers/lmu/320", "LMU driver 320"),
        ("/events", "Spa Night"),
        ("/events/1", "Lime Rock Park"),
        ("/series/3", "Starts at sunset"),
        ("/search?q=spa", "Six Hours of Spa"),
        ("/search", "Type the beginning of a name."),
        (
            "/search?q=zebra",
            "Nothing has a word that begins like this.",
        ),
        ("/about", "never out of date"),
        ("/contact", "stewards@simlane.example"),
        ("/login", "Password"),
    ];
    for (path, text) in pages {
        let page = client.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(
            page.header("content-type"),
            Some("text/html; charset=utf-8"),
            "{path}"
        );
        assert!(
            page.body.contains(text),
            "{path} does not say {text}: {}",
            page.body
        );
        assert!(page.body.contains("Sign in"), "{path}");
    }
}

#[tokio::test]
async fn what_does_not_exist_is_a_page_with_404() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for path in [
        "/nowhere",
        "/clubs/99",
        "/clubs/one",
        "/clubs/1/",
        "/clubs/99999999999999999999",
        "/teams/0",
        "/drivers/iracing/999",
        "/drivers/gt7/101",
        "/events/-1",
        "/series/7",
        "/static/site.js",
    ] {
        let page = client.get(path).await;
        assert_eq!(page.status, 404, "{path}");
        assert!(
            page.body.contains("You went off the track"),
            "{path}: {}",
            page.body
        );
    }
    let page = client.form("/clubs", "").await;
    assert_eq!(page.status, 405);
    assert!(
        page.body.contains("does not answer that method"),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn names_are_escaped_wherever_they_are_shown() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let evil = "<script>alert('&\"')</script>";
    let club = json!({
        "name": evil, "tagline": evil, "description": evil, "country": "GB", "founded": 2000,
    });
    assert_eq!(client.json("POST", "/api/clubs", &club).await.status, 201);
    let named = json!({ "name": evil });
    for path in ["/api/teams/1", "/api/drivers/iracing/101", "/api/events/4"] {
        assert_eq!(
            client.json("PATCH", path, &named).await.status,
            200,
            "{path}"
        );
    }
    let shows = [
        "/clubs",
        "/clubs/13",
        "/clubs/1",
        "/teams/1",
        "/drivers/iracing/101",
        "/events/4",
        "/",
    ];
    let query = "/search?q=%3Cscript%3Ealert(%27%26%22%27)%3C/script%3E";
    for path in shows.into_iter().chain([query]) {
        let page = client.get(path).await.body;
        assert!(!page.contains("<script"), "{path} lets a script through");
        assert!(
            page.contains("&lt;script&gt;alert("),
            "{path} does not show the name"
        );
        assert!(!page.contains("'&\"'"), "{path} leaves quotes as they are");
    }
}

#[tokio::test]
async fn the_stylesheet_may_be_kept_for_an_hour() {
    let server = Server::start().await;
    let answer = server.client().await.get("/static/site.css").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), Some("public, max-age=3600"));
    assert_eq!(
        answer.header("content-type"),
        Some("text/css; charset=utf-8")
    );
}

#[tokio::test]
async fn pages_may_load_nothing_from_elsewhere() {
    let server = Server::start().await;
    let page = server.client().await.get("/clubs/1").await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'self'"),
        "{policy}"
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert!(!page.body.contains("src="), "a page loads something");
    assert!(
        !page.body.contains("style=\""),
        "the policy forbids inline styles"
    );
}

#[tokio::test]
async fn two_sites_show_the_same_bytes() {
    let (one, two) = (Server::start().await, Server::start().await);
    for path in ["/", "/clubs/7", "/events/12", "/api/drivers/acc/207"] {
        let (one, two) = (
            one.client().await.get(path).await,
            two.client().await.get(path).await,
        );
        assert_eq!(one.body, two.body, "{path}");
    }
}

#[tokio::test]
async fn the_delay_spares_what_asks_no_database() {
    let hour = Duration::from_secs(3600);
    let server = Server::with(Options {
        handler_delay: hour,
        ..Options::default()
    })
    .await;
    let mut client = server.client().await;
    for (path, status) in [
        ("/healthz", 200),
        ("/static/site.css", 200),
        ("/nowhere", 404),
    ] {
        assert_eq!(client.get(path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn tags_are_exposed_to_tests_only() {
    let server = Server::with(Options::default()).await;
    let answer = server.client().await.get("/clubs/1").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-shown-tags"), None);
}

#[tokio::test]
async fn a_database_file_outlives_the_server() {
    let file = std::env::temp_dir().join(format!("simlane-test-{}.sqlite", std::process::id()));
    let name = file.to_str().unwrap().to_owned();
    let options = || Options {
        database: Some(name.clone()),
        ..Options::default()
    };

    let server = Server::with(options()).await;
    let renamed = json!({ "name": "Zebra Nights" });
    server
        .client()
        .await
        .json("PATCH", "/api/clubs/1", &renamed)
        .await;
    server.stop().await;
    let server = Server::with(options()).await;
    let page = server.client().await.get("/clubs/1").await;
    assert!(page.body.contains("Zebra Nights"), "{}", page.body);
    server.stop().await;
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn a_database_in_memory_serves_as_well() {
    for url in ["sqlite::memory:", "sqlite://?mode=memory"] {
        let options = Options {
            database: Some(url.to_owned()),
            ..Options::default()
        };
        let server = Server::with(options).await;
        assert_eq!(
            server.client().await.get("/clubs/12").await.status,
            200,
            "{url}"
        );
    }
}
