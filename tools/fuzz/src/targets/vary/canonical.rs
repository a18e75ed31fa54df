//! What a selecting field means, worked out a second time with lists of members.

use http::header::{
    ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE, USER_AGENT,
};
use http::{HeaderName, HeaderValue};
use std::collections::BTreeSet;

/// Longer lists keep their order.
const MOST_SORTED: usize = 32;

/// Equal for two requests that select the same variant.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Canonical {
    Absent,
    /// Values that are no lists, or whose quotes don't close.
    Lines(Vec<Vec<u8>>),
    Members(Vec<Vec<u8>>),
}

impl Canonical {
    pub(super) fn of(name: &HeaderName, lines: &[HeaderValue]) -> Self {
        if lines.is_empty() {
            return Self::Absent;
        }
        let Some(found) = members(name, lines) else {
            return Self::Lines(lines.iter().map(|line| line.as_bytes().to_vec()).collect());
        };
        let mut normal: Vec<_> = found.iter().map(|member| normal(name, member)).collect();
        if is_unordered(name) {
            normal.retain(|member| !member.is_empty());
            if normal.len() <= MOST_SORTED {
                normal.sort();
            }
        }
        Self::Members(normal)
    }
}

/// The members of all lines as they were sent; None where they can't be told apart.
pub(super) fn members<'a>(name: &HeaderName, lines: &'a [HeaderValue]) -> Option<Vec<&'a [u8]>> {
    if [AUTHORIZATION, COOKIE, USER_AGENT].contains(name) {
        return None;
    }
    let parts: Option<Vec<_>> = lines
        .iter()
        .map(|line| split(line.as_bytes(), b','))
        .collect();
    Some(parts?.concat())
}

/// Whether the order of these members is nothing.
pub(super) fn is_sorted(name: &HeaderName, members: &[&[u8]]) -> bool {
    let filled = members
        .iter()
        .filter(|member| !member.trim_ascii().is_empty());
    is_unordered(name) && filled.count() <= MOST_SORTED
}

/// The names in `Vary` lines, sorted; None where something is no name, or is `*`.
pub(super) fn names(lines: &[HeaderValue]) -> Option<Vec<String>> {
    let mut names = BTreeSet::new();
    for member in lines
        .iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
    {
        let member = trim(member);
        if member.is_empty() {
            continue;
        }
        let is_name =
            |&byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if member == b"*" || !member.iter().all(is_name) {
            return None;
        }
        names.insert(
            member
                .iter()
                .map(|byte| char::from(byte.to_ascii_lowercase()))
                .collect(),
        );
    }
    Some(names.into_iter().collect())
}

fn is_unordered(name: &HeaderName) -> bool {
    [ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE].contains(name)
}

fn normal(name: &HeaderName, member: &[u8]) -> Vec<u8> {
    let member = trim(member);
    let mut normal = match split(member, b';').filter(|_| is_unordered(name)) {
        Some(parts) => parts.into_iter().map(trim).collect::<Vec<_>>().join(&b';'),
        None => member.to_vec(),
    };
    if *name == ACCEPT_LANGUAGE {
        normal.make_ascii_lowercase();
    }
    normal
}

/// The parts between separators that stand outside quotes; None where a quote stays open.
fn split(text: &[u8], separator: u8) -> Option<Vec<&[u8]>> {
    let mut parts = Vec::new();
    let (mut start, mut at, mut is_open) = (0, 0, false);
    while let Some(&byte) = text.get(at) {
        match byte {
            // An escaped byte is passed over together with its backslash.
            b'\\' if is_open => at += 1,
            b'"' => is_open = !is_open,
            _ if byte == separator && !is_open => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    parts.push(&text[start..]);
    (!is_open).then_some(parts)
}

fn trim(text: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text
        .iter()
        .position(|byte| !is_blank(byte))
        .unwrap_or(text.len());
    let end = text
        .iter()
        .rposition(|byte| !is_blank(byte))
        .map_or(start, |end| end + 1);
    &text[start..end]
}
