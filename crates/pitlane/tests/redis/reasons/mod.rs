//! Every reason there is, brought about: what Cache-Status says of it, what is counted, and what an
//! explanation tells come to the same.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

mod case;
mod grpc;
mod rows;
mod shared;
mod special;

use std::{collections::BTreeMap, time::Duration};

use pitlane::Reason;

/// What no request can bring about, and why.
const OUT_OF_REACH: [(Reason, &str); 2] = [
    (
        Reason::ControlCharacter,
        "the type of header values holds none, unless it is made by unsafe code",
    ),
    (
        Reason::Policy,
        "it stands for refusals that a newer version of the policy has, and for values whose \
         computation was given up",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reason_is_reached() {
    // Whoever waits for something that can't come hangs, and fails.
    let reached = tokio::time::timeout(Duration::from_secs(120), reached()).await;
    let mut times: BTreeMap<&str, usize> = Reason::ALL.iter().map(|r| (r.as_str(), 0)).collect();
    for reason in reached.unwrap() {
        *times.get_mut(reason.as_str()).unwrap() += 1;
    }
    times.retain(|_, times| *times != 1);
    assert!(
        times.is_empty(),
        "each reason has exactly one row here; these have another number: {times:?}"
    );
}

async fn reached() -> Vec<Reason> {
    let mut reached: Vec<Reason> = Vec::new();
    for case in rows::all() {
        reached.push(case.reason);
        case.run().await;
    }
    reached.extend(special::all().await);
    reached.extend(grpc::all().await);
    reached.extend(shared::all().await);
    reached.extend(OUT_OF_REACH.iter().map(|(reason, _)| *reason));
    reached
}
