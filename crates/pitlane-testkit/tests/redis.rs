use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::TcpListener,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use pitlane_testkit::{RedisCli, RedisReply, RedisServer};

use crate::wait_until;

fn simple(text: &str) -> RedisReply {
    RedisReply::Simple(text.to_owned())
}

fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_started_server_answers_and_saves_nothing() {
    let server = RedisServer::start();
    assert_eq!(server.run(&["PING"]), simple("PONG"));
    assert!(server.is_running());
    assert_eq!(
        server.url(),
        format!("redis://127.0.0.1:{}/0", server.port())
    );
    assert_eq!(server.url_of(2), format!("redis://{}/2", server.address()));
    assert_eq!(server.unix_socket(), None);
    let settings = server.run(&["CONFIG", "GET", "save"]);
    let value = RedisReply::Bulk(Vec::new());
    assert_eq!(
        settings,
        RedisReply::Array(vec![RedisReply::Bulk(b"save".to_vec()), value])
    );
}

#[test]
fn every_type_of_reply_is_read() {
    let server = RedisServer::start();
    let mut cli = server.cli();
    let mut ask = |arguments: &[&str]| cli.run(arguments).unwrap();
    let bulk = |text: &str| RedisReply::Bulk(text.as_bytes().to_vec());
    assert_eq!(ask(&["SET", "a", "1"]), simple("OK"));
    assert_eq!(ask(&["INCR", "a"]).integer(), 2);
    assert_eq!(ask(&["GET", "a"]).text(), "2");
    assert_eq!(ask(&["GET", "absent"]), RedisReply::Nil);
    assert_eq!(ask(&["BLPOP", "absent", "0.01"]), RedisReply::Nil);
    assert_eq!(ask(&["SET", "empty", ""]), simple("OK"));
    assert_eq!(ask(&["GET", "empty"]), bulk(""));
    assert_eq!(
        ask(&["MGET", "a", "absent"]),
        RedisReply::Array(vec![bulk("2"), RedisReply::Nil])
    );
    assert_eq!(
        ask(&["EVAL", "return {1, {'x', {}}}", "0"]),
        RedisReply::Array(vec![
            RedisReply::Integer(1),
            RedisReply::Array(vec![bulk("x"), RedisReply::Array(Vec::new())]),
        ])
    );
    let wrong = ask(&["LPUSH", "a", "x"]);
    assert!(wrong.is_error("WRONGTYPE"), "{wrong:?}");
    assert!(!wrong.is_error("WRONG"), "a part of a prefix");
}

#[test]
fn keys_and_values_are_any_bytes() {
    let server = RedisServer::start();
    let value: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
    server.run(&[&b"SET"[..], b"\r\n\0\xff", &value]);
    let answer = server.run(&[&b"GET"[..], b"\r\n\0\xff"]);
    assert_eq!(answer, RedisReply::Bulk(value));
}

#[test]
fn settings_are_lines_of_redis_conf() {
    let server = RedisServer::builder()
        .config("maxmemory", "20mb")
        .config("client-output-buffer-limit", "normal 1mb 0 0")
        .config("notify-keyspace-events", "")
        .start();
    let setting = |name| match server.run(&["CONFIG", "GET", name]) {
        RedisReply::Array(pair) => pair[1].text().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(setting("maxmemory"), "20971520");
    assert!(setting("client-output-buffer-limit").starts_with("normal 1048576 0 0"));
    assert_eq!(setting("notify-keyspace-events"), "");
}

#[test]
fn a_password_of_any_text_is_asked_for_and_shown_nowhere() {
    let password = "s3cr3t \"'\\#@:/\u{fc}";
    let builder = RedisServer::builder().password(password);
    assert!(!format!("{builder:?}").contains("s3cr3t"));
    let server = builder.start();
    assert_eq!(server.run(&["PING"]), simple("PONG"));
    let stranger = RedisCli::connect(server.address(), None)
        .unwrap()
        .run(&["PING"]);
    assert!(stranger.unwrap().is_error("NOAUTH"));
    let wrong = RedisCli::connect(server.address(), Some("wrong")).unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::PermissionDenied);
    let user = ":s3cr3t%20%22%27%5C%23%40%3A%2F%C3%BC";
    assert_eq!(
        server.url_of(3),
        format!("redis://{user}@{}/3", server.address())
    );
    assert!(!format!("{server:?}").contains("s3cr3t"));
    server.restart();
    assert_eq!(server.run(&["PING"]), simple("PONG"));
    let line = fs::read(format!("/proc/{}/cmdline", server.pid())).unwrap();
    assert!(!String::from_utf8_lossy(&line).contains("s3cr3t"));
}

#[test]
fn data_survives_a_restart_only_if_it_is_appended() {
    for (builder, survives) in [
        (RedisServer::builder().append_only(), true),
        (RedisServer::builder(), false),
    ] {
        let server = builder.start();
        for end in [RedisServer::kill, RedisServer::stop, |_: &RedisServer| ()] {
            server.run(&["SET", "key", "value"]);
            let (port, pid) = (server.port(), server.pid());
            end(&server);
            server.restart();
            assert_eq!(server.port(), port);
            assert_ne!(server.pid(), pid);
            assert_eq!(
                server.run(&["EXISTS", "key"]).integer(),
                i64::from(survives)
            );
        }
    }
}

#[test]
fn a_restart_does_not_wait_for_a_server_that_loads_unless_asked() {
    let server = RedisServer::builder()
        .append_only()
        .config("key-load-delay", "500")
        .start();
    let fill = "for i = 1, 20000 do redis.call('SET', 'key' .. i, string.rep('x', 100)) end";
    server.run(&["EVAL", fill, "0"]);
    server.begin_restart();
    wait_until("an answer while loading", || {
        let cli = RedisCli::connect(server.address(), None);
        cli.and_then(|mut cli| cli.run(&["GET", "key1"]))
            .is_ok_and(|reply| reply.is_error("LOADING"))
    });
    server.run(&["CONFIG", "SET", "key-load-delay", "0"]);
    server.wait_until_ready();
    assert_eq!(server.run(&["DBSIZE"]).integer(), 20_000);
}

#[test]
fn a_frozen_server_answers_when_it_is_thawed() {
    let server = RedisServer::start();
    let mut before = server.cli().timeout(Duration::from_millis(50));
    server.freeze();
    server.freeze();
    assert!(server.is_running());
    let late = before.run(&["SET", "late", "1"]).unwrap_err();
    assert!(matches!(
        late.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut
    ));
    let closed = before.run(&["PING"]).unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::NotConnected);
    let mut during = server.cli();
    server.thaw();
    assert_eq!(during.run(&["PING"]).unwrap(), simple("PONG"));
    assert_eq!(
        server.run(&["GET", "late"]).text(),
        "1",
        "a late write is applied"
    );
}

#[test]
fn a_killed_server_is_gone_when_the_call_returns() {
    for freeze_first in [false, true] {
        let server = RedisServer::start();
        let mut cli = server.cli();
        let pid = server.pid();
        if freeze_first {
            server.freeze();
        }
        server.kill();
        assert!(!server.is_running());
        assert!(!exists(pid));
        assert!(cli.run(&["PING"]).is_err());
        let refused = RedisCli::connect(server.address(), None).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        server.kill();
    }
}

#[test]
fn an_end_that_nobody_asked_for_is_noticed() {
    let server = RedisServer::start();
    let _ = server.cli().run(&["SHUTDOWN", "NOSAVE"]);
    wait_until("the end", || !server.is_running());
    server.restart();
    assert!(server.is_running());
}

#[test]
fn a_frozen_server_can_be_stopped() {
    let server = RedisServer::start();
    server.freeze();
    server.stop();
    assert!(!server.is_running());
}

#[test]
fn dropping_leaves_no_process_and_no_folder() {
    for end in [|_: &RedisServer| (), RedisServer::freeze, RedisServer::kill] {
        let server = RedisServer::builder().append_only().unix_socket().start();
        let (pid, folder) = (server.pid(), server.folder().to_owned());
        assert!(exists(pid) && folder.exists());
        end(&server);
        drop(server);
        assert!(!exists(pid), "the process");
        assert!(!folder.exists(), "the folder");
    }
}

#[test]
fn a_killed_test_binary_leaves_no_process_and_no_folder() {
    for signal in ["-KILL", "-INT"] {
        let mut holder = Command::new(env!("CARGO_BIN_EXE_hold-redis"));
        holder.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = holder.spawn().unwrap();
        let mut said = BufReader::new(holder.stdout.take().unwrap())
            .lines()
            .skip(1);
        let pid: u32 = said.next().unwrap().unwrap().parse().unwrap();
        let folder = PathBuf::from(said.next().unwrap().unwrap());
        assert!(exists(pid) && folder.exists());
        let id = holder.id().to_string();
        let status = Command::new("kill").args([signal, &id]).status();
        assert!(status.unwrap().success());
        holder.wait().unwrap();
        wait_until("no process", || !runs(pid));
        wait_until("no folder", || !folder.exists());
    }
}

/// An orphan may stay as a zombie, where the first process of a container reaps nobody.
fn runs(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/status"))
        .is_ok_and(|status| !status.contains("State:\tZ"))
}

#[test]
fn a_unix_socket_stands_in_the_folder() {
    let server = RedisServer::builder().unix_socket().start();
    let socket = server.unix_socket().unwrap();
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.write_all(b"PING\r\n").unwrap();
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"+PONG\r\n");
}

#[test]
fn a_server_that_does_not_start_says_why() {
    let builder = RedisServer::builder().config("no-such-setting", "1");
    let panic = thread::spawn(|| builder.start()).join().unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("no-such-setting"), "{message}");
}

#[test]
fn an_answer_from_another_process_on_the_port_is_not_taken_for_the_servers() {
    let server = RedisServer::start();
    server.kill();
    let stranger = TcpListener::bind(server.address()).unwrap();
    thread::spawn(move || {
        for client in stranger.incoming() {
            let mut client = client.unwrap();
            // The client hangs up when it has read enough.
            while client.write_all(b"+PONG\r\n").is_ok() {}
        }
    });
    let panic = thread::spawn(move || server.restart()).join().unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("already in use"), "{message}");
}

#[test]
fn servers_that_live_at_once_have_ports_of_their_own() {
    let servers: Vec<_> = (0..8).map(|_| thread::spawn(RedisServer::start)).collect();
    let servers: Vec<_> = servers.into_iter().map(|one| one.join().unwrap()).collect();
    for (number, server) in servers.iter().enumerate() {
        server.run(&["SET", "number", &number.to_string()]);
    }
    for (number, server) in servers.iter().enumerate() {
        assert_eq!(server.run(&["GET", "number"]).text(), number.to_string());
    }
}
