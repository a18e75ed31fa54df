//! With Redis down every command ends soon, with one sentence and a failure.

use std::time::Duration;

use pitlane_testkit::RedisServer;

use crate::run::{Ended, pitlane};

const COMMANDS: [&[&str]; 8] = [
    &["test"],
    &["stats"],
    &["warm", "--popular", "5", "--target", "http://127.0.0.1:9"],
    &["keys"],
    &["inspect", "/clubs"],
    &["clear", "--yes"],
    &["clear", "--dry-run"],
    &["invalidate", "--tag", "clubs"],
];

/// The promise: two seconds in all.
const SOON: Duration = Duration::from_secs(2);

#[track_caller]
fn check(ended: &Ended, says: &str) {
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.out.is_empty(), "{ended:?}");
    assert_eq!(ended.err.lines().count(), 1, "{ended:?}");
    assert!(ended.err.contains(says), "{ended:?}");
}

/// A machine that does other things may be slow once, and not five times.
fn run_soon(arguments: &[&str]) -> Ended {
    let mut ended = pitlane(arguments);
    for _ in 0..4 {
        if ended.took < SOON {
            break;
        }
        ended = pitlane(arguments);
    }
    assert!(ended.took < SOON, "{ended:?}");
    ended
}

#[track_caller]
fn check_all(url: &str, says: &str) {
    for command in COMMANDS {
        let place = ["--redis", url, "--namespace", "simlane"];
        check(&run_soon(&[command, &place].concat()), says);
    }
}

#[test]
fn nobody_listens() {
    let redis = RedisServer::start();
    let url = redis.url();
    redis.kill();
    check_all(&url, "can't be reached");
}

#[test]
fn redis_is_frozen() {
    let redis = RedisServer::start();
    redis.freeze();
    check_all(&redis.url(), "can't be reached");
    redis.thaw();
}

#[test]
fn a_wrong_password_is_named_and_not_shown() {
    let redis = RedisServer::builder().password("right").start();
    let url = format!("redis://:hunter2@{}/0", redis.address());
    for command in COMMANDS {
        let ended = run_soon(&[command, &["--redis", &url]].concat());
        check(&ended, "authentication");
        assert!(!ended.err.contains("hunter2"), "{ended:?}");
    }
    let url = format!("redis://{}/0", redis.address());
    let mut command = crate::run::command();
    command.args(["test", "--redis", &url]);
    command.env("PITLANE_REDIS_PASSWORD", "right");
    crate::run::finish(command).ok();
}

#[test]
fn a_failure_is_one_json_document_too() {
    let redis = RedisServer::start();
    let url = redis.url();
    redis.kill();
    for command in COMMANDS {
        let ended = run_soon(&[command, &["--json", "--redis", &url]].concat());
        assert_eq!(ended.code, 1, "{ended:?}");
        let document: serde_json::Value = serde_json::from_str(&ended.out).expect("JSON");
        assert_eq!(document["error"]["kind"], "failed");
        let message = document["error"]["message"].as_str().expect("text");
        assert!(message.contains("can't be reached"), "{message}");
    }
}
