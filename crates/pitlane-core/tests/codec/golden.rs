//! Frames of version 1 as they were first written. They must decode for ever; should one of them
//! fail, the format has changed and wants a new version number.

use pitlane_core::codec::Compression;

use super::{Entry, decode, prose};

const PLAIN: &str = include_str!("golden/v1-plain.hex");
const LZ4: &str = include_str!("golden/v1-lz4.hex");
const ZSTD: &str = include_str!("golden/v1-zstd.hex");

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).expect("hex");
    digits.chunks(2).map(byte).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    let line = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x}")).collect();
    let lines: Vec<String> = bytes.chunks(32).map(line).collect();
    lines.join("\n") + "\n"
}

/// The sample with a body that is worth compressing.
fn long() -> Entry {
    Entry::with_body(prose(1500))
}

#[test]
fn version_1_decodes_without_compression() {
    Entry::sample().check(&decode(from_hex(PLAIN)).expect("a golden frame"));
}

#[test]
fn version_1_is_written_as_it_always_was() {
    let bytes = Entry::sample().encode(Compression::None);
    assert_eq!(to_hex(&bytes), PLAIN);
}

#[test]
fn version_1_decodes_from_lz4() {
    long().check(&decode(from_hex(LZ4)).expect("a golden frame"));
}

/// A compressor may write other bytes one day, but never under another number.
#[test]
fn a_compressor_keeps_its_number() {
    let number = |bytes: &[u8]| bytes[super::forge::COMPRESSION];
    assert_eq!(
        number(&long().encode(Compression::Lz4)),
        number(&from_hex(LZ4))
    );
    #[cfg(feature = "zstd")]
    assert_eq!(
        number(&long().encode(Compression::Zstd)),
        number(&from_hex(ZSTD))
    );
}

#[cfg(feature = "zstd")]
#[test]
fn version_1_decodes_from_zstd() {
    long().check(&decode(from_hex(ZSTD)).expect("a golden frame"));
}

#[cfg(not(feature = "zstd"))]
#[test]
fn zstd_is_an_error_to_a_build_without_it() {
    use pitlane_core::codec::DecodeErrorKind;

    let error = decode(from_hex(ZSTD)).unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::Unsupported);
}
