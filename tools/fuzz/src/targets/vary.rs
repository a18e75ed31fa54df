//! `Vary`, and the part of the key that each field which it names becomes.

mod canonical;

use self::canonical::Canonical;
use crate::input::{self, Knobs, field, sections, value};
use http::header::VARY;
use http::{HeaderMap, HeaderName, HeaderValue};
use pitlane_policy::{Vary, selecting_value};

const FIELDS: [HeaderName; 9] = [
    http::header::ACCEPT,
    http::header::ACCEPT_LANGUAGE,
    http::header::ACCEPT_ENCODING,
    http::header::ACCEPT_CHARSET,
    http::header::COOKIE,
    http::header::USER_AGENT,
    http::header::AUTHORIZATION,
    HeaderName::from_static("x-any"),
    HeaderName::from_static("prefer"),
];

/// Which field, then its lines in one request, an empty line, and its lines in another.
pub(crate) fn run(bytes: &[u8]) {
    let mut knobs = Knobs::new(bytes);
    let name = knobs.pick(&FIELDS.each_ref()).clone();
    let space: &[u8] = knobs.pick(&[&b""[..], b" ", b"\t", b" \t "]);
    let [one, other] = sections(knobs.text()).map(input::values);
    keys_are_equal_where_the_meaning_is(&name, &one, &other);
    other_spelling_is_nothing(&name, &one, space);
    vary_is_a_set(&one, &other, space);
}

/// The field's part of the key.
fn key(name: &HeaderName, request: &HeaderMap) -> Vec<u8> {
    let mut out = b"before".to_vec();
    selecting_value(name, request, &mut out);
    assert!(out.starts_with(b"before"), "what was there is kept");
    out.split_off(b"before".len())
}

fn keys_are_equal_where_the_meaning_is(
    name: &HeaderName,
    one: &[HeaderValue],
    other: &[HeaderValue],
) {
    let [one_key, other_key] = [one, other].map(|lines| key(name, &field(name, lines)));
    let same = Canonical::of(name, one) == Canonical::of(name, other);
    assert_eq!(one_key == other_key, same, "{name}: {one:?} and {other:?}");
    if !same {
        // Parts are put one after the other, so none may be the beginning of another.
        let longer = one_key.starts_with(&other_key) || other_key.starts_with(&one_key);
        assert!(!longer, "{name}: {one:?} and {other:?}");
    }
}

/// White space, lines, and order where it means nothing.
fn other_spelling_is_nothing(name: &HeaderName, lines: &[HeaderValue], space: &[u8]) {
    let Some(members) = canonical::members(name, lines).filter(|_| !lines.is_empty()) else {
        return;
    };
    let before = key(name, &field(name, lines));
    let check = |spelling: &[HeaderValue]| {
        let after = key(name, &field(name, spelling));
        assert_eq!(before, after, "{name}: {lines:?} and {spelling:?}");
    };
    let spaced = members
        .iter()
        .map(|member| [space, *member, space].concat());
    let spaced: Vec<Vec<u8>> = spaced.collect();
    let a_line_each: Vec<_> = spaced.iter().map(|member| value(member)).collect();
    check(&a_line_each);
    check(&[value(&spaced.join(&b","[..]))]);
    if canonical::is_sorted(name, &members) {
        let turned: Vec<_> = a_line_each.into_iter().rev().collect();
        check(&turned);
    }
}

fn vary_is_a_set(one: &[HeaderValue], other: &[HeaderValue], space: &[u8]) {
    let parse = |lines: &[HeaderValue]| Vary::parse(&field(&VARY, lines));
    let (first, second) = (parse(one), parse(other));
    assert_eq!(names(&first), canonical::names(one), "{one:?}");
    let turned: Vec<_> = one.iter().rev().cloned().collect();
    assert_eq!(first, parse(&turned), "{one:?} the other way round");
    let respelt = one.iter().map(|line| {
        let upper = line.as_bytes().to_ascii_uppercase();
        let spaced = upper.split(|&byte| byte == b',');
        let spaced: Vec<Vec<u8>> = spaced.map(|one| [space, one, space].concat()).collect();
        value(&spaced.join(&b","[..]))
    });
    assert_eq!(
        first,
        parse(&respelt.collect::<Vec<_>>()),
        "{one:?} respelt"
    );
    let both: Vec<_> = one.iter().chain(other).cloned().collect();
    assert_eq!(first.union(&second), parse(&both), "{one:?} and {other:?}");
    assert_eq!(second.union(&first), parse(&both), "{other:?} and {one:?}");
    let star: Vec<_> = [one, &[HeaderValue::from_static(" ,*")]].concat();
    assert_eq!(parse(&star), Vary::Any, "{star:?}");
}

/// None where no request matches.
fn names(vary: &Vary) -> Option<Vec<String>> {
    let names = vary.fields().iter().map(|name| name.as_str().to_owned());
    (*vary != Vary::Any).then(|| names.collect())
}
