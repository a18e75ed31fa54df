//! The log's keys, as somebody sees them who is no node.

use pitlane_core::{LogId, Position, Watermark};
use pitlane_testkit::{RedisReply, RedisServer};

pub(crate) const LOG: &str = "{site}:log";
pub(crate) const LAST: &str = "{site}:last";
pub(crate) const TAIL: &str = "{site}:tail";
pub(crate) const ALL: [&str; 3] = [LOG, LAST, TAIL];

pub(crate) fn array(reply: RedisReply) -> Vec<RedisReply> {
    match reply {
        RedisReply::Array(parts) => parts,
        other => panic!("no list: {other:?}"),
    }
}

pub(crate) fn length(server: &RedisServer) -> i64 {
    server.run(&["XLEN", LOG]).integer()
}

pub(crate) fn tail(server: &RedisServer) -> String {
    server.run(&["GET", TAIL]).text().to_owned()
}

/// The beginning of the log's present life.
pub(crate) fn first(server: &RedisServer, life: Position) -> Position {
    let records = array(server.run(&["XRANGE", LOG, "-", "+", "COUNT", "1"]));
    let record = array(records[0].clone());
    let id: LogId = record[0].text().parse().unwrap();
    Position { id, ..life }
}

/// Puts something at the end of the stream that has the form of a record.
pub(crate) fn forge(server: &RedisServer, fields: &[&str]) {
    let command: Vec<&str> = ["XADD", LOG, "*"].iter().chain(fields).copied().collect();
    server.run(&command);
}

/// A mark as the script's own names for it.
pub(crate) fn name(number: u64) -> String {
    format!("{number:016x}")
}

pub(crate) fn life(mark: Watermark) -> String {
    name(mark.incarnation().as_u64())
}

/// The three keys at one moment.
pub(crate) struct Copy(Vec<Vec<u8>>);

impl Copy {
    pub(crate) fn take(server: &RedisServer) -> Self {
        let dump = |key| match server.run(&["DUMP", key]) {
            RedisReply::Bulk(bytes) => bytes,
            other => panic!("no dump: {other:?}"),
        };
        Self(ALL.map(dump).into())
    }

    /// Puts them back, all at once.
    pub(crate) fn restore(&self, server: &RedisServer) {
        let script = "for n = 1, 3 do \
                      redis.call('RESTORE', KEYS[n], 0, ARGV[n], 'REPLACE') end";
        let mut command: Vec<&[u8]> = vec![b"EVAL", script.as_bytes(), b"3"];
        command.extend(ALL.map(str::as_bytes));
        command.extend(self.0.iter().map(Vec::as_slice));
        server.run(&command);
    }
}
