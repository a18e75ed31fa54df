//! The program itself as a process of its own.

use std::net::SocketAddr;
use std::process::{Output, Stdio};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

fn program(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reverse-proxy"));
    command.args(flags).stdin(Stdio::null()).kill_on_drop(true);
    command
}

pub(crate) async fn output(flags: &[&str]) -> Output {
    program(flags).output().await.expect("the program runs")
}

/// Starts the program and returns where it says that it listens.
pub(crate) async fn start(origin: SocketAddr, flags: &[&str]) -> (Child, SocketAddr) {
    let origin = format!("http://{origin}");
    let always = ["--listen", "127.0.0.1:0", "--origin", &origin];
    let mut child = program(&[&always, flags].concat())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let stdout = child.stdout.take().expect("a pipe");
    let line = BufReader::new(stdout)
        .lines()
        .next_line()
        .await
        .expect("text")
        .expect("a line");
    let address = line
        .strip_prefix("listening on ")
        .and_then(|address| address.parse().ok());
    (
        child,
        address.unwrap_or_else(|| panic!("an unexpected line: {line}")),
    )
}
