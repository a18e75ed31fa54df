//! `cargo xtask browser`: a real browser walks the dashboard of a real simlane with a real Redis.
//!
//! The walk itself is `tools/browser/walk.mjs`. Pictures of every page lie below the target folder.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::failure::Failure;
use crate::prerequisites;
use crate::step::Step;
use crate::workspace::Workspace;

const HOME: &str = "tools/browser";
/// How often, and how often again, Redis is asked whether it is up.
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(50);

/// Installs what the walk needs, starts what it walks through, and walks.
pub(crate) fn run() -> Result<(), Failure> {
    prerequisites::install_for_browsing()?;
    Step::program("npm", "ci --ignore-scripts --no-audit --no-fund --prefix")
        .add_arguments(&[HOME])
        .run()?;
    Step::cargo("build --package simlane").run()?;
    let target = Workspace::read()?.target;
    let shots = Path::new(&target).join("browser");
    let redis = Redis::start()?;
    let site = Site::start(Path::new(&target), &redis.url())?;
    Step::program("node", "")
        .add_arguments(&[&format!("{HOME}/walk.mjs"), "--url", &site.url])
        .add_arguments(&["--token-file", &site.token_file])
        .add_arguments(&["--shots", &shots.display().to_string()])
        .run()?;
    println!("pictures of every page: {}", shots.display());
    Ok(())
}

/// A process that ends with us.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended by itself can't be killed, and need not be.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Redis {
    port: u16,
    _server: Running,
}

impl Redis {
    fn start() -> Result<Self, Failure> {
        let lost = |error: std::io::Error| {
            Failure::failed(format!("redis-server can't be started: {error}"))
        };
        let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = free.map_err(lost)?.port();
        let server = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .map_err(lost)?;
        let redis = Self {
            port,
            _server: Running(server),
        };
        for _ in 0..ATTEMPTS {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(redis);
            }
            sleep(PAUSE);
        }
        Err(Failure::failed("redis-server does not answer"))
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/2", self.port)
    }
}

struct Site {
    url: String,
    token_file: String,
    /// What else it says has somewhere to go.
    _said: BufReader<ChildStdout>,
    _server: Running,
}

impl Site {
    /// Starts it, and reads where it is and where its token is from what it says.
    fn start(target: &Path, redis: &str) -> Result<Self, Failure> {
        let program = target.join("debug/simlane");
        let mut server = Command::new(&program)
            .args(["--listen", "127.0.0.1:0", "--redis", redis])
            .stdout(Stdio::piped())
            .spawn()
            .map(Running)
            .map_err(|error| Failure::failed(format!("simlane can't be started: {error}")))?;
        let silent = || Failure::failed("simlane ended before it said where it is");
        let mut said = BufReader::new(server.0.stdout.take().ok_or_else(silent)?);
        let (mut url, mut token_file) = (None, None);
        for line in said.by_ref().lines().map_while(Result::ok) {
            let line = line.trim();
            url =
                url.or_else(|| after(line, "home").map(|url| url.trim_end_matches('/').to_owned()));
            token_file = token_file.or_else(|| after(line, "its token is in").map(str::to_owned));
            if url.is_some() && token_file.is_some() {
                break;
            }
        }
        let (url, token_file) = url.zip(token_file).ok_or_else(silent)?;
        Ok(Self {
            url,
            token_file,
            _said: said,
            _server: server,
        })
    }
}

fn after<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    line.strip_prefix(word).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_a_word_is_read() {
        let home = after("home     http://127.0.0.1:3000/", "home");
        assert_eq!(home, Some("http://127.0.0.1:3000/"));
        let file = after("its token is in /tmp/x.token", "its token is in");
        assert_eq!(file, Some("/tmp/x.token"));
        assert_eq!(after("clubs    http://127.0.0.1:3000/clubs", "home"), None);
    }
}
