//! How each fault is made, on a real server or on the way to it.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use pitlane_testkit::{Fault as Wire, FaultProxy, RedisCli, RedisReply, RedisServer};

use crate::fault::Fault;
use crate::node::{DATABASES, LOG_DATABASE};

/// The password that the nodes are told.
const PASSWORD: &str = "the first one";
const ROTATED: &str = "another one";

/// Longer than any fault lasts.
const PATIENCE: Duration = Duration::from_secs(100);

/// A Redis that can be disturbed. All methods block for as long as the server needs.
#[derive(Debug)]
pub(crate) struct Target {
    fault: Fault,
    server: RedisServer,
    proxy: Option<FaultProxy>,
    /// A connection from before the fault, for what can't be undone from a new one.
    held: Option<RedisCli>,
    /// A command that doesn't return while the fault lasts.
    endless: Option<JoinHandle<io::Result<RedisReply>>>,
}

impl Target {
    /// `window` is how long the fault will last.
    pub(crate) async fn start(fault: Fault, window: Duration) -> Self {
        let server = tokio::task::block_in_place(|| prepare(fault, window));
        let proxy = match on_the_wire(fault) {
            Some(_) => Some(FaultProxy::start(server.address()).await),
            None => None,
        };
        Self {
            fault,
            server,
            proxy,
            held: None,
            endless: None,
        }
    }

    /// What the nodes connect to.
    pub(crate) fn url(&self) -> String {
        let proxy = self.proxy.as_ref().map(FaultProxy::address);
        self.server
            .url_at(proxy.unwrap_or(self.server.address()), 0)
    }

    /// The fault begins; a momentary one is over when this returns.
    pub(crate) fn begin(&mut self) {
        if let (Some(proxy), Some(wire)) = (&self.proxy, on_the_wire(self.fault)) {
            return proxy.set(wire);
        }
        let server = &self.server;
        match self.fault {
            Fault::Nothing | Fault::Refused => {}
            Fault::Killed | Fault::DataLost => server.kill(),
            Fault::Frozen | Fault::FrozenLong => server.freeze(),
            Fault::OutOfMemory => set(server, "maxmemory", "1"),
            Fault::ReadOnly => drop(server.run(&["REPLICAOF", "127.0.0.1", "1"])),
            Fault::Loading => self.run_on(&["DEBUG", "RELOAD"]),
            Fault::NoAuth | Fault::Rotated => self.lock_out(),
            Fault::ScriptFlush => drop(server.run(&["SCRIPT", "FLUSH"])),
            Fault::Busy => self.run_on(&["EVAL", "while true do end", "0"]),
            Fault::OutputBuffer => {
                set(server, "client-output-buffer-limit", "normal 512 0 0");
            }
            Fault::Corrupt => DATABASES
                .iter()
                .for_each(|database| spoil(server, database)),
            Fault::Trimmed => in_log(server, &["XTRIM", "{chaos}:log", "MAXLEN", "1"]),
            Fault::LogEvicted => in_log(server, &["DEL", "{chaos}:log"]),
            Fault::TailEvicted => in_log(server, &["DEL", "{chaos}:tail"]),
            Fault::HashEvicted => in_log(server, &["DEL", "{chaos}:last"]),
            Fault::FlushAll => drop(server.run(&["FLUSHALL"])),
            Fault::Slow | Fault::Cut | Fault::Blackhole | Fault::Garbage | Fault::WrongReply => {
                unreachable!("made by the proxy")
            }
        }
    }

    /// The fault ends: when this returns, Redis is well again.
    pub(crate) fn end(&mut self) {
        if let Some(proxy) = &self.proxy {
            return proxy.set(Wire::Pass);
        }
        let server = &self.server;
        match self.fault {
            Fault::Refused | Fault::Killed | Fault::DataLost => server.restart(),
            Fault::Frozen | Fault::FrozenLong => server.thaw(),
            Fault::OutOfMemory => set(server, "maxmemory", "0"),
            Fault::ReadOnly => drop(server.run(&["REPLICAOF", "NO", "ONE"])),
            Fault::Loading => self.wait(),
            Fault::NoAuth | Fault::Rotated => self.let_in(),
            Fault::Busy => {
                let killed = server.cli().run(&["SCRIPT", "KILL"]);
                assert_eq!(killed.expect("an answer").text(), "OK");
                self.wait();
            }
            Fault::OutputBuffer => set(server, "client-output-buffer-limit", "normal 0 0 0"),
            _ => {}
        }
    }

    /// Runs a command that comes back when the fault is over.
    fn run_on(&mut self, command: &'static [&'static str]) {
        let mut cli = self.server.cli().timeout(PATIENCE);
        self.endless = Some(std::thread::spawn(move || cli.run(command)));
    }

    fn wait(&mut self) {
        if let Some(endless) = self.endless.take() {
            let ended = endless.join().expect("no panic");
            ended.expect("the command came back");
        }
    }

    /// Sets another password and ends all connections, which know the old one.
    fn lock_out(&mut self) {
        let mut cli = self.server.cli();
        let password = cli.run(&["CONFIG", "SET", "requirepass", ROTATED]);
        assert_eq!(password.expect("an answer").text(), "OK");
        let killed = cli.run(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        killed.expect("an answer");
        self.held = Some(cli);
    }

    fn let_in(&mut self) {
        let before = if self.fault == Fault::Rotated {
            PASSWORD
        } else {
            ""
        };
        let mut cli = self.held.take().expect("a connection that was let in");
        let set = cli.run(&["CONFIG", "SET", "requirepass", before]);
        assert_eq!(set.expect("an answer").text(), "OK");
    }
}

/// What the proxy does, for faults that are made on the way.
const fn on_the_wire(fault: Fault) -> Option<Wire> {
    match fault {
        Fault::Slow => Some(Wire::Delay(Duration::from_millis(200))),
        Fault::Cut => Some(Wire::CutAfter(3_000)),
        Fault::Blackhole => Some(Wire::Blackhole),
        Fault::Garbage => Some(Wire::Garbage),
        Fault::WrongReply => Some(Wire::WrongReply),
        _ => None,
    }
}

/// Starts a server, and brings it to where the nodes shall find it.
fn prepare(fault: Fault, window: Duration) -> RedisServer {
    let mut builder = RedisServer::builder();
    match fault {
        Fault::Killed => builder = builder.append_only(),
        Fault::Rotated => builder = builder.password(PASSWORD),
        Fault::Busy => builder = builder.config("busy-reply-threshold", "10"),
        Fault::Loading => {
            builder = builder
                .config("enable-debug-command", "yes")
                .config("loading-process-events-interval-bytes", "1024");
        }
        _ => {}
    }
    let server = builder.start();
    match fault {
        Fault::Refused => server.kill(),
        Fault::Loading => {
            // Each key takes a millisecond to load.
            let keys = window.as_millis().to_string();
            server.run(&["DEBUG", "POPULATE", &keys]);
            set(&server, "key-load-delay", "1000");
        }
        _ => {}
    }
    server
}

fn set(server: &RedisServer, name: &str, value: &str) {
    server.run(&["CONFIG", "SET", name, value]);
}

fn in_log(server: &RedisServer, command: &[&str]) {
    run_in(server, LOG_DATABASE, command);
}

/// Writes over every entry, so that nothing of it can be read.
fn spoil(server: &RedisServer, database: &str) {
    let script = "for i, key in ipairs(redis.call('KEYS', 'chaos:*')) do \
        redis.call('SET', key, string.rep('\\255no entry', i % 97), 'KEEPTTL') end";
    run_in(server, database, &["EVAL", script, "0"]);
}

fn run_in(server: &RedisServer, database: &str, command: &[&str]) {
    let mut cli = server.cli();
    cli.run(&["SELECT", database]).expect("an answer");
    let reply = cli.run(command).expect("an answer");
    assert!(!matches!(reply, RedisReply::Error(_)), "{reply:?}");
}
