//! Holds a Redis server until its standard input ends, and says its URL and process id: for a
//! test that kills a process which holds one, and for a person who needs one for a moment.

use std::io::{self, Read, Write};

use pitlane_testkit::RedisServer;

fn main() -> io::Result<()> {
    let server = RedisServer::start();
    let folder = server.folder().display();
    writeln!(io::stdout(), "{}\n{}\n{folder}", server.url(), server.pid())?;
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}
