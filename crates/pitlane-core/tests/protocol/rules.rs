//! Rules that can be taken out, and worlds to walk in.

use super::action::{Action, Slot};

/// A rule of the log. A world without one must be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// A position is noted before the handler runs.
    NoteFirst,
    /// An entry's generation is the one that its position was noted with.
    GenerationOfPosition,
    /// A follower of a flight judges what it is handed.
    FollowerJudges,
    /// An own append moves the watermark only if nothing lies between.
    OwnIsNext,
    /// A record is applied only behind its predecessor.
    Linked,
    /// A gap is a new join.
    GapJoins,
    /// An answer of the hash counts only if the node did not join since it asked.
    AnswerOfEpoch,
    /// Answers of the hash are merged by maximum.
    AnswerMerges,
    /// Below the floor of the hash nothing is usable.
    Floor,
    /// Soft and hard positions are kept apart.
    SlotsApart,
    /// Only what was judged fresh is promoted.
    StaleStays,
    /// The remote tier is read again only when the queue is drained.
    QueueFirst,
    /// What was begun before the join dies with it.
    JoinEnds,
    /// A renewal takes the place of the life that the node knew, and of no other.
    CompareAndSet,
    /// On another life of the log a node appends again what it had acknowledged.
    AppendAgain,
    /// A tail that is shared was sent after the read began.
    TailAfterBegin,
}

impl Rule {
    pub(super) const ALL: [Self; 16] = [
        Self::NoteFirst,
        Self::GenerationOfPosition,
        Self::FollowerJudges,
        Self::OwnIsNext,
        Self::Linked,
        Self::GapJoins,
        Self::AnswerOfEpoch,
        Self::AnswerMerges,
        Self::Floor,
        Self::SlotsApart,
        Self::StaleStays,
        Self::QueueFirst,
        Self::JoinEnds,
        Self::CompareAndSet,
        Self::AppendAgain,
        Self::TailAfterBegin,
    ];
}

/// What may happen in a world; numbers say how often, beside what always may.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) name: &'static str,
    pub(super) nodes: usize,
    /// How many of them have joined when it begins.
    pub(super) joined: usize,
    /// Whether entries are stored already, and the others join behind them.
    pub(super) stored: bool,
    /// How many tags a node remembers.
    pub(super) capacity: usize,
    /// How many records the stream keeps.
    pub(super) length: usize,
    /// Soft marks, and computations that use what is cached.
    pub(super) soft: bool,
    /// Links that are cut, replies that are lost, callers that leave, debts.
    pub(super) cuts: u32,
    /// More debts than a node remembers.
    pub(super) overflow: u32,
    /// Nodes that end and begin anew.
    pub(super) crashes: u32,
    /// A stream that is trimmed, a hash that is cleaned.
    pub(super) upkeep: u32,
    /// Keys that are evicted or flushed, scripts that are flushed.
    pub(super) losses: u32,
    /// Replicas that lag and take over, with clocks of their own.
    pub(super) failovers: u32,
    /// Old primaries live on for one of the nodes.
    pub(super) split: bool,
    /// What has happened when the walk begins.
    pub(super) begins: &'static [Action],
}

const QUIET: Plan = Plan {
    name: "quiet",
    nodes: 2,
    joined: 2,
    stored: false,
    capacity: 64,
    length: 64,
    soft: false,
    cuts: 0,
    overflow: 0,
    crashes: 0,
    upkeep: 0,
    losses: 0,
    failovers: 0,
    split: false,
    begins: &[],
};

const JOINS: Plan = Plan {
    name: "joins",
    nodes: 3,
    joined: 1,
    crashes: 1,
    ..QUIET
};

const CUTS: Plan = Plan {
    name: "cut links",
    soft: true,
    cuts: 1,
    nodes: 3,
    ..QUIET
};

const UPKEEP: Plan = Plan {
    name: "trims and a janitor",
    nodes: 3,
    joined: 2,
    upkeep: 1,
    ..QUIET
};

const HASH: Plan = Plan {
    name: "a hash that has to be asked",
    joined: 1,
    stored: true,
    upkeep: 1,
    ..QUIET
};

const SHORT: Plan = Plan {
    name: "a short stream",
    upkeep: 0,
    length: 1,
    ..HASH
};

/// The second node has asked the hash, and the answer is on its way.
const LATE: Plan = Plan {
    name: "a late answer",
    length: 1,
    begins: &[
        Action::Read(1, Slot::Read(0), 0, false),
        Action::Execute(1, Slot::Read(0)),
        Action::Answer(1, Slot::Read(0)),
        Action::Execute(1, Slot::Read(0)),
        Action::Answer(1, Slot::Read(0)),
        Action::Go(1, Slot::Read(0)),
        Action::Execute(1, Slot::Read(0)),
    ],
    ..HASH
};

/// Without overflows: a renewal that an old primary acknowledged is not made again elsewhere.
const SPLIT: Plan = Plan {
    name: "two primaries",
    failovers: 1,
    split: true,
    begins: &[
        Action::Replicate,
        Action::FailOver {
            skewed: false,
            split: true,
        },
        Action::Beat(0),
        Action::Execute(0, Slot::Keeper),
        Action::Answer(0, Slot::Keeper),
        Action::Execute(0, Slot::Keeper),
        Action::Answer(0, Slot::Keeper),
        Action::Fill(0, 0, false),
    ],
    ..QUIET
};

/// The worlds, from a quiet one to one in which everything happens.
pub(super) const PLANS: [Plan; 12] = [
    QUIET,
    JOINS,
    Plan {
        name: "a small table",
        capacity: 2,
        soft: true,
        ..JOINS
    },
    CUTS,
    UPKEEP,
    HASH,
    SHORT,
    LATE,
    Plan {
        name: "losses",
        losses: 1,
        soft: true,
        ..JOINS
    },
    Plan {
        name: "failovers",
        failovers: 1,
        cuts: 1,
        crashes: 1,
        ..JOINS
    },
    SPLIT,
    Plan {
        name: "everything",
        nodes: 3,
        joined: 2,
        capacity: 2,
        soft: true,
        cuts: 1,
        overflow: 1,
        crashes: 1,
        upkeep: 1,
        losses: 1,
        failovers: 1,
        ..QUIET
    },
];

impl Rule {
    /// The world in which it is missed.
    pub(super) const fn plan(self) -> Plan {
        match self {
            Self::NoteFirst | Self::GenerationOfPosition | Self::FollowerJudges => QUIET,
            Self::OwnIsNext | Self::TailAfterBegin => QUIET,
            Self::CompareAndSet => Plan { losses: 1, ..QUIET },
            Self::JoinEnds => JOINS,
            Self::SlotsApart | Self::StaleStays | Self::QueueFirst => CUTS,
            Self::Linked | Self::GapJoins => UPKEEP,
            Self::Floor | Self::AnswerMerges => HASH,
            Self::AnswerOfEpoch => LATE,
            Self::AppendAgain => SPLIT,
        }
    }
}
