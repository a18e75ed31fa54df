//! The layers and caches over a real redis-server, on several nodes in one process.

mod nodes;
mod pages;
