use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::plan::Plan;

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What is done to Redis.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[$doc])* $variant,)*
        }

        impl Fault {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name on the command line and in the table.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

faults! {
    /// None: what the machine does by itself, to read the others by.
    Nothing = "nothing",
    /// Redis is not there when the nodes start.
    Refused = "refused-at-start",
    /// The process is killed and started again with its data, 20 times.
    Killed = "killed",
    /// The process stands still, 20 times; the first for 10 seconds.
    Frozen = "frozen",
    /// The process stands still for a minute, over which memory is watched.
    FrozenLong = "frozen-60s",
    /// Every answer comes 200 ms late.
    Slow = "slow",
    /// Connections end after 3,000 bytes of answers.
    Cut = "cut",
    /// Nothing arrives, in either direction, and connections stay open.
    Blackhole = "blackhole",
    /// Answers are random bytes.
    Garbage = "garbage",
    /// Answers are those to other questions.
    WrongReply = "wrong-reply",
    /// No memory is left, and nothing may be evicted.
    OutOfMemory = "oom",
    /// The server has become a replica.
    ReadOnly = "readonly",
    /// The server loads its data.
    Loading = "loading",
    /// The server asks for a password that nobody was told.
    NoAuth = "noauth",
    /// The password has changed.
    Rotated = "rotated",
    /// The server forgets its scripts.
    ScriptFlush = "script-flush",
    /// Somebody's script doesn't end.
    Busy = "busy",
    /// Clients that are sent more than a little are cut off.
    OutputBuffer = "output-buffer",
    /// All entries are random bytes.
    Corrupt = "corrupt",
    /// The log keeps its last record only.
    Trimmed = "log-trimmed",
    /// The stream is evicted, alone.
    LogEvicted = "log-evicted",
    /// The tail key is evicted, alone.
    TailEvicted = "tail-evicted",
    /// The hash is evicted, alone.
    HashEvicted = "hash-evicted",
    /// Everything is gone.
    FlushAll = "flushall",
    /// The process is killed and started again without its data.
    DataLost = "data-lost",
}

/// When a fault comes, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// It lasts for each of these, with a recovery after each.
    Lasting(Vec<Duration>),
    /// It is over as soon as it was there, and comes again a few times within this.
    Momentary(Duration),
}

impl Fault {
    pub(crate) fn course(self, plan: &Plan) -> Course {
        let repeated = |first: Duration| {
            let rest = std::iter::repeat_n(plan.repeat_window, plan.repeats.saturating_sub(1));
            Course::Lasting(std::iter::once(first).chain(rest).collect())
        };
        match self {
            Self::Killed | Self::DataLost => repeated(plan.window),
            Self::Frozen => repeated(plan.freeze),
            Self::FrozenLong => Course::Lasting(vec![plan.long_freeze]),
            Self::ScriptFlush
            | Self::Corrupt
            | Self::Trimmed
            | Self::LogEvicted
            | Self::TailEvicted
            | Self::HashEvicted
            | Self::FlushAll => Course::Momentary(plan.window),
            _ => Course::Lasting(vec![plan.window]),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let mut all = Self::ALL.iter();
        let found = all.find(|fault| fault.as_str() == name).copied();
        found.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|fault| fault.as_str()).collect();
            format!(
                "no fault is named {name:?}; there are: {}",
                names.join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_by_its_name() {
        for fault in Fault::ALL {
            assert_eq!(fault.as_str().parse(), Ok(*fault));
        }
        let error = "frozn".parse::<Fault>().unwrap_err();
        assert!(
            error.starts_with("no fault is named \"frozn\"; there are: nothing, refused-at-start")
        );
    }

    #[test]
    fn kills_and_freezes_come_twenty_times() {
        for fault in [Fault::Killed, Fault::Frozen, Fault::DataLost] {
            let Course::Lasting(windows) = fault.course(&Plan::usual()) else {
                panic!("{fault} lasts");
            };
            assert_eq!(windows.len(), 20, "{fault}");
        }
    }
}
