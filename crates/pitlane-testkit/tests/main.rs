//! The kit itself: what it promises to the tests that stand on it.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod postgres;
mod proxy;
mod redis;

use std::{thread, time::Duration};

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("not within 10 seconds: {what}");
}
