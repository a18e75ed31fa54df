//! What the codec costs beside framing by hand: the same fields, put one after the other with
//! their lengths before them and taken apart again into the same parts. Nothing is bounded or
//! judged there; each floor is measured with the codec's checksum and without any.

mod by_hand;

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use pitlane_core::codec::{self, Compression, Frame, Limits};
use pitlane_core::{Incarnation, LogId, Position, Tag, TagId, TagKind, Timestamp};

use self::by_hand::Packing;
use crate::measure::{Case, in_turns};

/// An entry as a cache of pages has it.
struct Entry {
    ids: Vec<TagId>,
    names: Vec<Tag>,
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Entry {
    fn new(body: Vec<u8>) -> Self {
        Self {
            ids: (0..5).map(|n| TagId::from_bytes([n; 16])).collect(),
            names: vec![Tag::new("club:42"), Tag::of(TagKind::Group, "members")],
            head: noise(180),
            body,
        }
    }

    fn frame(&self) -> Frame<'_> {
        Frame {
            position: Position {
                incarnation: Incarnation::from_u64(0x00f1_e2d3_c4b5_a697),
                id: LogId {
                    millis: 1_732_330_000_000,
                    sequence: 3,
                },
            },
            stored_at: Timestamp::from_millis(1_732_330_000_123),
            cost: Duration::from_millis(12),
            kind: 1,
            key: b"GET https://simlane.example/clubs/42?page=2",
            ids: &self.ids,
            names: &self.names,
            head: &self.head,
            body: &self.body,
        }
    }
}

/// One body and one way to store it.
struct Subject {
    name: &'static str,
    body: Vec<u8>,
    compression: Compression,
    packing: Packing,
    /// How much slower than framing by hand it may be; compression has no bar of its own.
    bars: Option<(f64, f64)>,
}

fn subjects() -> Vec<Subject> {
    let plain = |name, body, compression, bars| Subject {
        name,
        body,
        compression,
        packing: Packing::None,
        bars,
    };
    let packed = |name, size, compression, packing| Subject {
        name,
        body: page(size),
        compression,
        packing,
        bars: None,
    };
    let (kib, kib4, kib64) = (1 << 10, 4 << 10, 64 << 10);
    let (none, lz4, zstd) = (Compression::None, Compression::Lz4, Compression::Zstd);
    vec![
        plain("1 KiB, noise", noise(kib), lz4, Some((1.1, 1.1))),
        plain("1 KiB, page (too short)", page(kib), lz4, Some((1.1, 1.1))),
        plain("64 KiB, noise", noise(kib64), none, Some((f64::NAN, 1.1))),
        plain("64 KiB, noise, lz4 tried", noise(kib64), lz4, None),
        packed("4 KiB, page, lz4", kib4, lz4, Packing::Lz4),
        packed("64 KiB, page, lz4", kib64, lz4, Packing::Lz4),
        packed("4 KiB, page, zstd", kib4, zstd, Packing::Zstd),
        packed("64 KiB, page, zstd", kib64, zstd, Packing::Zstd),
    ]
}

pub(crate) fn run() {
    println!(
        "{:<26} {:>7} {:>9} {:>15} {:>7} {:>15} {:>7}",
        "codec, ns a call", "bytes", "codec", "hand with crc", "ratio", "hand, no crc", "ratio"
    );
    for subject in subjects() {
        let (encode, decode) = subject.bars.unzip();
        subject.row("encode", &mut subject.encoders(), encode);
        subject.row("decode", &mut subject.decoders(), decode);
    }
    println!(
        "bars: 1 KiB encode and decode and 64 KiB decode at most 1.1x of framing by hand; where a \
         page is compressed, framing by hand makes a new context each time"
    );
}

impl Subject {
    fn row(&self, what: &str, cases: &mut [Case; 3], bar: Option<f64>) {
        let times = in_turns(cases);
        let length = encode(&Entry::new(self.body.clone()), self.compression).len();
        let ratios = [times[0] / times[1], times[0] / times[2]];
        let verdict = match bar {
            Some(bar) if !bar.is_nan() => {
                let met = |ratio| if ratio <= bar { "met" } else { "missed" };
                let [with, without] = ratios.map(met);
                format!("  bar {bar}x: {with} with crc, {without} without")
            }
            _ => String::new(),
        };
        println!(
            "{:<26} {length:>7} {:>9.0} {:>15.0} {:>6.2}x {:>15.0} {:>6.2}x{verdict}",
            format!("{what} {}", self.name),
            times[0],
            times[1],
            ratios[0],
            times[2],
            ratios[1],
        );
    }

    fn encoders(&self) -> [Case; 3] {
        let entry = || Entry::new(self.body.clone());
        let (compression, packing) = (self.compression, self.packing);
        let codec = entry();
        let with = entry();
        let without = entry();
        [
            case(move || codec::encode(&black_box(&codec).frame(), compression)),
            case(move || by_hand::encode(&black_box(&with).frame(), packing, true)),
            case(move || by_hand::encode(&black_box(&without).frame(), packing, false)),
        ]
    }

    fn decoders(&self) -> [Case; 3] {
        let entry = Entry::new(self.body.clone());
        let packing = self.packing;
        let codec = encode(&entry, self.compression);
        codec::decode(&codec, &Limits::default()).expect("a frame");
        let with = by_hand::encode(&entry.frame(), packing, true);
        let without = by_hand::encode(&entry.frame(), packing, false);
        // Bytes from a socket are shared already: no case pays for that.
        drop((codec.clone(), with.clone(), without.clone()));
        [
            case(move || codec::decode(black_box(&codec), &Limits::default())),
            case(move || by_hand::decode(black_box(&with), packing, true)),
            case(move || by_hand::decode(black_box(&without), packing, false)),
        ]
    }
}

fn encode(entry: &Entry, compression: Compression) -> Bytes {
    codec::encode(&entry.frame(), compression).expect("a frame")
}

fn case<R>(mut work: impl FnMut() -> R + 'static) -> Case {
    Case {
        name: "",
        work: Box::new(move || drop(black_box(work()))),
    }
}

/// Bytes that no compressor makes smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()[7]
    };
    (0..length).map(|_| next()).collect()
}

/// A page of HTML: a table whose rows differ.
fn page(length: usize) -> Vec<u8> {
    let numbers = noise(length);
    let rows = numbers.chunks(2).enumerate().flat_map(|(row, number)| {
        let number = u32::from(number[0]) * 71;
        format!(
            "<tr class=\"row\"><td>{row}</td><td><a href=\"/members/{number}\">Member {number}\
             </a></td></tr>\n"
        )
        .into_bytes()
    });
    rows.take(length).collect()
}
