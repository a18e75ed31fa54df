//! Reads and writes agree: after a write, the pages whose tags it touched are
//! the pages that look different, no more and no fewer; the cache makes these
//! again and keeps the others.
//!
//! Two servers are open on one database, one with the cache and one without:
//! what the second shows is the truth.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use simlane::Switch;

use crate::client::Client;
use crate::crawl::{Crawler, Extent, Site, may_be_made_again};
use crate::server::{Database, Server};

/// How many pages more may be out of date by their tags than really are.
#[derive(Clone, Copy, PartialEq)]
enum Precision {
    /// None: the write changed every field of the row.
    Exact,
    /// Those that show the row, but not the field that was changed.
    ByRow,
}

use Precision::{ByRow, Exact};

struct Checker {
    cached: Crawler,
    plain: Crawler,
    client: Client,
    before: Site,
    _servers: (Server, Server, Database),
}

impl Checker {
    /// Begins with a warm cache.
    async fn new() -> Self {
        let database = Database::new();
        // One after the other, because the first one fills the database.
        let cached = Server::over(&database, Switch::On).await;
        cached.client().await.get("/healthz").await;
        let plain = Server::over(&database, Switch::Off).await;
        let mut crawler = Crawler::new(&cached, Extent::Some).await;
        crawler.crawl().await;
        let before = crawler.crawl().await;
        for (name, page) in &before {
            assert_eq!(
                page.is_hit(),
                may_be_kept(name, page.status),
                "{name}: {page:?}"
            );
        }
        Self {
            plain: Crawler::new(&plain, Extent::Some).await,
            client: cached.signed_in("ada").await,
            cached: crawler,
            before,
            _servers: (cached, plain, database),
        }
    }

    async fn check(&mut self, precision: Precision, method: &str, path: &str, body: &Value) {
        let what = format!("{method} {path} {body}");
        let answer = self.client.json(method, path, body).await;
        assert!((200..300).contains(&answer.status), "{what}: {answer:?}");
        let touched = answer.tags("x-touched-tags");
        let after = self.cached.crawl().await;
        let truth = self.plain.crawl().await;
        for (page, shown) in &after {
            assert!(
                shown.looks_like(&truth[page]) && shown.tags == truth[page].tags,
                "{what}: touched {touched:?}, and {page} is old: {shown:?}"
            );
        }

        let differs = |page: &&String| !self.before[*page].looks_like(&after[*page]);
        let changed: BTreeSet<&String> = after.keys().filter(differs).collect();
        // The tags are those from before the write: a cache knows no others.
        let hit = |page: &&String| !self.before[*page].tags.is_disjoint(&touched);
        let dropped: BTreeSet<&String> = after.keys().filter(hit).collect();

        assert!(!changed.is_empty(), "{what}: changed no page");
        let missing: Vec<_> = changed.difference(&dropped).collect();
        assert!(
            missing.is_empty(),
            "{what}: touched {touched:?}, so these stay old: {missing:?}"
        );
        let mut needless = dropped
            .difference(&changed)
            .filter(|page| !may_be_made_again(page));
        if precision == Exact {
            assert_eq!(
                needless.next(),
                None,
                "{what}: touched {touched:?}, yet this is the same"
            );
        }
        for (page, shown) in &after {
            // A write ends all answers of its own URI as well, whoever they are for.
            let own = page.split_once(' ').is_some_and(|(_, of)| of == path);
            let ended = own || dropped.contains(page);
            match (self.before[page].is_kept(), ended, shown.status) {
                (true, true, 200) => assert_eq!(
                    shown.cache_status, "pitlane; fwd=uri-miss; stored; detail=invalidated",
                    "{what}: {page}"
                ),
                (kept, _, status) => assert_eq!(
                    shown.is_hit(),
                    kept && !ended,
                    "{what}: {page} {status}: {}",
                    shown.cache_status
                ),
            }
        }
        self.before = after;
    }

    /// Changes one field after the other, then all of them at once.
    async fn patch(&mut self, path: &str, one: &Value, all: &Value) {
        for (field, value) in one.as_object().unwrap() {
            self.check(ByRow, "PATCH", path, &json!({ field: value }))
                .await;
        }
        self.check(Exact, "PATCH", path, all).await;
    }
}

/// Whether a visitor finds a page in a warm cache.
fn may_be_kept(page: &str, status: u16) -> bool {
    let personal = ["/me", "/settings", "/api/me"];
    match page.split_once(' ') {
        Some(("nobody", path)) => status == 200 && path != "/login",
        Some((_, path)) => personal.contains(&path),
        None => false,
    }
}

#[tokio::test]
async fn every_page_but_the_static_ones_carries_tags() {
    let server = Server::start().await;
    let site = Crawler::new(&server, Extent::All).await.crawl().await;
    let untagged: Vec<&str> = site
        .iter()
        .filter(|(_, page)| page.tags.is_empty())
        .map(|(name, _)| name.as_str())
        .collect();
    let expected = [
        "nobody /about",
        "nobody /api/search?q=%20",
        "nobody /contact",
        "nobody /login",
        "nobody /nowhere",
        "nobody /search?q=%20",
    ];
    assert_eq!(untagged, expected);
}

#[tokio::test]
async fn a_changed_club_makes_exactly_its_pages_old() {
    let mut site = Checker::new().await;
    let one = json!({
        "name": "Zebra Nights", "tagline": "Black and white", "description": "Stripes.",
        "country": "ZA", "founded": 1999,
    });
    let all = json!({
        "name": "Zebra Days", "tagline": "White and black", "description": "More stripes.",
        "country": "NA", "founded": 1998,
    });
    for path in ["/api/clubs/1", "/api/clubs/9"] {
        site.patch(path, &one, &all).await;
    }
    let new = json!({ "name": "Zebra New", "country": "SE", "founded": 2020 });
    site.check(Exact, "POST", "/api/clubs", &new).await;
    site.check(Exact, "DELETE", "/api/clubs/13", &Value::Null)
        .await;
    // With its members, teams and their results.
    site.check(Exact, "DELETE", "/api/clubs/2", &Value::Null)
        .await;
}

#[tokio::test]
async fn a_changed_membership_makes_exactly_its_pages_old() {
    let mut site = Checker::new().await;
    let members = site.client.get("/api/clubs/1/members").await.value();
    let id = |username: &str| {
        let members = members["members"].as_array().unwrap();
        members
            .iter()
            .find(|member| member["username"] == username)
            .unwrap()["id"]
            .clone()
    };
    for (username, role) in [("carla", "owner"), ("carla", "reserve"), ("ada", "driver")] {
        let path = format!("/api/clubs/1/members/{}", id(username));
        site.check(Exact, "PATCH", &path, &json!({ "role": role }))
            .await;
    }
    let new = json!({ "username": "ben", "role": "manager" });
    site.check(Exact, "POST", "/api/clubs/1/members", &new)
        .await;
    let new = json!({ "username": "carla", "role": "manager" });
    site.check(Exact, "POST", "/api/clubs/2/members", &new)
        .await;
    let path = format!("/api/clubs/1/members/{}", id("carla"));
    site.check(Exact, "DELETE", &path, &Value::Null).await;
}

#[tokio::test]
async fn a_changed_team_makes_exactly_its_pages_old() {
    let mut site = Checker::new().await;
    let one = json!({ "name": "Zebra One", "car": "Zebra GT", "number": 777, "colour": "violet" });
    let all = json!({ "name": "Zebra Two", "car": "Spa GT", "number": 778, "colour": "teal" });
    site.patch("/api/teams/1", &one, &all).await;
    let new = json!({ "club_id": 1, "name": "Zebra Three", "number": 3 });
    site.check(Exact, "POST", "/api/teams", &new).await;
    site.check(Exact, "DELETE", "/api/teams/25", &Value::Null)
        .await;
    site.check(Exact, "DELETE", "/api/teams/8", &Value::Null)
        .await;
}

#[tokio::test]
async fn a_changed_driver_makes_exactly_its_pages_old() {
    let mut site = Checker::new().await;
    let one = json!({
        "name": "Zebra Rider", "country": "ZA", "rating": 9001, "incidents": 99, "starts": 500,
        "podiums": 12, "wins": 1,
    });
    let all = json!({
        "name": "Zebra Racer", "country": "NA", "rating": 9002, "incidents": 98, "starts": 501,
        "podiums": 401, "wins": 301,
    });
    for path in ["/api/drivers/iracing/101", "/api/drivers/lmu/320"] {
        site.patch(path, &one, &all).await;
    }
    for user in [Value::Null, json!(1)] {
        let new = json!({
            "simulator": "acc", "id": "221", "user_id": user, "name": "Zebra Spa", "country": "BE",
        });
        site.check(Exact, "POST", "/api/drivers", &new).await;
        site.check(Exact, "DELETE", "/api/drivers/acc/221", &Value::Null)
            .await;
    }
    // With his results.
    site.check(Exact, "DELETE", "/api/drivers/acc/201", &Value::Null)
        .await;
}

#[tokio::test]
async fn a_changed_event_makes_exactly_its_pages_old() {
    let mut site = Checker::new().await;
    let one = json!({
        "name": "Zebra Hour", "track": "Zebra Ring", "starts_at": "2027-05-30T11:00", "laps": 77,
        "status": "finished",
    });
    let all = json!({
        "name": "Spa Hour", "track": "Spa", "starts_at": "2026-01-01T10:00", "laps": 78,
        "status": "scheduled",
    });
    for path in ["/api/events/4", "/api/events/10"] {
        site.patch(path, &one, &all).await;
    }
    let new = json!({
        "series_id": 2, "name": "Zebra Day", "track": "Spa", "starts_at": "2027-06-01T18:00",
        "laps": 10,
    });
    site.check(Exact, "POST", "/api/events", &new).await;
    site.check(Exact, "DELETE", "/api/events/31", &Value::Null)
        .await;
    // With its entries.
    site.check(Exact, "DELETE", "/api/events/16", &Value::Null)
        .await;
}

#[tokio::test]
async fn a_changed_participation_makes_exactly_its_pages_old() {
    let mut site = Checker::new().await;
    for event in [1, 4, 21] {
        let page = site
            .client
            .get(&format!("/api/events/{event}"))
            .await
            .value();
        for at in [0, 9] {
            let id = &page["participants"][at]["id"];
            let path = format!("/api/events/{event}/participants/{id}");
            let all = json!({ "status": "finished", "position": 77, "best_lap_ms": 91234 });
            site.check(Exact, "PATCH", &path, &all).await;
            site.check(Exact, "PATCH", &path, &json!({ "best_lap_ms": null }))
                .await;
            site.check(Exact, "DELETE", &path, &Value::Null).await;
        }
    }
    for team in [Value::Null, json!(1)] {
        let entered = site.client.get("/api/events/1").await.value();
        let entered = entered["participants"].as_array().unwrap().clone();
        let free = (101..=120)
            .map(|id| id.to_string())
            .find(|id| entered.iter().all(|entry| entry["driver_id"] != *id))
            .unwrap();
        let new = json!({ "driver_id": free, "team_id": team });
        site.check(Exact, "POST", "/api/events/1/participants", &new)
            .await;
    }
}

#[tokio::test]
async fn a_changed_user_makes_exactly_their_pages_old() {
    let mut site = Checker::new().await;
    let one = json!({
        "name": "Ada Zebra", "email": "zebra@simlane.example", "country": "ZA", "bio": "Stripes.",
    });
    let all = json!({
        "name": "Ada Spa", "email": "spa@simlane.example", "country": "BE", "bio": "Waffles.",
    });
    site.patch("/api/me", &one, &all).await;
}
