//! Splits `Cache-Control` lines into directives.
//!
//! A member that breaks the grammar is not dropped: its name is reported with a malformed
//! argument, so that what restricts still restricts and what permits does not. After a stray quote
//! nobody can tell where directives begin, so the rest of that line is malformed too.

use crate::syntax::{is_token_byte, quoted, split_before, trim_start};
use http::{HeaderMap, HeaderName};

/// Long enough for every directive that we know.
const LONGEST_NAME: usize = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Argument<'a> {
    Absent,
    Text(&'a [u8]),
    Seconds(std::time::Duration),
    Malformed,
    /// A targeted field says in so many words that the directive doesn't hold (`?0`).
    Denied,
}

impl Argument<'_> {
    /// Whether a directive that takes no argument is well-formed. What permits must be.
    pub(super) fn is_absent(self) -> bool {
        self == Self::Absent
    }

    pub(super) fn seconds(self) -> Option<std::time::Duration> {
        match self {
            Self::Text(digits) => crate::seconds::parse(digits),
            Self::Seconds(span) => Some(span),
            Self::Absent | Self::Malformed | Self::Denied => None,
        }
    }
}

/// Visits every directive of every line of a field, names in lower case.
///
/// Each line stands alone, so that a quote left open in one cannot swallow the next.
pub(super) fn visit(
    headers: &HeaderMap,
    field: &HeaderName,
    mut visit: impl FnMut(&[u8], Argument<'_>),
) {
    for line in headers.get_all(field) {
        let members = Members {
            rest: line.as_bytes(),
            uncertain: false,
        };
        for (name, argument) in members {
            let mut folded = [0; LONGEST_NAME];
            // A longer name is none of ours, and unknown directives are ignored (§5.2.3).
            if let Some(folded) = folded.get_mut(..name.len()) {
                folded.copy_from_slice(name);
                folded.make_ascii_lowercase();
                visit(folded, argument);
            }
        }
    }
}

struct Members<'a> {
    rest: &'a [u8],
    uncertain: bool,
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], Argument<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        // Empty list members are skipped (RFC 9110 §5.6.1.2).
        self.rest = trim_start(self.rest);
        while let [b',', rest @ ..] = self.rest {
            self.rest = trim_start(rest);
        }
        if self.rest.is_empty() {
            return None;
        }
        if self.uncertain {
            return Some(self.malformed());
        }
        match well_formed(self.rest) {
            Some((name, argument, rest)) => {
                self.rest = rest;
                Some((name, argument))
            }
            None => Some(self.malformed()),
        }
    }
}

impl<'a> Members<'a> {
    fn malformed(&mut self) -> (&'a [u8], Argument<'a>) {
        let (member, rest) = split_before(self.rest, |byte| byte == b',');
        self.rest = rest;
        self.uncertain |= member.contains(&b'"');
        let (_, from_name) = split_before(member, is_token_byte);
        let (name, _) = split_before(from_name, |byte| !is_token_byte(byte));
        (name, Argument::Malformed)
    }
}

/// `token [ "=" ( token / quoted-string ) ]` up to the next comma.
fn well_formed(member: &[u8]) -> Option<(&[u8], Argument<'_>, &[u8])> {
    let (name, rest) = split_before(member, |byte| !is_token_byte(byte));
    let (argument, rest) = match rest {
        [b'=', b'"', rest @ ..] => {
            let (text, rest) = quoted(rest)?;
            (Argument::Text(text), rest)
        }
        [b'=', rest @ ..] => {
            let (text, rest) = split_before(rest, |byte| !is_token_byte(byte));
            (Argument::Text(text), rest)
        }
        _ => (Argument::Absent, rest),
    };
    let rest = trim_start(rest);
    let ends = matches!(rest, [] | [b',', ..]);
    (ends && !name.is_empty()).then_some((name, argument, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::CACHE_CONTROL;

    #[track_caller]
    fn check(lines: &[&str], expected: &[&str]) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_CONTROL, HeaderValue::from_str(line).unwrap());
        }
        let mut seen = Vec::new();
        visit(&headers, &CACHE_CONTROL, |name, argument| {
            let name = String::from_utf8_lossy(name);
            seen.push(match argument {
                Argument::Absent => name.into_owned(),
                Argument::Text(text) => format!("{name}={}", String::from_utf8_lossy(text)),
                Argument::Malformed => format!("{name}?"),
                targeted => panic!("only a targeted field has {targeted:?}"),
            });
        });
        assert_eq!(seen, expected, "{lines:?}");
    }

    #[test]
    fn members_are_split_at_commas_of_every_line() {
        check(&["a,b=1 ,\tc=\"2\""], &["a", "b=1", "c=2"]);
        check(&["a", "b"], &["a", "b"]);
        check(&[",, a ,,", "", " , "], &["a"]);
        check(&["No-Store"], &["no-store"]);
    }

    #[test]
    fn commas_inside_quotes_do_not_split() {
        check(&[r#"x="a, no-store", b"#], &["x=a, no-store", "b"]);
        check(&[r#"x="a\", no-store", b"#], &[r#"x=a\", no-store"#, "b"]);
    }

    #[test]
    fn a_broken_member_keeps_its_name_and_loses_its_argument() {
        check(&["max-age = 60, a"], &["max-age?", "a"]);
        check(&["max-age= 60, a"], &["max-age?", "a"]);
        check(&["private; max-age=60"], &["private?"]);
        check(&["=60, a"], &["60?", "a"]);
        check(&["a b c, d"], &["a?", "d"]);
    }

    #[test]
    fn nothing_behind_a_stray_quote_is_trusted() {
        check(
            &[r#"x="a, no-store, max-age=60"#],
            &["x?", "no-store?", "max-age?"],
        );
        check(&[r#""no-store", public"#], &["no-store?", "public?"]);
        check(&[r#"x=", private="a""#], &["x?", "private?"]);
        check(&[r#"x="a"b, public"#], &["x?", "public?"]);
        check(&[r#"x="a"#, "max-age=60"], &["x?", "max-age=60"]);
    }

    #[test]
    fn names_longer_than_any_known_one_are_ignored() {
        check(
            &[&"n".repeat(LONGEST_NAME + 1), &"n".repeat(LONGEST_NAME)],
            &[&"n".repeat(LONGEST_NAME)],
        );
    }
}
