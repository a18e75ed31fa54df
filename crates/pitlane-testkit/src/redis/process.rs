use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::watchdog::Watchdog;

/// The name of the settings in a server's folder.
pub(super) const SETTINGS: &str = "redis.conf";

/// The name of the output in a server's folder.
pub(super) const OUTPUT: &str = "output.log";

/// At most one `redis-server` process at a time in one folder.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    watchdog: Watchdog,
}

impl Process {
    /// Starts a process in the folder, as its settings say.
    pub(super) fn start(folder: &Path) -> io::Result<Self> {
        let mut watchdog = Watchdog::start(folder, "KILL")?;
        let child = spawn(folder, &mut watchdog)?;
        Ok(Self { child, watchdog })
    }

    /// Kills what runs and starts anew.
    pub(super) fn start_again(&mut self, folder: &Path) -> io::Result<()> {
        self.kill()?;
        self.child = spawn(folder, &mut self.watchdog)?;
        Ok(())
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended; `None` while it runs.
    pub(super) fn end(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// SIGKILL; returns when the process is reaped. Nothing when none runs.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// SIGSTOP; returns when the process has stopped.
    pub(super) fn freeze(&mut self) -> io::Result<()> {
        self.signal(Signal::STOP)?;
        let until = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(Pid::from_child(&self.child)), until)?;
        Ok(())
    }

    /// Sends a signal to a process that runs; the id of one that was reaped may be another's.
    pub(super) fn signal(&mut self, signal: Signal) -> io::Result<()> {
        match self.end()? {
            None => Ok(kill_process(Pid::from_child(&self.child), signal)?),
            Some(status) => Err(io::Error::other(format!("redis-server ended: {status}"))),
        }
    }
}

impl Drop for Process {
    /// The watchdog, which is dropped after this, removes the folder.
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

fn spawn(folder: &Path, watchdog: &mut Watchdog) -> io::Result<Child> {
    let mut command = Command::new("redis-server");
    command.arg(SETTINGS).current_dir(folder);
    command.stdin(Stdio::null());
    let output = open_output(folder)?;
    command.stdout(output.try_clone()?).stderr(output);
    // A Ctrl-C in the terminal is for the test binary; the watchdog then ends the server.
    command.process_group(0);
    let mut child = command.spawn()?;
    if let Err(error) = watchdog.watch(child.id()) {
        child.kill()?;
        child.wait()?;
        return Err(error);
    }
    Ok(child)
}

fn open_output(folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).open(folder.join(OUTPUT))
}
