//! Parts of pages, counted: how many are rendered, when something changes
//! that they show. Each site is a process of its own, and so are its numbers.

use std::net::SocketAddr;

use serde_json::json;
use tokio::process::Child;

use crate::client::{Answer, Client};
use crate::program::{program, start};

struct Site {
    address: SocketAddr,
    visitor: Client,
    scraper: Client,
    computed: u64,
    _process: Child,
}

impl Site {
    async fn start() -> Self {
        let mut command = program(&[], &[]);
        let errors = std::process::Stdio::null();
        let (process, address) = start(command.stderr(errors)).await;
        Self {
            address,
            visitor: Client::connect(address).await,
            scraper: Client::connect(address).await,
            computed: 0,
            _process: process,
        }
    }

    async fn signed_in(&self, username: &str) -> Client {
        let mut client = Client::connect(self.address).await;
        client.sign_in(username, "pitlane").await;
        client
    }

    /// How many pages and parts of pages were computed since the last call.
    async fn computed(&mut self) -> u64 {
        let scrape = self.scraper.get("/metrics").await;
        let series = "pitlane_fills_total{cache=\"default\",outcome=\"stored\"} ";
        let mut lines = scrape.body.lines();
        let value = lines.find_map(|line| line.strip_prefix(series));
        let computed = value.map_or(0, |value| value.parse().unwrap());
        computed - std::mem::replace(&mut self.computed, computed)
    }

    async fn get(&mut self, path: &str, shows: &str) -> Answer {
        let page = self.visitor.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.body.contains(shows), "{path}: {}", page.body);
        page
    }

    async fn change(&mut self, path: &str, change: &serde_json::Value) {
        let changed = self.visitor.json("PATCH", path, change).await;
        assert_eq!(changed.status, 200, "{}", changed.body);
    }
}

#[tokio::test]
async fn an_edited_club_makes_exactly_its_card_the_list_and_the_page_again() {
    let mut site = Site::start().await;
    let page = site.get("/clubs", "Night Shift Racing").await;
    let clubs = page.body.matches("<li class=\"card club\">").count() as u64;
    assert!(clubs > 3);
    // A card each, the list of them, the navigation, and the page.
    assert_eq!(site.computed().await, clubs + 3);
    for number in 0..3 {
        let tagline = format!("Zebra {number}");
        site.change("/api/clubs/1", &json!({ "tagline": tagline }))
            .await;
        site.get("/clubs", &tagline).await;
        assert_eq!(site.computed().await, 3, "the card, the list, the page");
        site.get("/clubs", &tagline).await;
        assert_eq!(site.computed().await, 0, "a hit");
    }
    // The front page has the same cards, and a calendar of its own.
    site.get("/", "Zebra 2").await;
    assert_eq!(site.computed().await, 2);
    site.change("/api/clubs/1", &json!({ "tagline": "Zebra 3" }))
        .await;
    site.get("/", "Zebra 3").await;
    assert_eq!(site.computed().await, 2, "the card and the page");
}

#[tokio::test]
async fn a_changed_result_leaves_the_other_parts_of_a_dashboard_alone() {
    let mut site = Site::start().await;
    site.get("/clubs/1", "Night Shift Racing").await;
    // Figures, races, teams, members; the navigation, and the page.
    assert_eq!(site.computed().await, 6);
    for (path, change, parts) in [
        ("/api/teams/1", json!({ "car": "Zebra GT" }), 2),
        ("/api/clubs/1", json!({ "description": "Stripes." }), 0),
        ("/api/events/4", json!({ "name": "Zebra Hour" }), 1),
    ] {
        site.change(path, &change).await;
        site.get("/clubs/1", "Night Shift Racing").await;
        assert_eq!(site.computed().await, parts + 1, "{path}");
    }
}

#[tokio::test]
async fn who_is_signed_in_sees_the_parts_that_are_everybodys_and_a_name_of_their_own() {
    let mut site = Site::start().await;
    let anonymous = site.get("/clubs", "Sign in").await;
    site.computed().await;
    let mut bodies = Vec::new();
    for username in ["ada", "carla"] {
        let mut client = site.signed_in(username).await;
        site.computed().await;
        for computed in [1, 0] {
            let page = client.get("/clubs").await;
            assert!(!page.cache_status().contains("hit"), "{username}");
            assert!(page.body.contains("Sign out"), "{username}");
            assert_eq!(site.computed().await, computed, "{username}'s navigation");
            bodies.push(page.body);
        }
    }
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(bodies[2], bodies[3]);
    assert_ne!(bodies[0], bodies[2]);
    let content = |body: &str| body.split_once("<main").unwrap().1.to_owned();
    for body in &bodies {
        assert_eq!(content(body), content(&anonymous.body));
    }
}
