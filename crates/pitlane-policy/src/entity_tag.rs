//! Entity tags and lists of them (RFC 9110 §8.8.3).

use crate::syntax::{split_before, trim, trim_start};
use http::HeaderValue;
use http::header::GetAll;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntityTag<'a> {
    weak: bool,
    opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        let (tag, rest) = Self::split(trim(text))?;
        rest.is_empty().then_some(tag)
    }

    /// Equal but for weakness, as `If-None-Match` asks (RFC 9110 §8.8.3.2).
    pub(crate) fn matches_weakly(self, other: Self) -> bool {
        self.opaque == other.opaque
    }

    /// Equal and both strong, as `If-Match` asks.
    pub(crate) fn matches_strongly(self, other: Self) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    pub(crate) fn is_weak(self) -> bool {
        self.weak
    }

    /// Whether it holds only what a tag may hold. Comparing is more tolerant; this is asked
    /// before a tag is sent.
    pub(crate) fn is_valid(self) -> bool {
        self.opaque
            .iter()
            .all(|&byte| matches!(byte, 0x21..=0x7e | 0x80..))
    }

    /// A tag has no escapes, so it ends at the next quote.
    fn split(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (weak, text) = match text {
            [b'W', b'/', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        let (opaque, rest) = split_before(text.strip_prefix(b"\"")?, |byte| byte == b'"');
        Some((Self { weak, opaque }, rest.strip_prefix(b"\"")?))
    }
}

/// Whether a list contains `*` or a tag for which `matches` holds.
///
/// What is no tag is skipped up to the next comma: at worst the answer is sent in full.
pub(crate) fn any<'a>(
    lines: GetAll<'a, HeaderValue>,
    matches: impl Fn(EntityTag<'a>) -> bool,
) -> bool {
    lines.into_iter().any(|line| {
        let mut rest = line.as_bytes();
        if trim(rest) == b"*" {
            return true;
        }
        while !rest.is_empty() {
            rest = trim_start(rest);
            if let Some((tag, behind)) = EntityTag::split(rest) {
                rest = trim_start(behind);
                if matches!(rest, [] | [b',', ..]) && matches(tag) {
                    return true;
                }
            }
            let (_, behind) = split_before(rest, |byte| byte == b',');
            rest = behind.get(1..).unwrap_or_default();
        }
        false
    })
}
