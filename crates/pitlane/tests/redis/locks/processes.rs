//! Real processes: each test starts itself again, as a child that the variable tells what to do.

use std::{
    env,
    io::{self, BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use pitlane::{Cache, Caches, Key, lock::Locking};
use pitlane_testkit::RedisServer;

use super::{LONG, acquire, bounded, import, registry};
use crate::nodes::until_joined;

/// Where the child's Redis is.
const REDIS: &str = "PITLANE_TEST_LOCKS_REDIS";
/// What a line of a child begins with that is for its parent.
const SAYS: &str = "child says ";

/// A process that runs the same test, and ends with it.
struct Twin {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Twin {
    fn start(test: &str, redis: &RedisServer) -> Self {
        let path = format!("locks::processes::{test}");
        let mut child = Command::new(env::current_exe().expect("this program"))
            .args([&path, "--exact", "--nocapture", "--test-threads=1"])
            .env(REDIS, redis.url())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        Self { child, lines }
    }

    /// What it says next.
    fn says(&mut self) -> String {
        let mut lines = self.lines.by_ref().map(|line| line.expect("text"));
        let said = lines.find_map(|line| {
            let (_, said) = line.split_once(SAYS)?;
            Some(said.to_owned())
        });
        said.expect("it says something before it ends")
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The child's part, where this is the child.
async fn as_child() -> Option<Cache> {
    let url = env::var(REDIS).ok()?;
    let caches = Caches::builder()
        .redis(url)
        .redis_budget(Duration::from_secs(2));
    let caches = caches.build().expect("a registry");
    until_joined(&caches).await;
    Some(caches.get("default").expect("the cache"))
}

fn say(what: impl std::fmt::Display) {
    writeln!(io::stdout(), "{SAYS}{what}").expect("somebody reads");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_callers_of_two_processes_are_one_computation() {
    if let Some(cache) = as_child().await {
        return ask_for_a_value(cache).await;
    }
    let redis = RedisServer::start();
    let test = "five_hundred_callers_of_two_processes_are_one_computation";
    let mut twins = [Twin::start(test, &redis), Twin::start(test, &redis)];
    let said: Vec<_> = twins.iter_mut().map(Twin::says).collect();
    let [one, other] = &*said else {
        panic!("{said:?}");
    };
    assert_eq!(one, other);
    assert_eq!(redis.run(&["GET", "computed"]).text(), "1");
}

/// Half of the callers, who begin when both processes are there.
async fn ask_for_a_value(cache: Cache) {
    let url = env::var(REDIS).expect("a child");
    let address = url.trim_start_matches("redis://").split('/').next();
    let address = address
        .and_then(|text| text.parse().ok())
        .expect("an address");
    let count = move |name: &str| {
        let mut cli = pitlane_testkit::RedisCli::connect(address, None).expect("Redis");
        cli.run(&["INCRBY", name, "1"])
            .expect("an answer")
            .integer()
    };
    count("ready");
    let both = || {
        let mut cli = pitlane_testkit::RedisCli::connect(address, None).expect("Redis");
        cli.run(&["GET", "ready"]).expect("an answer").text() == "2"
    };
    crate::nodes::until("both are ready", both).await;
    let calls: Vec<_> = (0..250)
        .map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move {
                let compute = async move || {
                    let number = tokio::task::spawn_blocking(move || count("computed")).await;
                    // Long enough for the others to come to wait.
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    Ok::<_, io::Error>((number.expect("a number"), std::process::id()))
                };
                let locking = Locking::or_error().lease(LONG);
                cache
                    .with_lock(&Key::new("standings"), locking, compute)
                    .await
            })
        })
        .collect();
    let mut values = Vec::new();
    for call in calls {
        values.push(bounded(call).await.expect("it ended").expect("a value"));
    }
    values.dedup();
    // Both say which process computed it.
    say(format!("{values:?}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_goes_on_when_the_process_that_has_a_lock_dies() {
    let lease = Duration::from_secs(10);
    if let Some(cache) = as_child().await {
        let held = acquire(&import(&cache).lease(lease)).await;
        say(held.fence());
        std::future::pending::<()>().await;
    }
    let redis = RedisServer::start();
    let caches = registry(&redis).await;
    let test = "another_goes_on_when_the_process_that_has_a_lock_dies";
    let mut twin = Twin::start(test, &redis);
    let first: u64 = twin.says().parse().expect("a number");
    let lock = import(&caches.get("default").expect("the cache"));
    drop(twin);
    // It is dead, and has it all the same.
    let [_, name] = &*super::keys(&redis) else {
        panic!("its lock is gone");
    };
    assert!(redis.run(&["PTTL", name]).integer() > 0);
    let held = acquire(&lock.lease(lease)).await;
    assert!(held.fence().as_u64() > first);
}
