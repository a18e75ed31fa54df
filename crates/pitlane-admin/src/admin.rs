//! What a program says to mount the admin pages and the API.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use minijinja::{Environment, Value};
use pitlane::{Caches, Clock};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;
use tower::util::BoxCloneService;
use tower_service::Service;

use crate::BoxError;
use crate::door::{AdminToken, Hosts, Lockout, SignIns};
use crate::{serve, view};

/// How many event streams run at once. Each is a task and a connection.
const STREAMS: usize = 32;

/// The admin pages and the JSON API over one registry of caches, for whoever has the token.
///
/// See [the crate's page](crate) for what it needs around it.
#[must_use]
pub struct Admin(Shared);

/// What every request is answered from.
pub(crate) struct Shared {
    pub(crate) caches: Caches,
    pub(crate) token: AdminToken,
    /// Where the pages are: empty, or a path that begins with a slash and ends without one.
    pub(crate) base: String,
    pub(crate) hosts: Hosts,
    pub(crate) https: bool,
    pub(crate) app: Option<App>,
    /// Hosts that the app may be asked as, in lower case.
    pub(crate) sites: Vec<String>,
    /// It may be asked as any.
    pub(crate) any_site: bool,
    pub(crate) clock: Clock,
    pub(crate) lockout: Lockout,
    pub(crate) sign_ins: Arc<SignIns>,
    pub(crate) templates: Environment<'static>,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) stopping: Option<watch::Receiver<bool>>,
}

/// The program's own service, which paths are asked of. It need not be `Sync`, so a lock hands
/// out the clones.
pub(crate) struct App(Mutex<BoxCloneService<Request, Response, BoxError>>);

impl Admin {
    /// An API for `caches` that `token` opens, at `/`.
    pub fn new(caches: Caches, token: AdminToken) -> Self {
        Self(Shared {
            caches,
            token,
            base: String::new(),
            hosts: Hosts::default(),
            https: false,
            app: None,
            sites: Vec::new(),
            any_site: false,
            clock: Clock::system(),
            lockout: Lockout::default(),
            sign_ins: Arc::default(),
            templates: view::templates(),
            streams: Arc::new(Semaphore::new(STREAMS)),
            stopping: None,
        })
    }

    /// Where it is mounted, such as `/admin/cache`: merge the router into the program's own, and
    /// don't nest it.
    pub fn at(mut self, path: &str) -> Self {
        let path = path.trim_matches('/');
        self.0.base = match path {
            "" => String::new(),
            path => format!("/{path}"),
        };
        self
    }

    /// The address that the server listens on, which is one of the hosts that it may be called
    /// by. Names and addresses of the loopback interface always are.
    pub fn bound(mut self, address: SocketAddr) -> Self {
        self.0.hosts.bind(address);
        self
    }

    /// Another name that requests may call this host by, without a port: that of a proxy in front
    /// of it. Any name that a foreign page could make point here is refused without this.
    pub fn add_host(mut self, name: &str) -> Self {
        self.0.hosts.names.push(name.to_ascii_lowercase());
        self
    }

    /// A proxy in front of it speaks TLS: the cookie is sent over `https` only, and so must the
    /// pages be.
    pub const fn https(mut self) -> Self {
        self.0.https = true;
        self
    }

    /// A clone of the program's own service, without the admin pages: what is explained and
    /// warmed is asked of it, within the process.
    pub fn app<S, B>(mut self, app: S) -> Self
    where
        S: Service<Request, Response = http::Response<B>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let app = app.map_response(|response| response.map(Body::new));
        self.0.app = Some(App(Mutex::new(BoxCloneService::new(
            app.map_err(Into::into),
        ))));
        self
    }

    /// A host that the app's pages are cached under, and may be explained and warmed as, without
    /// a port: a site's own name. What the admin pages themselves are called by always is one.
    pub fn add_site(mut self, name: &str) -> Self {
        self.0.sites.push(name.to_ascii_lowercase());
        self
    }

    /// The app answers for every host, as a proxy does for whatever its clients call it by: its pages may
    /// be explained and warmed as any.
    pub const fn any_site(mut self) -> Self {
        self.0.any_site = true;
        self
    }

    /// Event streams end when this becomes true, so that a page that somebody watches does not
    /// hold up the end of the server.
    pub fn stopping(mut self, stopping: watch::Receiver<bool>) -> Self {
        self.0.stopping = Some(stopping);
        self
    }

    /// The clock that lock-outs, sign-ins and ages go by.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.0.clock = clock;
        self
    }

    /// The routes, all of them below the path given to [`Admin::at`].
    pub fn router(self) -> Router {
        let base = self.0.base.clone();
        let shared = Arc::new(self.0);
        let answer = any(move |request: Request| {
            let shared = Arc::clone(&shared);
            async move { serve::answer(&shared, request).await }
        });
        let router = Router::new()
            .route(&format!("{base}/"), answer.clone())
            .route(&format!("{base}/{{*rest}}"), answer.clone());
        match base.is_empty() {
            true => router,
            false => router.route(&base, answer),
        }
    }
}

impl Shared {
    /// The mount's path for templates, where it is written often: what holds nothing to escape is
    /// not escaped.
    pub(crate) fn base(&self) -> Value {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        match self.base.bytes().all(is_plain) {
            true => Value::from_safe_string(self.base.clone()),
            false => Value::from(self.base.as_str()),
        }
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("base", &self.0.base)
            .field("hosts", &self.0.hosts)
            .finish_non_exhaustive()
    }
}

impl App {
    /// Asks the app.
    pub(crate) async fn ask(&self, request: Request) -> Result<Response, BoxError> {
        let app = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        app.oneshot(request).await
    }
}
