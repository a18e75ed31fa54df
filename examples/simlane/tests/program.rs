//! The program itself with Redis: what it says, and how it ends.

use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::time::Duration;

use pitlane_testkit::RedisServer;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::client::Client;
use crate::server::Database;

const PASSWORD: &str = "canary-of-the-redis-password";

pub(crate) fn program(flags: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simlane"));
    command
        .args(["--listen", "127.0.0.1:0"])
        .args(flags)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Starts the program; its errors are read when it has ended.
pub(crate) async fn start(command: &mut Command) -> (Child, SocketAddr) {
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut address = None;
    // A program whose reader leaves in the middle could not say the rest.
    loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some(url) = line.trim_start().strip_prefix("home") {
            let url = url.trim().strip_prefix("http://").unwrap();
            address = url
                .strip_suffix('/')
                .map(|address| address.parse().unwrap());
        }
        if line.starts_with("ctrl-c") {
            return (child, address.unwrap());
        }
    }
}

/// Ends it as a supervisor does.
pub(crate) async fn stop(child: Child) -> Output {
    let kill = format!("kill -TERM {}", child.id().unwrap());
    let status = Command::new("sh").args(["-c", &kill]).status().await;
    assert!(status.unwrap().success());
    child.wait_with_output().await.unwrap()
}

#[tokio::test]
async fn a_program_whose_output_is_closed_serves_all_the_same() {
    let (nobody, output) = std::io::pipe().unwrap();
    drop(nobody);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let mut command = Command::new(env!("CARGO_BIN_EXE_simlane"));
    command
        .args(["--listen", &address.to_string()])
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let child = command.spawn().unwrap();
    let answered = async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Client::connect(address).await.get("/healthz").await.status
    };
    let answered = tokio::time::timeout(Duration::from_secs(20), answered).await;
    assert_eq!(answered, Ok(200));
    let ended = stop(child).await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

#[tokio::test]
async fn no_password_is_shown_at_trace() {
    let redis = RedisServer::builder().password(PASSWORD).start();
    let database = Database::new();
    let bare = format!("redis://{}", redis.address());
    let with = redis.url();
    for (url, password) in [(&bare, PASSWORD), (&with, ""), (&bare, "canary-and-wrong")] {
        let mut variables = vec![("RUST_LOG", "trace,sqlx=warn")];
        if !password.is_empty() {
            variables.push(("PITLANE_REDIS_PASSWORD", password));
        }
        let flags = ["--redis", url, "--database", &database.file()];
        // A pipe that nobody reads would fill up: a file has room.
        let file = redis.folder().join("said");
        let errors = std::fs::File::create(&file).unwrap();
        let mut command = program(&flags, &variables);
        let (child, address) = start(command.stderr(errors)).await;
        let mut client = Client::connect(address).await;
        let wait = async {
            let expected = match password {
                "canary-and-wrong" => "WRONGPASS",
                _ => "following the invalidation log",
            };
            while !std::fs::read_to_string(&file).unwrap().contains(expected) {
                assert_eq!(client.get("/clubs/1").await.status, 200);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
        let ended = stop(child).await;
        let said = std::fs::read_to_string(&file).unwrap();
        assert!(waited.is_ok(), "{said}");
        assert_eq!(ended.status.code(), Some(0));
        assert!(said.contains("TRACE fred::"), "{said}");
        let shown: Vec<_> = said
            .lines()
            .filter(|line| line.contains("canary"))
            .collect();
        assert!(shown.is_empty(), "{shown:#?}");
    }
}

#[tokio::test]
async fn what_could_not_be_told_by_the_end_is_said_and_the_exit_is_clean() {
    let redis = RedisServer::start();
    let database = Database::new();
    let flags = ["--redis", &redis.url(), "--database", &database.file()];
    // A database that is filled is news to everybody: this one is no news any more.
    let (child, _) = start(&mut program(&flags[2..], &[])).await;
    stop(child).await;
    redis.kill();
    for written in [false, true] {
        let (child, address) = start(&mut program(&flags, &[])).await;
        let mut client = Client::connect(address).await;
        assert_eq!(client.get("/clubs/1").await.status, 200);
        if written {
            let change = json!({ "tagline": "Zebra" });
            let changed = client.json("PATCH", "/api/clubs/1", &change).await;
            assert_eq!(changed.status, 200);
        }
        drop(client);
        let ended = stop(child).await;
        assert_eq!(ended.status.code(), Some(0));
        let said = String::from_utf8(ended.stderr).unwrap();
        let is_said = said.contains("Redis was not told of the last writes");
        assert_eq!(is_said, written, "{said}");
    }
}

#[tokio::test]
async fn a_url_that_cannot_be_used_is_an_error_that_does_not_show_it() {
    let url = format!("http://:{PASSWORD}@127.0.0.1");
    let ended = program(&["--redis", &url], &[]).output().await.unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(
        said.contains("the Redis URL must begin with redis://"),
        "{said}"
    );
    assert!(!said.contains("canary"), "{said}");
}
