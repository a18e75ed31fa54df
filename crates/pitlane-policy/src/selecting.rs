use crate::syntax::trim;
use http::header::{
    ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE, HOST,
    IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, ORIGIN, REFERER, USER_AGENT,
};
use http::{HeaderMap, HeaderName};

/// Lists whose order means nothing, because weights say what is preferred (RFC 9110 §12.5).
static UNORDERED: [HeaderName; 4] = [ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE];

/// Fields in which a comma separates nothing, so that white space beside it is part of the value.
static SINGLE: [HeaderName; 8] = [
    AUTHORIZATION,
    COOKIE,
    HOST,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
    ORIGIN,
    REFERER,
    USER_AGENT,
];

/// Longer lists keep their order: sorting must not allocate, nor cost more than reading.
const MOST_SORTED: usize = 32;

const ABSENT: u8 = 0;
const MEMBERS: u8 = 1;
const LINES: u8 = 2;

/// The bytes of an encoded length.
const LENGTH: usize = 4;

/// Appends a request field's part of the variant key (RFC 9111 §4.1).
///
/// Equal output means the same variant. Lines are combined and white space around commas is
/// dropped; for `Accept`, `Accept-Charset`, `Accept-Encoding` and `Accept-Language` so are
/// order, empty members and white space around semicolons, and for the last letter case. Quoted
/// strings stay as they are, and so does all of a field with a quote left open, or whose values
/// are no lists (`Cookie`, `User-Agent` and the like).
///
/// The output is length-delimited: parts can be appended one after another, none is a prefix of
/// another, and an absent field differs from an empty one.
pub fn selecting_value(name: &HeaderName, request: &HeaderMap, out: &mut Vec<u8>) {
    let start = out.len();
    if !request.contains_key(name) {
        out.push(ABSENT);
    } else if SINGLE.contains(name) || !append_members(name, request, out) {
        out.truncate(start);
        append_lines(name, request, out);
    }
}

/// Exactly what was sent.
fn append_lines(name: &HeaderName, request: &HeaderMap, out: &mut Vec<u8>) {
    out.push(LINES);
    append_length(request.get_all(name).iter().count(), out);
    for line in request.get_all(name) {
        append_length(line.len(), out);
        out.extend_from_slice(line.as_bytes());
    }
}

/// The normalised members of all lines; false if a quote is left open in one of them.
fn append_members(name: &HeaderName, request: &HeaderMap, out: &mut Vec<u8>) -> bool {
    let unordered = UNORDERED.contains(name);
    out.push(MEMBERS);
    let mut order = Order::new(out.len());
    for line in request.get_all(name) {
        let mut rest = Some(line.as_bytes());
        while let Some(text) = rest {
            let Some((member, behind)) = split(text, b',') else {
                return false;
            };
            rest = behind;
            if unordered && trim(member).is_empty() {
                continue;
            }
            let start = out.len();
            append_member(trim(member), unordered, out);
            if *name == ACCEPT_LANGUAGE {
                fold_case(start, out);
            }
            order.add(start, out.len());
        }
    }
    if unordered {
        order.apply(out);
    }
    // No member is that long, so this ends the list.
    append_length(usize::MAX, out);
    true
}

fn append_member(member: &[u8], parameters: bool, out: &mut Vec<u8>) {
    let length_at = out.len();
    append_length(0, out);
    let start = out.len();
    let mut rest = Some(member);
    while let Some(text) = rest {
        let whole = (text, None);
        let (part, behind) = if parameters {
            split(text, b';').unwrap_or(whole)
        } else {
            whole
        };
        out.extend_from_slice(if parameters { trim(part) } else { part });
        if behind.is_some() {
            out.push(b';');
        }
        rest = behind;
    }
    let length = encoded(out.len() - start);
    if let Some(slot) = out.get_mut(length_at..start) {
        slot.copy_from_slice(&length);
    }
}

/// Language tags are case-insensitive (RFC 9110 §8.5.1). `start` is where the length stands.
fn fold_case(start: usize, out: &mut [u8]) {
    if let Some(member) = out.get_mut(start + LENGTH..) {
        member.make_ascii_lowercase();
    }
}

fn append_length(length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&encoded(length));
}

/// Field values are far shorter than 4 GiB.
fn encoded(length: usize) -> [u8; LENGTH] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

/// What precedes the first separator outside quotes, and what follows it if there is one; None if
/// a quote is left open.
fn split(text: &[u8], separator: u8) -> Option<(&[u8], Option<&[u8]>)> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, &byte) in text.iter().enumerate() {
        if escaped {
            escaped = false;
        } else if quoted && byte == b'\\' {
            escaped = true;
        } else if byte == b'"' {
            quoted = !quoted;
        } else if byte == separator && !quoted {
            return Some((text.get(..at)?, text.get(at + 1..)));
        }
    }
    (!quoted).then_some((text, None))
}

/// Where the members lie in the output, kept on the stack.
struct Order {
    start: usize,
    ranges: [(usize, usize); MOST_SORTED],
    count: usize,
}

impl Order {
    fn new(start: usize) -> Self {
        Self {
            start,
            ranges: [(0, 0); MOST_SORTED],
            count: 0,
        }
    }

    fn add(&mut self, start: usize, end: usize) {
        if let Some(slot) = self.ranges.get_mut(self.count) {
            *slot = (start, end);
        }
        self.count += 1;
    }

    /// Writes the members in order behind the unordered ones, then moves them to the front.
    fn apply(&mut self, out: &mut Vec<u8>) {
        let Some(ranges) = self.ranges.get_mut(..self.count) else {
            return;
        };
        ranges.sort_unstable_by(|a, b| out.get(a.0..a.1).cmp(&out.get(b.0..b.1)));
        let end = out.len();
        for &mut (from, to) in ranges {
            out.extend_from_within(from..to);
        }
        out.copy_within(end.., self.start);
        out.truncate(end);
    }
}
