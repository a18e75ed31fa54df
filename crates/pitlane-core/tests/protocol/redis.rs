//! A simulated Redis: the operations of the log's script, and what may happen to a server.

use std::collections::{BTreeMap, HashSet};

use pitlane_core::{Incarnation, LogId, Logged, Record, TagId, Watermark};

use super::spec::{KEYS, Value};

/// How many records one reading brings: few, so that catching up takes several.
const BATCH: usize = 3;

/// A question to a server.
#[derive(Clone, Debug)]
pub(super) enum Call {
    /// Reads the tail without the script.
    Hint,
    Tail(Incarnation),
    Check(Incarnation),
    Append(Incarnation, u64, Record),
    Records(Incarnation, LogId),
    Rows(Incarnation, Vec<TagId>),
    Renew(Incarnation, Expected, u64),
    /// Reads the stream without the script.
    Follow(LogId),
    Get(usize),
    Set(usize, Stored),
}

/// What a server says, or what a caller is left with.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Hint(Option<Incarnation>),
    Tail(Option<Watermark>),
    Checked(Watermark),
    Appended(Logged),
    Records(Batch),
    Rows(Rows),
    Followed(Vec<Logged>),
    Got(Option<Stored>),
    Stored,
    /// The log is whole and of another incarnation.
    Other(Incarnation),
    /// The log is not whole, or the server is another process.
    Over,
    /// No answer.
    Failed,
}

#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) tail: Watermark,
    pub(super) first: LogId,
    pub(super) records: Vec<Logged>,
}

#[derive(Clone, Debug)]
pub(super) struct Rows {
    pub(super) incarnation: Incarnation,
    pub(super) floor: LogId,
    pub(super) tags: Vec<(TagId, LogId, LogId)>,
}

/// What a renewal takes the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Nothing,
    This(Incarnation),
    Whatever,
}

/// An entry as it lies in Redis.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) position: pitlane_core::Position,
    pub(super) tags: Vec<TagId>,
    pub(super) value: Value,
}

/// One server process.
#[derive(Clone, Debug, Default)]
pub(super) struct Server {
    data: Data,
    /// The scripts that this process was given. They are neither persisted nor replicated.
    loaded: HashSet<Incarnation>,
    clock: u64,
    /// How many records the stream keeps.
    length: usize,
    /// Begins a life without looking at what is there: a rule taken out.
    pub(super) renews_blindly: bool,
}

/// What is persisted and replicated.
#[derive(Clone, Debug, Default)]
struct Data {
    stream: Vec<Logged>,
    hash: Option<Hash>,
    tail: Option<Watermark>,
    entries: [Option<Stored>; KEYS],
}

#[derive(Clone, Debug)]
struct Hash {
    incarnation: Incarnation,
    floor: LogId,
    /// By tag, hard (false) and soft (true) apart.
    fields: BTreeMap<(TagId, bool), LogId>,
}

impl Server {
    pub(super) fn run(&mut self, call: Call) -> Answer {
        match call {
            Call::Hint => Answer::Hint(self.data.tail.map(|tail| tail.incarnation())),
            Call::Follow(after) => Answer::Followed(self.after(after)),
            Call::Get(key) => Answer::Got(self.data.entries[key].clone()),
            Call::Set(key, stored) => {
                self.data.entries[key] = Some(stored);
                Answer::Stored
            }
            Call::Renew(fresh, expected, nonce) => {
                // EVAL makes the text known, whatever it answers.
                self.loaded.insert(fresh);
                self.renew(fresh, expected, nonce)
            }
            Call::Tail(of) => match self.loaded.contains(&of) {
                true => Answer::Tail(self.data.tail),
                false => Answer::Over,
            },
            Call::Check(of) => self.guarded(of, |_, tail| Answer::Checked(tail)),
            Call::Append(of, nonce, record) => self.guarded(of, |server, tail| {
                Answer::Appended(server.append(tail, nonce, record))
            }),
            Call::Records(of, after) => self.guarded(of, |server, tail| {
                let first = server.data.stream[0].at.id();
                let records = server.after(after);
                Answer::Records(Batch {
                    tail,
                    first,
                    records,
                })
            }),
            Call::Rows(of, tags) => self.guarded(of, |server, tail| {
                let Some(hash) = &server.data.hash else {
                    return Answer::Over;
                };
                let field = |tag, soft| hash.fields.get(&(tag, soft)).copied();
                let row = |tag| {
                    let [hard, soft] = [false, true].map(|soft| field(tag, soft));
                    (tag, hard.unwrap_or_default(), soft.unwrap_or_default())
                };
                Answer::Rows(Rows {
                    incarnation: tail.incarnation(),
                    floor: hash.floor,
                    tags: tags.into_iter().map(row).collect(),
                })
            }),
        }
    }

    /// The check that every touch begins with: the process knows the script, the log is whole and
    /// of the script's incarnation. Repairs the tail.
    fn guarded(
        &mut self,
        of: Incarnation,
        work: impl FnOnce(&mut Self, Watermark) -> Answer,
    ) -> Answer {
        if !self.loaded.contains(&of) {
            return Answer::Over;
        }
        let Some(kept) = self.whole() else {
            return Answer::Over;
        };
        if kept != of {
            return Answer::Other(kept);
        }
        let tail = self.data.stream[self.data.stream.len() - 1].at;
        self.data.tail = Some(tail);
        work(self, tail)
    }

    fn whole(&self) -> Option<Incarnation> {
        let newest = self.data.stream.last()?.at.incarnation();
        let kept = self.data.hash.as_ref()?.incarnation;
        (newest == kept).then_some(kept)
    }

    fn renew(&mut self, fresh: Incarnation, expected: Expected, nonce: u64) -> Answer {
        if let Some(kept) = self.whole()
            && expected != Expected::Whatever
            && expected != Expected::This(kept)
            && !self.renews_blindly
        {
            return Answer::Other(kept);
        }
        self.data.stream.clear();
        let tail = Watermark::new(fresh, self.next_id(), nonce);
        self.data.stream.push(Logged {
            at: tail,
            previous: 0,
            record: Record::default(),
        });
        self.data.hash = Some(Hash {
            incarnation: fresh,
            floor: tail.id(),
            fields: BTreeMap::new(),
        });
        self.data.tail = Some(tail);
        Answer::Checked(tail)
    }

    fn append(&mut self, tail: Watermark, nonce: u64, record: Record) -> Logged {
        let id = self.next_id();
        let at = Watermark::new(tail.incarnation(), id, nonce);
        if let Some(hash) = &mut self.data.hash {
            for mark in record.marks() {
                hash.fields.insert((mark.tag, mark.soft), id);
            }
        }
        self.data.tail = Some(at);
        let logged = Logged {
            at,
            previous: tail.nonce,
            record,
        };
        self.data.stream.push(logged.clone());
        self.trim(self.length);
        logged
    }

    /// As XADD gives them: by the clock, and never one that is not greater than the last.
    fn next_id(&self) -> LogId {
        let now = LogId {
            millis: self.clock,
            sequence: 0,
        };
        match self.data.stream.last() {
            Some(last) if last.at.id() >= now => last.at.id().next(),
            _ => now,
        }
    }

    fn after(&self, after: LogId) -> Vec<Logged> {
        let later = self
            .data
            .stream
            .iter()
            .filter(|logged| logged.at.id() > after);
        later.take(BATCH).cloned().collect()
    }

    pub(super) fn new(length: usize, renews_blindly: bool) -> Self {
        Self {
            clock: 10,
            length,
            renews_blindly,
            ..Self::default()
        }
    }

    pub(super) fn tick(&mut self) {
        self.clock += 1;
    }

    /// Another process with this one's data; its clock may be behind.
    pub(super) fn promoted(&self, skewed: bool, clock: u64) -> Self {
        Self {
            loaded: HashSet::new(),
            clock: if skewed {
                clock.saturating_sub(9)
            } else {
                clock
            },
            ..self.clone()
        }
    }

    pub(super) const fn clock(&self) -> u64 {
        self.clock
    }

    pub(super) fn flush(&mut self) {
        self.data = Data::default();
    }

    pub(super) fn flush_scripts(&mut self) {
        self.loaded.clear();
    }

    pub(super) fn evict_stream(&mut self) {
        self.data.stream.clear();
    }

    pub(super) fn evict_hash(&mut self) {
        self.data.hash = None;
    }

    pub(super) fn evict_tail(&mut self) {
        self.data.tail = None;
    }

    /// Trims the stream to its last `keep` records: it is never emptied.
    pub(super) fn trim(&mut self, keep: usize) {
        let gone = self.data.stream.len().saturating_sub(keep.max(1));
        self.data.stream.drain(..gone);
    }

    /// What the janitor does: forgets the oldest fields, and raises the floor to the latest.
    pub(super) fn forget(&mut self, cutoff: LogId) {
        if self.whole().is_none() {
            return;
        }
        if let Some(hash) = &mut self.data.hash {
            let old = hash
                .fields
                .values()
                .filter(|at| **at <= cutoff)
                .max()
                .copied();
            hash.fields.retain(|_, at| *at > cutoff);
            hash.floor = old.map_or(hash.floor, |old| hash.floor.max(old));
        }
    }

    /// Where the fields of the hash stand, oldest first.
    pub(super) fn fields(&self) -> Vec<LogId> {
        let fields = self.data.hash.iter().flat_map(|hash| hash.fields.values());
        let mut fields: Vec<_> = fields.copied().collect();
        fields.sort_unstable();
        fields.dedup();
        fields
    }

    /// Whether nothing that the log remembers speaks against an entry's use, soft marks included.
    pub(super) fn allows(&self, stored: &Stored) -> bool {
        let id = stored.position.id;
        self.whole() == Some(stored.position.incarnation)
            && self.data.hash.as_ref().is_some_and(|hash| {
                let later = |tag, soft| hash.fields.get(&(tag, soft)).is_some_and(|at| *at > id);
                id >= hash.floor
                    && !stored
                        .tags
                        .iter()
                        .any(|tag| later(*tag, false) || later(*tag, true))
            })
    }
}
