//! A proxy in front of a Redis server that spoils what passes it.

mod frames;
mod link;

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    net::TcpListener,
    runtime::Builder,
    sync::{oneshot, watch},
};

/// What a [`FaultProxy`] does to the connections through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing: everything passes.
    Pass,
    /// Each chunk of replies is handed on so long after it came. One that comes while another is
    /// held back waits for that first, so up to twice as long. With a very long time, commands
    /// are carried out but not answered.
    Delay(Duration),
    /// Replies pass at this rate at most.
    Throttle {
        /// Above zero.
        bytes_per_second: u32,
    },
    /// Each connection is closed when exactly so many bytes of replies have passed on it since
    /// the fault was set.
    CutAfter(usize),
    /// Connections are accepted and stay open, but nothing is read from them or sent to them.
    /// What was held back passes when the fault ends.
    Blackhole,
    /// The bytes of replies are replaced by as many random ones, the same in every run. Each
    /// chunk's first is never the type of a reply.
    Garbage,
    /// Each reply is replaced by a well-formed one of RESP2 that answers something else.
    WrongReply,
    /// New connections are closed at once, and so are those that exist.
    Refuse,
    /// New connections are reset at once, and so are those that exist.
    Reset,
}

/// A TCP proxy on a free port of the loopback interface, in front of one address. It lives on a
/// thread of its own: a test that blocks its runtime, or stops tokio's time, doesn't stop the
/// proxy. Dropping it closes all connections.
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// Begins to pass connections on to an address, whether or not somebody listens there yet.
    ///
    /// # Panics
    ///
    /// When no port can be bound.
    pub async fn start(upstream: SocketAddr) -> Self {
        let shared = Arc::new(Shared::new(upstream));
        let (tell, address) = oneshot::channel();
        let run = {
            let shared = Arc::clone(&shared);
            move || serve(&shared, tell)
        };
        let thread = thread::Builder::new().name("fault-proxy".to_owned());
        let thread = thread.spawn(run).expect("a thread");
        Self {
            address: address.await.expect("a free port"),
            shared,
            thread: Some(thread),
        }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of database 0 through it, without a password: for one, see
    /// [`RedisServer::url_at`](crate::RedisServer::url_at).
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    /// Switches the fault at once, for the connections that exist and for new ones.
    ///
    /// # Panics
    ///
    /// When a throttle lets nothing pass; that is a black hole.
    pub fn set(&self, fault: Fault) {
        let never = Fault::Throttle {
            bytes_per_second: 0,
        };
        assert_ne!(fault, never, "a throttle lets something pass");
        self.shared.control.send_modify(|control| {
            control.fault = fault;
            control.version += 1;
            if control.is_closed() {
                control.cut(fault == Fault::Reset);
            }
        });
    }

    /// Closes all connections that were accepted until now; new ones are as the fault says.
    pub fn cut_all(&self) {
        self.shared
            .control
            .send_modify(|control| control.cut(control.fault == Fault::Reset));
    }

    /// How many connections are open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many connections were accepted so far, those among them that were closed at once.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How many whole commands were handed to the server so far.
    #[must_use]
    pub fn commands(&self) -> u64 {
        self.shared.commands.load(Ordering::SeqCst)
    }

    /// How many bytes of commands were handed to the server so far.
    #[must_use]
    pub fn command_bytes(&self) -> u64 {
        self.shared.command_bytes.load(Ordering::SeqCst)
    }

    /// How many bytes were handed to clients so far, spoilt ones among them.
    #[must_use]
    pub fn reply_bytes(&self) -> u64 {
        self.shared.reply_bytes.load(Ordering::SeqCst)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared
            .control
            .send_modify(|control| control.over = true);
        if let Some(thread) = self.thread.take() {
            // A panic in there would have failed the test by itself.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultProxy")
            .field("address", &self.address)
            .field("upstream", &self.shared.upstream)
            .field("fault", &self.shared.control.borrow().fault)
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

/// What the test wants now.
#[derive(Clone, Copy, Debug)]
struct Control {
    fault: Fault,
    /// How often a fault was set: what is counted for one begins anew.
    version: u64,
    /// How often all connections were cut, so that a fault which lasts for a moment only is not
    /// missed.
    cuts: u64,
    /// How the last cut was made, and how new connections end when the fault closes them.
    by_reset: bool,
    /// The proxy is being dropped.
    over: bool,
}

impl Control {
    /// Whether new connections are closed at once.
    const fn is_closed(&self) -> bool {
        matches!(self.fault, Fault::Refuse | Fault::Reset)
    }

    const fn cut(&mut self, by_reset: bool) {
        self.cuts += 1;
        self.by_reset = by_reset;
    }
}

struct Shared {
    upstream: SocketAddr,
    control: watch::Sender<Control>,
    connections: AtomicUsize,
    accepted: AtomicU64,
    commands: AtomicU64,
    command_bytes: AtomicU64,
    reply_bytes: AtomicU64,
}

impl Shared {
    fn new(upstream: SocketAddr) -> Self {
        let control = Control {
            fault: Fault::Pass,
            version: 0,
            cuts: 0,
            by_reset: false,
            over: false,
        };
        Self {
            upstream,
            control: watch::Sender::new(control),
            connections: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            command_bytes: AtomicU64::new(0),
            reply_bytes: AtomicU64::new(0),
        }
    }
}

/// The thread's work. When it returns, its runtime and all connections end with it.
fn serve(shared: &Arc<Shared>, tell: oneshot::Sender<SocketAddr>) {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let mut control = shared.control.subscribe();
        if tell.send(address).is_err() {
            return;
        }
        tokio::select! {
            () = accept(&listener, shared) => {}
            _ = control.wait_for(|control| control.over) => {}
        }
    });
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        // Taken before the connection counts: who sees it counted can cut it.
        let cuts = shared.control.borrow().cuts;
        shared.accepted.fetch_add(1, Ordering::SeqCst);
        let open = Open::new(shared);
        tokio::spawn(async move {
            let open = open;
            link::run(&open.0, client, cuts).await;
        });
    }
}

/// Counts a connection while it lives.
struct Open(Arc<Shared>);

impl Open {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.connections.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(shared))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::SeqCst);
    }
}
