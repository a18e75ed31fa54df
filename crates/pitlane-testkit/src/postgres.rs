//! Real PostgreSQL servers.

use std::{
    env, fmt,
    fs::{self, File},
    io,
    net::SocketAddr,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::redis::{Port, new_folder, poll, watchdog::Watchdog};

/// The name of the output in a server's folder.
const OUTPUT: &str = "output.log";

/// How often a port is chosen anew when somebody else has taken it.
const ATTEMPTS: usize = 20;

/// Its data are worth nothing, and its starts are many.
const SETTINGS: [&str; 8] = [
    "fsync=off",
    "full_page_writes=off",
    "autovacuum=off",
    "jit=off",
    "shared_buffers=16MB",
    "max_connections=50",
    "dynamic_shared_memory_type=mmap",
    "listen_addresses=127.0.0.1",
];

/// A real PostgreSQL on a free port of the loopback interface, with a new cluster in a folder of its
/// own, whose only user `pitlane` needs no password. Dropping it ends the server and removes the
/// folder, and so does the end of the test binary, however it ends.
///
/// It takes about a second to start: tests of one binary share one, each in a schema of its own.
pub struct PostgresServer {
    child: Child,
    _watchdog: Watchdog,
    // Last: the port is given up when the process is gone.
    port: Port,
}

/// Who the server runs as: it refuses to be root.
#[derive(Clone, Copy, Debug)]
struct Account {
    user: u32,
    group: u32,
}

impl PostgresServer {
    /// Makes a cluster, and starts a server over it; returns when that takes connections.
    ///
    /// # Panics
    ///
    /// When it doesn't; the message ends with what the server said.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        let programs = programs().expect("initdb and postgres, of the package postgresql");
        let mut said = String::new();
        for _ in 0..ATTEMPTS {
            match launch(&programs).expect("a cluster of PostgreSQL") {
                Ok(server) => return server,
                Err(why) => said = why,
            }
            if !said.contains("Address already in use") {
                break;
            }
        }
        panic!("PostgreSQL doesn't start: {said}");
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The URL of its database `postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_at(self.address())
    }

    /// The same through a proxy.
    #[must_use]
    pub fn url_at(&self, proxy: SocketAddr) -> String {
        format!("postgres://pitlane@{proxy}/postgres?sslmode=disable")
    }
}

impl Drop for PostgresServer {
    /// The watchdog, which is dropped after this, removes the folder.
    fn drop(&mut self) {
        // At once, its connections and their processes with it; a SIGKILL would leave those alone.
        let _ = kill_process(Pid::from_child(&self.child), Signal::QUIT);
        let _ = self.child.wait();
    }
}

impl fmt::Debug for PostgresServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresServer")
            .field("address", &self.address())
            .field("pid", &self.child.id())
            .finish_non_exhaustive()
    }
}

/// A server that takes connections, or what it said instead.
fn launch(programs: &Path) -> io::Result<Result<PostgresServer, String>> {
    let port = Port::reserve()?;
    let folder = new_folder("postgres")?;
    // It watches before there is anything to remove.
    let mut watchdog = Watchdog::start(&folder, "QUIT")?;
    let account = Account::of_server();
    if let Some(Account { user, group }) = account {
        chown(&folder, Some(user), Some(group))?;
    }
    let mut initdb = command(programs, "initdb", &folder, account);
    initdb.args(["--username=pitlane", "--auth=trust", "--encoding=UTF8"]);
    initdb.args(["--locale=C", "--no-sync", "--no-instructions"]);
    let made = initdb.stdout(Stdio::null()).output()?;
    if !made.status.success() {
        return Ok(Err(String::from_utf8_lossy(&made.stderr).into_owned()));
    }
    let output = folder.join(OUTPUT);
    let mut postgres = command(programs, "postgres", &folder, account);
    postgres.arg("-p").arg(port.number.to_string());
    postgres.arg("-k").arg(&folder);
    for setting in SETTINGS {
        postgres.args(["-c", setting]);
    }
    let file = File::create(&output)?;
    postgres.stdout(file.try_clone()?).stderr(file);
    let mut child = postgres.spawn()?;
    watchdog.watch(child.id())?;
    let is_ready = || is_ready(&folder);
    if poll(|| is_ready() || has_ended(&mut child)) && is_ready() {
        return Ok(Ok(PostgresServer {
            child,
            _watchdog: watchdog,
            port,
        }));
    }
    child.kill()?;
    child.wait()?;
    Ok(Err(fs::read_to_string(output)?))
}

/// A program of the server's, over the folder.
fn command(programs: &Path, name: &str, folder: &Path, account: Option<Account>) -> Command {
    let mut command = Command::new(programs.join(name));
    command.arg("-D").arg(folder).current_dir(folder);
    command.stdin(Stdio::null());
    // A Ctrl-C in the terminal is for the test binary; the watchdog then ends the server.
    command.process_group(0);
    if let Some(Account { user, group }) = account {
        command.uid(user).gid(group);
    }
    command
}

fn has_ended(child: &mut Child) -> bool {
    !matches!(child.try_wait(), Ok(None))
}

/// The server says so in the eighth line of its own notes.
fn is_ready(folder: &Path) -> bool {
    let notes = fs::read_to_string(folder.join("postmaster.pid")).unwrap_or_default();
    let status = notes.lines().nth(7);
    status.is_some_and(|status| status.trim_end() == "ready")
}

/// The folder of the newest server's programs: Debian keeps them off the PATH.
fn programs() -> Option<PathBuf> {
    let number = |folder: &Path| -> Option<u32> { folder.file_name()?.to_str()?.parse().ok() };
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut versions: Vec<PathBuf> = versions.filter_map(|one| Some(one.ok()?.path())).collect();
    versions.sort_by_key(|folder| std::cmp::Reverse(number(folder)));
    let versions = versions.into_iter().map(|folder| folder.join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = env::split_paths(&path).collect();
    let both = |folder: &PathBuf| {
        let has = |program: &str| folder.join(program).is_file();
        has("initdb") && has("postgres")
    };
    versions.chain(on_path).find(both)
}

impl Account {
    /// Nobody in particular, where the tests are run by root.
    fn of_server() -> Option<Self> {
        let is_root = rustix::process::geteuid().is_root();
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let found = ["postgres", "nobody"].iter();
        let mut found = found.filter_map(|name| Self::named(name, &passwd));
        if is_root { found.next() } else { None }
    }

    fn named(name: &str, passwd: &str) -> Option<Self> {
        let mut fields = passwd
            .lines()
            .map(|line| line.split(':'))
            .find(|fields| fields.clone().next() == Some(name))?
            .skip(2);
        Some(Self {
            user: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
        })
    }
}
