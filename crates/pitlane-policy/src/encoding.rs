//! Which content coding a client takes (RFC 9110 §12.5.3).

use crate::syntax::trim;
use http::{HeaderMap, header::ACCEPT_ENCODING};

/// The best of the offered content codings that the client takes, by its number in `offered`; `None`
/// where the content as it is suits it best, or nothing else is left.
///
/// Of codings that the client likes as much, the first offered wins. A coding that isn't named is
/// taken only through `*`; one with a weight that is no number is not taken. `x-gzip` is `gzip`.
///
/// ```
/// use http::{HeaderMap, HeaderValue, header};
///
/// let mut headers = HeaderMap::new();
/// headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip;q=0.8, br"));
/// assert_eq!(pitlane_policy::encoding::best(&headers, &["gzip", "br"]), Some(1));
/// ```
#[must_use]
pub fn best(headers: &HeaderMap, offered: &[&str]) -> Option<usize> {
    let identity = weight(headers, "identity").unwrap_or(0);
    let mut best = None;
    for (number, coding) in offered.iter().enumerate() {
        let weight = weight(headers, coding).or_else(|| weight_of(headers, b"*"));
        let weight = weight.filter(|weight| *weight > 0).unwrap_or(0);
        let beaten = best.map_or(identity.saturating_sub(1), |(_, most)| most);
        if weight > beaten {
            best = Some((number, weight));
        }
    }
    best.map(|(number, _)| number)
}

fn weight(headers: &HeaderMap, coding: &str) -> Option<u16> {
    let alias: Option<&[u8]> = (coding == "gzip").then_some(b"x-gzip");
    weight_of(headers, coding.as_bytes()).or_else(|| weight_of(headers, alias?))
}

/// In thousandths. Of several, the least: nobody gets what they refuse somewhere.
fn weight_of(headers: &HeaderMap, coding: &[u8]) -> Option<u16> {
    let lines = headers.get_all(ACCEPT_ENCODING).into_iter();
    let members = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let weights = members.filter_map(|member| {
        let mut parts = member.split(|byte| *byte == b';');
        let name = trim(parts.next()?);
        if !name.eq_ignore_ascii_case(coding) {
            return None;
        }
        Some(
            parts
                .next()
                .map_or(Some(1000), quality)
                .filter(|_| parts.next().is_none()),
        )
    });
    weights.map(|weight| weight.unwrap_or(0)).min()
}

/// `q=` and a number from 0 to 1 of at most three decimals (RFC 9110 §12.4.2).
fn quality(parameter: &[u8]) -> Option<u16> {
    let parameter = trim(parameter);
    let (name, value) = parameter.split_at_checked(2)?;
    if !name.eq_ignore_ascii_case(b"q=") {
        return None;
    }
    let (whole, decimals) = match value {
        [whole] => (whole, &[][..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let padded = decimals
        .iter()
        .copied()
        .chain(std::iter::repeat(b'0'))
        .take(3);
    let mut thousandths = match whole {
        b'0' => 0,
        b'1' => 1,
        _ => return None,
    };
    for digit in padded {
        if !digit.is_ascii_digit() {
            return None;
        }
        thousandths = thousandths * 10 + u16::from(digit - b'0');
    }
    (thousandths <= 1000).then_some(thousandths)
}
