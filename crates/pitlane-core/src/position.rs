use std::{fmt, str::FromStr};

/// One life of the invalidation log. Positions compare only within the same incarnation: a log
/// that lost records comes back as another one, and everything stored under the old is a miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Incarnation(u64);

impl Incarnation {
    /// No log at all: what carries it is never usable.
    pub const NONE: Self = Self(0);

    /// An incarnation from a random number, which must be fresh for every life of a log.
    #[must_use]
    pub const fn from_random(random: u64) -> Self {
        // Zero is taken by `NONE`.
        Self(if random == 0 { 1 } else { random })
    }

    /// The number itself, as it leaves the process; zero for [`Incarnation::NONE`].
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The incarnation that [`Incarnation::as_u64`] wrote.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }
}

/// Where a record stands in the log: a Redis stream ID, or a counter in `sequence` without Redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId {
    /// The first half of a stream ID, in milliseconds of the server's clock.
    pub millis: u64,
    /// The second half: a counter within that millisecond.
    pub sequence: u64,
}

impl LogId {
    /// Before every record.
    pub const ZERO: Self = Self {
        millis: 0,
        sequence: 0,
    };

    /// The ID that an in-process log gives next.
    #[must_use]
    pub const fn next(self) -> Self {
        Self {
            millis: self.millis,
            sequence: self.sequence + 1,
        }
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.sequence)
    }
}

/// A place in one incarnation of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which life of the log.
    pub incarnation: Incarnation,
    /// Where in it.
    pub id: LogId,
}

impl Position {
    /// A position that no log has: never usable.
    pub const NOWHERE: Self = Self {
        incarnation: Incarnation::NONE,
        id: LogId::ZERO,
    };

    /// The earlier of two positions; [`Position::NOWHERE`] when they can't be compared, because
    /// what was made of two lives of the log belongs to neither.
    #[must_use]
    pub fn earlier(self, other: Self) -> Self {
        if self.incarnation != other.incarnation {
            return Self::NOWHERE;
        }
        Self {
            incarnation: self.incarnation,
            id: self.id.min(other.id),
        }
    }

    /// The later of two positions of one incarnation; `self` when they can't be compared.
    #[must_use]
    pub fn later(self, other: Self) -> Self {
        if self.incarnation != other.incarnation {
            return self;
        }
        Self {
            incarnation: self.incarnation,
            id: self.id.max(other.id),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}@{}", self.incarnation.0, self.id)
    }
}

impl FromStr for Position {
    type Err = PositionError;

    /// Reads the text form: 16 hexadecimal digits, `@`, and two decimal numbers with `-` between.
    fn from_str(text: &str) -> Result<Self, PositionError> {
        let parse = || {
            let (incarnation, id) = text.split_once('@')?;
            let hex = incarnation.len() == 16
                && incarnation
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
            let incarnation = hex.then(|| u64::from_str_radix(incarnation, 16).ok())??;
            Some(Self {
                incarnation: Incarnation(incarnation),
                id: id.parse().ok()?,
            })
        };
        parse().ok_or(PositionError)
    }
}

impl FromStr for LogId {
    type Err = PositionError;

    /// Reads a Redis stream ID.
    fn from_str(text: &str) -> Result<Self, PositionError> {
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten()
        };
        let parse = || {
            let (millis, sequence) = text.split_once('-')?;
            Some(Self {
                millis: number(millis)?,
                sequence: number(sequence)?,
            })
        };
        parse().ok_or(PositionError)
    }
}

/// A text that is no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PositionError;

impl fmt::Display for PositionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no position in the log: it looks like 00f1e2d3c4b5a697@1732330000000-0")
    }
}

impl std::error::Error for PositionError {}

/// What a fill notes in one atomic snapshot before any handler code runs: how much of the log the
/// node had seen, and the node-local generation that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basis {
    /// The node's watermark when the computation began. A watermark that lags is safe: it only
    /// costs a needless miss.
    pub position: Position,
    /// How many invalidations the node had made itself that had no position yet, because the log
    /// could not be reached: their order within the node stands in for positions.
    pub local: u64,
    /// The node's generation at that moment; `None` when what was computed from must be judged
    /// again before it is used.
    pub generation: Option<u64>,
}

impl Basis {
    /// Nothing is known of the log: an entry with this basis is never usable.
    pub const NOWHERE: Self = Self {
        position: Position::NOWHERE,
        local: 0,
        generation: None,
    };

    /// The basis of something made of two: the lower position, and a generation only when both
    /// have the same.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        let generation = if self.generation == other.generation {
            self.generation
        } else {
            None
        };
        Self {
            position: self.position.earlier(other.position),
            local: self.local.min(other.local),
            generation,
        }
    }

    /// The same position without a generation: it must be judged before it counts as fresh.
    #[must_use]
    pub const fn unjudged(self) -> Self {
        Self {
            generation: None,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(incarnation: u64, sequence: u64) -> Position {
        Position {
            incarnation: Incarnation::from_random(incarnation),
            id: LogId {
                millis: 0,
                sequence,
            },
        }
    }

    #[test]
    fn positions_of_two_incarnations_merge_to_nowhere() {
        assert_eq!(at(1, 5).earlier(at(2, 9)), Position::NOWHERE);
        assert_eq!(at(1, 5).earlier(at(1, 9)), at(1, 5));
        assert_eq!(at(1, 5).later(at(1, 9)), at(1, 9));
        assert_eq!(at(1, 5).later(at(2, 9)), at(1, 5));
    }

    #[test]
    fn a_merged_basis_keeps_a_generation_only_when_both_agree() {
        let low = Basis {
            position: at(1, 5),
            local: 7,
            generation: Some(3),
        };
        let high = Basis {
            position: at(1, 9),
            local: 6,
            generation: Some(4),
        };
        assert_eq!(
            low.merge(high),
            Basis {
                position: at(1, 5),
                local: 6,
                generation: None
            }
        );
        assert_eq!(low.merge(low), low);
    }

    #[test]
    fn a_position_reads_back_and_nothing_else_is_one() {
        assert_eq!(at(0xab, 5).to_string().parse(), Ok(at(0xab, 5)));
        for text in [
            "",
            "00000000000000ab",
            "00000000000000ab@5",
            "ab@0-5",
            "00000000000000AB@0-5",
            "+0000000000000ab@0-5",
            "00000000000000ab@0-+5",
            "00000000000000ab@0-5 ",
            "00000000000000ab@0-99999999999999999999",
        ] {
            assert_eq!(text.parse::<Position>(), Err(PositionError), "{text}");
        }
    }

    #[test]
    fn stream_ids_order_by_milliseconds_then_sequence() {
        let id = |millis, sequence| LogId { millis, sequence };
        assert!(id(1, 99) < id(2, 0));
        assert!(id(2, 0) < id(2, 1));
    }
}
