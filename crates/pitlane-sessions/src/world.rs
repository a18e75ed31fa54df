//! Two nodes and a simulated Redis that comes and goes, against what any of them was told.
//!
//! Every schedule of requests, failures, losses and rounds is played to the end of the outage;
//! then the nodes agree with each other and with a model that knows only what was answered.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pitlane::{Caches, Clock, Era, Error, Sighting, Timestamp};
use proptest::prelude::*;
use serde_json::json;
use time::OffsetDateTime;
use tower_sessions_core::session::{Id, Record};

use crate::link::SETTLED_AFTER;
use crate::node::Node;
use crate::place::Place;
use crate::trouble::Trouble;

const NODES: usize = 2;
const SESSIONS: u8 = 3;
const LONGEST: Duration = Duration::from_secs(100_000);

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    Fine,
    /// Nothing arrives.
    Away,
    /// It is done, but the answer is lost.
    Deaf,
    /// It arrives later, if ever.
    Late,
}

/// What is stored, and the era it was stored in.
type Content = HashMap<i128, (Era, Bytes)>;

#[derive(Debug)]
struct Redis {
    era: Era,
    content: Content,
    /// What it would begin with after a loss of the last second.
    older: (Era, Content),
    weather: [Weather; NODES],
    late: Vec<Swap>,
    starts: u64,
    /// The numbers of the era, which keeps them to itself.
    life: u32,
    clears: u32,
}

#[derive(Clone, Debug)]
struct Swap {
    id: Id,
    era: Era,
    expected: Option<(Era, Bytes)>,
    value: Bytes,
}

impl Redis {
    fn record(&self, id: Id) -> Option<(Era, Bytes)> {
        let found = self.content.get(&id.0);
        // What is of another era was cleared or is of a life that was lost.
        found.filter(|(era, _)| *era == self.era).cloned()
    }

    /// It is another process now.
    fn begin(&mut self, era: Era, content: Content) {
        self.era = era;
        self.content = content;
        self.starts += 1;
        // What was on its way went with the connections.
        self.late.clear();
    }

    fn carry_out(&mut self, swap: Swap) -> bool {
        if self.record(swap.id) != swap.expected {
            return false;
        }
        self.content.insert(swap.id.0, (swap.era, swap.value));
        true
    }
}

/// One node's way to Redis.
#[derive(Debug)]
struct Way {
    redis: Arc<Mutex<Redis>>,
    node: usize,
}

#[async_trait]
impl Place for Way {
    fn connection(&self) -> u64 {
        self.redis.lock().unwrap().starts
    }

    async fn see(&self, ids: &[Id]) -> Result<(Era, Vec<Sighting>), Error> {
        let redis = self.redis.lock().unwrap();
        if redis.weather[self.node] == Weather::Away {
            return Err(trouble());
        }
        let see = |id: &Id| match redis.record(*id) {
            Some((_, value)) => Sighting::of(redis.era, &value),
            None => Sighting::empty(redis.era),
        };
        Ok((redis.era, ids.iter().map(see).collect()))
    }

    async fn swap(
        &self,
        id: Id,
        seen: &Sighting,
        value: &[u8],
        ttl: Duration,
    ) -> Result<bool, Error> {
        assert!(!ttl.is_zero(), "what is stored has time left");
        let mut redis = self.redis.lock().unwrap();
        let swap = Swap {
            id,
            era: seen.era(),
            expected: seen.record().map(|record| (seen.era(), record)),
            value: Bytes::copy_from_slice(value),
        };
        match redis.weather[self.node] {
            Weather::Fine => Ok(redis.carry_out(swap)),
            Weather::Away => Err(trouble()),
            Weather::Deaf => {
                redis.carry_out(swap);
                Err(trouble())
            }
            Weather::Late => {
                redis.late.push(swap);
                Err(trouble())
            }
        }
    }
}

fn trouble() -> Error {
    let caches = Caches::builder().build().unwrap();
    caches.get("nowhere").unwrap_err()
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
    redis: Arc<Mutex<Redis>>,
    nodes: Vec<Node>,
    told: BTreeMap<u8, Told>,
    saves: u32,
}

impl World {
    async fn new() -> Self {
        let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
        let era = Era::new(1, 0);
        let redis = Redis {
            era,
            content: Content::new(),
            older: (era, Content::new()),
            weather: [Weather::Fine; NODES],
            late: Vec::new(),
            starts: 1,
            life: 1,
            clears: 0,
        };
        let redis = Arc::new(Mutex::new(redis));
        let node = |node| {
            let way = Way {
                redis: Arc::clone(&redis),
                node,
            };
            Node::new(Some(Box::new(way)), clock.clone(), LONGEST, 1 << 20)
        };
        let world = Self {
            nodes: (0..NODES).map(node).collect(),
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

    fn redis(&self) -> std::sync::MutexGuard<'_, Redis> {
        self.redis.lock().unwrap()
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
            Step::Weather(node, weather) => self.redis().weather[node] = weather,
            Step::Lose => self.lose(),
            Step::Rewind => self.rewind(),
            Step::Clear => self.clear(),
            Step::Late => self.late(),
            Step::Pass(seconds) => self.pass(Duration::from_secs(seconds.into())).await,
        }
    }

    async fn create(&mut self, node: usize) {
        let number = u8::try_from(self.told.len()).unwrap();
        if number >= SESSIONS {
            return;
        }
        let mut record = Record {
            id: Id(i128::from(number) + 1),
            data: HashMap::new(),
            expiry_date: OffsetDateTime::UNIX_EPOCH,
        };
        self.change(&mut record);
        self.nodes[node].create(&mut record).await.unwrap();
        let known = self.nodes[node].state().link.era;
        let mut told = Told {
            id: record.id,
            saved: self.saves,
            expires: self.expiry(),
            deleted: [false; NODES],
            is_over: false,
            is_in_doubt: known != Some(self.redis().era),
            shown: [0; NODES],
        };
        told.shown[node] = self.saves;
        self.told.insert(number, told);
    }

    async fn save(&mut self, node: usize, session: u8) {
        let Some(mut record) = self.load(node, session).await else {
            return;
        };
        self.change(&mut record);
        let (saves, expires) = (self.saves, self.expiry());
        let done = self.nodes[node].save(&record).await;
        let told = self.told.get_mut(&session).unwrap();
        match done {
            Ok(()) => {
                assert!(!told.deleted[node], "a deleted session was saved");
                told.saved = saves;
                told.expires = expires;
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
        assert!(millis(found.expiry_date) > self.clock.now().as_millis());
        let save = u32::try_from(found.data["save"].as_u64().unwrap()).unwrap();
        let is_older = save < told.shown[node] && !told.is_in_doubt;
        assert!(!is_older, "a node showed something newer");
        told.shown[node] = save.max(told.shown[node]);
        Some(found)
    }

    /// A loss takes whatever Redis had, the news of a clear too: who was away for that can't know.
    fn lose(&mut self) {
        self.doubt();
        let mut redis = self.redis();
        (redis.life, redis.clears) = (redis.life + 1, 0);
        let era = Era::new(redis.life, 0);
        redis.begin(era, Content::new());
        redis.older = (era, Content::new());
    }

    fn rewind(&mut self) {
        let mut redis = self.redis();
        let (era, older) = redis.older.clone();
        redis.begin(era, older);
    }

    fn clear(&mut self) {
        for told in self.told.values_mut() {
            told.is_over = true;
        }
        let mut redis = self.redis();
        redis.clears += 1;
        redis.era = Era::new(redis.life, redis.clears);
        redis.older = (redis.era, Content::new());
    }

    fn doubt(&mut self) {
        let era = self.redis().era;
        let is_behind = |node: &Node| node.state().link.era != Some(era);
        if self.nodes.iter().any(is_behind) {
            for told in self.told.values_mut() {
                told.is_in_doubt |= told.is_over;
                told.is_over = false;
            }
        }
    }

    fn late(&mut self) {
        let mut redis = self.redis();
        if let Some(swap) = redis.late.pop() {
            redis.carry_out(swap);
        }
    }

    async fn pass(&mut self, time: Duration) {
        // From here on a rewind goes back to now.
        {
            let mut redis = self.redis();
            redis.older = (redis.era, redis.content.clone());
        }
        self.clock.advance(time);
        tokio::time::advance(time).await;
    }

    fn change(&mut self, record: &mut Record) {
        self.saves += 1;
        record.data.insert("save".to_owned(), json!(self.saves));
        let nanos = i128::from(self.expiry().as_millis()) * 1_000_000;
        record.expiry_date = OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap();
    }

    fn expiry(&self) -> Timestamp {
        self.clock.now().plus(LONGEST / 2)
    }

    /// The outage ends, everybody is told everything, and nothing is owed any more.
    async fn end(&mut self) {
        self.redis().weather = [Weather::Fine; NODES];
        for _ in 0..4 {
            for node in &self.nodes {
                node.round().await;
            }
            self.clock.advance(SETTLED_AFTER);
            tokio::time::advance(SETTLED_AFTER).await;
        }
        while !self.redis().late.is_empty() {
            self.late();
        }
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
                    assert_eq!(found.data["save"], told.saved, "session {session}");
                }
            }
            None => assert!(
                is_deleted || told.is_over || told.is_in_doubt || is_expired,
                "session {session} is lost to node {node}"
            ),
        }
    }
}

fn millis(date: OffsetDateTime) -> u64 {
    u64::try_from(date.unix_timestamp_nanos() / 1_000_000).unwrap()
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
