//! Hits from Redis over HTTP, beside a bare server.
//!
//! The same axum server on one core, with the layer and without, and the same load from another:
//! `wrk` with 64 connections that walk over many pages, so that requests rarely wait for each
//! other's. The redis-server shares the core with `wrk`.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use pitlane::ApiCacheLayer;
use pitlane_testkit::RedisServer;
use tokio::net::TcpListener;

use crate::measure::{median, processor_seconds};
use crate::nodes;

/// The name of what the benchmark starts of itself.
pub(crate) const SERVE: &str = "serve";

const ROUNDS: usize = 5;
const SECONDS: &str = "3s";
const PAGES: usize = 1024;
/// Of the bare server's throughput, for each size of a page.
const BARS: [(usize, f64); 2] = [(1 << 10, 0.55), (64 << 10, 0.40)];

pub(crate) fn run() {
    for program in ["wrk", "taskset"] {
        let there = Command::new(program).arg("--version").output();
        assert!(
            there.is_ok(),
            "{program} is needed (apt-get install wrk util-linux)"
        );
    }
    println!(
        "{:<20} {:>10} {:>12} {:>7} {:>14} {:>14} {:>7}",
        "over HTTP, 64 conns",
        "bare/s",
        "from Redis/s",
        "ratio",
        "CPU bare, us",
        "CPU cached, us",
        "ratio"
    );
    for (size, bar) in BARS {
        compare(size, bar);
    }
}

fn compare(size: usize, bar: f64) {
    let redis = RedisServer::start();
    pin(redis.pid(), "1");
    let bare = Served::start("bare", size, &redis);
    let cached = Served::start("cached", size, &redis);
    // Everything is stored before anything is measured.
    cached.load(SECONDS);
    let (mut floors, mut hits) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floors.push(bare.load(SECONDS));
        hits.push(cached.load(SECONDS));
    }
    let rate = |loads: &[Load]| median(loads.iter().map(|load| load.rate).collect());
    let cost = |loads: &[Load]| median(loads.iter().map(|load| load.processor).collect());
    let ratio = rate(&hits) / rate(&floors);
    println!(
        "{:<20} {:>10.0} {:>12.0} {ratio:>7.2} {:>14.1} {:>14.1} {:>7.2}  bar {bar}: {}; {}",
        format!("{} KiB", size >> 10),
        rate(&floors),
        rate(&hits),
        cost(&floors),
        cost(&hits),
        cost(&floors) / cost(&hits),
        if ratio >= bar { "met" } else { "missed" },
        cached.told(),
    );
}

fn pin(pid: u32, core: &str) {
    let done = Command::new("taskset")
        .args(["-a", "-p", "-c", core, &pid.to_string()])
        .stdout(Stdio::null())
        .status();
    assert!(done.is_ok_and(|status| status.success()), "taskset failed");
}

/// A server in a process of its own, on one core.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(what: &str, size: usize, redis: &RedisServer) -> Self {
        let own = env::current_exe().expect("the path of this program");
        let mut child = Command::new("taskset")
            .args(["-c", "0"])
            .arg(own)
            .args([SERVE, what, &size.to_string()])
            .env("PITLANE_REDIS_URL", redis.url())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a server");
        let output = child.stdout.take().expect("its output");
        let mut address = String::new();
        let read = BufReader::new(output).read_line(&mut address);
        assert!(
            read.is_ok_and(|length| length > 0),
            "the server did not start"
        );
        Self {
            child,
            address: address.trim().to_owned(),
        }
    }

    fn load(&self, seconds: &str) -> Load {
        let before = processor_seconds(self.child.id());
        let script = env::temp_dir().join(format!("pitlane-bench-{}.lua", std::process::id()));
        let text = format!(
            "local n = 0\nlocal all = {{}}\n\
             function init()\n\
               for i = 1, {PAGES} do all[i] = wrk.format('GET', '/clubs/' .. i) end\n\
             end\n\
             function request()\n  n = n % {PAGES} + 1\n  return all[n]\nend\n"
        );
        std::fs::write(&script, text).expect("a script");
        let output = Command::new("taskset")
            .args(["-c", "1", "wrk", "-t1", "-c64", "-d", seconds, "-s"])
            .arg(&script)
            .arg(format!("http://{}/", self.address))
            .output()
            .expect("wrk");
        std::fs::remove_file(&script).expect("the script is there");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(!text.contains("Non-2xx"), "{text}");
        let used = processor_seconds(self.child.id()) - before;
        let rate = number(&text, |line| line.trim().strip_prefix("Requests/sec:"));
        let requests = number(&text, |line| {
            Some(line.trim().split_once(" requests in")?.0)
        });
        Load {
            rate,
            processor: used * 1e6 / requests,
        }
    }

    /// How the cache counted its answers.
    fn told(&self) -> String {
        let output = Command::new("curl")
            .args(["-s", &format!("http://{}/counts", self.address)])
            .output()
            .expect("curl");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// How a server did under load.
struct Load {
    /// Requests a second.
    rate: f64,
    /// Microseconds of the server's processor time a request.
    processor: f64,
}

/// A number that `wrk` printed.
fn number(text: &str, find: fn(&str) -> Option<&str>) -> f64 {
    let found = text.lines().find_map(find);
    found
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or_else(|| panic!("wrk says: {text}"))
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `serve bare|cached SIZE`: the server, until its parent is gone.
pub(crate) fn serve(names: &[String]) {
    let [_, what, size] = names else {
        panic!("serve bare|cached SIZE");
    };
    let size = size.parse().expect("a number of bytes");
    // Ends with whoever started it.
    std::thread::spawn(|| {
        let _ = std::io::stdin().lock().read_line(&mut String::new());
        end();
    });
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().expect("a runtime");
    runtime.block_on(serve_on(what == "cached", size));
}

#[expect(clippy::exit, reason = "the server itself never ends")]
fn end() -> ! {
    std::process::exit(0)
}

async fn serve_on(cached: bool, size: usize) {
    let body = Bytes::from(nodes::noise(size));
    let headers = headers();
    let page = get(move || async move { (headers.clone(), body.clone()) });
    let mut router = Router::new().route("/clubs/{id}", page);
    if cached {
        let url = env::var("PITLANE_REDIS_URL").expect("a URL");
        let caches = nodes::without_memory(&url).build().expect("caches");
        let cache = nodes::join(&caches).await;
        router = router.layer(ApiCacheLayer::new(&cache).ttl(nodes::HOUR));
        router = router.route(
            "/counts",
            get(async move || format!("{:?}", cache.counts())),
        );
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    println!("{address}");
    let _ = std::io::stdout().flush();
    axum::serve(listener, router).await.expect("a server");
}

fn headers() -> HeaderMap {
    let fields = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "max-age=3600"),
        (header::CONTENT_LANGUAGE, "en"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    ];
    let fields = fields.map(|(name, value)| (name, HeaderValue::from_static(value)));
    fields.into_iter().collect()
}
