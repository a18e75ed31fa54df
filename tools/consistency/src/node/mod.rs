//! One node: a process with caches of its own, that reads and writes at random and judges what it
//! reads.

mod pages;
mod reading;
mod story;
mod totals;
mod values;
mod writing;

use std::error::Error;
use std::io::{self, BufRead};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};
use pitlane::{Cache, Caches, Clock};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use crate::random::Random;
use crate::space::{CONFIGURATION, ROWS, Space};
use crate::truth::{Acknowledged, Database, Floor, Grade};
use pages::Pages;
use story::Story;
use totals::Counters;

pub(crate) use totals::{Count, Totals};

/// What a node is told by the driver.
#[derive(Args, Clone, Debug)]
pub(crate) struct NodeArguments {
    /// The folder of the shared files.
    #[arg(long)]
    pub(crate) folder: PathBuf,
    /// Its own number.
    #[arg(long)]
    pub(crate) index: usize,
    /// How many nodes there are.
    #[arg(long)]
    pub(crate) nodes: usize,
    #[arg(long)]
    pub(crate) url: String,
    #[arg(long)]
    pub(crate) seed: u64,
    /// By how many milliseconds its clock is wrong.
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) skew: i64,
    /// How many tasks read and write.
    #[arg(long)]
    pub(crate) tasks: usize,
    /// The most that one read may lose to Redis, in milliseconds.
    #[arg(long)]
    pub(crate) budget: u64,
    #[arg(long)]
    pub(crate) mutant: Option<Mutant>,
}

/// A node that makes a mistake, which has to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mutant {
    /// A computation's position is noted after the database was asked.
    LatePosition,
    /// An invalidation is published before the write is committed.
    EarlyInvalidation,
    /// Writes of some rows are not invalidated.
    ForgottenInvalidation,
    /// What is stored in one cache lacks its tag.
    MissingTag,
}

/// What all tasks of a node share.
#[derive(Debug)]
struct Node {
    arguments: NodeArguments,
    registry: Caches,
    caches: Vec<Cache>,
    pages: Pages,
    database: Arc<Database>,
    acknowledged: Acknowledged,
    /// What this node invalidated, by row, cache and grade.
    own: Vec<[AtomicU64; 2]>,
    story: Story,
    counters: Counters,
    ending: AtomicBool,
}

type Failure = Box<dyn Error + Send + Sync>;

/// Runs until the driver closes the standard input.
pub(crate) fn run(arguments: NodeArguments) -> Result<(), Failure> {
    runtime(arguments.index)?.block_on(async move {
        let tasks = arguments.tasks;
        let random = Random::new(arguments.seed);
        let node = Arc::new(Node::new(arguments)?);
        let mut working = JoinSet::new();
        let mut seeds = random;
        for _ in 0..tasks {
            working.spawn(Arc::clone(&node).work(Random::new(seeds.next())));
        }
        node.obey(commands(), working).await
    })
}

/// Some nodes have several threads, some one.
fn runtime(index: usize) -> io::Result<Runtime> {
    let mut builder = if index == 0 {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(2);
        builder
    } else {
        Builder::new_current_thread()
    };
    builder.enable_all().build()
}

/// The lines of the standard input.
fn commands() -> UnboundedReceiver<String> {
    let (send, commands) = unbounded_channel();
    std::thread::spawn(move || {
        let lines = io::stdin().lock().lines();
        for line in lines.map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    commands
}

impl Node {
    fn new(arguments: NodeArguments) -> Result<Self, Failure> {
        let database = Arc::new(Database::open(&arguments.folder)?);
        let registry = Caches::builder()
            .config(CONFIGURATION, "the checker's own")?
            .redis(arguments.url.clone())
            .redis_budget(Duration::from_millis(arguments.budget))
            .clock(Clock::system().skewed(arguments.skew))
            .build()?;
        let caches = Space::ALL.map(|space| registry.get(space.name()));
        let caches: Vec<Cache> = caches.into_iter().collect::<Result<_, _>>()?;
        let pages = Pages::new(
            &registry.get(Space::Pages.name())?,
            &database,
            arguments.seed,
        );
        Ok(Self {
            acknowledged: Acknowledged::open(&arguments.folder, arguments.index)?,
            own: (0..ROWS * Space::ALL.len())
                .map(|_| Default::default())
                .collect(),
            story: Story::default(),
            counters: Counters::default(),
            ending: AtomicBool::new(false),
            arguments,
            registry,
            caches,
            pages,
            database,
        })
    }

    async fn obey(
        &self,
        mut commands: UnboundedReceiver<String>,
        mut working: JoinSet<Result<(), Failure>>,
    ) -> Result<(), Failure> {
        let mut beat = interval(Duration::from_millis(50));
        loop {
            tokio::select! {
                command = commands.recv() => match command.as_deref() {
                    None => return Ok(()),
                    Some("stop") => self.stop(&mut working).await?,
                    Some(command) => self.tell(command)?,
                },
                _ = beat.tick() => println!("totals {}", self.counters.totals()),
                Some(ended) = working.join_next() => ended??,
            }
        }
    }

    async fn stop(&self, working: &mut JoinSet<Result<(), Failure>>) -> Result<(), Failure> {
        self.ending.store(true, Ordering::Relaxed);
        let all = async {
            while let Some(ended) = working.join_next().await {
                ended??;
            }
            Ok::<(), Failure>(())
        };
        timeout(Duration::from_secs(30), all)
            .await
            .map_err(|_| "a read or a write hangs")??;
        println!("totals {}", self.counters.totals());
        println!("stopped");
        Ok(())
    }

    /// Tells what it knows of a row.
    fn tell(&self, command: &str) -> Result<(), Failure> {
        let row = command.strip_prefix("story ").ok_or("an unknown command")?;
        for event in self.story.of(row.parse()?) {
            println!("event {} {event}", event.until.0);
        }
        println!("told");
        Ok(())
    }

    /// One task: reads and writes until the end.
    async fn work(self: Arc<Self>, mut random: Random) -> Result<(), Failure> {
        while !self.ending.load(Ordering::Relaxed) {
            if random.per_mille(10) {
                self.write(&mut random).await?;
            } else {
                self.read(&mut random).await?;
            }
            if random.per_mille(200) {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    fn is_mutant(&self, mutant: Mutant) -> bool {
        self.arguments.mutant == Some(mutant)
    }

    fn cache(&self, space: Space) -> Result<&Cache, Failure> {
        self.caches
            .get(space as usize)
            .ok_or_else(|| "no cache".into())
    }

    fn own(&self, row: usize, space: Space) -> Floor {
        let grades = self.own.get(row * Space::ALL.len() + space as usize);
        let load = |grade: Grade| {
            let counter = grades.and_then(|grades| grades.get(grade as usize));
            counter.map_or(0, |version| version.load(Ordering::Acquire))
        };
        Floor {
            hard: load(Grade::Hard),
            soft: load(Grade::Soft),
        }
    }

    fn raise_own(&self, (row, space): (usize, Space), grade: Grade, version: u64) {
        let grades = self.own.get(row * Space::ALL.len() + space as usize);
        if let Some(floor) = grades.and_then(|grades| grades.get(grade as usize)) {
            floor.fetch_max(version, Ordering::AcqRel);
        }
    }
}

impl Mutant {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::LatePosition => "late-position",
            Self::EarlyInvalidation => "early-invalidation",
            Self::ForgottenInvalidation => "forgotten-invalidation",
            Self::MissingTag => "missing-tag",
        }
    }
}
