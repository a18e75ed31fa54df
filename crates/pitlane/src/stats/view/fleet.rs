use serde::{Deserialize, Serialize};

use super::{CacheStats, NodeStats, Totals};

/// The numbers of all nodes of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FleetStats {
    /// When they were read, in milliseconds since the Unix epoch by the reader's clock.
    pub taken_ms: u64,
    /// Every node that has told its numbers lately, in order of name and start.
    pub nodes: Vec<NodeStats>,
    /// Nodes whose numbers can't be read: they run another version, or somebody else wrote there.
    pub unreadable: Vec<UnreadableNode>,
    /// All caches of all nodes together.
    pub totals: Totals,
    /// Each cache, of all nodes together. Memory is the sum over the nodes.
    pub caches: Vec<CacheStats>,
}

/// A node whose numbers can't be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UnreadableNode {
    /// The node.
    pub node: String,
    /// The version of Pitlane that it says it runs, if it says so.
    pub version: Option<String>,
    /// Why they can't be read, for people.
    pub why: String,
}
