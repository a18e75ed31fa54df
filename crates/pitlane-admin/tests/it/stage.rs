//! Admin pages over caches that hold one value and one page, behind a real server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use pitlane::{AnonymousCacheLayer, Cache, Caches, Claim, Clock, Freshness, Key, Timestamp};
use pitlane_admin::{Admin, AdminToken};
use pitlane_testkit::{Answer, Client, Protocol};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const TOKEN: &str = "0123456789abcdefghijklmnopqrstuv";
pub(crate) const WRONG: &str = "0123456789abcdefghijklmnopqrstuw";
pub(crate) const BASE: &str = "/admin/cache";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// Nothing here takes as long.
const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) struct Stage {
    pub(crate) address: SocketAddr,
    pub(crate) caches: Caches,
    pub(crate) cache: Cache,
    pub(crate) clock: Clock,
    /// How often the handler of `/page` ran.
    pub(crate) calls: Arc<AtomicUsize>,
}

impl Stage {
    pub(crate) async fn set() -> Self {
        let caches = Caches::builder().cache("default").cache("api").build();
        Self::over(caches.unwrap(), |admin| admin).await
    }

    /// With other settings.
    pub(crate) async fn with(change: impl FnOnce(Admin) -> Admin) -> Self {
        let caches = Caches::builder().cache("default").cache("api").build();
        Self::over(caches.unwrap(), change).await
    }

    pub(crate) async fn over(caches: Caches, change: impl FnOnce(Admin) -> Admin) -> Self {
        let cache = caches.get("default").unwrap();
        store(&cache, "page", &["news"]).await;
        let clock = Clock::manual(Timestamp::from_millis(1_750_000_000_000));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let app = app(&cache, &calls);
        let admin = Admin::new(caches.clone(), token())
            .at(BASE)
            .bound(address)
            .clock(clock.clone())
            .app(app.clone());
        let router = app.merge(change(admin).router());
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self {
            address,
            caches,
            cache,
            clock,
            calls,
        }
    }

    pub(crate) fn still_holds(&self) -> bool {
        self.cache.get(&Key::new("page")).is_some()
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// A page that asks with a cookie.
    pub(crate) async fn page(&self, cookie: &str, path: &str) -> Answer {
        let url = format!("http://{}{BASE}{path}", self.address);
        let mut headers = vec![];
        if !cookie.is_empty() {
            headers.push(("cookie", cookie));
        }
        Client::new(Protocol::Http1).get(&url, &headers).await
    }

    /// A form that a page of ours posts.
    pub(crate) async fn post(&self, cookie: &str, path: &str, form: &[(&str, &str)]) -> Answer {
        let origin = format!("http://{}", self.address);
        self.post_with(cookie, path, form, &[("origin", &origin)])
            .await
    }

    pub(crate) async fn post_with(
        &self,
        cookie: &str,
        path: &str,
        form: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::post(format!("http://{}{BASE}{path}", self.address));
        if !cookie.is_empty() {
            request = request.header("cookie", cookie);
        }
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", FORM);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = encode(form);
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        Client::new(Protocol::Http1).send(request).await
    }

    /// Signs in and returns what the browser would send from then on.
    pub(crate) async fn sign_in(&self) -> String {
        let answer = self
            .post("", "/sign-in", &[("token", TOKEN), ("to", "")])
            .await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        cookie_of(&answer)
    }

    /// What the forms of this visitor carry.
    pub(crate) async fn csrf(&self, cookie: &str) -> String {
        let page = self.page(cookie, "/clear?cache=default").await;
        field(page.text(), "csrf")
    }

    /// The API, with the token.
    pub(crate) async fn api(&self, method: Method, path: &str, body: &str) -> (u16, Value) {
        let mut request = Request::builder()
            .method(method.clone())
            .uri(format!("http://{}{BASE}/api{path}", self.address))
            .header("authorization", format!("Bearer {TOKEN}"));
        if method == Method::POST {
            request = request.header("content-type", "application/json");
        }
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        let answer = Client::new(Protocol::Http1)
            .send(request.body(body).unwrap())
            .await;
        let value = serde_json::from_str(answer.text()).unwrap_or(Value::Null);
        (answer.status.as_u16(), value)
    }

    /// Bytes as they are, and the whole answer as text.
    pub(crate) async fn raw(&self, request: impl AsRef<[u8]>) -> Raw {
        let asked = async {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(request.as_ref()).await.unwrap();
            let mut text = Vec::new();
            let is_head = request.as_ref().starts_with(b"HEAD ");
            let mut part = [0; 4096];
            // The first part tells how long the rest is; these answers fit into few.
            loop {
                let read = stream.read(&mut part).await.unwrap_or(0);
                text.extend_from_slice(&part[..read]);
                if read == 0 || is_whole(&text, is_head) {
                    break;
                }
            }
            String::from_utf8_lossy(&text).into_owned()
        };
        let text = tokio::time::timeout(DEADLINE, asked)
            .await
            .expect("an answer");
        Raw::read(&text)
    }
}

fn is_whole(text: &[u8], is_head: bool) -> bool {
    let text = String::from_utf8_lossy(text);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    if is_head {
        return true;
    }
    let head = head.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    length.is_some_and(|length| length.trim().parse::<usize>().unwrap() <= body.len())
}

/// An answer, byte by byte.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Raw {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Self {
            status: status.unwrap_or_default(),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }
}

fn app(cache: &Cache, calls: &Arc<AtomicUsize>) -> Router {
    let calls = Arc::clone(calls);
    let page = get(async move || {
        calls.fetch_add(1, Ordering::SeqCst);
        "a page"
    });
    let layer = AnonymousCacheLayer::new(cache).ttl(Duration::from_secs(600));
    Router::new().route("/page", page).layer(layer)
}

pub(crate) async fn store(cache: &Cache, key: &str, tags: &[&str]) {
    let Claim::Fill(fill) = cache.claim(&Key::new(key)).await else {
        panic!("nothing is there yet");
    };
    let fresh = Freshness::new(Duration::from_secs(600));
    fill.store_with("text", fresh, tags.iter().copied());
}

pub(crate) fn token() -> AdminToken {
    AdminToken::from_file(&file(TOKEN.as_bytes())).unwrap()
}

pub(crate) fn file(content: &[u8]) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("pitlane-admin-token-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

/// `name=value` of the cookie that an answer sets.
pub(crate) fn cookie_of(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie");
    cookie.split(';').next().unwrap().to_owned()
}

/// The value of a hidden field.
pub(crate) fn field(page: &str, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let (_, rest) = page
        .split_once(&start)
        .unwrap_or_else(|| panic!("no {name}: {page}"));
    rest.split('"').next().unwrap().to_owned()
}

pub(crate) fn encode(form: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in form {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                    text.push(byte as char);
                }
                byte => text.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    text
}
