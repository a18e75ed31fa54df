//! Servers that share sessions, and a browser.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post};
use http::Method;
use pitlane::Caches;
use pitlane_sessions::PitlaneStore;
use pitlane_testkit::{Answer, Client, Protocol, RedisServer, Server};
use tokio::sync::Notify;
use tower_sessions::{Session, SessionManagerLayer};

/// Longer than anything here may take.
const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) struct Site {
    pub(crate) caches: Caches,
    pub(crate) store: PitlaneStore,
    pub(crate) server: Server,
    /// A slow request has its session.
    pub(crate) entered: Arc<Notify>,
    /// It may go on.
    pub(crate) gate: Arc<Notify>,
}

/// One visitor's cookie, in all servers alike.
#[derive(Default)]
pub(crate) struct Browser {
    cookie: Mutex<Option<String>>,
}

impl Site {
    /// A server whose budget a busy machine can keep.
    pub(crate) async fn start(redis: &RedisServer) -> Self {
        Self::through(redis, redis.address()).await
    }

    /// A server that reaches Redis through a proxy.
    pub(crate) async fn through(redis: &RedisServer, proxy: SocketAddr) -> Self {
        let text = format!(
            "[redis]\nurl = \"{}\"\nbudget = \"2s\"\n[caches.default]\ndatabase = 2\n\
             [caches.sessions]\nkind = \"store\"\ndatabase = 1\nttl = \"14d\"",
            redis.url_at(proxy, 0)
        );
        let builder = Caches::builder().config(&text, "test").unwrap();
        let site = Self::over(builder.build().unwrap()).await;
        let closed = site.caches.redis().unwrap().when_closed();
        tokio::time::timeout(DEADLINE, closed).await.unwrap();
        site.until_settled().await;
        site
    }

    pub(crate) async fn over(caches: Caches) -> Self {
        let store = PitlaneStore::new(&caches.get("sessions").unwrap()).unwrap();
        let (entered, gate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let signals = (Arc::clone(&entered), Arc::clone(&gate));
        let app = Router::new()
            .route("/login/{user}", post(login))
            .route("/logout", post(logout))
            .route("/me", get(me))
            .route("/visit", post(visit))
            .route("/slow", post(move |session| slow(session, signals)))
            .layer(SessionManagerLayer::new(store.clone()));
        Self {
            server: Server::start(app).await,
            caches,
            store,
            entered,
            gate,
        }
    }

    pub(crate) async fn ask(&self, browser: &Browser, method: Method, path: &str) -> Answer {
        let cookie = browser.cookie().unwrap_or_default();
        let client = Client::new(Protocol::Http1);
        let headers = [("cookie", &*cookie)];
        let answer = client.ask(method, &self.server.url(path), &headers).await;
        browser.take(&answer);
        answer
    }

    pub(crate) async fn login(&self, browser: &Browser, user: &str) -> Answer {
        let path = format!("/login/{user}");
        let answer = self.ask(browser, Method::POST, &path).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer
    }

    pub(crate) async fn logout(&self, browser: &Browser) {
        let answer = self.ask(browser, Method::POST, "/logout").await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }

    /// Who the server takes the browser for: a name, or a status.
    pub(crate) async fn who(&self, browser: &Browser) -> String {
        let answer = self.ask(browser, Method::GET, "/me").await;
        match answer.status {
            StatusCode::OK => answer.text().to_owned(),
            status => status.as_u16().to_string(),
        }
    }

    /// Counts a visit in the session.
    pub(crate) async fn visit(&self, browser: &Browser) -> String {
        let answer = self.ask(browser, Method::POST, "/visit").await;
        match answer.status {
            StatusCode::OK => answer.text().to_owned(),
            status => status.as_u16().to_string(),
        }
    }

    /// Waits until the node knows that Redis is away.
    pub(crate) async fn until_away(&self) {
        until("the node is away", || self.store.status().is_away).await;
    }

    /// Waits until Redis and the node have the same.
    pub(crate) async fn until_settled(&self) {
        until("the node is settled", || {
            let status = self.store.status();
            !status.is_away && status.unsaved == 0 && status.owed_deletions == 0
        })
        .await;
    }
}

impl Browser {
    pub(crate) fn cookie(&self) -> Option<String> {
        self.cookie.lock().unwrap().clone()
    }

    /// Another browser with the same cookie, which doesn't forget it.
    pub(crate) fn thief(&self) -> Self {
        Self {
            cookie: Mutex::new(self.cookie()),
        }
    }

    fn take(&self, answer: &Answer) {
        let set = answer.header("set-cookie");
        if let Some((pair, rest)) = set.split_once(';') {
            let is_removed = rest.contains("Max-Age=0");
            *self.cookie.lock().unwrap() = (!is_removed).then(|| pair.to_owned());
        }
    }
}

async fn login(session: Session, Path(user): Path<String>) -> Result<(), StatusCode> {
    let done = session.insert("user", user).await;
    done.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

async fn logout(session: Session) -> Result<(), StatusCode> {
    let done = session.flush().await;
    done.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

async fn me(session: Session) -> Result<String, StatusCode> {
    let user = session.get::<String>("user").await;
    let user = user.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    user.ok_or(StatusCode::UNAUTHORIZED)
}

async fn visit(session: Session) -> Result<String, StatusCode> {
    let user = me(session.clone()).await?;
    let count: Result<Option<u32>, _> = session.get("visits").await;
    let count = count.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let count = count.unwrap_or_default() + 1;
    let done = session.insert("visits", count).await;
    done.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(format!("{user} {count}"))
}

/// Changes its session when it is told to.
async fn slow(session: Session, (entered, gate): (Arc<Notify>, Arc<Notify>)) -> StatusCode {
    let user = me(session.clone()).await;
    entered.notify_one();
    gate.notified().await;
    let done = session.insert("slow", true).await;
    user.and(done.map_err(|_| StatusCode::SERVICE_UNAVAILABLE))
        .map_or_else(|status| status, |()| StatusCode::OK)
}

#[track_caller]
pub(crate) fn until(what: &str, met: impl Fn() -> bool) -> impl Future<Output = ()> {
    let at = std::panic::Location::caller();
    let what = what.to_owned();
    async move {
        let wait = async {
            while !met() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, wait).await;
        assert!(waited.is_ok(), "not within 10 s: {what} (at {at})");
    }
}

/// Asks until the answer is the expected one, and says how often it was another.
#[track_caller]
pub(crate) fn eventually<F: Future<Output = String>>(
    expected: &str,
    mut ask: impl FnMut() -> F,
) -> impl Future<Output = usize> {
    let at = std::panic::Location::caller();
    let expected = expected.to_owned();
    async move {
        let mut others = Vec::new();
        let wait = async {
            loop {
                let answer = ask().await;
                if answer == expected {
                    break;
                }
                others.push(answer);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, wait).await;
        assert!(
            waited.is_ok(),
            "never {expected} (at {at}): {:?}",
            others.last()
        );
        others.len()
    }
}
