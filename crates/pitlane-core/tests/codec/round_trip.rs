use std::time::Duration;

use allocation_counter::measure;
use bytes::Bytes;
use pitlane_core::codec::{self, Compression, Limits, PEEK};
use pitlane_core::{Incarnation, LogId, Position, Tag, TagId, TagKind, Timestamp};
use proptest::prelude::*;

use super::{ALL, Entry, decode, noise, prose};

fn position() -> impl Strategy<Value = Position> {
    any::<(u64, u64, u64)>().prop_map(|(incarnation, millis, sequence)| Position {
        incarnation: Incarnation::from_u64(incarnation),
        id: LogId { millis, sequence },
    })
}

fn tag() -> impl Strategy<Value = Tag> {
    let kind = prop::sample::select(vec![
        TagKind::Tag,
        TagKind::Subtree,
        TagKind::Cache,
        TagKind::Uri,
        TagKind::Group,
    ]);
    (kind, any::<String>()).prop_map(|(kind, name)| Tag::of(kind, name))
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let around_the_threshold = || prop_oneof![0..2000_usize, 65_000..66_000_usize];
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..3000),
        around_the_threshold().prop_map(prose),
        around_the_threshold().prop_map(noise),
        // Prose that ends in noise: it shrinks, but has long literals.
        (0..3000_usize, 0..3000_usize).prop_map(|(a, b)| [prose(a), noise(b)].concat()),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..100);
    let ids = prop::collection::vec(any::<[u8; 16]>().prop_map(TagId::from_bytes), 0..20);
    let numbers = any::<(u64, u64, u8)>();
    let tags = (ids, prop::collection::vec(tag(), 0..6));
    (position(), numbers, bytes(), tags, bytes(), body()).prop_map(
        |(position, (stored_at, cost, kind), key, (ids, names), head, body)| Entry {
            position,
            stored_at: Timestamp::from_millis(stored_at),
            cost: Duration::from_millis(cost),
            kind,
            key,
            ids,
            names,
            head,
            body,
        },
    )
}

proptest! {
    #[test]
    fn what_is_encoded_comes_back(entry in entry(), compression in prop::sample::select(ALL)) {
        let bytes = entry.encode(compression);
        entry.check(&decode(bytes.clone()).expect("our own frame"));
        prop_assert_eq!(codec::peek_position(&bytes[..PEEK as usize]), Some(entry.position));
    }
}

#[test]
fn a_cost_keeps_whole_milliseconds_and_saturates() {
    let mut entry = Entry::sample();
    for (cost, kept) in [
        (Duration::from_micros(1999), Duration::from_millis(1)),
        (Duration::MAX, Duration::from_millis(u64::MAX)),
    ] {
        entry.cost = cost;
        let decoded = decode(entry.encode(Compression::None)).unwrap();
        assert_eq!(decoded.cost, kept);
    }
}

#[test]
fn only_a_body_over_one_kibibyte_is_compressed() {
    for &compression in ALL {
        let plain = |length| Entry::with_body(prose(length)).encode(Compression::None);
        let other = |length| Entry::with_body(prose(length)).encode(compression);
        assert_eq!(other(1024), plain(1024), "{compression:?}");
        let shrinks = other(1025).len() < plain(1025).len() / 2;
        assert_eq!(shrinks, compression != Compression::None, "{compression:?}");
    }
}

#[test]
fn a_body_that_does_not_shrink_is_stored_as_it_is() {
    for length in [1025, 5000, 100_000] {
        let entry = Entry::with_body(noise(length));
        let plain = entry.encode(Compression::None);
        for &compression in ALL {
            let bytes = entry.encode(compression);
            assert_eq!(bytes, plain, "{compression:?}, {length} bytes");
        }
    }
}

#[test]
fn what_is_not_compressed_shares_the_frames_memory() {
    for &compression in ALL {
        let entry = Entry::with_body(prose(5000));
        let bytes = entry.encode(compression);
        let decoded = decode(bytes.clone()).unwrap();
        let within = |part: &Bytes| bytes.as_ptr_range().contains(&part.as_ptr());
        assert!(within(&decoded.key) && within(&decoded.head));
        assert_eq!(within(&decoded.body), compression == Compression::None);
    }
}

#[test]
fn a_frame_is_one_allocation_of_just_its_size() {
    for &compression in ALL {
        for body in [prose(900), prose(9000), noise(9000), prose(90_000)] {
            let entry = Entry::with_body(body);
            // What a thread keeps between frames is made with the first.
            let length = entry.encode(compression).len() as u64;
            let info = measure(|| drop(entry.encode(compression)));
            let seen = (info.count_total, info.bytes_total);
            assert_eq!(seen, (1, length), "{compression:?}");
        }
    }
}

#[test]
fn decoding_allocates_for_tags_and_for_what_is_expanded() {
    let plain = Entry::sample();
    // One to share the frame, one for the numbers, and one for the names and for each of them.
    let expected = 2 + 1 + plain.names.len() as u64;
    for (body, more) in [(prose(900), 0), (prose(9000), 1)] {
        let frame = Entry::with_body(body).encode(Compression::Lz4);
        let info = measure(|| drop(codec::decode(&frame, &Limits::default())));
        assert_eq!(info.count_total, expected + more);
    }
}

#[test]
fn the_end_of_a_thread_may_still_encode_and_decode() {
    struct Late(Entry);

    impl Drop for Late {
        fn drop(&mut self) {
            for &compression in ALL {
                let bytes = self.0.encode(compression);
                self.0.check(&decode(bytes).expect("our own frame"));
            }
        }
    }

    thread_local! {
        static LATE: std::cell::OnceCell<Late> = const { std::cell::OnceCell::new() };
    }

    let thread = std::thread::spawn(|| {
        let late = Late(Entry::with_body(prose(5000)));
        // Kept before the codec keeps anything, and therefore dropped when that may be gone.
        LATE.with(|place| assert!(place.set(late).is_ok()));
        Entry::with_body(prose(5000)).encode(Compression::Lz4);
    });
    thread.join().expect("no panic while the thread ends");
}
