//! The node processes.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::Sender;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::Failure;
use crate::node::{NodeArguments, Totals};

/// What a node says.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) index: usize,
    /// Which process of the node.
    pub(super) life: u64,
    pub(super) line: Line,
}

#[derive(Debug)]
pub(super) enum Line {
    Totals(Totals),
    Violation {
        row: usize,
        text: String,
    },
    Event {
        at: u64,
        text: String,
    },
    Told,
    Stopped,
    /// It has closed its output.
    Ended,
}

/// One node, in one process after another.
#[derive(Debug)]
pub(super) struct NodeProcess {
    arguments: NodeArguments,
    child: Child,
    input: Option<ChildStdin>,
    life: u64,
    /// What its former processes had done when they were killed.
    before: Totals,
    latest: Totals,
    said: Sender<Said>,
}

impl NodeProcess {
    pub(super) fn start(arguments: NodeArguments, said: Sender<Said>) -> Result<Self, Failure> {
        let (child, input) = spawn(&arguments, 0, said.clone())?;
        Ok(Self {
            arguments,
            child,
            input: Some(input),
            life: 0,
            before: Totals::default(),
            latest: Totals::default(),
            said,
        })
    }

    /// Whether something was said by the process that runs now.
    pub(super) const fn is_current(&self, said: &Said) -> bool {
        said.life == self.life
    }

    pub(super) const fn learn(&mut self, totals: Totals) {
        self.latest = totals;
    }

    pub(super) fn totals(&self) -> Totals {
        self.before.plus(&self.latest)
    }

    /// A node that has ended can't be told anything; that it ended is said by itself.
    pub(super) fn tell(&mut self, command: &str) {
        if let Some(input) = &mut self.input {
            let _ = writeln!(input, "{command}");
        }
    }

    /// SIGSTOP; returns when the process has stopped.
    pub(super) fn pause(&self) -> Result<(), Failure> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::STOP)?;
        let until = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(pid), until)?;
        Ok(())
    }

    pub(super) fn resume(&self) -> Result<(), Failure> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::CONT)?)
    }

    /// SIGKILL, and another process in its place: whatever it owed is lost.
    pub(super) fn crash(&mut self) -> Result<(), Failure> {
        self.child.kill()?;
        self.child.wait()?;
        self.life += 1;
        self.arguments.seed = self.arguments.seed.wrapping_add(self.life);
        let (child, input) = spawn(&self.arguments, self.life, self.said.clone())?;
        self.child = child;
        self.input = Some(input);
        self.before = self.totals();
        self.latest = Totals::default();
        Ok(())
    }

    /// Closes the input, which ends the process.
    pub(super) fn end(&mut self) -> Result<(), Failure> {
        drop(self.input.take());
        let status = self.child.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("node {} ended with {status}", self.arguments.index).into())
        }
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(
    arguments: &NodeArguments,
    life: u64,
    said: Sender<Said>,
) -> Result<(Child, ChildStdin), Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    let NodeArguments {
        index,
        nodes,
        url,
        seed,
        skew,
        tasks,
        budget,
        ..
    } = arguments;
    command.arg("node").arg("--folder").arg(&arguments.folder);
    command.args(["--index", &index.to_string()]);
    command.args(["--nodes", &nodes.to_string()]);
    command.args(["--url", url]);
    command.args(["--seed", &seed.to_string()]);
    command.args(["--skew", &skew.to_string()]);
    command.args(["--tasks", &tasks.to_string()]);
    command.args(["--budget", &budget.to_string()]);
    if let Some(mutant) = arguments.mutant {
        command.args(["--mutant", mutant.name()]);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    // When the driver is gone, a group whose processes are stopped is woken by the kernel; the
    // closed input then ends it.
    command.process_group(0);
    let mut child = command.spawn()?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let (Some(input), Some(output)) = (input, output) else {
        return Err("a node without pipes".into());
    };
    let index = *index;
    std::thread::spawn(move || listen(index, life, output, &said));
    Ok((child, input))
}

/// Hands on what a node says, until it has closed its output.
fn listen(index: usize, life: u64, output: ChildStdout, said: &Sender<Said>) {
    let lines = BufReader::new(output).lines().map_while(Result::ok);
    let lines = lines.filter_map(|line| parse(&line));
    for line in lines.chain([Line::Ended]) {
        if said.send(Said { index, life, line }).is_err() {
            return;
        }
    }
}

/// A node that was killed may leave half a line.
fn parse(line: &str) -> Option<Line> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let numbered = || rest.split_once(' ');
    Some(match word {
        "totals" => Line::Totals(rest.parse().ok()?),
        "violation" => {
            let (row, text) = numbered()?;
            Line::Violation {
                row: row.parse().ok()?,
                text: text.to_owned(),
            }
        }
        "event" => {
            let (at, text) = numbered()?;
            Line::Event {
                at: at.parse().ok()?,
                text: text.to_owned(),
            }
        }
        "told" => Line::Told,
        "stopped" => Line::Stopped,
        _ => return None,
    })
}
