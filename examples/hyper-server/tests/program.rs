//! The program itself: its one line, its exit codes, and its end.

use http::Request;
use http_body_util::{BodyExt, Full};
use pitlane_testkit::{Client, Protocol, RedisServer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::{BOTH, DEADLINE, output, signal, start, until};

#[tokio::test]
async fn a_signal_ends_streams_and_then_the_program_with_0() {
    for (name, protocol) in ["TERM", "INT"].into_iter().zip(BOTH) {
        let (mut child, address) = start(&[], &[]).await;
        let client = Client::new(protocol);
        let idle = TcpStream::connect(address).await.unwrap();
        let request = Request::get(format!("http://{address}/live")).body(Full::default());
        let stream = client.begin(request.unwrap()).await.unwrap();

        signal(&child, name).await;
        let rest = timeout(DEADLINE, stream.into_body().collect()).await;
        let rest = rest.expect("in time").expect("a whole body").to_bytes();
        assert!(rest.starts_with(b": watching"));
        let ended = timeout(DEADLINE, child.wait()).await.expect("in time");
        assert_eq!(ended.unwrap().code(), Some(0), "SIG{name}");
        drop(idle);
    }
}

#[tokio::test]
async fn an_address_in_use_is_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let output = output(&["--listen", &taken]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&format!("cannot listen on {taken}: ")),
        "{said}"
    );
    assert!(output.stdout.is_empty());
}

#[tokio::test]
async fn a_usage_error_is_exit_code_2() {
    for (flags, complaint) in [
        (["--redis", "http://127.0.0.1"], "the Redis URL must begin"),
        (["--listen", "nowhere"], "'nowhere' for '--listen <ADDR>'"),
        (["--cache", "off"], "unexpected argument '--cache'"),
    ] {
        let output = output(&flags).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {said}");
        assert!(said.contains(complaint), "{flags:?}: {said}");
    }
}

#[tokio::test]
async fn without_redis_in_reach_pages_are_cached_all_the_same() {
    let redis = RedisServer::start();
    let url = redis.url_of(2);
    drop(redis);
    let (child, address) = start(&["--redis", &url], &[]).await;
    let client = Client::new(Protocol::Http1);
    until("a hit", async || {
        let answer = client.get(&format!("http://{address}/"), &[]).await;
        assert_eq!(answer.status, 200);
        answer.is_hit()
    })
    .await;
    signal(&child, "TERM").await;
    let output = timeout(DEADLINE, child.wait_with_output()).await;
    let output = output.expect("in time").unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("without --data the laps are this server's own"),
        "{said}"
    );
}
