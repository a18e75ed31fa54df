use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::position::LogId;
use crate::record::Record;
use crate::time::Timestamp;
use crate::watermark::Watermark;

/// How much a node remembers of its own invalidations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Marks that wait for the log, and marks that were acknowledged a short while ago: each.
    marks: usize,
    /// How long after its acknowledgement an invalidation may still be lost by a failover.
    window: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            marks: 1 << 16,
            window: Duration::from_secs(30),
        }
    }
}

/// What a node owes to the log, and what it appended so recently that a failover may have lost it.
#[derive(Debug)]
pub(crate) struct Debts {
    bounds: Bounds,
    queue: VecDeque<Debt>,
    queued: usize,
    overflowed: bool,
    recent: VecDeque<(Timestamp, Record)>,
    remembered: usize,
    /// More was acknowledged within the window than is remembered.
    forgot: Option<Timestamp>,
    /// Own records that the node has not come past yet while following.
    unpassed: Vec<Watermark>,
}

/// One record that is owed to the log.
#[derive(Clone, Debug)]
pub struct Debt {
    /// Its place in the node's own order.
    pub local: u64,
    /// What is owed.
    pub record: Arc<Record>,
}

impl Debts {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            queue: VecDeque::new(),
            queued: 0,
            overflowed: false,
            recent: VecDeque::new(),
            remembered: 0,
            forgot: None,
            unpassed: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn first(&self) -> Option<Debt> {
        self.queue.front().cloned()
    }

    pub(crate) const fn has_overflowed(&self) -> bool {
        self.overflowed
    }

    /// Queues a record, or gives up on remembering: then nothing less than a new log will do.
    pub(crate) fn owe(&mut self, local: u64, record: Record) {
        let size = record.items.len().max(1);
        if self.overflowed || self.queued + size > self.bounds.marks {
            return self.overflow();
        }
        self.queued += size;
        let record = Arc::new(record);
        self.queue.push_back(Debt { local, record });
    }

    /// Gives up the queue for a renewal of the log.
    pub(crate) fn overflow(&mut self) {
        self.overflowed = true;
        self.queue = VecDeque::new();
        self.queued = 0;
    }

    /// Takes the record off the queue that stands at `local` in the node's own order.
    pub(crate) fn paid(&mut self, local: u64) {
        if self.queue.front().is_some_and(|debt| debt.local == local)
            && let Some(debt) = self.queue.pop_front()
        {
            self.queued -= debt.record.items.len().max(1);
        }
    }

    /// The log is begun anew for everybody: what was owed and acknowledged until now is done with.
    pub(crate) fn forgive(&mut self) {
        let bounds = self.bounds;
        *self = Self::new(bounds);
    }

    /// Remembers an acknowledged record for as long as a failover may lose it.
    pub(crate) fn acknowledged(&mut self, record: Record, now: Timestamp) {
        self.forget_old(now);
        let size = record.items.len().max(1);
        if self.remembered + size > self.bounds.marks {
            self.recent = VecDeque::new();
            self.remembered = 0;
            self.forgot = Some(now);
            return;
        }
        self.remembered += size;
        self.recent.push_back((now, record));
    }

    /// What has to be appended again to another life of the log. If more was acknowledged than is
    /// remembered, the queue counts as overflowed.
    pub(crate) fn take_recent(&mut self, now: Timestamp) -> Vec<Record> {
        self.forget_old(now);
        if self.forgot.take().is_some() {
            self.overflow();
        }
        self.remembered = 0;
        let recent = std::mem::take(&mut self.recent);
        recent.into_iter().map(|(_, record)| record).collect()
    }

    /// The node appended a record that lies beyond what it has read.
    pub(crate) fn unpassed(&mut self, at: Watermark) {
        self.unpassed.push(at);
    }

    /// The node joined anew, and will not come past what it skipped.
    pub(crate) fn forget_unpassed(&mut self) {
        self.unpassed.clear();
    }

    /// The node came past a record while following.
    pub(crate) fn passed(&mut self, at: Watermark) {
        self.unpassed.retain(|own| *own != at);
    }

    /// Whether an own record should have been passed by now and was not. Records older than
    /// `first`, the oldest in the log, were trimmed.
    pub(crate) fn is_missing(&self, watermark: Watermark, first: LogId) -> bool {
        self.unpassed.iter().any(|own| {
            own.incarnation() == watermark.incarnation()
                && own.id() <= watermark.id()
                && own.id() >= first
        })
    }

    fn forget_old(&mut self, now: Timestamp) {
        let window = self.bounds.window;
        while let Some((then, record)) = self.recent.front()
            && now.since(*then) > window
        {
            self.remembered -= record.items.len().max(1);
            self.recent.pop_front();
        }
        if self.forgot.is_some_and(|then| now.since(then) > window) {
            self.forgot = None;
        }
    }
}
