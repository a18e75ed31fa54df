//! Who is signed in stays so, whatever becomes of the caches and of Redis.

use std::net::SocketAddr;
use std::time::Duration;

use pitlane::Caches;
use pitlane_testkit::RedisServer;
use tokio::process::Child;

use crate::client::Client;
use crate::program::{program, start, stop};
use crate::server::{Database, Server};

/// Longer than anything here may take.
const DEADLINE: Duration = Duration::from_secs(20);

const NAMES: [(&str, u8); 3] = [("default", 2), ("query", 3), ("api", 4)];

/// Two programs over one database and one Redis.
struct Programs {
    redis: RedisServer,
    children: Vec<Child>,
    addresses: [SocketAddr; 2],
    _database: Database,
}

impl Programs {
    async fn start() -> Self {
        let (database, redis) = (Database::new(), RedisServer::start());
        // A budget that a busy machine keeps.
        let config = redis.folder().join("pitlane.toml");
        std::fs::write(&config, "[redis]\nbudget = \"5s\"").unwrap();
        let config = [("PITLANE_CONFIG", config.to_str().unwrap())];
        let (url, file) = (redis.url(), database.file());
        let flags = ["--redis", &url, "--database", &file];
        let (one, first) = start(&mut program(&flags, &config)).await;
        let (other, second) = start(&mut program(&flags, &config)).await;
        Self {
            redis,
            children: vec![one, other],
            addresses: [first, second],
            _database: database,
        }
    }

    /// A client of each of the two.
    async fn clients(&self) -> [Client; 2] {
        let [one, other] = self.addresses;
        [Client::connect(one).await, Client::connect(other).await]
    }

    async fn stop(self) {
        for child in self.children {
            let ended = stop(child).await;
            assert_eq!(ended.status.code(), Some(0));
        }
    }
}

/// Asks until the person is recognized, or isn't any more, by an answer that
/// is either.
async fn until(client: &mut Client, is_known: bool) {
    let wait = async {
        loop {
            let status = client.get("/me").await.status;
            if status == if is_known { 200 } else { 303 } {
                return;
            }
            // Nobody can tell for a moment after an outage, and after a start.
            assert!([200, 303, 503].contains(&status), "{status}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(DEADLINE, wait).await;
    assert!(waited.is_ok(), "never known: {is_known}");
}

async fn check_known(client: &mut Client) {
    let page = client.get("/me").await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.body.contains("<h1>Ada Marlow</h1>"));
}

#[tokio::test]
async fn emptied_caches_log_nobody_out() {
    let (database, redis) = (Database::new(), RedisServer::start());
    let server = Server::sharing(&database, &redis).await;
    let mut ada = server.signed_in("ada").await;
    check_known(&mut ada).await;

    for (_, database) in NAMES {
        let script = "redis.call('SELECT', ARGV[1]) return redis.call('FLUSHDB')";
        redis.run(&["EVAL", script, "0", &database.to_string()]);
    }
    check_known(&mut ada).await;

    let text: String = NAMES
        .iter()
        .map(|(name, database)| format!("[caches.{name}]\ndatabase = {database}\n"))
        .collect();
    let caches = Caches::builder().namespace("simlane").redis(redis.url());
    let caches = caches.config(&text, "test").unwrap().build().unwrap();
    for (name, _) in NAMES {
        let _position = caches.clear(name).await.unwrap();
    }
    check_known(&mut ada).await;

    // Another server knows them by Redis alone.
    let other = Server::sharing(&database, &redis).await;
    let mut elsewhere = other.client().await;
    elsewhere.cookie = ada.cookie.clone();
    until(&mut elsewhere, true).await;
}

#[tokio::test]
async fn a_session_is_nobodys_over_another_database() {
    let (database, redis) = (Database::new(), RedisServer::start());
    let server = Server::sharing(&database, &redis).await;
    let mut ada = server.signed_in("ada").await;
    check_known(&mut ada).await;
    // The same numbers are other people there, for all that anybody knows.
    let another = Database::new();
    let other = Server::sharing(&another, &redis).await;
    let mut stranger = other.client().await;
    stranger.cookie = ada.cookie.clone();
    until(&mut stranger, false).await;
    check_known(&mut ada).await;
}

#[tokio::test]
async fn two_programs_share_sessions_and_an_ended_one_is_ended_in_both() {
    let programs = Programs::start().await;
    let [mut here, mut there] = programs.clients().await;
    here.sign_in("ada", "pitlane").await;
    there.cookie = here.cookie.clone();
    until(&mut here, true).await;
    until(&mut there, true).await;
    assert_eq!(there.form("/logout", "").await.status, 303);
    until(&mut there, false).await;
    until(&mut here, false).await;
    drop((here, there));
    programs.stop().await;
}

#[tokio::test]
async fn a_redis_that_loses_everything_logs_nobody_out_and_brings_nobody_back() {
    let programs = Programs::start().await;
    let [mut ada, mut ada_there] = programs.clients().await;
    let [mut ben, mut ben_there] = programs.clients().await;
    for (client, there, name) in [
        (&mut ada, &mut ada_there, "ada"),
        (&mut ben, &mut ben_there, "ben"),
    ] {
        client.sign_in(name, "pitlane").await;
        there.cookie = client.cookie.clone();
        until(client, true).await;
        until(there, true).await;
    }

    programs.redis.kill();
    for _ in 0..5 {
        check_known(&mut ada).await;
        check_known(&mut ada_there).await;
    }
    assert_eq!(ben.form("/logout", "").await.status, 303);
    assert_eq!(ben.get("/me").await.status, 303);
    let [mut carla, mut carla_there] = programs.clients().await;
    assert_eq!(carla.sign_in("carla", "pitlane").await.status, 303);
    assert_eq!(carla.get("/me").await.status, 200);

    programs.redis.restart();
    // Whoever was signed in is never asked to do so again.
    carla_there.cookie = carla.cookie.clone();
    until(&mut carla_there, true).await;
    check_known(&mut ada).await;
    check_known(&mut ada_there).await;
    until(&mut ben_there, false).await;
    assert_eq!(ben.get("/me").await.status, 303);
    drop((ada, ada_there, ben, ben_there, carla, carla_there));
    programs.stop().await;
}
