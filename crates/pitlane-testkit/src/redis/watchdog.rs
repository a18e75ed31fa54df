use std::{
    io::{self, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

/// Ends when its standard input does, which happens when the test binary drops the other end or
/// is itself killed. The folder, which no other process works in, tells the server from a
/// process that was given the same id later. A server that doesn't heed its signal within ten
/// seconds is killed.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
pid=
while read -r line; do pid=$line; done
if [ -n "$pid" ] && [ "/proc/$pid/cwd" -ef "$1" ]; then
    kill -"$2" "$pid"
    left=200
    while [ "/proc/$pid/cwd" -ef "$1" ]; do
        sleep 0.05
        left=$((left - 1))
        if [ "$left" -eq 0 ]; then kill -9 "$pid"; fi
    done
fi
rm -rf -- "$1"
"#;

/// A tiny shell that kills a server and removes its folder when this process is gone.
///
/// The death signal of Linux (`PR_SET_PDEATHSIG`) is no substitute: it comes when the *thread*
/// that started the server ends, and test threads end before their processes do.
#[derive(Debug)]
pub(crate) struct Watchdog(Child);

impl Watchdog {
    /// Begins to watch over a folder, whose process ends by this signal.
    pub(crate) fn start(folder: &Path, signal: &str) -> io::Result<Self> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(SCRIPT).arg("watchdog").arg(folder);
        command.arg(signal);
        command.current_dir("/");
        command.stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        // A Ctrl-C in the terminal must not end it before it has done its work.
        command.process_group(0);
        command.spawn().map(Self)
    }

    /// The process in the folder is this one now.
    pub(crate) fn watch(&mut self, pid: u32) -> io::Result<()> {
        let pipe = self.0.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(pipe, "{pid}")
    }
}

impl Drop for Watchdog {
    /// Waits for its end, so that the folder is gone and no zombie stays.
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
