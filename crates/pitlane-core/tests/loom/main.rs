//! What the log and the flights promise, in every order of a few threads that loom finds.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p pitlane-core --release --test loom`
#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod breaker;
mod flights;
mod log;
mod requests;

use std::ops::Deref;

use loom::{
    sync::Arc,
    thread::{self, JoinHandle},
};

/// Explores every schedule with at most three preemptions, or as many as `LOOM_MAX_PREEMPTIONS`
/// says: two find nearly every mistake (Musuvathi and Qadeer, "Iterative context bounding for
/// systematic testing of multithreaded programs", 2007).
fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(3);
    builder.check(body);
}

/// What the threads of a model have in common.
struct Shared<W>(Arc<W>);

impl<W: 'static> Shared<W> {
    fn new(world: W) -> Self {
        Self(Arc::new(world))
    }

    fn run<T: 'static>(&self, work: impl FnOnce(&W) -> T + 'static) -> JoinHandle<T> {
        let world = Arc::clone(&self.0);
        thread::spawn(move || work(&world))
    }
}

impl<W> Deref for Shared<W> {
    type Target = W;

    fn deref(&self) -> &W {
        &self.0
    }
}
