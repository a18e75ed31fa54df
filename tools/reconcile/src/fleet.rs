//! What the nodes say that they have counted.

use std::time::Duration;

use pitlane::{Caches, stats::FleetStats};

use crate::tally::Tally;

/// How long the last snapshots may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reads the fleet until it has counted `expected` requests, or for as long as that may take.
pub(crate) async fn read(caches: &Caches, expected: u64) -> FleetStats {
    let mut last = FleetStats::default();
    let wait = async {
        loop {
            if let Ok(fleet) = caches.fleet_stats().await {
                last = fleet;
                if counted(&last).total() >= expected && last.nodes.len() == 2 {
                    // One that counts too much would show only now.
                    tokio::time::sleep(Duration::from_millis(1_500)).await;
                    if let Ok(fleet) = caches.fleet_stats().await {
                        last = fleet;
                        return;
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let _ = tokio::time::timeout(PATIENCE, wait).await;
    last
}

pub(crate) fn counted(fleet: &FleetStats) -> Tally {
    Tally::from(&fleet.totals.windows.since_start.outcomes)
}
