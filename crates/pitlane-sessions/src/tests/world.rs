//! Two nodes and a simulated Redis that comes and goes, against what any of them was told.
//!
//! Every schedule of requests, failures, losses and rounds is played to the end of the outage;
//! then the nodes agree with each other and with a model that knows only what was answered.

use std::collections::BTreeMap;
use std::time::Duration;

use pitlane::{Clock, Timestamp};
use proptest::prelude::*;
use tower_sessions_core::session::{Id, Record};

use super::redis::{NODES, Redis, Weather};
use super::{clock, node, record, save_of};
use crate::link::SETTLED_AFTER;
use crate::node::Node;
use crate::sheet;
use crate::trouble::Trouble;

const SESSIONS: u8 = 3;

/// What happens next. Sessions are numbered as they are created.
#[derive(Clone, Copy, Debug)]
enum Step {
    Create(usize),
    /// Load, and save what was loaded with one more thing in it.
    Save(usize, u8),
    Delete(usize, u8),
    Load(usize, u8),
    /// The node's task runs once.
    Round(usize),
    /// From now on a node's calls of Redis end so.
    Weather(usize, Weather),
    /// Redis starts anew without its data.
    Lose,
    /// Redis starts anew with an older state of its data.
    Rewind,
    Clear,
    /// A call that was given up is carried out after all.
    Late,
    Pass(u32),
}

/// What a session's user was told.
#[derive(Debug)]
struct Told {
    id: Id,
    /// The number of the last save.
    saved: u32,
    expires: Timestamp,
    /// Which nodes deleted it.
    deleted: [bool; NODES],
    /// It was cleared.
    is_over: bool,
    /// It began on a node that had not yet heard of a clear: it may be taken for cleared.
    is_in_doubt: bool,
    /// The newest save that each node has shown.
    shown: [u32; NODES],
}

struct World {
    clock: Clock,
    redis: Redis,
    nodes: Vec<Node>,
    told: BTreeMap<u8, Told>,
    saves: u32,
}

impl World {
    async fn new() -> Self {
        let (clock, redis) = (clock(), Redis::new());
        let world = Self {
            nodes: (0..NODES)
                .map(|number| node(&redis, number, &clock))
                .collect(),
            clock,
            redis,
            told: BTreeMap::new(),
            saves: 0,
        };
        for node in &world.nodes {
            node.round().await;
        }
        world
    }

    async fn step(&mut self, step: Step) {
        // No two saves are made at the same moment.
        self.clock.advance(Duration::from_millis(1));
        match step {
            Step::Create(node) => self.create(node).await,
            Step::Save(node, session) => self.save(node, session).await,
            Step::Delete(node, session) => self.delete(node, session).await,
            Step::Load(node, session) => drop(self.load(node, session).await),
            Step::Round(node) => self.nodes[node].round().await,
            Step::Weather(node, weather) => self.redis.set_weather(node, weather),
            Step::Lose => self.lose(),
            Step::Rewind => self.redis.rewind(),
            Step::Clear => self.clear(),
            Step::Late => drop(self.redis.late()),
            Step::Pass(seconds) => self.pass(Duration::from_secs(seconds.into())).await,
        }
    }

    async fn create(&mut self, node: usize) {
        let number = u8::try_from(self.told.len()).unwrap();
        if number >= SESSIONS {
            return;
        }
        self.saves += 1;
        let id = Id(i128::from(number) + 1);
        let mut record = record(id, self.saves, &self.clock);
        self.nodes[node].create(&mut record).await.unwrap();
        let known = self.nodes[node].state().link.era;
        let mut told = Told {
            id: record.id,
            saved: self.saves,
            expires: sheet::expiry(&record),
            deleted: [false; NODES],
            is_over: false,
            is_in_doubt: known != Some(self.redis.era()),
            shown: [0; NODES],
        };
        told.shown[node] = self.saves;
        self.told.insert(number, told);
    }

    async fn save(&mut self, node: usize, session: u8) {
        let Some(loaded) = self.load(node, session).await else {
            return;
        };
        self.saves += 1;
        let (saves, record) = (self.saves, record(loaded.id, self.saves, &self.clock));
        let done = self.nodes[node].save(&record).await;
        let told = self.told.get_mut(&session).unwrap();
        match done {
            Ok(()) => {
                assert!(!told.deleted[node], "a deleted session was saved");
                told.saved = saves;
                told.expires = sheet::expiry(&record);
                told.shown[node] = saves;
            }
            Err(Trouble::Vanished | Trouble::Away | Trouble::Restoring) => {}
            Err(trouble) => panic!("{trouble}"),
        }
    }

    async fn delete(&mut self, node: usize, session: u8) {
        if let Some(told) = self.told.get_mut(&session) {
            self.nodes[node].delete(told.id).await.unwrap();
            told.deleted[node] = true;
        }
    }

    /// Loads, and checks that what comes may come.
    async fn load(&mut self, node: usize, session: u8) -> Option<Record> {
        let told = self.told.get_mut(&session)?;
        let found = self.nodes[node].load(told.id).await;
        let found = match found {
            Ok(found) => found?,
            Err(Trouble::Away | Trouble::Restoring) => return None,
            Err(trouble) => panic!("{trouble}"),
        };
        assert!(!told.deleted[node], "a deleted session is back");
        assert!(
            sheet::expiry(&found) > self.clock.now(),
            "an expired session is back"
        );
        let save = save_of(&found);
        let is_older = save < told.shown[node] && !told.is_in_doubt;
        assert!(!is_older, "a node showed something newer");
        told.shown[node] = save.max(told.shown[node]);
        Some(found)
    }

    /// A loss takes whatever Redis had, the news of a clear too: who was away for that can't know.
    fn lose(&mut self) {
        self.doubt();
        self.redis.lose();
    }

    fn clear(&mut self) {
        for told in self.told.values_mut() {
            told.is_over = true;
        }
        self.redis.clear();
    }

    fn doubt(&mut self) {
        let era = self.redis.era();
        let is_behind = |node: &Node| node.state().link.era != Some(era);
        if self.nodes.iter().any(is_behind) {
            for told in self.told.values_mut() {
                told.is_in_doubt |= told.is_over;
                told.is_over = false;
            }
        }
    }

    async fn pass(&mut self, time: Duration) {
        // From here on a rewind goes back to now.
        self.redis.remember();
        self.clock.advance(time);
        tokio::time::advance(time).await;
    }

    /// The outage ends, everybody is told everything, and nothing is owed any more.
    async fn end(&mut self) {
        for node in 0..NODES {
            self.redis.set_weather(node, Weather::Fine);
        }
        for _ in 0..4 {
            for node in &self.nodes {
                node.round().await;
            }
            self.clock.advance(SETTLED_AFTER);
            tokio::time::advance(SETTLED_AFTER).await;
        }
        while self.redis.late() {}
        for (number, node) in self.nodes.iter().enumerate() {
            assert!(!node.has_work(), "node {number} is not settled");
        }
        for session in 0..SESSIONS {
            for node in 0..NODES {
                self.check(node, session).await;
            }
        }
    }

    async fn check(&mut self, node: usize, session: u8) {
        let found = self.load(node, session).await;
        let Some(told) = self.told.get(&session) else {
            return;
        };
        let is_deleted = told.deleted.contains(&true);
        let is_expired = told.expires <= self.clock.now();
        match found {
            Some(found) => {
                assert!(!is_deleted, "session {session} was deleted, and is back");
                assert!(!told.is_over, "session {session} was cleared, and is back");
                assert!(!is_expired, "session {session} has expired, and is back");
                if !told.is_in_doubt {
                    assert_eq!(save_of(&found), told.saved, "session {session}");
                }
            }
            None => assert!(
                is_deleted || told.is_over || told.is_in_doubt || is_expired,
                "session {session} is lost to node {node}"
            ),
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let node = || 0..NODES;
    let session = || 0..SESSIONS;
    let weather = prop_oneof![
        2 => Just(Weather::Fine),
        2 => Just(Weather::Away),
        1 => Just(Weather::Deaf),
        1 => Just(Weather::Late),
    ];
    let step = prop_oneof![
        2 => node().prop_map(Step::Create),
        8 => (node(), session()).prop_map(|(node, session)| Step::Save(node, session)),
        2 => (node(), session()).prop_map(|(node, session)| Step::Delete(node, session)),
        4 => (node(), session()).prop_map(|(node, session)| Step::Load(node, session)),
        4 => node().prop_map(Step::Round),
        5 => (node(), weather).prop_map(|(node, weather)| Step::Weather(node, weather)),
        1 => Just(Step::Lose),
        1 => Just(Step::Rewind),
        1 => Just(Step::Clear),
        2 => Just(Step::Late),
        2 => prop_oneof![3 => 0_u32..5, 1 => 0_u32..60_000].prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 0..60)
}

fn play(steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new().await;
        for step in steps {
            world.step(*step).await;
        }
        world.end().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_deleted_comes_back_and_no_newer_save_is_lost(steps in steps()) {
        play(&steps);
    }
}
