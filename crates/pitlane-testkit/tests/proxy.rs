use std::{
    io::{self, ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use pitlane_testkit::{Fault, FaultProxy, RedisCli, RedisReply, RedisServer};

use crate::wait_until;

const SHORT: Duration = Duration::from_millis(50);
const NEVER: Duration = Duration::from_secs(3600);

async fn both() -> (RedisServer, FaultProxy) {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.address()).await;
    (server, proxy)
}

/// A client that knows no protocol.
fn raw(proxy: &FaultProxy) -> TcpStream {
    try_raw(proxy).unwrap()
}

fn try_raw(proxy: &FaultProxy) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(proxy.address())?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

fn cli(proxy: &FaultProxy) -> RedisCli {
    RedisCli::connect(proxy.address(), None).unwrap()
}

/// All that comes until the end of the connection, and whether that end is a reset.
fn read_to_end(stream: &mut TcpStream) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => (bytes, false),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => (bytes, true),
        Err(error) => panic!("no end: {error}"),
    }
}

#[track_caller]
fn assert_pong(stream: &mut TcpStream) {
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"+PONG\r\n");
}

#[track_caller]
fn assert_nothing_comes(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(SHORT)).unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        "{error}"
    );
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
}

#[tokio::test]
async fn what_passes_is_unchanged_and_counted() {
    let (server, proxy) = both().await;
    let value: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let mut client = cli(&proxy);
    let set = client.run(&[&b"SET"[..], b"key", &value]).unwrap();
    assert_eq!(set, RedisReply::Simple("OK".to_owned()));
    let reply = client.run(&["GET", "key"]).unwrap();
    assert_eq!(reply, RedisReply::Bulk(value.clone()));
    assert_eq!(server.run(&["GET", "key"]), RedisReply::Bulk(value));
    assert_eq!(
        (proxy.commands(), proxy.accepted(), proxy.connections()),
        (2, 1, 1)
    );
    assert_eq!(
        proxy.command_bytes(),
        (4 + 9 + 9 + 9 + 300_002) + (4 + 9 + 9)
    );
    wait_until("all bytes", || proxy.reply_bytes() == 5 + 9 + 300_002);
    assert_eq!(proxy.url(), format!("redis://{}/0", proxy.address()));
    drop(client);
    wait_until("no connections", || proxy.connections() == 0);
}

#[tokio::test]
async fn a_delay_holds_replies_back_until_their_time_or_its_end() {
    let (server, proxy) = both().await;
    proxy.set(Fault::Delay(SHORT));
    let mut client = raw(&proxy);
    #[expect(clippy::disallowed_methods, reason = "a real delay is measured")]
    let start = Instant::now();
    client.write_all(b"PING\r\n").unwrap();
    assert_pong(&mut client);
    assert!(start.elapsed() >= SHORT);

    proxy.set(Fault::Delay(NEVER));
    client.write_all(b"SET key 1\r\n").unwrap();
    wait_until("the command", || {
        server.run(&["EXISTS", "key"]).integer() == 1
    });
    assert_nothing_comes(&mut client);
    proxy.set(Fault::Pass);
    let mut answer = [0; 5];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"+OK\r\n");
}

#[tokio::test]
async fn a_throttle_lets_so_many_bytes_pass_in_a_second() {
    let (server, proxy) = both().await;
    server.run(&["SET", "key", &"x".repeat(995 - 6 + 5)]);
    for (bytes_per_second, at_least) in [(10_000, 100), (100_000, 10)] {
        proxy.set(Fault::Throttle { bytes_per_second });
        #[expect(clippy::disallowed_methods, reason = "a real rate is measured")]
        let start = Instant::now();
        let reply = cli(&proxy).run(&["GET", "key"]).unwrap();
        assert_eq!(reply.text().len(), 994);
        assert!(start.elapsed() >= Duration::from_millis(at_least));
    }
    proxy.set(Fault::Throttle {
        bytes_per_second: 1,
    });
    let mut client = raw(&proxy);
    client.write_all(b"PING\r\n").unwrap();
    wait_until("the command", || proxy.commands() == 3);
    proxy.set(Fault::Pass);
    assert_pong(&mut client);
}

#[tokio::test]
#[should_panic(expected = "a throttle lets something pass")]
async fn a_throttle_of_nothing_is_refused() {
    let (_server, proxy) = both().await;
    proxy.set(Fault::Throttle {
        bytes_per_second: 0,
    });
}

#[tokio::test]
async fn each_connection_is_cut_after_exactly_so_many_bytes() {
    let (_server, proxy) = both().await;
    // The last rows end with a reply: the cut doesn't wait for the next one.
    for (most, commands) in [
        (0, 1),
        (1, 1),
        (6, 3),
        (7, 3),
        (8, 3),
        (20, 3),
        (7, 1),
        (14, 2),
    ] {
        let mut before = raw(&proxy);
        before.write_all(b"PING\r\n").unwrap();
        assert_pong(&mut before);
        proxy.set(Fault::CutAfter(most));
        for client in [&mut before, &mut raw(&proxy)] {
            client.write_all(&b"PING\r\n".repeat(commands)).unwrap();
            let (bytes, _) = read_to_end(client);
            assert_eq!(bytes, b"+PONG\r\n".repeat(commands)[..most]);
        }
        proxy.set(Fault::Pass);
    }
}

#[tokio::test]
async fn a_black_hole_keeps_connections_and_what_they_sent() {
    let (server, proxy) = both().await;
    let mut before = raw(&proxy);
    before.write_all(b"PING\r\n").unwrap();
    assert_pong(&mut before);
    let received = |server: &RedisServer| {
        let info = server.run(&["INFO", "stats"]);
        let mut lines = info.text().lines();
        let line = lines.find_map(|line| line.strip_prefix("total_connections_received:"));
        line.unwrap().parse::<u32>().unwrap()
    };
    let connections = received(&server);

    proxy.set(Fault::Blackhole);
    let mut during = raw(&proxy);
    for client in [&mut before, &mut during] {
        client.write_all(b"PING\r\n").unwrap();
        assert_nothing_comes(client);
    }
    wait_until("two connections", || proxy.connections() == 2);
    assert_eq!(proxy.commands(), 1);
    assert_eq!(
        received(&server),
        connections + 1,
        "that of the question only"
    );

    proxy.set(Fault::Pass);
    assert_pong(&mut before);
    assert_pong(&mut during);

    proxy.set(Fault::Blackhole);
    server.kill();
    assert_nothing_comes(&mut before);
    proxy.set(Fault::Pass);
    assert_eq!(read_to_end(&mut before), (Vec::new(), false));
}

#[tokio::test]
async fn garbage_is_as_long_as_the_reply_and_no_reply() {
    let (_server, proxy) = both().await;
    proxy.set(Fault::Garbage);
    let wrong = cli(&proxy).timeout(SHORT).run(&["PING"]).unwrap_err();
    assert!(
        matches!(wrong.kind(), ErrorKind::InvalidData | ErrorKind::WouldBlock),
        "{wrong}"
    );
    let garbage = || {
        let mut client = raw(&proxy);
        client.write_all(b"ECHO 12345678901234567890\r\n").unwrap();
        let mut bytes = [0; 27];
        client.read_exact(&mut bytes).unwrap();
        assert_nothing_comes(&mut client);
        bytes
    };
    let bytes = garbage();
    assert!(bytes[0] >= 0x80, "{bytes:?}");
    assert_ne!(bytes, *b"$20\r\n12345678901234567890\r\n");
    assert_eq!(garbage(), bytes, "the same in every run");
}

#[tokio::test]
async fn a_wrong_reply_stands_in_the_place_of_each_right_one() {
    let (_server, proxy) = both().await;
    proxy.set(Fault::WrongReply);
    let mut client = cli(&proxy);
    let mut kinds = Vec::new();
    for _ in 0..5 {
        let reply = client.run(&["SET", "key", "value"]).unwrap();
        assert_ne!(reply, RedisReply::Simple("OK".to_owned()));
        kinds.push(std::mem::discriminant(&reply));
    }
    kinds.dedup();
    assert!(kinds.len() > 3, "several types");

    let mut client = raw(&proxy);
    client
        .write_all(b"PING\r\nSET a 1\r\nMGET a b c\r\n")
        .unwrap();
    wait_until("three commands", || proxy.commands() == 8);
    let expected = b"*2\r\n$5\r\nwrong\r\n:7\r\n$11\r\nwrong reply\r\n+WRONG\r\n";
    let mut bytes = vec![0; expected.len()];
    client.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, expected);
    assert_nothing_comes(&mut client);
}

#[tokio::test]
async fn refusing_and_resetting_end_old_and_new_connections() {
    let (_server, proxy) = both().await;
    for (fault, resets) in [(Fault::Refuse, false), (Fault::Reset, true)] {
        let mut before = raw(&proxy);
        before.write_all(b"PING\r\n").unwrap();
        assert_pong(&mut before);
        proxy.set(fault);
        assert_eq!(
            read_to_end(&mut before),
            (Vec::new(), resets),
            "{fault:?}, old"
        );
        // A reset may come before the connection is known to be open.
        match try_raw(&proxy) {
            Ok(mut during) => assert_eq!(read_to_end(&mut during), (Vec::new(), resets)),
            Err(error) => assert!(resets && error.kind() == ErrorKind::ConnectionReset),
        }
        proxy.set(Fault::Pass);
        assert!(cli(&proxy).run(&["PING"]).is_ok());
    }
}

#[tokio::test]
async fn a_fault_of_a_moment_still_ends_the_connections() {
    let (_server, proxy) = both().await;
    for (fault, resets) in [(Fault::Refuse, false), (Fault::Reset, true)] {
        let mut before = raw(&proxy);
        before.write_all(b"PING\r\n").unwrap();
        assert_pong(&mut before);
        proxy.set(fault);
        proxy.set(Fault::Pass);
        assert_eq!(read_to_end(&mut before), (Vec::new(), resets), "{fault:?}");
    }
}

#[tokio::test]
async fn cutting_ends_the_connections_that_exist_and_no_later_one() {
    let (_server, proxy) = both().await;
    for fault in [Fault::Pass, Fault::Blackhole, Fault::Delay(NEVER)] {
        proxy.set(fault);
        let open = proxy.accepted();
        let mut clients = [raw(&proxy), raw(&proxy)];
        wait_until("two connections", || proxy.accepted() == open + 2);
        proxy.cut_all();
        for client in &mut clients {
            assert_eq!(read_to_end(client), (Vec::new(), false), "{fault:?}");
        }
        wait_until("no connections", || proxy.connections() == 0);
    }
    proxy.set(Fault::Pass);
    assert!(cli(&proxy).run(&["PING"]).is_ok());
}

#[tokio::test]
async fn a_server_that_is_down_ends_the_connections_to_it() {
    let (server, proxy) = both().await;
    let mut before = raw(&proxy);
    before.write_all(b"PING\r\n").unwrap();
    assert_pong(&mut before);
    server.kill();
    assert_eq!(read_to_end(&mut before), (Vec::new(), false));
    assert_eq!(read_to_end(&mut raw(&proxy)), (Vec::new(), false));
    server.restart();
    assert!(cli(&proxy).run(&["PING"]).is_ok());
}

#[tokio::test]
async fn a_client_that_blocks_its_runtime_does_not_block_the_proxy() {
    let (server, proxy) = both().await;
    assert_eq!(
        server.url_at(proxy.address(), 4),
        format!("redis://{}/4", proxy.address())
    );
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let mut client = cli(&proxy);
            thread::spawn(move || client.run(&["INCR", "count"]).unwrap().integer())
        })
        .collect();
    let mut counts: Vec<_> = clients.into_iter().map(|one| one.join().unwrap()).collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn dropping_the_proxy_ends_connections_and_frees_its_port() {
    let (_server, proxy) = both().await;
    let mut client = raw(&proxy);
    client.write_all(b"PING\r\n").unwrap();
    assert_pong(&mut client);
    let address = proxy.address();
    drop(proxy);
    assert_eq!(read_to_end(&mut client), (Vec::new(), false));
    wait_until("a free port", || TcpListener::bind(address).is_ok());
}
