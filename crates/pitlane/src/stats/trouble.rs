/// What went wrong within a cache. Whoever asked got an answer all the same, which is why somebody
/// has to count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Trouble {
    /// What Redis held was no entry; it was deleted.
    Corrupt,
    /// Redis did not answer a look within the budget, or said no.
    ReadFailed,
    /// Redis did not take an entry.
    WriteFailed,
    /// An entry was not sent to Redis: too many calls, or too many bytes, were on their way.
    WriteOverload,
    /// An entry was not sent to Redis, which was out of reach.
    WriteSkipped,
    /// An entry was not sent to Redis: nobody could read it there, because it is too large.
    WriteTooLarge,
    /// An entry that is wrong was not taken out of Redis; its lifetime or the log ends it.
    DeleteFailed,
    /// Too much ran in the background already: a refresh, or an entry for Redis, was left out.
    BackgroundFull,
    /// Giving back the memory in Redis after a clear ended early; expiry does the rest.
    ReclaimFailed,
}

impl Trouble {
    /// All of them, in the order of their numbers.
    #[cfg(feature = "metrics")]
    pub(crate) const ALL: [Self; 9] = [
        Self::Corrupt,
        Self::ReadFailed,
        Self::WriteFailed,
        Self::WriteOverload,
        Self::WriteSkipped,
        Self::WriteTooLarge,
        Self::DeleteFailed,
        Self::BackgroundFull,
        Self::ReclaimFailed,
    ];

    /// The metric label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Corrupt => "corrupt",
            Self::ReadFailed => "read-failed",
            Self::WriteFailed => "write-failed",
            Self::WriteOverload => "write-overload",
            Self::WriteSkipped => "write-skipped",
            Self::WriteTooLarge => "write-too-large",
            Self::DeleteFailed => "delete-failed",
            Self::BackgroundFull => "background-full",
            Self::ReclaimFailed => "reclaim-failed",
        }
    }
    /// One sentence for people.
    #[cfg(all(test, feature = "metrics", feature = "redis"))]
    pub(crate) const fn explain(self) -> &'static str {
        match self {
            Self::Corrupt => "What Redis held was no entry; it was deleted.",
            Self::ReadFailed => "Redis did not answer a look within the budget, or said no.",
            Self::WriteFailed => "Redis did not take an entry.",
            Self::WriteOverload => {
                "An entry was not sent to Redis: too many calls, or too many bytes, were on their way."
            }
            Self::WriteSkipped => "An entry was not sent to Redis, which was out of reach.",
            Self::WriteTooLarge => {
                "An entry was not sent to Redis: nobody could read it there, because it is too large."
            }
            Self::DeleteFailed => {
                "An entry that is wrong was not taken out of Redis; its lifetime or the log ends it."
            }
            Self::BackgroundFull => {
                "Too much ran in the background already: a refresh, or an entry for Redis, was left out."
            }
            Self::ReclaimFailed => {
                "Giving back the memory in Redis after a clear ended early; expiry does the rest."
            }
        }
    }
}
