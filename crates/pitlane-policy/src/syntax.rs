//! The few pieces of RFC 9110 grammar that several modules share.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Whether a byte may stand in a token (RFC 9110 §5.6.2).
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`'
        | b'|' | b'~' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z')
}

/// Whether a byte is optional white space: only space and tab are (RFC 9110 §5.6.3).
pub(crate) const fn is_ows(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

pub(crate) fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_ows(*first)
    {
        bytes = rest;
    }
    bytes
}

pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let mut bytes = trim_start(bytes);
    while let [rest @ .., last] = bytes
        && is_ows(*last)
    {
        bytes = rest;
    }
    bytes
}

/// Splits before the first byte for which `stop` holds.
pub(crate) fn split_before(bytes: &[u8], stop: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|&byte| stop(byte));
    bytes.split_at(end.unwrap_or(bytes.len()))
}

/// A field's value where it stands on exactly one line.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).into_iter();
    lines.next().filter(|_| lines.next().is_none())
}

/// The bytes of [`single`].
pub(crate) fn single_line<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    single(headers, name).map(HeaderValue::as_bytes)
}

/// A non-negative whole number, the largest that fits where it is larger; None unless it is all
/// digits.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let sum = digits.iter().fold(0_u64, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    });
    Some(sum)
}

/// The inside of a quoted string and what follows it; `after_quote` begins behind the opening
/// quote. None where the string never ends (RFC 9110 §5.6.4).
pub(crate) fn quoted(after_quote: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut escaped = false;
    let end = after_quote.iter().position(|&byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })?;
    let (inside, rest) = after_quote.split_at(end);
    Some((inside, rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escaped_quote_does_not_end_a_quoted_string() {
        assert_eq!(
            quoted(br#"a\"b" rest"#),
            Some((&br#"a\"b"#[..], &b" rest"[..]))
        );
        assert_eq!(quoted(br#"a\\" rest"#), Some((&br"a\\"[..], &b" rest"[..])));
    }

    #[test]
    fn an_unfinished_quoted_string_is_none() {
        for text in [&b""[..], b"abc", br#"abc\""#] {
            assert_eq!(quoted(text), None);
        }
    }

    #[test]
    fn only_spaces_and_tabs_are_trimmed() {
        assert_eq!(trim(b" \ta b\t "), b"a b");
        assert_eq!(trim(b" \t "), b"");
        assert_eq!(trim(b"\x0ba\x0b"), b"\x0ba\x0b");
    }
}
