//! Starts Redis and the nodes, lets everything fail, and tells what came of it.

mod faults;
mod nodes;
mod outcome;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use clap::Args;
use pitlane_testkit::{FaultProxy, RedisServer};

use crate::Failure;
use crate::moment::Moment;
use crate::node::{Count, Mutant, NodeArguments, Totals};
use crate::random::Random;
use crate::space::NODES;
use faults::{Faults, Scene};
use nodes::{Line, NodeProcess, Said};
use outcome::{Outcome, Violation};

/// How the checker is started.
#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    /// Ten million reads by four nodes, for at most an hour, in place of one million by three
    /// for at most 50 seconds.
    #[arg(long)]
    long: bool,
    /// How many reads are enough.
    #[arg(long)]
    reads: Option<u64>,
    /// How long it may take at most.
    #[arg(long)]
    seconds: Option<u64>,
    /// How many nodes, from 2 to 8.
    #[arg(long, value_parser = clap::value_parser!(u64).range(2..=NODES as u64))]
    nodes: Option<u64>,
    /// How many tasks of each node read and write.
    #[arg(long, default_value_t = 12)]
    tasks: usize,
    /// What chance begins with.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many times in a row, each with the next seed.
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// The most that one read may lose to Redis, in milliseconds.
    #[arg(long, default_value_t = 150)]
    budget: u64,
    /// Nothing fails.
    #[arg(long)]
    calm: bool,
    /// Nodes that make a mistake, which must be found within 100,000 reads.
    #[arg(long)]
    mutant: Option<Mutant>,
    /// Tells how a mutant was found as well as it tells of a violation.
    #[arg(long)]
    story: bool,
}

/// Within how many reads a mistake must be found.
const MUTANT_READS: u64 = 100_000;

/// After so long without a word from a node something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// By how many milliseconds the nodes' clocks are wrong.
const SKEWS: [i64; NODES] = [
    0, 3_600_000, -3_600_000, 45_000, -7_000, 86_400_000, -300, 1_800_000,
];

/// Says whether everything was as it must be.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let mut is_well = true;
    for seed in arguments.seed..arguments.seed + arguments.runs {
        let outcome = Session::start(arguments, seed)?.run()?;
        println!("{outcome}");
        is_well &= outcome.is_well();
    }
    Ok(is_well)
}

/// One run of the checker.
#[derive(Debug)]
struct Session {
    arguments: Arguments,
    seed: u64,
    reads: u64,
    began: Moment,
    deadline: Moment,
    nodes: Vec<NodeProcess>,
    said: Receiver<Said>,
    faults: Option<Faults>,
    violations: Vec<Violation>,
    scene: Scene,
    folder: Folder,
}

impl Session {
    fn start(arguments: &Arguments, seed: u64) -> Result<Self, Failure> {
        let (reads, seconds, nodes) = if arguments.long {
            (10_000_000, 3600, 4)
        } else {
            (1_000_000, 50, 3)
        };
        let reads = match arguments.mutant {
            Some(_) => MUTANT_READS,
            None => arguments.reads.unwrap_or(reads),
        };
        let folder = Folder::new(seed)?;
        let redis = RedisServer::start();
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let proxy = runtime.block_on(FaultProxy::start(redis.address()));
        let scene = Scene { redis, proxy };
        let mut random = Random::new(seed);
        let (say, said) = channel();
        let count = usize::try_from(arguments.nodes.unwrap_or(nodes))?;
        let node = |(index, skew): (usize, &i64)| {
            let arguments = NodeArguments {
                folder: folder.0.clone(),
                index,
                nodes: count,
                url: scene.url(index),
                seed: random.next(),
                skew: *skew,
                tasks: arguments.tasks,
                budget: arguments.budget,
                mutant: arguments.mutant,
            };
            NodeProcess::start(arguments, say.clone())
        };
        let nodes = SKEWS.iter().take(count).enumerate().map(node);
        let nodes = nodes.collect::<Result<_, _>>()?;
        let began = Moment::now();
        let seconds = arguments.seconds.unwrap_or(seconds);
        Ok(Self {
            arguments: arguments.clone(),
            seed,
            reads,
            began,
            deadline: began.after(Duration::from_secs(seconds)),
            nodes,
            said,
            faults: (!arguments.calm).then(|| Faults::new(Random::new(random.next()))),
            violations: Vec::new(),
            scene,
            folder,
        })
    }

    fn run(mut self) -> Result<Outcome, Failure> {
        let mut heard = Moment::now();
        while self.violations.is_empty() && self.totals().of(Count::Reads) < self.reads {
            let now = Moment::now();
            if now >= self.deadline {
                break;
            }
            let mut next = self.deadline;
            if let Some(faults) = &mut self.faults {
                next = next.min(faults.step(&self.scene, &mut self.nodes)?);
            }
            if self.hear(next.since(Moment::now()))? {
                heard = Moment::now();
            } else if Moment::now().since(heard) > PATIENCE {
                return Err("no node has said anything for a minute".into());
            }
        }
        let seconds = Moment::now().since(self.began);
        if let Some(faults) = &mut self.faults {
            faults.end(&self.scene, &mut self.nodes)?;
        }
        self.hear_stories()?;
        self.stop()?;
        let faults = self.faults.as_ref();
        Ok(Outcome {
            seed: self.seed,
            totals: self.totals(),
            faults: faults.map_or(0, |faults| faults.count),
            seconds,
            enough: self.reads,
            mutant: self.arguments.mutant,
            is_told: self.arguments.mutant.is_none() || self.arguments.story,
            violations: self.violations,
        })
    }

    fn totals(&self) -> Totals {
        let totals = self.nodes.iter().map(NodeProcess::totals);
        totals.fold(Totals::default(), |sum, node| sum.plus(&node))
    }

    /// Hears one thing at most, and says whether there was any.
    fn hear(&mut self, wait: Duration) -> Result<bool, Failure> {
        let said = match self.said.recv_timeout(wait) {
            Ok(said) => said,
            Err(RecvTimeoutError::Timeout) => return Ok(false),
            Err(RecvTimeoutError::Disconnected) => return Err("all nodes are gone".into()),
        };
        let Some(node) = self.nodes.get_mut(said.index) else {
            return Ok(false);
        };
        let is_current = node.is_current(&said);
        match said.line {
            Line::Totals(totals) if is_current => node.learn(totals),
            Line::Violation { row, text } => self.violations.push(Violation {
                row,
                text: format!("node {}: {text}", said.index),
                story: Vec::new(),
            }),
            Line::Ended if is_current => {
                return Err(format!("node {} has ended", said.index).into());
            }
            _ => {}
        }
        Ok(true)
    }

    /// Asks all nodes for what happened around the first violations.
    fn hear_stories(&mut self) -> Result<(), Failure> {
        const TOLD: usize = 3;
        let faults = self.faults.as_ref();
        let faults = faults.map_or(&[][..], |faults| &faults.history);
        for violation in self.violations.iter_mut().take(TOLD) {
            let mut story: Vec<(u64, String)> = Vec::new();
            for (at, text) in faults {
                story.push((at.0, format!("fault: {at} {text}")));
            }
            for node in &mut self.nodes {
                node.tell(&format!("story {}", violation.row));
            }
            let mut telling = self.nodes.len();
            while telling > 0 {
                let said = self.said.recv_timeout(PATIENCE)?;
                match said.line {
                    Line::Event { at, text } => {
                        story.push((at, format!("node {}: {text}", said.index)));
                    }
                    Line::Told => telling -= 1,
                    Line::Ended => return Err("a node ended while it told its story".into()),
                    _ => {}
                }
            }
            story.sort();
            violation.story = story;
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<(), Failure> {
        for node in &mut self.nodes {
            node.tell("stop");
        }
        let mut running = self.nodes.len();
        while running > 0 {
            let said = self.said.recv_timeout(PATIENCE)?;
            let node = self.nodes.get_mut(said.index);
            let node = node.filter(|node| node.is_current(&said));
            match (said.line, node) {
                (Line::Totals(totals), Some(node)) => node.learn(totals),
                (Line::Stopped, Some(_)) => running -= 1,
                (Line::Ended, Some(_)) => {
                    return Err(format!("node {} has ended", said.index).into());
                }
                (Line::Violation { row, text }, _) => self.violations.push(Violation {
                    row,
                    text: format!("node {}: {text}", said.index),
                    story: Vec::new(),
                }),
                _ => {}
            }
        }
        self.nodes.iter_mut().try_for_each(NodeProcess::end)?;
        drop(std::fs::remove_dir_all(&self.folder.0));
        Ok(())
    }
}

impl Scene {
    /// Every second node has a worse way to Redis.
    fn url(&self, index: usize) -> String {
        if index.is_multiple_of(2) {
            self.redis.url()
        } else {
            self.proxy.url()
        }
    }
}

/// A folder that goes when this does.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new(seed: u64) -> Result<Self, Failure> {
        let name = format!(
            "pitlane-consistency-{}-{seed}-{}",
            std::process::id(),
            Moment::now().0
        );
        let path = memory_folder().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

/// A file system in memory where there is one: what is shared is not worth a disk.
fn memory_folder() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
