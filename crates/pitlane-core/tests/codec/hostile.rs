use allocation_counter::measure;
use bytes::Bytes;
use pitlane_core::codec::{self, Compression, DecodeErrorKind as Kind, Limits, PEEK};
use proptest::prelude::*;

use super::forge::{self, Forged};
use super::{ALL, Entry, decode, noise, prose};

const STORED: u8 = 0;
const LZ4: u8 = 1;
const ZSTD: u8 = 2;

#[track_caller]
fn check(bytes: impl Into<Bytes>, kind: Kind) {
    assert_eq!(decode(bytes).map_err(|error| error.kind()), Err(kind));
}

/// The sample without a compressed body.
fn plain() -> Forged {
    Forged::of(&Entry::sample(), Compression::None)
}

#[test]
fn every_frame_cut_short_is_an_error() {
    for &compression in ALL {
        let bytes = Entry::with_body(prose(1100)).encode(compression);
        for length in 0..bytes.len() {
            check(bytes.slice(..length), Kind::Truncated);
            let enough = length >= PEEK as usize;
            assert_eq!(codec::peek_position(&bytes[..length]).is_some(), enough);
        }
    }
}

#[test]
fn every_flipped_bit_is_an_error() {
    for &compression in ALL {
        let bytes = Entry::with_body(prose(1100)).encode(compression);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(flipped).is_err(), "{compression:?}, bit {bit}");
        }
    }
}

#[test]
fn each_kind_of_damage_has_its_name() {
    let bytes = plain().sealed();
    let last = bytes.len() - 1;
    check(Vec::new(), Kind::Truncated);
    check(b"<h1>not a frame at all</h1>".to_vec(), Kind::NotOurs);
    check(plain().byte(0, b'p').sealed(), Kind::NotOurs);
    check(plain().byte(forge::VERSION, 2).sealed(), Kind::Version);
    check(plain().append(b"x").sealed(), Kind::Trailing);
    check([&bytes[..last], b"?"].concat(), Kind::Checksum);
    check(
        plain().byte(forge::COMPRESSION, 3).sealed(),
        Kind::Unsupported,
    );
    check(plain().number(forge::BODY, 15).sealed(), Kind::Compression);
}

#[test]
fn broken_tags_are_an_error_whatever_the_checksum_says() {
    let first_name = forge::HEADER + Entry::sample().key.len() + 2 * 16;
    let name_text = first_name + 5;
    for (at, byte, kind) in [
        // Of an unknown kind, longer than their room, no text.
        (first_name, 0, Kind::Tag),
        (first_name, 6, Kind::Tag),
        (first_name + 4, 0xff, Kind::Tag),
        (name_text, 0xff, Kind::Text),
        // One fewer than there are, and one more.
        (forge::NAMES, 2, Kind::Tag),
        (forge::NAMES, 4, Kind::Tag),
    ] {
        check(plain().byte(at, byte).sealed(), kind);
    }
}

/// Decodes something forged, and proves that hardly anything was allocated on the way.
#[track_caller]
fn check_cheap(bytes: Vec<u8>, kind: Kind) {
    let bytes = Bytes::from(bytes);
    let info = measure(|| check(bytes, kind));
    assert!(info.bytes_total < 1024, "{} bytes", info.bytes_total);
}

#[test]
fn absurd_lengths_are_refused_before_anything_is_allocated() {
    let most = u32::MAX;
    for at in [
        forge::KEY,
        forge::IDS,
        forge::NAMES_LENGTH,
        forge::HEAD,
        forge::STORED,
    ] {
        check_cheap(plain().number(at, most).sealed(), Kind::Truncated);
    }
    check_cheap(plain().number(forge::NAMES, most).sealed(), Kind::Tag);
    for method in [STORED, LZ4, ZSTD] {
        let forged = plain().byte(forge::COMPRESSION, method);
        check_cheap(forged.number(forge::BODY, most).sealed(), Kind::TooLarge);
    }
    let all = (forge::KEY..forge::HEADER).step_by(4);
    let all = all.fold(plain(), |forged, at| forged.number(at, most));
    check_cheap(all.sealed(), Kind::Truncated);
}

#[test]
fn a_decompression_bomb_is_refused_before_anything_is_allocated() {
    let entry = Entry::with_body(vec![0; 2 << 20]);
    for &compression in ALL {
        let bytes = entry.encode(compression);
        if compression != Compression::None {
            assert!(bytes.len() < 20_000, "{} bytes", bytes.len());
        }
        check_cheap(bytes.to_vec(), Kind::TooLarge);
        let decode = |limit| codec::decode(&bytes, &Limits::default().max_body(limit));
        entry.check(&decode(2 << 20).expect("a body of just the limit"));
        let error = decode((2 << 20) - 1).unwrap_err();
        assert_eq!(error.kind(), Kind::TooLarge);
    }
}

#[test]
fn a_block_of_another_length_than_was_said_is_an_error() {
    for &compression in ALL {
        let forged = Forged::of(&Entry::with_body(prose(5000)), compression);
        for length in [0, 1, 4999, 5001, 9000] {
            let bytes = forged.clone().number(forge::BODY, length).sealed();
            check(bytes, Kind::Compression);
        }
    }
}

#[test]
fn a_thread_decodes_after_a_broken_block_as_before() {
    let entry = Entry::with_body(prose(5000));
    for &compression in ALL {
        let bytes = entry.encode(compression);
        let method = bytes[forge::COMPRESSION];
        for _ in 0..3 {
            if compression != Compression::None {
                let broken = Forged::block(method, 5000, &noise(300));
                check(broken.sealed(), Kind::Compression);
            }
            entry.check(&decode(bytes.clone()).expect("a good frame"));
        }
    }
}

#[test]
fn a_sweep_does_not_judge_what_is_of_another_version() {
    assert!(codec::peek_position(&plain().sealed()).is_some());
    let newer = plain().byte(forge::VERSION, 2).sealed();
    assert_eq!(codec::peek_position(&newer), None);
    assert_eq!(codec::peek_position(&plain().byte(1, 0).sealed()), None);
}

#[test]
fn only_what_nobody_can_read_is_corrupt() {
    let others = [Kind::Version, Kind::TooLarge, Kind::Unsupported];
    for kind in [
        Kind::NotOurs,
        Kind::Version,
        Kind::Truncated,
        Kind::Trailing,
        Kind::Checksum,
        Kind::TooLarge,
        Kind::Unsupported,
        Kind::Compression,
        Kind::Tag,
        Kind::Text,
    ] {
        assert_eq!(kind.is_corrupt(), !others.contains(&kind), "{kind:?}");
    }
}

#[test]
fn an_error_names_its_cause() {
    let error = decode(Forged::block(LZ4, 100, b"\xff").sealed()).unwrap_err();
    assert_eq!(error.kind().as_str(), "compression");
    let cause = std::error::Error::source(&error).expect("what lz4 says");
    assert!(!cause.to_string().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn random_bytes_are_no_frame(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(decode(bytes.clone()).is_err());
        prop_assert_eq!(codec::peek_position(&bytes), None);
    }

    #[test]
    fn a_random_frame_with_the_right_beginning_never_panics(
        bytes in prop::collection::vec(any::<u8>(), 4..300),
    ) {
        let forged = [b"PLE\x01", bytes.as_slice()].concat();
        prop_assert!(decode(Forged::from(forged).sealed()).is_err());
    }

    #[test]
    fn a_frame_with_some_bytes_changed_never_panics(
        changes in prop::collection::vec((8..250_usize, any::<u8>()), 1..8),
        compression in prop::sample::select(ALL),
    ) {
        let forged = Forged::of(&Entry::with_body(prose(1100)), compression);
        let length = forged.clone().sealed().len();
        let forged = changes
            .into_iter()
            .fold(forged, |forged, (at, byte)| forged.byte(at % length, byte));
        let bytes = forged.sealed();
        if let Ok(decoded) = decode(bytes.clone()) {
            prop_assert!(decoded.key.len() + decoded.head.len() <= bytes.len());
        }
    }

    #[test]
    fn any_block_expands_to_the_length_that_was_said_or_is_an_error(
        method in STORED..=ZSTD,
        block in prop::collection::vec(any::<u8>(), 0..200),
        length in 0..600_usize,
    ) {
        match decode(Forged::block(method, length, &block).sealed()) {
            Ok(decoded) => prop_assert_eq!(decoded.body.len(), length),
            Err(error) => prop_assert!(matches!(
                error.kind(),
                Kind::Compression | Kind::Unsupported
            )),
        }
    }

    #[test]
    fn a_damaged_block_expands_to_the_length_that_was_said_or_is_an_error(
        compression in prop::sample::select(ALL),
        text in 1025..3000_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let entry = Entry::with_body([prose(text), noise(100)].concat());
        let forged = Forged::of(&entry, compression).sealed();
        let start = forged.len() - {
            let stored = &forged[forge::STORED..forge::HEADER];
            u32::from_le_bytes(stored.try_into().unwrap()) as usize
        };
        let room = forged.len() - start;
        let damaged = changes.iter().fold(Forged::from(forged), |forged, (at, byte)| {
            forged.byte(start + at.index(room), *byte)
        });
        match decode(damaged.sealed()) {
            Ok(decoded) => prop_assert_eq!(decoded.body.len(), entry.body.len()),
            Err(error) => prop_assert_eq!(error.kind(), Kind::Compression),
        }
    }
}
