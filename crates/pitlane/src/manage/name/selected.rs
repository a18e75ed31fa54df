//! The values of request headers that select a variant, in the form in which the policy writes
//! them into keys.

use super::{clean, take};

/// The field was not sent.
const ABSENT: u8 = 0;
/// Members of a list, each behind its length; a length that nothing has ends them.
const MEMBERS: u8 = 1;
/// How many lines, and each behind its length.
const LINES: u8 = 2;

/// The value as a client sent it, or nearly; `None` for anything else.
pub(super) fn selected(value: &[u8]) -> Option<String> {
    let (form, mut rest) = value.split_first()?;
    let rest = &mut rest;
    let mut all = Vec::new();
    match *form {
        ABSENT => all.push("(none)".to_owned()),
        MEMBERS => {
            while let Some(member) = member(rest)? {
                all.push(clean(member));
            }
        }
        LINES => {
            let [a, b, c, d] = take(rest)?;
            for _ in 0..u32::from_be_bytes([a, b, c, d]) {
                all.push(clean(member(rest)??));
            }
        }
        _ => return None,
    }
    rest.is_empty().then(|| all.join(", "))
}

/// Nothing at the end of a list.
fn member<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = u32::from_be_bytes(take(rest)?);
    if length == u32::MAX {
        return Some(None);
    }
    let (member, tail) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = tail;
    Some(Some(member))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    #[track_caller]
    fn check(name: &'static str, sent: &[&'static str], shown: &str) {
        let mut headers = HeaderMap::new();
        for value in sent {
            headers.append(name, HeaderValue::from_static(value));
        }
        let mut value = Vec::new();
        let name = HeaderName::from_static(name);
        pitlane_policy::selecting_value(&name, &headers, &mut value);
        assert_eq!(selected(&value).as_deref(), Some(shown));
        for length in 0..value.len() {
            assert_eq!(selected(&value[..length]), None, "a part says nothing");
        }
    }

    #[test]
    fn what_the_policy_writes_is_read_back() {
        check("accept-language", &["EN, de;q=0.5"], "en, de;q=0.5");
        check("accept-language", &[], "(none)");
        check("x-region", &["eu", "a, b"], "eu, a, b");
        check(
            "user-agent",
            &["Mozilla/5.0 (X11, Linux)"],
            "Mozilla/5.0 (X11, Linux)",
        );
        check("x-region", &["\"open"], "\"open");
    }

    #[test]
    fn other_bytes_are_nothing() {
        for bytes in [&b""[..], b"de", b"\x01", b"\x02\xff\xff\xff\xff", b"\x00x"] {
            assert_eq!(selected(bytes), None);
        }
    }
}
