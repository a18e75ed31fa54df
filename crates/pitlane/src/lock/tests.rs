//! The line of one process, beside a model of it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use pitlane_core::Key;
use proptest::prelude::*;
use tokio::{task::JoinHandle, time};

use super::{Fence, Held, Lock};
use crate::{Cache, Caches};

/// A lease and the time between arrivals are whole tens of milliseconds, and waits end halfway
/// between them: nothing happens at the same moment as something else.
const TICK: u64 = 5;
const LEASE: u64 = 40;

#[derive(Clone, Debug)]
enum Step {
    /// Somebody comes, to wait for so many tens of milliseconds.
    Come(u8),
    /// Somebody comes who doesn't wait.
    Try,
    /// One of those who came leaves, waiting or not.
    Leave(usize),
    /// One of those who have a guard gives it back, late or not.
    GiveBack(usize),
    /// The same, and somebody who doesn't wait comes at that moment.
    Snatch(usize),
    /// So many tens of milliseconds pass.
    Pass(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0_u8..12).prop_map(Step::Come),
        1 => Just(Step::Try),
        1 => (0_usize..8).prop_map(Step::Leave),
        3 => (0_usize..8).prop_map(Step::GiveBack),
        1 => (0_usize..8).prop_map(Step::Snatch),
        3 => (1_u8..6).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..60)
}

/// What has to be.
#[derive(Debug, Default)]
struct Model {
    now: u64,
    line: VecDeque<(usize, u64)>,
    holder: Option<(usize, u64)>,
    /// Who has a guard, in the order in which they got it; all but the last are late.
    guards: Vec<usize>,
}

impl Model {
    fn come(&mut self, name: usize, wait: u64) {
        self.line.push_back((name, self.now + wait));
        self.settle();
    }

    fn leave(&mut self, name: usize) {
        self.line.retain(|(there, _)| *there != name);
    }

    fn give_back(&mut self, name: usize) {
        self.guards.retain(|there| *there != name);
        if self.holder.is_some_and(|(there, _)| there == name) {
            self.holder = None;
        }
        self.settle();
    }

    fn tick(&mut self) {
        self.now += TICK;
        self.settle();
        let now = self.now;
        self.line.retain(|(_, until)| *until > now);
    }

    fn is_free(&self) -> bool {
        self.holder.is_none_or(|(_, until)| until <= self.now)
    }

    fn settle(&mut self) {
        if self.is_free()
            && let Some((name, _)) = self.line.pop_front()
        {
            self.holder = Some((name, self.now + LEASE));
            self.guards.push(name);
        }
    }
}

/// What is.
struct World {
    cache: Cache,
    comers: BTreeMap<usize, JoinHandle<()>>,
    guards: Arc<Mutex<Vec<(usize, Held)>>>,
    fences: Vec<Fence>,
}

impl World {
    fn new() -> Self {
        let caches = Caches::builder().build().unwrap();
        Self {
            cache: caches.get("default").unwrap(),
            comers: BTreeMap::new(),
            guards: Arc::default(),
            fences: Vec::new(),
        }
    }

    fn lock(&self) -> Lock {
        let lock = self.cache.lock(&Key::new("import"));
        lock.lease(Duration::from_millis(LEASE))
    }

    fn come(&mut self, name: usize, wait: u64) {
        let lock = self.lock().wait(Duration::from_millis(wait));
        let guards = Arc::clone(&self.guards);
        let comer = tokio::spawn(async move {
            if let Ok(held) = lock.acquire().await {
                guards.lock().unwrap().push((name, held));
            }
        });
        self.comers.insert(name, comer);
    }

    fn give_back(&self, name: usize) {
        let mut guards = self.guards.lock().unwrap();
        guards.retain(|(there, _)| *there != name);
    }

    async fn try_once(&self, name: usize, model: &mut Model) {
        let held = self.lock().try_acquire().await.unwrap();
        let expected = model.is_free() && model.line.is_empty();
        assert_eq!(held.is_some(), expected);
        if let Some(held) = held {
            self.guards.lock().unwrap().push((name, held));
            model.come(name, 0);
        }
    }

    fn names(&self) -> Vec<usize> {
        let guards = self.guards.lock().unwrap();
        guards.iter().map(|(name, _)| *name).collect()
    }

    /// Numbers only grow, in the order in which the guards were got.
    fn check_fences(&mut self) {
        for (_, held) in &*self.guards.lock().unwrap() {
            let fence = held.fence();
            if !self.fences.contains(&fence) {
                assert!(self.fences.iter().all(|earlier| *earlier < fence));
                self.fences.push(fence);
            }
        }
    }
}

/// Lets everything happen that can happen now.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

async fn run(steps: Vec<Step>) {
    let (mut world, mut model) = (World::new(), Model::default());
    for (name, step) in steps.into_iter().enumerate() {
        match step {
            Step::Come(tens) => {
                let wait = u64::from(tens) * 10 + TICK;
                world.come(name, wait);
                model.come(name, wait);
            }
            Step::Try => world.try_once(name, &mut model).await,
            Step::Snatch(nth) => {
                if let Some(holder) = model.guards.get(nth).copied() {
                    world.give_back(holder);
                    model.give_back(holder);
                    // Whoever waits is not awake yet, and has the lock all the same.
                    world.try_once(name, &mut model).await;
                }
            }
            Step::Leave(nth) => {
                let waiting: Vec<_> = model.line.iter().map(|(name, _)| *name).collect();
                if let Some(name) = waiting.get(nth) {
                    world.comers[name].abort();
                    model.leave(*name);
                }
            }
            Step::GiveBack(nth) => {
                if let Some(holder) = model.guards.get(nth).copied() {
                    world.give_back(holder);
                    model.give_back(holder);
                }
            }
            Step::Pass(tens) => {
                for _ in 0..u64::from(tens) * 10 / TICK {
                    time::advance(Duration::from_millis(TICK)).await;
                    settle().await;
                    model.tick();
                    world.check_fences();
                    assert_eq!(world.names(), model.guards);
                }
            }
        }
        settle().await;
        world.check_fences();
        assert_eq!(world.names(), model.guards);
    }
    // Nobody is left behind, and nothing is left over.
    time::advance(Duration::from_millis(12 * LEASE * 60)).await;
    for comer in world.comers.values_mut() {
        let _ = time::timeout(Duration::from_secs(3600), comer)
            .await
            .unwrap();
    }
    world.guards.lock().unwrap().clear();
    assert_eq!(world.cache.shared().locks.len(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_line_does_what_its_model_does(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(steps));
    }
}
