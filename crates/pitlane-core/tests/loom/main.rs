//! What the log and the flights promise, in every order of a few threads that loom finds.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p pitlane-core --release --test loom`
#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod flights;
mod log;
mod requests;

use std::ops::Deref;

use loom::{
    sync::Arc,
    thread::{self, JoinHandle},
};

/// Explores every schedule with at most so many preemptions: two find nearly every mistake, and
/// what needs more is given more (Musuvathi and Qadeer, "Iterative context bounding", 2007).
fn model(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
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
