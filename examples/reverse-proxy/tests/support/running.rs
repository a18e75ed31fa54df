//! The program itself as a process of its own.

use std::net::SocketAddr;
use std::process::{Output, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

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
    let started = start_with(origin, flags, &[]).await;
    (started.child, started.address)
}

/// A program that listens.
pub(crate) struct Started {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    /// Where the admin API is, if there is one.
    pub(crate) admin: Option<SocketAddr>,
    /// Where its metrics are, if they are anywhere.
    pub(crate) metrics: Option<SocketAddr>,
    /// Everything that it says on standard error until it ends.
    pub(crate) said: JoinHandle<String>,
}

/// The same with variables of the environment.
pub(crate) async fn start_with(
    origin: SocketAddr,
    flags: &[&str],
    variables: &[(&str, &str)],
) -> Started {
    let origin = format!("http://{origin}");
    let always = ["--listen", "127.0.0.1:0", "--origin", &origin];
    let mut child = program(&[&always, flags].concat())
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut errors = child.stderr.take().expect("a pipe");
    let said = tokio::spawn(async move {
        let mut said = Vec::new();
        errors.read_to_end(&mut said).await.expect("a pipe");
        String::from_utf8_lossy(&said).into_owned()
    });
    let stdout = child.stdout.take().expect("a pipe");
    let mut lines = BufReader::new(stdout).lines();
    let address = announced(&mut lines, "listening on ").await;
    let admin = match flags.contains(&"--admin") {
        true => Some(announced(&mut lines, "admin API on ").await),
        false => None,
    };
    let metrics = match flags.contains(&"--metrics") {
        true => Some(announced(&mut lines, "metrics on ").await),
        false => None,
    };
    Started {
        child,
        address,
        admin,
        metrics,
        said,
    }
}

async fn announced(lines: &mut Lines<BufReader<ChildStdout>>, prefix: &str) -> SocketAddr {
    let line = lines.next_line().await.expect("text").expect("a line");
    line.strip_prefix(prefix)
        .and_then(|address| address.parse().ok())
        .unwrap_or_else(|| panic!("an unexpected line: {line}"))
}

pub(crate) async fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id().expect("a running program"));
    let status = Command::new("sh")
        .args(["-c", &kill])
        .status()
        .await
        .expect("a shell");
    assert!(status.success());
}
