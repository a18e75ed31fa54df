//! Real databases, real caches, and writes that end in every way a write can.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod endings;
mod fixture;
mod parts;
mod postgres;
mod sqlite;
mod waiting;
