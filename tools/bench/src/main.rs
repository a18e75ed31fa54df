//! Side-by-side benchmarks: everything in one run, in turns, with ratios.
//!
//! `cargo xtask bench hit` prints what a hit in memory and a pass-through cost against the bare
//! service; `codec` what an entry costs as bytes against framing by hand. Only the ratios of one
//! run mean anything; the times depend on the machine.
#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a command-line tool"
)]

mod codec;
mod hit;
mod measure;

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
            "codec" => codec::run(),
            other => {
                eprintln!("no benchmark is named {other:?}; there are: hit, codec");
                std::process::exit(2);
            }
        }
    }
}
