//! The short form: few requests, and as many kinds of them.

use pitlane::Outcome;
use pitlane_reconcile::{Plan, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_count_what_their_clients_count() {
    let plan = Plan {
        requests: 20_000,
        clients: 8,
        program: env!("CARGO_BIN_EXE_pitlane-reconcile").into(),
    };
    let report = run(&plan).await;
    assert_eq!(report.asked.total(), plan.requests);
    for outcome in Outcome::ALL {
        assert!(
            report.asked.of(outcome) > 0,
            "nobody had a {outcome}: {report}"
        );
    }
    assert!(report.agrees(), "{report}");
}
