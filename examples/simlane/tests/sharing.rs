//! Two sites over one database and one Redis.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pitlane_testkit::RedisServer;
use serde_json::json;

use crate::client::{Answer, Client};
use crate::server::{Database, Server};

/// Longer than anything here may take.
const DEADLINE: Duration = Duration::from_secs(20);

struct Pair {
    redis: RedisServer,
    one: Client,
    other: Client,
    servers: (Server, Server),
    _database: Database,
}

impl Pair {
    async fn start() -> Self {
        let database = Database::new();
        let redis = RedisServer::start();
        Self::over(database, redis).await
    }

    /// Two sites that both follow the log.
    async fn over(database: Database, redis: RedisServer) -> Self {
        let first = Server::sharing(&database, &redis).await;
        let mut one = first.client().await;
        // The first answer means that the database is filled.
        assert_eq!(one.get("/healthz").await.status, 200);
        let second = Server::sharing(&database, &redis).await;
        let other = second.client().await;
        let mut pair = Self {
            redis,
            one,
            other,
            servers: (first, second),
            _database: database,
        };
        pair.until_sharing().await;
        pair
    }

    /// Waits until what one site computes is a hit at the other.
    async fn until_sharing(&mut self) {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let wait = async {
            // Pages and the API have a database, and so a connection, of their own each.
            for path in ["/search?q=nobody", "/api/clubs?nobody="] {
                loop {
                    let number = NEXT.fetch_add(1, Ordering::Relaxed);
                    let path = format!("{path}{number}");
                    check(&self.one.get(&path).await, 200, "");
                    let answer = self.other.get(&path).await;
                    check(&answer, 200, "");
                    if answer.detail() == "remote" {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        };
        let waited = tokio::time::timeout(DEADLINE, wait).await;
        waited.expect("the sites share what they compute");
    }

    fn stored(&self, database: u8, pattern: &str) -> i64 {
        let script = "redis.call('SELECT', ARGV[1]) return #redis.call('KEYS', ARGV[2])";
        let database = database.to_string();
        self.redis
            .run(&["EVAL", script, "0", &database, pattern])
            .integer()
    }

    /// How many whole answers are stored, whose keys name the host: beside
    /// them are the parts of pages.
    fn answers(&self, database: u8, pattern: &str) -> i64 {
        let script = "redis.call('SELECT', ARGV[1]) local found = 0 \
                      for _, key in ipairs(redis.call('KEYS', ARGV[2])) do \
                      local value = redis.call('GET', key) \
                      if value and string.find(value, 'simlane.test', 1, true) then \
                      found = found + 1 end end return found";
        let database = database.to_string();
        self.redis
            .run(&["EVAL", script, "0", &database, pattern])
            .integer()
    }

    /// Gets a page that nobody has asked for from the first site, and waits
    /// until it is in Redis.
    async fn publish(&mut self, path: &str, database: u8, pattern: &str) -> Answer {
        let before = self.answers(database, pattern);
        let answer = self.one.get(path).await;
        let wait = async {
            while self.answers(database, pattern) == before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, wait).await;
        waited.unwrap_or_else(|_| panic!("{path} is not in Redis: {answer:?}"));
        answer
    }
}

#[track_caller]
fn check(answer: &Answer, status: u16, shows: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert!(answer.body.contains(shows), "{shows}: {}", answer.body);
}

async fn until_shown(client: &mut Client, path: &str, text: &str) {
    let wait = async {
        while !client.get(path).await.body.contains(text) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(DEADLINE, wait).await;
    assert!(waited.is_ok(), "{path} never shows {text}");
}

#[tokio::test]
async fn a_page_made_by_one_site_is_a_hit_at_the_other() {
    let mut pair = Pair::start().await;
    for (path, database, pattern) in [
        ("/clubs/1", 2, "simlane:default:*"),
        ("/events/4", 2, "simlane:default:*"),
        ("/api/clubs/1", 4, "simlane:api:*"),
    ] {
        let made = pair.publish(path, database, pattern).await;
        assert_eq!(made.detail(), "uri-miss", "{path}");
        let hit = pair.other.get(path).await;
        assert_eq!(hit.detail(), "remote", "{path}");
        assert_eq!((hit.status, &hit.body), (200, &made.body), "{path}");
        assert_eq!(hit.header("etag"), made.header("etag"), "{path}");
        assert_eq!(pair.other.get(path).await.detail(), "fresh", "{path}");
    }
}

#[tokio::test]
async fn everything_lives_in_the_databases_that_are_its_own() {
    let mut pair = Pair::start().await;
    pair.publish("/clubs/1", 2, "simlane:default:*").await;
    pair.publish("/api/clubs/1", 4, "simlane:api:*").await;
    assert_eq!(pair.stored(2, "{simlane}:log"), 1);
    pair.servers.0.signed_in("ada").await;
    for (database, name) in [(1, "sessions"), (2, "default"), (3, "query"), (4, "api")] {
        let own = format!("simlane:{name}:*");
        assert!(pair.stored(database, &own) > 0, "{own}");
        let others = pair.stored(database, "simlane:*") - pair.stored(database, &own);
        assert_eq!(others, 0, "in the database of {own}");
    }
    assert_eq!(pair.stored(0, "*"), 0, "somebody else's database");
}

#[tokio::test]
async fn a_write_at_one_site_ends_the_pages_at_both() {
    let mut pair = Pair::start().await;
    for (path, database, pattern) in [
        ("/clubs/1", 2, "simlane:default:*"),
        ("/api/clubs/1", 4, "simlane:api:*"),
    ] {
        pair.publish(path, database, pattern).await;
        assert_eq!(pair.other.get(path).await.detail(), "remote", "{path}");
    }
    let change = json!({ "tagline": "Zebra" });
    let changed = pair.other.json("PATCH", "/api/clubs/1", &change).await;
    check(&changed, 200, "Zebra");
    for path in ["/clubs/1", "/api/clubs/1"] {
        // At once where it was written, and within the bound at the other.
        check(&pair.other.get(path).await, 200, "Zebra");
        until_shown(&mut pair.one, path, "Zebra").await;
        check(&pair.one.get(path).await, 200, "Zebra");
    }
}

/// The first answer that is not "can't tell yet": soon after a start a session may still be on its
/// way to Redis.
async fn until_known(client: &mut Client, path: &str) -> Answer {
    let wait = async {
        loop {
            let answer = client.get(path).await;
            if answer.status != 503 {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(DEADLINE, wait).await;
    waited.expect("sessions are shared after a while")
}

#[tokio::test]
async fn a_personal_page_is_shared_with_nobody_else() {
    let mut pair = Pair::start().await;
    pair.one = pair.servers.0.signed_in("ada").await;
    let made = pair.publish("/me", 2, "simlane:default:*").await;
    assert_eq!(made.detail(), "uri-miss");
    pair.other.cookie = pair.one.cookie.clone();
    let hit = until_known(&mut pair.other, "/me").await;
    assert_eq!((hit.detail(), &hit.body), ("remote", &made.body));

    let mut ben = pair.servers.1.signed_in("ben").await;
    let page = ben.get("/me").await;
    assert_eq!(page.detail(), "uri-miss");
    assert_ne!(page.body, made.body);
    pair.other.cookie = None;
    let page = pair.other.get("/me").await;
    assert_ne!((page.status, &page.body), (200, &made.body));
}

#[tokio::test]
async fn a_killed_redis_fails_neither_pages_nor_writes_and_comes_back_by_itself() {
    let mut pair = Pair::start().await;
    pair.redis.kill();
    for number in 0..20 {
        let tagline = format!("Zebra {number}");
        let change = json!({ "tagline": tagline });
        let changed = pair.other.json("PATCH", "/api/clubs/1", &change).await;
        check(&changed, 200, &tagline);
        check(&pair.other.get("/clubs/1").await, 200, &tagline);
        check(&pair.one.get("/clubs").await, 200, "Night Shift Racing");
    }
    pair.redis.restart();
    pair.until_sharing().await;
    until_shown(&mut pair.one, "/clubs/1", "Zebra 19").await;
}

#[tokio::test]
async fn a_frozen_redis_fails_neither_pages_nor_writes_and_comes_back_by_itself() {
    let mut pair = Pair::start().await;
    pair.publish("/clubs/1", 2, "simlane:default:*").await;
    pair.redis.freeze();
    let change = json!({ "tagline": "Zebra" });
    let changed = pair.other.json("PATCH", "/api/clubs/1", &change).await;
    check(&changed, 200, "Zebra");
    for path in ["/clubs/1", "/clubs", "/events/4", "/api/clubs/1"] {
        assert_eq!(pair.one.get(path).await.status, 200, "{path}");
        assert_eq!(pair.other.get(path).await.status, 200, "{path}");
    }
    check(&pair.other.get("/clubs/1").await, 200, "Zebra");
    pair.redis.thaw();
    pair.until_sharing().await;
    until_shown(&mut pair.one, "/clubs/1", "Zebra").await;
}

#[tokio::test]
async fn a_new_database_never_shows_the_pages_of_the_one_before_it() {
    let mut pair = Pair::start().await;
    let change = json!({ "tagline": "Zebra" });
    pair.one.json("PATCH", "/api/clubs/1", &change).await;
    for (path, database, pattern) in [
        ("/clubs/1", 2, "simlane:default:*"),
        ("/api/clubs/1", 4, "simlane:api:*"),
    ] {
        let page = pair.publish(path, database, pattern).await;
        check(&page, 200, "Zebra");
    }
    let Pair {
        redis,
        one,
        other,
        servers,
        ..
    } = pair;
    drop((one, other));
    servers.0.stop().await;
    servers.1.stop().await;

    let mut pair = Pair::over(Database::new(), redis).await;
    for path in ["/clubs/1", "/api/clubs/1"] {
        for client in [&mut pair.one, &mut pair.other] {
            let page = client.get(path).await;
            check(&page, 200, "Night Shift Racing");
            assert!(!page.body.contains("Zebra"), "{path}: {}", page.body);
        }
    }
}
