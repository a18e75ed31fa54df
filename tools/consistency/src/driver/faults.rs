//! What goes wrong, one thing after another: with Redis, with the way to it, and with nodes.

use std::fs;
use std::time::Duration;

use pitlane_testkit::{Fault, FaultProxy, RedisServer};

use super::nodes::NodeProcess;
use crate::Failure;
use crate::moment::Moment;
use crate::random::Random;

/// Trouble with Redis or with the way to it.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Freeze,
    /// Killed, and started anew without data.
    KillAndLose,
    /// Killed, and started anew with all data.
    KillAndKeep,
    /// Killed, and started anew with the data of a while ago.
    KillAndRewind,
    FlushAll,
    ScriptFlush,
    EvictEntries,
    /// One of the log's keys.
    EvictLog(&'static str),
    TrimLog,
    /// One of the last records.
    DropRecord,
    OutOfMemory,
    NoReplicas,
    ReadOnly,
    ClientPause,
    ClientKill,
    Proxy(Fault),
    CutAll,
}

const LOG: &str = "{pitlane}:log";

const TROUBLES: [(u64, Trouble); 25] = [
    (3, Trouble::Freeze),
    (2, Trouble::KillAndLose),
    (2, Trouble::KillAndKeep),
    (3, Trouble::KillAndRewind),
    (2, Trouble::FlushAll),
    (2, Trouble::ScriptFlush),
    (3, Trouble::EvictEntries),
    (1, Trouble::EvictLog(LOG)),
    (1, Trouble::EvictLog("{pitlane}:last")),
    (1, Trouble::EvictLog("{pitlane}:tail")),
    (3, Trouble::TrimLog),
    (3, Trouble::DropRecord),
    (1, Trouble::OutOfMemory),
    (1, Trouble::NoReplicas),
    (1, Trouble::ReadOnly),
    (2, Trouble::ClientPause),
    (2, Trouble::ClientKill),
    (3, Trouble::Proxy(Fault::Delay(Duration::from_millis(8)))),
    (2, Trouble::Proxy(Fault::Delay(Duration::from_millis(60)))),
    (3, Trouble::Proxy(Fault::Blackhole)),
    (2, Trouble::Proxy(Fault::CutAfter(20_000))),
    (2, Trouble::Proxy(Fault::Refuse)),
    (2, Trouble::Proxy(Fault::Reset)),
    (1, Trouble::Proxy(Fault::Garbage)),
    (2, Trouble::CutAll),
];

/// Trouble with a node.
#[derive(Clone, Copy, Debug)]
enum Harm {
    Pause,
    Crash,
}

/// Redis and the way to it.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) redis: RedisServer,
    pub(super) proxy: FaultProxy,
}

/// When what happens next.
#[derive(Debug)]
pub(super) struct Faults {
    random: Random,
    trouble: Phase<Trouble>,
    harm: Phase<(usize, Harm)>,
    pub(super) count: u64,
    /// What happened when, for a story.
    pub(super) history: Vec<(Moment, String)>,
}

#[derive(Clone, Copy, Debug)]
enum Phase<T> {
    Calm { until: Moment },
    Under { what: T, until: Moment },
}

impl<T> Phase<T> {
    const fn ends(&self) -> Moment {
        match self {
            Self::Calm { until } | Self::Under { until, .. } => *until,
        }
    }
}

impl Faults {
    pub(super) fn new(mut random: Random) -> Self {
        let now = Moment::now();
        Self {
            trouble: Phase::Calm {
                until: now.after(random.millis(1500, 2500)),
            },
            harm: Phase::Calm {
                until: now.after(random.millis(1000, 3000)),
            },
            random,
            count: 0,
            history: Vec::new(),
        }
    }

    /// Does what is due, and says when to come again.
    pub(super) fn step(
        &mut self,
        scene: &Scene,
        nodes: &mut [NodeProcess],
    ) -> Result<Moment, Failure> {
        if self.trouble.ends() <= Moment::now() {
            self.turn_trouble(scene)?;
        }
        if self.harm.ends() <= Moment::now() {
            self.turn_harm(nodes)?;
        }
        Ok(self.trouble.ends().min(self.harm.ends()))
    }

    /// Ends everything that is wrong now.
    pub(super) fn end(&mut self, scene: &Scene, nodes: &mut [NodeProcess]) -> Result<(), Failure> {
        if matches!(self.trouble, Phase::Under { .. }) {
            self.turn_trouble(scene)?;
        }
        if matches!(self.harm, Phase::Under { .. }) {
            self.turn_harm(nodes)?;
        }
        Ok(())
    }

    fn turn_trouble(&mut self, scene: &Scene) -> Result<(), Failure> {
        if let Phase::Under { what, .. } = self.trouble {
            scene.stop(what)?;
            self.note(format!("ended: {what:?}"));
            let until = Moment::now().after(self.random.millis(800, 3500));
            self.trouble = Phase::Calm { until };
        } else {
            let what = self.random.weighted(&TROUBLES, Trouble::CutAll);
            self.count += 1;
            self.note(format!("begins: {what:?}"));
            scene.start(what, &mut self.random)?;
            let most = if self.random.per_mille(200) {
                1500
            } else {
                400
            };
            let until = Moment::now().after(self.random.millis(10, most));
            self.trouble = Phase::Under { what, until };
        }
        Ok(())
    }

    fn turn_harm(&mut self, nodes: &mut [NodeProcess]) -> Result<(), Failure> {
        let calm = self.random.millis(500, 3000);
        if let Phase::Under { what, .. } = self.harm {
            if let ((index, Harm::Pause), Some(node)) = (what, nodes.get(what.0)) {
                node.resume()?;
                self.note(format!("node {index} goes on"));
            }
            let until = Moment::now().after(calm);
            self.harm = Phase::Calm { until };
            return Ok(());
        }
        let harm = self
            .random
            .weighted(&[(12, Harm::Pause), (1, Harm::Crash)], Harm::Pause);
        let index = self.random.below(nodes.len() as u64);
        let index = usize::try_from(index).unwrap_or_default();
        let Some(node) = nodes.get_mut(index) else {
            return Ok(());
        };
        self.count += 1;
        let most = if self.random.per_mille(200) {
            2500
        } else {
            400
        };
        let span = self.random.millis(5, most);
        self.note(format!("node {index}: {harm:?} for {span:?}"));
        match harm {
            Harm::Pause => node.pause()?,
            Harm::Crash => node.crash()?,
        }
        let until = Moment::now().after(span);
        let what = (index, harm);
        self.harm = Phase::Under { what, until };
        Ok(())
    }

    fn note(&mut self, text: String) {
        self.history.push((Moment::now(), text));
    }
}

impl Scene {
    fn start(&self, trouble: Trouble, random: &mut Random) -> Result<(), Failure> {
        match trouble {
            Trouble::Freeze => self.redis.freeze(),
            Trouble::KillAndLose => {
                self.redis.kill();
                let _ = fs::remove_file(self.redis.folder().join("dump.rdb"));
            }
            Trouble::KillAndKeep => {
                self.tell(&["SAVE"])?;
                self.redis.kill();
            }
            Trouble::KillAndRewind => self.tell(&["SAVE"])?,
            Trouble::FlushAll => self.tell(&["FLUSHALL"])?,
            Trouble::ScriptFlush => self.tell(&["SCRIPT", "FLUSH"])?,
            Trouble::EvictEntries => self.tell(&["EVAL", EVICT, "0", "40"])?,
            Trouble::EvictLog(key) => self.tell(&["DEL", key])?,
            Trouble::TrimLog => {
                let left = random.below(6).to_string();
                self.tell(&["XTRIM", LOG, "MAXLEN", &left])?;
            }
            Trouble::DropRecord => {
                let back = random.between(1, 5).to_string();
                self.tell(&["EVAL", DROP, "1", LOG, &back])?;
            }
            Trouble::OutOfMemory => self.tell(&["CONFIG", "SET", "maxmemory", "1"])?,
            Trouble::NoReplicas => self.tell(&["CONFIG", "SET", "min-replicas-to-write", "1"])?,
            Trouble::ReadOnly => self.tell(&["REPLICAOF", "127.0.0.1", "1"])?,
            Trouble::ClientPause => {
                let span = random.between(10, 400).to_string();
                self.tell(&["CLIENT", "PAUSE", &span, "ALL"])?;
            }
            Trouble::ClientKill => self.tell(&["CLIENT", "KILL", "TYPE", "normal"])?,
            Trouble::Proxy(fault) => self.proxy.set(fault),
            Trouble::CutAll => self.proxy.cut_all(),
        }
        Ok(())
    }

    fn stop(&self, trouble: Trouble) -> Result<(), Failure> {
        match trouble {
            Trouble::Freeze => self.redis.thaw(),
            Trouble::KillAndLose | Trouble::KillAndKeep | Trouble::KillAndRewind => {
                self.redis.restart();
            }
            Trouble::OutOfMemory => self.tell(&["CONFIG", "SET", "maxmemory", "0"])?,
            Trouble::NoReplicas => self.tell(&["CONFIG", "SET", "min-replicas-to-write", "0"])?,
            Trouble::ReadOnly => self.tell(&["REPLICAOF", "NO", "ONE"])?,
            Trouble::Proxy(_) => self.proxy.set(Fault::Pass),
            _ => {}
        }
        Ok(())
    }

    /// An error is an answer too: there may be no log to trim.
    fn tell(&self, command: &[&str]) -> Result<(), Failure> {
        self.redis.cli().run(command)?;
        Ok(())
    }
}

const EVICT: &str = "\
for _ = 1, ARGV[1] do
    local key = redis.call('RANDOMKEY')
    if key and not string.find(key, '{', 1, true) then redis.call('DEL', key) end
end";

const DROP: &str = "\
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', ARGV[1])
if #last > 0 then redis.call('XDEL', KEYS[1], last[#last][1]) end";
