//! Telling the other nodes: nothing at all without Redis.

#[cfg(feature = "redis")]
pub(super) use with::{Leaving, Telling};
#[cfg(not(feature = "redis"))]
pub(super) use without::{Leaving, Telling};

#[cfg(not(feature = "redis"))]
mod without {
    use std::time::Duration;

    use tokio::time::Instant;

    use crate::cache::Caches;

    /// There is nobody to tell.
    #[derive(Debug)]
    pub(in crate::stats) struct Telling {
        pub(in crate::stats) every: Duration,
    }

    pub(in crate::stats) enum Due {}

    #[derive(Debug)]
    pub(in crate::stats) enum Leaving {}

    impl Telling {
        pub(in crate::stats) const fn new(_: &Caches, every: Duration) -> Self {
            Self { every }
        }

        pub(in crate::stats) const fn due(&mut self, _: Instant, _: &Caches) -> Option<Due> {
            None
        }
    }

    impl Due {
        pub(in crate::stats) async fn tell(self) {
            match self {}
        }
    }

    impl Leaving {
        pub(in crate::stats) const fn of(_: &Caches) -> Option<Self> {
            None
        }

        pub(in crate::stats) async fn leave(self) {
            match self {}
        }
    }
}

#[cfg(feature = "redis")]
mod with {
    use std::{
        sync::{Arc, atomic::Ordering},
        time::Duration,
    };

    use tokio::time::Instant;

    use super::super::{Node, place::Nodes, server, snapshot};
    use crate::cache::Caches;

    /// How often the server is asked how it is.
    const ASKED: Duration = Duration::from_secs(10);
    /// How often nodes that have gone are taken off the list.
    const PRUNED: Duration = Duration::from_secs(60);
    /// A node that was not heard of for so many intervals is gone.
    const PATIENCE: u32 = 3;

    /// When what is to be told next.
    #[derive(Debug)]
    pub(in crate::stats) struct Telling {
        pub(in crate::stats) every: Duration,
        told: Option<Instant>,
        asked: Option<Instant>,
        pruned: Option<Instant>,
    }

    /// What is told now. It does not keep the caches alive.
    #[derive(Debug)]
    pub(in crate::stats) struct Due {
        nodes: Nodes,
        node: Arc<Node>,
        snapshot: Option<(Vec<u8>, Duration)>,
        /// The server's time, in milliseconds since the Unix epoch.
        now: u64,
        ask: bool,
        prune: bool,
    }

    /// What a node that ends takes with it.
    #[derive(Debug)]
    pub(in crate::stats) struct Leaving {
        nodes: Nodes,
        id: String,
    }

    impl Telling {
        pub(in crate::stats) fn new(caches: &Caches, every: Duration) -> Self {
            let on = Nodes::of(caches).is_some();
            caches.shared.node.published.on.store(on, Ordering::Relaxed);
            Self {
                every,
                told: None,
                asked: None,
                pruned: None,
            }
        }

        pub(in crate::stats) fn due(&mut self, now: Instant, caches: &Caches) -> Option<Due> {
            let nodes = Nodes::of(caches)?;
            // Whoever has not answered yet is asked again soon.
            let patience = if caches.shared.node.told().server.is_some() {
                ASKED
            } else {
                ASKED.min(self.every)
            };
            let ask = is_due(&mut self.asked, now, patience);
            let tell = is_due(&mut self.told, now, self.every);
            let prune = is_due(&mut self.pruned, now, PRUNED);
            if !(ask || tell) {
                return None;
            }
            let life = self.every.saturating_mul(PATIENCE);
            let snapshot = tell.then(|| (snapshot::encode(caches.node_stats()), life));
            let shared = &caches.shared;
            let now = shared.clock.now().as_millis();
            Some(Due {
                nodes,
                node: Arc::clone(&shared.node),
                snapshot,
                now: now.saturating_add_signed(shared.clock_offset()),
                ask,
                prune,
            })
        }
    }

    fn is_due(last: &mut Option<Instant>, now: Instant, every: Duration) -> bool {
        let due = last.is_none_or(|last| now.duration_since(last) + every / 10 >= every);
        if due {
            *last = Some(now);
        }
        due
    }

    impl Due {
        pub(in crate::stats) async fn tell(self) {
            if let Some((bytes, life)) = &self.snapshot {
                let size = bytes.len() as u64;
                let put = self
                    .nodes
                    .put(&self.node.id, bytes.clone(), *life, self.now)
                    .await;
                let published = &self.node.published;
                match put {
                    Ok(()) => {
                        published.taken.fetch_add(1, Ordering::Relaxed);
                        published.last.store(self.now, Ordering::Relaxed);
                        published.bytes.store(size, Ordering::Relaxed);
                    }
                    Err(error) => {
                        tracing::debug!(why = %error, "the node's numbers were not told");
                        published.failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            if self.ask {
                self.ask().await;
            }
            if self.prune {
                // Whoever reads the list looks only at those that have told something.
                let _ = self.nodes.prune(self.now).await;
            }
        }

        async fn ask(&self) {
            let answer = server::ask(&self.nodes.database).await;
            let mut told = self.node.told();
            match answer {
                Ok(Some(text)) => {
                    let asked = pitlane_core::Timestamp::from_millis(self.now);
                    told.server = Some(server::read(&text, asked));
                    told.unavailable = None;
                }
                Ok(None) => {
                    told.server = None;
                    told.unavailable = Some("the Redis user may not ask (INFO)".to_owned());
                }
                Err(failure) => {
                    told.server = None;
                    told.unavailable = Some(failure.to_string());
                }
            }
        }
    }

    impl Leaving {
        /// `None` unless the node has told the others of itself.
        pub(in crate::stats) fn of(caches: &Caches) -> Option<Self> {
            let node = &caches.shared.node;
            node.published
                .on
                .swap(false, Ordering::Relaxed)
                .then_some(())?;
            Some(Self {
                nodes: Nodes::of(caches)?,
                id: node.id.clone(),
            })
        }

        pub(in crate::stats) async fn leave(self) {
            // Without an answer the node is forgotten when its snapshot expires.
            let _ = self.nodes.remove(&self.id).await;
        }
    }
}
