//! Attacks on a response cache, over real sockets: an attacker's request warms the cache, then a
//! clean request reads it.
//!
//! The tables run against caches in memory and against caches whose every hit comes from Redis.
//! A class is a row or more of the tables in `attacks`, or a module where one request after
//! another is not enough:
//!
//! | class | where |
//! | --- | --- |
//! | 1-5, 7-12 (what a request says) | `attacks::request`, `attacks::target` |
//! | 1, 6, 17 and 20 where an operator has said more (a proxy, parameters, credentials, what is hidden), 37 (tenants) | `attacks::options` |
//! | 36 (QUERY, and POST that only asks) | `attacks::bodies` |
//! | 13-20, 22-25, 27, 31, 35 (what the handler answers) | `attacks::answer`, `attacks::representation` |
//! | 8 with a normalising layer, 20 with a changing Vary | `sequences` |
//! | 21, 30 (bounds) | `bounds` |
//! | 29 (a flood of URLs) | the test `flood`, a process of its own |
//! | 22-24 with encoded forms of what is stored | `encoded` |
//! | 35 where a placeholder is replaced on a hit | `nonces` |
//! | 38 (a dry run: what it stored is nobody's) | `trying` |
//! | 18 where a session is written to behind the head | `personal` |
//! | 26 (a forged entry in Redis) | `pitlane`'s own tests over Redis |
//! | 28 (keys and tags) | `keys`, `identities` |
//! | 32 (powers of an anonymous client) | `powers` |
//! | 33 (slow and gone clients) | `followers` |
//! | 23 and 24 where parts are cut from an entry and entries are validated; HEAD, writes, groups, targeted fields and Cache-Status that lie | `tests/scenarios/attacks.toml` |
//! | 17, 18 and 21 where entries are validated; a flood of `only-if-cached` | `revalidation` |
//!
//! Not here yet, because what they attack is not here yet:
//!
//! | class | waits for |
//! | --- | --- |
//! | 34 | the gRPC layer |
//!
//! Outside of what the default can see: a handler that repeats a request header which is neither
//! in the key nor in its own Vary (`User-Agent`, `Referer`). It must say Vary.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attacks;
mod bodies;
mod bounds;
mod control;
mod encoded;
mod followers;
mod identities;
mod keys;
mod naive;
mod nonces;
mod personal;
mod powers;
mod revalidation;
mod runner;
mod scenarios;
mod sequences;
mod trying;
