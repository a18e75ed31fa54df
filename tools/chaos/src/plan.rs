use std::time::Duration;

/// How long a run takes, and how often a fault is repeated in it.
#[derive(Clone, Debug)]
#[must_use]
pub struct Plan {
    /// How long the load runs without Redis, as the measure of throughput. Zero: not at all.
    pub alone: Duration,
    /// How long a fault lasts that has no time of its own.
    pub window: Duration,
    /// How often the faults of the bar "20 of 20" are repeated.
    pub repeats: usize,
    /// How long each repetition lasts after the first.
    pub repeat_window: Duration,
    /// How long the first freeze lasts.
    pub freeze: Duration,
    /// How long the freeze lasts over which memory is watched.
    pub long_freeze: Duration,
    /// What Redis may cost one request.
    pub budget: Duration,
    /// How long each client waits between the starts of two requests.
    pub pace: Duration,
}

impl Plan {
    /// What `cargo xtask chaos` does: 20 repetitions, but short ones.
    pub const fn usual() -> Self {
        Self {
            alone: Duration::from_secs(3),
            window: Duration::from_secs(5),
            repeats: 20,
            repeat_window: Duration::from_millis(700),
            freeze: Duration::from_secs(10),
            long_freeze: Duration::from_secs(60),
            budget: Duration::from_millis(50),
            pace: Duration::from_millis(25),
        }
    }

    /// What `cargo xtask chaos --long` does.
    pub const fn long() -> Self {
        Self {
            alone: Duration::from_secs(10),
            window: Duration::from_secs(15),
            repeat_window: Duration::from_secs(3),
            ..Self::usual()
        }
    }

    /// What the tests do: each fault is met, and no figure of speed means anything.
    pub const fn short() -> Self {
        Self {
            alone: Duration::ZERO,
            window: Duration::from_millis(2500),
            repeats: 2,
            repeat_window: Duration::from_millis(500),
            freeze: Duration::from_millis(2500),
            long_freeze: Duration::from_secs(3),
            budget: Duration::from_secs(1),
            pace: Duration::from_millis(120),
        }
    }
}
