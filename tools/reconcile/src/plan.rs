use std::path::PathBuf;

/// What is done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many requests.
    pub requests: u64,
    /// How many clients ask at a time, on each node.
    pub clients: usize,
    /// The program that serves; see [`serve`](crate::serve).
    pub program: PathBuf,
}
