//! How much memory the program takes while bodies pass that are too large to be stored.

use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Empty};
use tokio::process::Child;

use crate::support::client::http1;
use crate::support::origin::{Counting, TestBody};
use crate::support::pipe::pipe;
use crate::support::running::start;

const CHUNK: usize = 256 << 10;
/// 200 MiB.
const CHUNKS: usize = 800;
const MOST: u64 = 64 << 20;

/// The most memory that a process ever had in use, in bytes.
fn peak(child: &Child) -> u64 {
    let id = child.id().expect("a running program");
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib.and_then(|kib| kib.parse().ok()).expect("a number");
    kib << 10
}

/// 200 MiB that may be stored for all that its head says, with or without its length.
fn large(declared: bool) -> Response<TestBody> {
    let (mut sender, body) = pipe(1);
    tokio::spawn(async move {
        let chunk = bytes::Bytes::from(vec![7; CHUNK]);
        for _ in 0..CHUNKS {
            assert!(sender.data(chunk.clone()).await, "it is read to its end");
        }
    });
    let mut response = Response::new(body.boxed());
    let headers = response.headers_mut();
    headers.insert("cache-control", HeaderValue::from_static("max-age=60"));
    if declared {
        headers.insert("content-length", HeaderValue::from(CHUNK * CHUNKS));
    }
    response
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_beyond_max_body_leaves_no_trace_in_memory() {
    let origin = Counting::start(|request: Request<hyper::body::Incoming>| async move {
        large(request.uri().path() == "/declared")
    })
    .await;
    let (child, proxy) = start(origin.address, &["--ttl", "60s"]).await;
    let before = peak(&child);
    for (nth, (path, detail)) in [
        ("/declared", "fwd=uri-miss; detail=too-large"),
        ("/chunked", "fwd=uri-miss; stored; detail=uri-miss"),
        ("/declared", "fwd=bypass; detail=too-large"),
        ("/chunked", "fwd=bypass; stored; detail=hit-for-miss"),
    ]
    .into_iter()
    .enumerate()
    {
        let request = Request::get(format!("http://x{path}")).header("host", "x");
        let request = request.body(Empty::<bytes::Bytes>::new());
        let answer = http1(proxy).await;
        let mut answer = { answer }.send_request(request.expect("a request")).await;
        let answer = answer.as_mut().expect("an answer");
        let told = answer.headers()["cache-status"].to_str().expect("text");
        assert_eq!(told, format!("pitlane; {detail}"), "{path}");
        let mut length = 0;
        while let Some(frame) = answer.frame().await {
            length += frame.expect("no error").into_data().expect("data").len();
        }
        assert_eq!(length, CHUNK * CHUNKS, "{path}");
        assert_eq!(origin.calls(), nth + 1);
    }
    let grown = peak(&child) - before;
    assert!(grown < MOST, "the program grew by {grown} bytes");
}
