use std::{
    collections::hash_map::RandomState,
    fmt::{self, Write as _},
    fs::{self, DirBuilder},
    hash::{BuildHasher, Hasher},
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{
    cli::{RedisCli, RedisReply},
    process::{OUTPUT, Process, SETTINGS},
};

/// How long a server may take to answer after a start, or to end after a SIGTERM.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often a port is chosen anew when somebody else has taken it.
const ATTEMPTS: usize = 20;

/// A real `redis-server` process on a free port of the loopback interface, with a folder of its
/// own. Nothing is saved unless asked. Dropping it kills the process and removes the folder, and
/// so does the end of the test binary, however it ends.
///
/// All its methods block: for milliseconds, and until the server has done what was asked.
pub struct RedisServer {
    settings: RedisServerBuilder,
    folder: PathBuf,
    process: Mutex<Process>,
    // Last: the port is given up when the process is gone.
    port: Port,
}

/// How a [`RedisServer`] is to be started.
#[derive(Clone, Default)]
#[must_use]
pub struct RedisServerBuilder {
    lines: String,
    password: Option<String>,
    unix_socket: bool,
}

impl RedisServer {
    /// Starts a server that has no password and saves nothing.
    ///
    /// # Panics
    ///
    /// When it doesn't start; the message ends with what the server said.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// Settings to be added to.
    pub fn builder() -> RedisServerBuilder {
        RedisServerBuilder::default()
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The port where it listens, the same for its whole life.
    pub const fn port(&self) -> u16 {
        self.port.number
    }

    /// Its socket in the file system, if it was asked for.
    pub fn unix_socket(&self) -> Option<PathBuf> {
        let socket = self.folder.join("redis.sock");
        self.settings.unix_socket.then_some(socket)
    }

    /// The folder of its data and its output.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The URL of database 0, with the password.
    pub fn url(&self) -> String {
        self.url_of(0)
    }

    /// The URL of a database, with the password.
    pub fn url_of(&self, database: u8) -> String {
        self.url_at(self.address(), database)
    }

    /// The URL of a database through a proxy, with the password.
    pub fn url_at(&self, proxy: SocketAddr, database: u8) -> String {
        let user = self
            .settings
            .password
            .as_deref()
            .map_or_else(String::new, user_info);
        format!("redis://{user}{proxy}/{database}")
    }

    /// A new connection, authenticated with the password that the server was started with.
    ///
    /// # Panics
    ///
    /// When the server doesn't accept it.
    #[track_caller]
    pub fn cli(&self) -> RedisCli {
        self.connect().expect("a server that accepts connections")
    }

    /// Runs one command on a connection of its own.
    ///
    /// # Panics
    ///
    /// When there is no answer, or it is an error.
    #[track_caller]
    pub fn run<A: AsRef<[u8]>>(&self, arguments: &[A]) -> RedisReply {
        match self.cli().run(arguments).expect("an answer") {
            RedisReply::Error(error) => panic!("the server answered: {error}"),
            reply => reply,
        }
    }

    /// The process's id, another one after each restart.
    pub fn pid(&self) -> u32 {
        self.process().pid()
    }

    /// Whether the process runs; a frozen one does.
    ///
    /// # Panics
    ///
    /// When the operating system can't tell.
    #[track_caller]
    pub fn is_running(&self) -> bool {
        let end = self.process().end();
        end.expect("the state of a child").is_none()
    }

    /// SIGKILL; returns when the process is gone.
    ///
    /// # Panics
    ///
    /// When it can't be killed.
    #[track_caller]
    pub fn kill(&self) {
        self.process().kill().expect("a process to kill");
    }

    /// SIGTERM, an orderly end; returns when the process is gone. A frozen server is thawed.
    ///
    /// # Panics
    ///
    /// When it doesn't run, or still runs after 20 seconds.
    #[track_caller]
    pub fn stop(&self) {
        let mut process = self.process();
        process.signal(Signal::TERM).expect("a running server");
        process.signal(Signal::CONT).expect("a running server");
        let ended = poll(|| process.end().expect("the state of a child").is_some());
        assert!(ended, "redis-server didn't stop");
    }

    /// SIGSTOP: connections stay open and new ones are accepted by the kernel, but nothing is
    /// answered. Returns when the process has stopped.
    ///
    /// # Panics
    ///
    /// When it doesn't run.
    #[track_caller]
    pub fn freeze(&self) {
        self.process().freeze().expect("a running server");
    }

    /// SIGCONT: a frozen server goes on, with the commands that came meanwhile first.
    ///
    /// # Panics
    ///
    /// When it doesn't run.
    #[track_caller]
    pub fn thaw(&self) {
        let resumed = self.process().signal(Signal::CONT);
        resumed.expect("a running server");
    }

    /// Kills the process if it runs, and starts one on the same port and folder. Returns when it
    /// answers. The data is there again if it was started with `append_only`, and lost if not.
    ///
    /// # Panics
    ///
    /// When it doesn't start.
    #[track_caller]
    pub fn restart(&self) {
        self.begin_restart();
        self.wait_until_ready();
    }

    /// Like [`restart`](Self::restart), but doesn't wait for an answer: the server may be loading
    /// for a while.
    ///
    /// # Panics
    ///
    /// When the process can't be started.
    #[track_caller]
    pub fn begin_restart(&self) {
        let started = self.process().start_again(&self.folder);
        started.expect("a redis-server process");
    }

    /// Waits until it answers a PING.
    ///
    /// # Panics
    ///
    /// When it doesn't within 20 seconds.
    #[track_caller]
    pub fn wait_until_ready(&self) {
        if let Err(failure) = self.ready() {
            panic!("{failure}");
        }
    }

    /// A test that failed while it held the lock leaves a process that can still be killed.
    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self) -> io::Result<RedisCli> {
        RedisCli::connect(self.address(), self.settings.password.as_deref())
    }

    fn ready(&self) -> Result<(), String> {
        let mut end = None;
        let answered = poll(|| {
            end = self.process().end().ok().flatten();
            end.is_some() || self.answers()
        });
        match end {
            None if answered => Ok(()),
            None => Err(format!("redis-server doesn't answer: {}", self.tail())),
            Some(status) => Err(format!("redis-server: {status}: {}", self.tail())),
        }
    }

    /// Whether this process, and not another that has taken its port, answers with PONG.
    fn answers(&self) -> bool {
        let Ok(mut cli) = self.connect() else {
            return false;
        };
        let pong = RedisReply::Simple("PONG".to_owned());
        if !cli.run(&["PING"]).is_ok_and(|reply| reply == pong) {
            return false;
        }
        let id = format!("process_id:{}", self.pid());
        match cli.run(&["INFO", "server"]) {
            Ok(RedisReply::Bulk(info)) => info
                .split(|byte| *byte == b'\n')
                .any(|line| line.trim_ascii_end() == id.as_bytes()),
            _ => false,
        }
    }

    /// The last lines of the server's output.
    fn tail(&self) -> String {
        let output = fs::read(self.folder.join(OUTPUT)).unwrap_or_default();
        let output = String::from_utf8_lossy(&output);
        let lines: Vec<&str> = output.lines().collect();
        let from = lines.len().saturating_sub(15);
        lines.get(from..).unwrap_or_default().join("\n")
    }
}

impl fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisServer")
            .field("address", &self.address())
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}

impl RedisServerBuilder {
    /// Adds a line of `redis.conf`; the value is written as it would be there, so it may be
    /// several words. An empty one is `""`.
    pub fn config(mut self, name: &str, value: &str) -> Self {
        let value = if value.is_empty() { "\"\"" } else { value };
        let _ = writeln!(self.lines, "{name} {value}");
        self
    }

    /// Asks the default user for a password of any text.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Logs every write, so that data survives a restart.
    pub fn append_only(self) -> Self {
        self.config("appendonly", "yes")
    }

    /// Listens at a socket in the folder as well.
    pub fn unix_socket(mut self) -> Self {
        self.unix_socket = true;
        self
    }

    /// Starts the server; returns when it answers.
    ///
    /// # Panics
    ///
    /// When it doesn't; the message ends with what the server said.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> RedisServer {
        let mut failure = String::new();
        for _ in 0..ATTEMPTS {
            let server = self
                .clone()
                .launch()
                .expect("redis-server, of the package of that name");
            match server.ready() {
                Ok(()) => return server,
                Err(why) => failure = why,
            }
            if !failure.contains("already in use") {
                break;
            }
        }
        panic!("{failure}");
    }

    fn launch(self) -> io::Result<RedisServer> {
        let port = Port::reserve()?;
        let folder = new_folder("redis")?;
        fs::write(folder.join(SETTINGS), self.file(port.number))?;
        let process = Mutex::new(Process::start(&folder)?);
        Ok(RedisServer {
            settings: self,
            port,
            folder,
            process,
        })
    }

    /// The settings are a file rather than arguments, which any user of the machine could read.
    fn file(&self, port: u16) -> String {
        let mut file = format!("bind 127.0.0.1\nport {port}\ndaemonize no\nsave \"\"\n");
        file.push_str("appendonly no\nlogfile \"\"\n");
        if let Some(password) = &self.password {
            let _ = writeln!(file, "requirepass {}", quoted(password));
        }
        if self.unix_socket {
            file.push_str("unixsocket redis.sock\nunixsocketperm 700\n");
        }
        file + &self.lines
    }
}

impl fmt::Debug for RedisServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisServerBuilder").finish_non_exhaustive()
    }
}

/// A port that no other server of this kit is given while this lives, in this process or another:
/// the UDP port of the same number, which Redis has no use for, is its reservation. So a killed
/// server finds its port free when it is started again.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: u16,
    _reservation: UdpSocket,
}

impl Port {
    /// Ports below those that Linux hands out by itself, whether to connections or to servers
    /// that ask for any port.
    pub(crate) fn reserve() -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..1000 {
            let number = u16::try_from(12_000 + random() % 20_000).map_err(io::Error::other)?;
            match Self::try_reserve(number) {
                Ok(port) => return Ok(port),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn try_reserve(number: u16) -> io::Result<Self> {
        let _reservation = UdpSocket::bind((Ipv4Addr::LOCALHOST, number))?;
        let port = Self {
            number,
            _reservation,
        };
        TcpListener::bind(port.address())?;
        Ok(port)
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        SocketAddr::V4(std::net::SocketAddrV4::new(
            Ipv4Addr::LOCALHOST,
            self.number,
        ))
    }
}

/// A new folder that only this user can look into.
pub(crate) fn new_folder(of: &str) -> io::Result<PathBuf> {
    let name = format!("pitlane-{of}-{}-{:016x}", std::process::id(), random());
    let folder = std::env::temp_dir().join(name);
    DirBuilder::new().mode(0o700).create(&folder)?;
    folder.canonicalize()
}

/// Random enough for names: each hasher has a random key.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A string of `redis.conf`.
fn quoted(text: &str) -> String {
    let escaped: String = text.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
    format!("\"{escaped}\"")
}

/// The part of a URL before the host.
fn user_info(password: &str) -> String {
    let mut user = String::from(":");
    for byte in password.bytes() {
        if byte.is_ascii_alphanumeric() {
            user.push(char::from(byte));
        } else {
            let _ = write!(user, "%{byte:02X}");
        }
    }
    user + "@"
}

/// Asks until it is so, and gives up after a generous while.
pub(crate) fn poll(mut is_so: impl FnMut() -> bool) -> bool {
    #[expect(
        clippy::disallowed_methods,
        reason = "real processes live in real time"
    )]
    let start = Instant::now();
    while !is_so() {
        if start.elapsed() > PATIENCE {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}
