//! The program itself: its flags, its exit codes, its one line of output, and its end.

use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use tonic_server::proto::WatchResultsRequest;

use crate::support::{DEADLINE, connect};

fn program(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tonic-server"));
    command.args(flags).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Starts it on a free port; returns the address that it names.
async fn start(flags: &[&str]) -> (Child, String) {
    let always = ["--listen", "127.0.0.1:0"];
    let mut child = program(&[&always, flags].concat())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let line = lines.next_line().await.expect("text").expect("a line");
    let address = line.strip_prefix("listening on ").expect("an address");
    (child, address.to_owned())
}

async fn output(flags: &[&str]) -> Output {
    program(flags).output().await.expect("the program runs")
}

async fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id().expect("a running program"));
    let status = Command::new("sh").args(["-c", &kill]).status().await;
    assert!(status.expect("a shell").success());
}

#[tokio::test]
async fn it_says_where_it_listens_and_a_signal_lets_calls_in_flight_finish() {
    for name in ["TERM", "INT"] {
        let (mut child, address) = start(&["--result-pause", "500ms"]).await;
        let mut client = connect(&format!("http://{address}")).await;
        let watch = WatchResultsRequest { club: 1 };
        let mut results = client.watch_results(watch).await.unwrap().into_inner();
        assert!(results.message().await.unwrap().is_some());
        // Two more are to come.
        signal(&child, name).await;
        let refused = async {
            while TcpStream::connect(&address).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let refused = tokio::time::timeout(DEADLINE, refused).await;
        refused.unwrap_or_else(|_| panic!("SIG{name} was ignored"));
        let mut drivers = Vec::new();
        while let Some(finish) = results.message().await.unwrap() {
            drivers.push(finish.driver);
        }
        assert_eq!(drivers, ["Bea", "Cleo"]);
        let ended = tokio::time::timeout(DEADLINE, child.wait()).await;
        let code = ended.expect("an end").expect("a status").code();
        assert_eq!(code, Some(0), "SIG{name}");
    }
}

#[tokio::test]
async fn an_address_in_use_is_exit_code_1() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let output = output(&["--listen", &taken]).await;
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    let expected = format!("tonic-server: cannot listen on {taken}: ");
    assert!(complaint.starts_with(&expected), "{complaint}");
    assert!(output.stdout.is_empty());
}

#[tokio::test]
async fn a_usage_error_is_exit_code_2_and_names_the_flag() {
    for (flags, complaint) in [
        (&["--listen", "nowhere"][..], "--listen <ADDR>"),
        (&["--handler-delay", "60"], "--handler-delay <DURATION>"),
        (
            &["--redis", "http://127.0.0.1"],
            "cannot set up the cache: ",
        ),
        (&["--proxy"], "unexpected argument '--proxy'"),
    ] {
        let output = output(flags).await;
        let seen = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "for {flags:?}: {seen}");
        assert!(seen.contains(complaint), "for {flags:?}: {seen}");
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test]
async fn a_password_in_a_redis_url_is_never_told() {
    let url = "redis://:opensesame@127.0.0.1:1/x";
    let output = output(&["--redis", url]).await;
    assert_eq!(output.status.code(), Some(2));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(!said.contains("opensesame"), "{said}");
}
