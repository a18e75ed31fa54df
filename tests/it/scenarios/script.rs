//! The origin of a story: it answers as the step says and remembers what it was asked.

use std::sync::{Arc, Mutex, MutexGuard};

use super::{expect::Seen, story::Reply};

/// Clones are the same origin.
#[derive(Clone, Debug, Default)]
pub(super) struct Script(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    reply: Reply,
    seen: Vec<Seen>,
}

impl Script {
    /// From now on it answers so, and has been asked nothing yet.
    pub(super) fn begin(&self, reply: Reply) {
        *self.state() = State {
            reply,
            seen: Vec::new(),
        };
    }

    pub(super) fn ask(&self, seen: Seen) -> Reply {
        let mut state = self.state();
        state.seen.push(seen);
        state.reply.clone()
    }

    /// What it was asked since it began.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic while it was held")
    }
}

/// Whether an answer to this method with this status has no body, whatever its head says.
pub(super) fn is_bodiless(method: &str, status: u16) -> bool {
    method == "HEAD" || matches!(status, 100..=199 | 204 | 304)
}
