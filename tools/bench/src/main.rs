//! Side-by-side benchmarks: everything in one run, in turns, with ratios.
//!
//! `cargo xtask bench hit` prints what a hit in memory and a pass-through cost against the bare
//! service; `statistics` what keeping statistics adds to a hit, alone; `policy` what the decisions behind them cost, one by one; `codec` what an entry costs as
//! bytes against framing by hand; `data` what a cached value and a fragment in memory cost against a map's, and
//! a page of fragments against one without; `remote` what a hit from Redis costs against a bare GET, and
//! `remote-http` against a bare server; `invalidate` what one invalidation costs, and what Redis
//! holds for it; `layers` what each of the smaller layers costs a call, with one thread and with two; `encodings`
//! what a compressed hit costs, kept and compressed on every hit. Only the ratios of one run mean anything; the
//! times depend on the machine. Those with Redis start redis-servers of their own.
#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a command-line tool"
)]

mod codec;
mod data;
mod encodings;
mod fragments;
mod hit;
mod invalidate;
mod layers;
mod measure;
mod nodes;
mod policy;
mod remote;
mod remote_http;
mod statistics;

fn main() {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let names = if names.is_empty() {
        vec![String::from("hit")]
    } else {
        names
    };
    for name in &names {
        match name.as_str() {
            "hit" => hit::run(),
            "statistics" => statistics::run(),
            "policy" => policy::run(),
            "codec" => codec::run(),
            "data" => data::run(),
            "remote" => remote::run(),
            "remote-http" => remote_http::run(),
            remote_http::SERVE => return remote_http::serve(&names),
            "invalidate" => invalidate::run(),
            "layers" => layers::run(),
            "encodings" => encodings::run(),
            other => {
                eprintln!(
                    "no benchmark is named {other:?}; there are: hit, statistics, policy, codec, data, remote, \
                     remote-http, invalidate, layers, encodings"
                );
                std::process::exit(2);
            }
        }
    }
}
