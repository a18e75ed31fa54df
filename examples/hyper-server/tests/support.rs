//! A board in this process, and the program as a process of its own.

use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use hyper_server::{Laps, Site, caches, serve, stack};
use pitlane_testkit::{Answer, Client, Protocol};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

pub(crate) const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// Longer than anything here may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A board with the demo's laps on a real socket, and a client for it.
pub(crate) struct Board {
    pub(crate) address: SocketAddr,
    pub(crate) site: Site,
    pub(crate) client: Client,
    serving: JoinHandle<()>,
}

impl Board {
    pub(crate) async fn start(protocol: Protocol) -> Self {
        let caches = caches(None).unwrap();
        let site = Site::new(Laps::demo(), caches.clone());
        let service = stack(&caches, site.clone()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let _ = serve(listener, service, std::future::pending()).await;
        });
        Self {
            address,
            site,
            client: Client::new(protocol),
            serving,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.client.get(&self.url(path), &[]).await
    }

    pub(crate) async fn drive(&self, track: &str, form: &'static str) -> Answer {
        let url = self.url(&format!("/tracks/{track}/laps"));
        self.client.send(post(&url, form)).await
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

pub(crate) fn post(url: &str, form: &'static str) -> Request<Full<Bytes>> {
    let request = Request::builder().method(Method::POST).uri(url);
    request.body(Full::from(form)).unwrap()
}

#[track_caller]
pub(crate) fn check(answer: &Answer, status: u16, told: &str) {
    let seen = answer.header("cache-status");
    assert_eq!(answer.status, status, "{seen} {}", answer.text());
    assert!(seen.contains(told), "{told:?} is not in {seen:?}");
}

pub(crate) fn program(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hyper-server"));
    command
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

pub(crate) async fn output(flags: &[&str]) -> Output {
    program(flags).output().await.unwrap()
}

/// Starts the program on a free port and returns where it says that it listens.
pub(crate) async fn start(flags: &[&str], variables: &[(&str, &str)]) -> (Child, SocketAddr) {
    let mut command = program(&[&["--listen", "127.0.0.1:0"], flags].concat());
    let mut child = command.envs(variables.iter().copied()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let address = line.strip_prefix("listening on ").unwrap();
    (child, address.parse().unwrap())
}

pub(crate) async fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id().unwrap());
    let status = Command::new("sh").args(["-c", &kill]).status().await;
    assert!(status.unwrap().success());
}

pub(crate) async fn until(what: &str, mut met: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !met().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(DEADLINE, wait).await;
    assert!(waited.is_ok(), "not within {DEADLINE:?}: {what}");
}
