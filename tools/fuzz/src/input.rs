//! From bytes to what the policy is asked about.
//!
//! Inputs are text with a few bytes of knobs before it, so that a fuzzer's words land whole where
//! a parser reads them.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use pitlane_policy::{Profile, RequestFacts, Rules};
use std::time::{Duration, SystemTime};

/// More lines than this say nothing new and make every execution slower.
const MOST_LINES: usize = 24;

/// When every response is received: Fri, 15 Jan 2027 08:00:00 GMT.
pub(crate) fn received() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// The bytes before the text; past their end all of them are zero.
pub(crate) struct Knobs<'a> {
    rest: &'a [u8],
}

impl<'a> Knobs<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let (byte, rest) = self.rest.split_first().unwrap_or((&0, &[]));
        self.rest = rest;
        *byte
    }

    pub(crate) fn number(&mut self) -> u64 {
        u64::from_be_bytes(std::array::from_fn(|_| self.byte()))
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    pub(crate) fn text(self) -> &'a [u8] {
        self.rest
    }
}

/// The parts between empty lines; those that are missing are empty.
pub(crate) fn sections<const N: usize>(text: &[u8]) -> [&[u8]; N] {
    let mut rest = text;
    std::array::from_fn(|_| {
        let end = rest.windows(2).position(|two| two == b"\n\n");
        let (section, behind) = rest.split_at(end.unwrap_or(rest.len()));
        rest = behind.get(2..).unwrap_or_default();
        section
    })
}

/// Each line as one field value; what no value can hold is left out.
pub(crate) fn values(text: &[u8]) -> Vec<HeaderValue> {
    let lines = text.split(|&byte| byte == b'\n');
    let values = lines.filter_map(|line| HeaderValue::from_bytes(line).ok());
    values.take(MOST_LINES).collect()
}

/// All of them as lines of one field.
pub(crate) fn field<'a>(
    name: &HeaderName,
    values: impl IntoIterator<Item = &'a HeaderValue>,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(name, value.clone());
    }
    headers
}

/// Lines of `name: value`; what is no field is left out.
pub(crate) fn fields(text: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in text.split(|&byte| byte == b'\n').take(MOST_LINES) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            continue;
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
    headers
}

pub(crate) fn value(text: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(text).expect("made of what a field value may hold")
}

/// What decides beside the headers.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) rules: Rules,
    pub(crate) facts: RequestFacts,
    pub(crate) status: StatusCode,
    pub(crate) empty: bool,
    pub(crate) private_to_user: bool,
    pub(crate) can_validate: bool,
    pub(crate) profile: Profile,
}

impl Setting {
    pub(crate) fn new(knobs: &mut Knobs<'_>) -> Self {
        let flags = knobs.byte();
        let on = |bit: u8| flags & (1 << bit) != 0;
        let profile = if on(0) {
            Profile::Rfc
        } else {
            Profile::Application
        };
        let windows = knobs.byte();
        let window = |shift: u8, seconds: [u64; 3]| match windows >> shift & 3 {
            0 => None,
            step => Some(Duration::from_secs(seconds[usize::from(step) - 1])),
        };
        let rules = Rules::new(profile)
            .ttl(window(0, [0, 30, 3_600]))
            .stale_while_revalidate(window(2, [0, 20, 1_000]))
            .stale_if_error(window(4, [0, 40, 100_000]))
            .max_stale(window(6, [0, 10, 50_000]))
            .can_validate(on(1))
            .private_to_user(on(2))
            .store_empty(on(3))
            .store_redirects(on(3));
        Self {
            rules,
            facts: RequestFacts {
                authorized: on(4),
                cross_origin: on(5),
            },
            status: status(knobs),
            empty: on(6),
            private_to_user: on(2),
            can_validate: on(1),
            profile,
        }
    }
}

fn status(knobs: &mut Knobs<'_>) -> StatusCode {
    let code = knobs.pick(&[
        200_u16, 200, 200, 203, 204, 206, 299, 301, 302, 304, 308, 404, 410, 418, 451, 500, 503,
        599, 100, 201,
    ]);
    StatusCode::from_u16(code).expect("a status code")
}
