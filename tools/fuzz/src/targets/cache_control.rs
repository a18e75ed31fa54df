//! `Cache-Control` in both directions: what equal text means, and what broken text can't do.

mod plain;

use crate::input::{self, Knobs, Setting, field, value};
use crate::reach::Reach;
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue};
use pitlane_policy::{RequestDirectives, ResponseDirectives};

/// What makes a directive of any name unreadable, and leaves its name readable.
const BROKEN: [&[u8]; 12] = [
    b"=", b"=-1", b"=a", b"=1 2", b" = 60", b"=\"", b"=\"60", b";=1", b"=6\"0", b"=60.0", b" 60",
    b"=\"a",
];

/// Directives that can permit something, and of which the last one decides.
const PERMITTING: [&[u8]; 5] = [
    b"public",
    b"immutable",
    b"must-understand",
    b"must-revalidate",
    b"s-maxage",
];

/// Knobs, then `Cache-Control` lines; the last of them is made garbage of.
pub(crate) fn run(bytes: &[u8]) {
    let mut knobs = Knobs::new(bytes);
    let setting = Setting::new(&mut knobs);
    let (tail, place, other) = (knobs.pick(&BROKEN), knobs.byte(), knobs.byte());
    let mut lines = input::values(knobs.text());
    order_of_lines_is_nothing(&lines);
    case_of_letters_is_nothing(&lines);
    lines_without_quotes_are_one_list(&lines);
    unknown_directives_are_nothing(&lines);
    plain::agrees(&lines);
    let last = lines.pop().unwrap_or_else(|| HeaderValue::from_static(""));
    let base = Base::new(lines, other);
    base.garbage_on_its_own_line_restricts(&setting, &last, tail, place);
    base.garbage_within_a_line_restricts(&setting, &last, tail, place);
    base.what_forbids_is_heard(&setting);
}

fn read(lines: &[HeaderValue]) -> (ResponseDirectives, RequestDirectives) {
    let headers = field(&CACHE_CONTROL, lines);
    (
        ResponseDirectives::from_headers(&headers),
        RequestDirectives::from_headers(&headers),
    )
}

/// Unless something that permits is said twice: then the last one counts.
fn order_of_lines_is_nothing(lines: &[HeaderValue]) {
    if PERMITTING.iter().any(|name| count(lines, name) > 1) {
        return;
    }
    let mut other = lines.to_vec();
    other.reverse();
    assert_eq!(read(lines), read(&other), "{lines:?} the other way round");
}

fn count(lines: &[HeaderValue], name: &[u8]) -> usize {
    let windows = lines
        .iter()
        .flat_map(|line| line.as_bytes().windows(name.len()));
    windows
        .filter(|window| window.eq_ignore_ascii_case(name))
        .count()
}

fn case_of_letters_is_nothing(lines: &[HeaderValue]) {
    let upper: Vec<_> = lines
        .iter()
        .map(|line| value(&line.as_bytes().to_ascii_uppercase()))
        .collect();
    assert_eq!(read(lines), read(&upper), "{lines:?} in capitals");
}

/// RFC 9110 §5.3. After a stray quote the lines differ on purpose.
fn lines_without_quotes_are_one_list(lines: &[HeaderValue]) {
    let plain: Vec<_> = lines.iter().filter(|line| !has_quote(line)).collect();
    let joined = plain
        .iter()
        .map(|line| line.as_bytes())
        .collect::<Vec<_>>()
        .join(&b","[..]);
    if !plain.is_empty() {
        let plain: Vec<_> = plain.into_iter().cloned().collect();
        assert_eq!(
            read(&plain),
            read(&[value(&joined)]),
            "{plain:?} in one line"
        );
    }
}

/// RFC 9111 §5.2.3.
fn unknown_directives_are_nothing(lines: &[HeaderValue]) {
    if !lines.is_empty() {
        let mut longer = lines.to_vec();
        longer.push(HeaderValue::from_static(
            "x-unknown=\"max-age=9, public\", x",
        ));
        assert_eq!(read(lines), read(&longer), "{lines:?} and unknown ones");
    }
}

fn has_quote(line: &HeaderValue) -> bool {
    line.as_bytes().contains(&b'"')
}

/// The response before something is broken.
struct Base {
    lines: Vec<HeaderValue>,
    others: HeaderMap,
}

impl Base {
    fn new(lines: Vec<HeaderValue>, knob: u8) -> Self {
        let mut others = HeaderMap::new();
        let fields = [
            ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("expires", "Fri, 15 Jan 2027 09:00:00 GMT"),
            ("etag", "\"a\""),
            ("set-cookie", "a=b"),
            ("age", "7"),
        ];
        for (bit, (name, text)) in fields.into_iter().enumerate() {
            if knob & (1 << bit) != 0 {
                let name = HeaderName::from_static(name);
                others.insert(name, HeaderValue::from_static(text));
            }
        }
        Self { lines, others }
    }

    fn reach<'a>(
        &self,
        setting: &Setting,
        lines: impl IntoIterator<Item = &'a HeaderValue>,
    ) -> Reach {
        let mut headers = self.others.clone();
        for line in lines {
            headers.append(CACHE_CONTROL, line.clone());
        }
        Reach::of(setting, &headers)
    }

    fn garbage_on_its_own_line_restricts(
        &self,
        setting: &Setting,
        last: &HeaderValue,
        tail: &[u8],
        place: u8,
    ) {
        let garbage = if place & 1 == 0 {
            behind_a_stray_quote(last)
        } else {
            broken(name(last.as_bytes()), tail)
        };
        let mut worse = self.lines.clone();
        worse.insert(usize::from(place >> 1) % (worse.len() + 1), garbage);
        self.check(setting, &self.lines, &worse);
    }

    /// A member is put between others, or one of them is broken.
    fn garbage_within_a_line_restricts(
        &self,
        setting: &Setting,
        last: &HeaderValue,
        tail: &[u8],
        place: u8,
    ) {
        let Some(line) = self.lines.first().filter(|line| !has_quote(line)) else {
            return;
        };
        let members: Vec<&[u8]> = line.as_bytes().split(|&byte| byte == b',').collect();
        let at = usize::from(place) % members.len();
        let new = broken(name(last.as_bytes()), tail);
        let spoilt = broken(name(members[at]), tail);
        let longer = [&members[..at], &[new.as_bytes()], &members[at..]].concat();
        let replaced = [&members[..at], &[spoilt.as_bytes()], &members[at + 1..]].concat();
        for members in [longer, replaced] {
            let mut worse = self.lines.clone();
            worse[0] = value(&members.join(&b","[..]));
            self.check(setting, &self.lines, &worse);
        }
    }

    #[track_caller]
    fn check(&self, setting: &Setting, before: &[HeaderValue], after: &[HeaderValue]) {
        let (reach, worse) = (self.reach(setting, before), self.reach(setting, after));
        assert!(
            worse.is_within(&reach),
            "{before:?} reaches {reach:?}, {after:?} reaches {worse:?}; {:?}, {setting:?}",
            self.others
        );
    }

    /// Whatever else is said, and however it is written.
    fn what_forbids_is_heard(&self, setting: &Setting) {
        let is_open = ResponseDirectives::from_headers(&field(&CACHE_CONTROL, &self.lines))
            .overrides_no_store();
        for forbidding in ["no-store", "No-Store=\"x\"", "private", "private=\"a, b\""] {
            let line = HeaderValue::from_static(forbidding);
            let reach = self.reach(setting, self.lines.iter().chain([&line]));
            let own = forbidding.starts_with('p');
            // `Rules::private_to_user` and `must-understand` are what may lift them.
            let lifted = if own {
                setting.private_to_user
            } else {
                is_open
            };
            assert!(
                lifted || !reach.is_stored(),
                "{forbidding} in {:?}",
                self.lines
            );
        }
    }
}

/// The first run of bytes that may be a directive's name.
fn name(text: &[u8]) -> &[u8] {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let start = text.iter().position(is_name).unwrap_or(text.len());
    let text = &text[start..];
    let end = text.iter().position(|byte| !is_name(byte));
    &text[..end.unwrap_or(text.len())]
}

fn broken(name: &[u8], tail: &[u8]) -> HeaderValue {
    value(&[name, tail].concat())
}

/// Where nobody can tell what is quoted, nothing may be permitted.
fn behind_a_stray_quote(line: &HeaderValue) -> HeaderValue {
    let rest = line.as_bytes().iter().filter(|&&byte| byte != b'"');
    value(&b"x=\"".iter().chain(rest).copied().collect::<Vec<_>>())
}
