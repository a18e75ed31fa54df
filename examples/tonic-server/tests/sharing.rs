//! Calls at the same time, and servers that share a Redis.

use std::time::Duration;

use pitlane::{Key, RemoteLookup};
use pitlane_testkit::RedisServer;
use tonic::{Code, Request};
use tonic_server::proto::RenameClubRequest;

use crate::support::{DEADLINE, OWLS, Running, detail, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_calls_at_once_make_one_call_of_the_handler() {
    let server = Running::start(&["--handler-delay", "200ms"]).await;
    let client = server.client().await;
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.get_club(OWLS).await.unwrap() })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().get_ref().name, "Apex Owls");
    }
    assert_eq!(server.service.computed(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deadline_of_one_client_does_not_fail_the_others() {
    let server = Running::start(&["--handler-delay", "500ms"]).await;
    let mut hasty = server.client().await;
    let client = server.client().await;
    let mut request = Request::new(OWLS);
    request.set_timeout(Duration::from_millis(100));
    let hasty = tokio::spawn(async move { hasty.get_club(request).await });
    let service = server.service.clone();
    until("the hasty one computes", || service.computed() == 1).await;
    let others: Vec<_> = (0..10)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.get_club(OWLS).await })
        })
        .collect();
    let late = hasty.await.unwrap().unwrap_err();
    let codes = [Code::DeadlineExceeded, Code::Cancelled];
    assert!(codes.contains(&late.code()), "{late:?}");
    for other in others {
        let answer = other.await.unwrap().unwrap();
        assert_eq!(answer.get_ref().name, "Apex Owls");
    }
    // Whoever takes over begins anew, once for all.
    assert_eq!(server.service.computed(), 2);
}

/// What Redis holds of answers, as one fingerprint; empty as long as there is nothing.
fn stored(redis: &RedisServer) -> String {
    let script = "local all = ''; \
                  for _, k in ipairs(redis.call('KEYS', ARGV[1])) do \
                  all = all .. redis.sha1hex(redis.call('GET', k)) end; return all";
    let found = redis.run(&["EVAL", script, "0", "pitlane:default:*"]);
    found.text().to_owned()
}

/// A server that is in touch with Redis.
async fn joined(redis: &RedisServer) -> Running {
    let server = Running::start(&["--redis", &redis.url()]).await;
    let log = || server.caches.log_status();
    until("the server has joined", || {
        log().is_some_and(|log| log.position.is_some())
    })
    .await;
    let closed = server.caches.redis().unwrap().when_closed();
    let closed = tokio::time::timeout(DEADLINE, closed).await;
    closed.expect("the circuit is closed");
    let cache = server.caches.get("default").unwrap();
    let answered = || {
        let silent = [RemoteLookup::Skipped, RemoteLookup::Failed];
        let lookups = cache.remote_lookups();
        let answered = lookups.iter().filter(|(how, _)| !silent.contains(how));
        answered.map(|(_, count)| count).sum::<u64>()
    };
    let touch = async {
        while answered() == 0 {
            let _ = cache.read(&Key::new("probe")).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let touched = tokio::time::timeout(DEADLINE, touch).await;
    touched.expect("the server is in touch");
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_over_one_redis_share_and_invalidate() {
    let redis = RedisServer::start();
    let one = joined(&redis).await;
    let two = joined(&redis).await;
    let mut first = one.client().await;
    let mut second = two.client().await;
    let miss = first.get_club(OWLS).await.unwrap();
    assert_eq!(detail(&miss), "uri-miss");
    until("the answer is in Redis", || !stored(&redis).is_empty()).await;
    // The servers listen at two addresses, and are one service all the same.
    let shared = second.get_club(OWLS).await.unwrap();
    assert_eq!(
        (detail(&shared), shared.get_ref()),
        ("remote", miss.get_ref())
    );
    assert_eq!(two.service.computed(), 0);

    // The demo data is each server's own: what the first one says next can only be the second's.
    let before = stored(&redis);
    let name = "Night Owls".to_owned();
    let rename = RenameClubRequest { id: 2, name };
    second.rename_club(rename).await.unwrap();
    let renamed = second.get_club(OWLS).await.unwrap();
    assert_eq!(renamed.get_ref().name, "Night Owls");
    until("the new answer is in Redis", || stored(&redis) != before).await;
    let follows = async {
        while first.get_club(OWLS).await.unwrap().get_ref().name != "Night Owls" {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let followed = tokio::time::timeout(DEADLINE, follows).await;
    followed.expect("what one server stored is ended by the other, whose answer it gets");
    assert_eq!(one.service.computed(), 1);
}
