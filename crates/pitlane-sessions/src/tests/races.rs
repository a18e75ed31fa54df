//! What happens while something else is on its way: the moments that steps one by one don't have.

use std::sync::Arc;

use pitlane::Clock;
use tokio::task::JoinHandle;
use tokio::time::advance;
use tower_sessions_core::session::Id;

use super::redis::{Call, Gate, Redis, Weather};
use super::{clock, node, record, save_of};
use crate::link::RESTORE_AFTER;
use crate::node::Node;
use crate::sheet::Sheet;
use crate::trouble::Trouble;

const ONE: Id = Id(1);

struct Pair {
    redis: Redis,
    nodes: [Arc<Node>; 2],
    clock: Clock,
}

impl Pair {
    /// Two nodes that have both seen one session.
    async fn new() -> Self {
        let (redis, clock) = (Redis::new(), clock());
        let nodes = [0, 1].map(|number| Arc::new(node(&redis, number, &clock)));
        let pair = Self {
            redis,
            nodes,
            clock,
        };
        pair.rounds().await;
        let mut session = record(ONE, 1, &pair.clock);
        pair.nodes[0].create(&mut session).await.unwrap();
        assert_eq!(pair.load(1).await, Some(1));
        pair
    }

    async fn rounds(&self) {
        for node in &self.nodes {
            node.round().await;
        }
    }

    async fn load(&self, node: usize) -> Option<u32> {
        let found = self.nodes[node].load(ONE).await.unwrap();
        found.as_ref().map(save_of)
    }

    async fn save(&self, node: usize, save: u32) -> Result<(), Trouble> {
        self.clock.advance(std::time::Duration::from_millis(1));
        self.nodes[node].save(&record(ONE, save, &self.clock)).await
    }

    fn stored(&self) -> Option<u32> {
        match self.redis.stored(ONE)? {
            Sheet::Live(live) => Some(save_of(&live.record(ONE).unwrap())),
            Sheet::Gone => None,
        }
    }

    /// Begins a node's round, and returns when it is about to write.
    async fn begin_round(&self, node: usize) -> (JoinHandle<()>, Arc<Gate>) {
        let (gate, node) = (self.redis.hold(Call::Swap), Arc::clone(&self.nodes[node]));
        let round = tokio::spawn(async move { node.round().await });
        gate.entered().await;
        (round, gate)
    }
}

#[tokio::test(start_paused = true)]
async fn a_save_while_an_older_one_is_written_back_is_written_back_too() {
    let pair = Pair::new().await;
    pair.redis.set_weather(0, Weather::Away);
    pair.save(0, 2).await.unwrap();
    pair.save(0, 3).await.unwrap();
    pair.redis.set_weather(0, Weather::Fine);
    let (round, gate) = pair.begin_round(0).await;
    pair.save(0, 4).await.unwrap();
    gate.opened.notify_one();
    round.await.unwrap();
    assert_eq!(pair.load(0).await, Some(4));
    pair.nodes[0].round().await;
    assert_eq!(pair.stored(), Some(4));
    assert_eq!(pair.load(1).await, Some(4));
}

#[tokio::test(start_paused = true)]
async fn who_is_outrun_by_an_older_copy_after_a_loss_writes_back_again() {
    let pair = Pair::new().await;
    pair.save(0, 2).await.unwrap();
    pair.redis.lose();
    pair.rounds().await;
    advance(RESTORE_AFTER).await;
    let (round, gate) = pair.begin_round(0).await;
    // The other node has not seen the newer save.
    pair.nodes[1].round().await;
    assert_eq!(pair.stored(), Some(1));
    gate.opened.notify_one();
    round.await.unwrap();
    pair.rounds().await;
    assert_eq!(pair.stored(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn after_a_loss_deletions_are_repeated_before_sessions_are_written_back() {
    let pair = Pair::new().await;
    pair.nodes[0].delete(ONE).await.unwrap();
    pair.redis.lose();
    // The node that has only seen the session is the first to notice.
    pair.nodes[1].round().await;
    assert!(pair.redis.stored(ONE).is_none());
    pair.nodes[0].round().await;
    assert!(pair.redis.stored(ONE) == Some(Sheet::Gone));
    advance(RESTORE_AFTER).await;
    pair.rounds().await;
    assert_eq!(pair.load(1).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_another_write_outran_is_told_again() {
    let pair = Pair::new().await;
    pair.redis.set_weather(0, Weather::Away);
    pair.nodes[0].delete(ONE).await.unwrap();
    pair.redis.set_weather(0, Weather::Fine);
    let (round, gate) = pair.begin_round(0).await;
    pair.save(1, 2).await.unwrap();
    gate.opened.notify_one();
    round.await.unwrap();
    assert!(pair.nodes[0].has_work(), "Redis does not know yet");
    pair.rounds().await;
    assert!(pair.redis.stored(ONE) == Some(Sheet::Gone));
    assert_eq!(pair.load(1).await, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_on_a_node_that_is_away_is_not_loaded_saved_or_created_there() {
    let pair = Pair::new().await;
    pair.redis.set_weather(0, Weather::Away);
    pair.nodes[0].delete(ONE).await.unwrap();
    assert_eq!(pair.load(0).await, None);
    assert_eq!(pair.save(0, 2).await, Err(Trouble::Vanished));
    let mut again = record(ONE, 3, &pair.clock);
    pair.nodes[0].create(&mut again).await.unwrap();
    assert_ne!(again.id, ONE);
    let mut taken = record(again.id, 4, &pair.clock);
    pair.nodes[0].create(&mut taken).await.unwrap();
    assert_ne!(taken.id, again.id);
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_while_it_is_loaded_is_not_there() {
    let pair = Pair::new().await;
    let (gate, node) = (pair.redis.hold(Call::See), Arc::clone(&pair.nodes[0]));
    let load = tokio::spawn(async move { node.load(ONE).await.unwrap() });
    gate.entered().await;
    pair.nodes[0].delete(ONE).await.unwrap();
    gate.opened.notify_one();
    assert_eq!(load.await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_a_save_outran_shows_the_save_and_costs_no_write() {
    let pair = Pair::new().await;
    let (gate, node) = (pair.redis.hold(Call::See), Arc::clone(&pair.nodes[0]));
    let load = tokio::spawn(async move { node.load(ONE).await.unwrap() });
    gate.entered().await;
    pair.save(0, 2).await.unwrap();
    gate.opened.notify_one();
    let found = load.await.unwrap();
    assert_eq!(found.as_ref().map(save_of), Some(2));
    assert!(!pair.nodes[0].has_work());
}
