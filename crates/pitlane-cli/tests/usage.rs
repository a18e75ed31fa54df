//! What makes no sense ends with 2, and says what would.

use crate::run::{command, finish, pitlane};
use crate::site::Site;

#[track_caller]
fn check(arguments: &[&str], says: &str) {
    let ended = pitlane(arguments);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.err.contains(says), "{ended:?}");
}

#[test]
fn what_makes_no_sense_ends_with_two() {
    check(&[], "Usage");
    check(&["frobnicate"], "frobnicate");
    check(&["keys"], "--config FILE, or --redis URL");
    check(&["keys", "--config", "/nowhere/pitlane.toml"], "can't read");
    check(&["keys", "--redis", "http://localhost"], "Redis");
    check(
        &["keys", "--redis", "redis://localhost", "--cache", "a:b"],
        "a:b",
    );
    check(&["invalidate", "--redis", "redis://localhost"], "--tag");
    check(&["keys", "--limit", "0"], "--limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_cache_is_told_with_those_there_are() {
    let site = Site::start().await;
    let ended = site.run(&["keys", "--cache", "apj"]).await;
    assert_eq!(ended.code, 2, "{ended:?}");
    let says = "no cache is named \"apj\"; there are: api, api2, default, query, sessions";
    assert!(ended.err.contains(says), "{ended:?}");
    for (arguments, says) in [
        (["invalidate", "--url", "/clubs"], "absolute URL"),
        (["invalidate", "--key", "a b"], "no key"),
    ] {
        let ended = site.run(&arguments).await;
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.err.contains(says), "{ended:?}");
    }
}

#[test]
fn a_configuration_that_is_wrong_names_the_line_and_no_password() {
    let folder = std::env::temp_dir().join(format!("pitlane-cli-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("wrong.toml");
    let text = "[redis]\nurl = \"redis://:hunter2@h\"\n[caches.api]\nttk = \"3m\"\n";
    std::fs::write(&path, text).expect("a file");
    let ended = pitlane(&["keys", "--config", path.to_str().expect("text")]);
    std::fs::remove_dir_all(&folder).expect("the folder");
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.err.contains("line 4"), "{ended:?}");
    assert!(!ended.err.contains("hunter2"), "{ended:?}");
}

#[test]
fn shells_and_man_are_told_all_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = pitlane(&["completions", shell]).ok();
        assert!(ended.out.contains("invalidate"), "{ended:?}");
    }
    let page = pitlane(&["man"]).ok();
    assert!(page.out.contains(".TH pitlane 1"), "{page:?}");
    let page = pitlane(&["man", "clear"]).ok();
    assert!(page.out.contains(".TH pitlane-clear 1"), "{page:?}");
    check(&["man", "frobnicate"], "no command frobnicate");
    assert!(pitlane(&["--version"]).ok().out.starts_with("pitlane "));
}

#[test]
fn the_environment_stands_in_for_the_command_line() {
    let redis = pitlane_testkit::RedisServer::start();
    let mut from_environment = command();
    from_environment.args(["test", "--namespace", "n"]);
    from_environment.env("PITLANE_REDIS_URL", redis.url());
    let ended = finish(from_environment).ok();
    assert!(ended.out.starts_with("default\n"), "{ended:?}");
}
