//! The board over real sockets, in both HTTP versions; the program itself; two of it over one
//! Redis.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod pages;
mod program;
mod sharing;
mod streams;
mod support;
