//! Exchanges that both sides judge: what is asked, what is answered, and when it is asked again.

use crate::with_dates;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proptest::prelude::*;

/// Name and value of each line; every `cache-control` line is one directive.
pub(crate) type Fields = Vec<(String, String)>;

/// A request, the answer to it, and for how long that has been stored when the same request comes
/// again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) asks: Fields,
    pub(crate) code: u16,
    pub(crate) says: Fields,
    pub(crate) resident: u64,
}

/// A case as a row of a table shows it: one field a line.
#[derive(Debug)]
pub(crate) struct Example {
    pub(crate) asks: &'static str,
    pub(crate) code: u16,
    pub(crate) says: &'static str,
    pub(crate) resident: u64,
}

impl Case {
    pub(crate) fn of(example: &Example) -> Self {
        let fields = |text: &str| {
            let line = |line: &str| {
                let (name, value) = line.split_once(": ").expect("name and value");
                (name.to_owned(), with_dates(value))
            };
            text.lines().map(line).collect()
        };
        Self {
            asks: fields(example.asks),
            code: example.code,
            says: fields(example.says),
            resident: example.resident,
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code).expect("a status code")
    }

    pub(crate) fn request(&self) -> HeaderMap {
        rendered(&self.asks)
    }

    pub(crate) fn response(&self) -> HeaderMap {
        rendered(&self.says)
    }
}

/// The directives go on one line, where they are hardest to tell apart.
fn rendered(fields: &Fields) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let directives: Vec<&str> = directives(fields).collect();
    if !directives.is_empty() {
        let line = HeaderValue::from_str(&directives.join(", ")).expect("a field value");
        headers.insert("cache-control", line);
    }
    for (name, value) in fields.iter().filter(|(name, _)| name != "cache-control") {
        let name: HeaderName = name.parse().expect("a field name");
        headers.append(name, HeaderValue::from_str(value).expect("a field value"));
    }
    headers
}

pub(crate) fn directives(fields: &Fields) -> impl Iterator<Item = &str> {
    let of_cache = fields.iter().filter(|(name, _)| name == "cache-control");
    of_cache.map(|(_, value)| value.as_str())
}

fn some(values: &[&'static str]) -> impl Strategy<Value = String> + use<> {
    prop::sample::select(values.to_vec()).prop_map(str::to_owned)
}

/// A number of seconds near the edge, or what is none.
fn span() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (0..40_u32).prop_map(|n| format!("={n}")),
        1 => some(&["=\"20\"", "=0020", "=+20", "=-1", "=x", "=", "=1.5", "", "=20;x", "=99999999999999999999", "=9999999999"]),
    ]
}

/// Mostly as everybody writes it.
fn odd_case(text: String) -> impl Strategy<Value = String> {
    let upper = text.to_uppercase();
    prop_oneof![12 => Just(text), 1 => Just(upper)]
}

fn flag() -> impl Strategy<Value = String> {
    let plain = some(&[
        "no-store",
        "private",
        "no-cache",
        "must-revalidate",
        "proxy-revalidate",
        "public",
        "immutable",
        "must-understand",
        "no-transform",
        "public",
        "must-revalidate",
        "stale-if-error=9",
        "x",
        "x=y",
    ]);
    let odd = some(&[
        "x=\"a, no-store, b\"",
        "x=\"a, max-age=9, b\"",
        "no-store;x",
        "private;x",
        "no-cache=\"x\"",
        "private=\"x\"",
        "public=x",
        "must-revalidate=x",
        "must-understand=x",
        "proxy-revalidate=x",
    ]);
    prop_oneof![6 => plain, 1 => odd]
}

fn response_directives() -> impl Strategy<Value = Vec<String>> {
    let span_of = |name: &'static str, often| {
        prop::option::weighted(often, span().prop_map(move |span| format!("{name}{span}")))
    };
    let flags = prop::collection::vec(flag(), 0..3);
    (
        flags,
        span_of("max-age", 0.5),
        span_of("s-maxage", 0.2),
        span_of("max-age", 0.05),
    )
        .prop_flat_map(|(mut members, max_age, s_maxage, second)| {
            // Equal flags with unequal arguments are a difference of their own; one of each will do.
            members.sort_unstable_by(|a, b| name_of(a).cmp(name_of(b)));
            members.dedup_by(|a, b| name_of(a) == name_of(b));
            members.extend(max_age);
            members.extend(s_maxage);
            members.extend(second);
            Just(members)
                .prop_shuffle()
                .prop_flat_map(|members| members.into_iter().map(odd_case).collect::<Vec<_>>())
        })
}

/// What stands before a directive's argument.
pub(crate) fn name_of(directive: &str) -> &str {
    directive.split(['=', ';']).next().unwrap_or_default()
}

fn request_directives() -> impl Strategy<Value = Vec<String>> {
    let members = prop_oneof![
        some(&["no-cache", "no-store", "max-stale", "only-if-cached", "x"]),
        span().prop_map(|span| format!("max-age{span}")),
        span().prop_map(|span| format!("min-fresh{span}")),
        span().prop_map(|span| format!("max-stale{span}")),
    ];
    prop_oneof![
        3 => Just(Vec::new()).boxed(),
        1 => members.prop_flat_map(odd_case).prop_map(|one| vec![one]).boxed(),
        1 => (0..40_u32, 0..40_u32).prop_map(|(a, b)| vec![format!("max-stale={a}"), format!("max-age={b}")]).boxed(),
        1 => (0..40_u32).prop_map(|n| vec![format!("min-fresh={n}"), "max-stale".to_owned()]).boxed(),
    ]
}

/// A date in one of the formats, or what is none.
fn moment(offsets: std::ops::Range<i64>) -> impl Strategy<Value = String> {
    (offsets, 0..24_u8).prop_map(|(offset, form)| {
        let date = crate::date(offset);
        match form {
            0 => asctime(&date),
            1 => date.replace("GMT", "+0000"),
            2 => "0".to_owned(),
            3 => date.to_lowercase(),
            _ => date,
        }
    })
}

/// `Fri, 15 Jan 2027 08:00:00 GMT` as `Fri Jan 15 08:00:00 2027`.
fn asctime(date: &str) -> String {
    let parts: Vec<&str> = date
        .split([',', ' '])
        .filter(|part| !part.is_empty())
        .collect();
    match parts.as_slice() {
        [weekday, day, month, year, time, _] => format!("{weekday} {month} {day} {time} {year}"),
        _ => unreachable!("a date has six parts"),
    }
}

fn field(
    name: &'static str,
    often: f64,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = Fields> {
    prop::option::weighted(often, value).prop_map(move |value| {
        value
            .map(|value| (name.to_owned(), value))
            .into_iter()
            .collect()
    })
}

fn concat(fields: Vec<Fields>) -> Fields {
    fields.into_iter().flatten().collect()
}

fn under_cache_control(directives: Vec<String>) -> Fields {
    let field = |directive| ("cache-control".to_owned(), directive);
    directives.into_iter().map(field).collect()
}

fn asks() -> impl Strategy<Value = Fields> {
    let fields = (
        request_directives().prop_map(under_cache_control),
        field("authorization", 0.15, some(&["Bearer x"])),
        field("pragma", 0.05, some(&["no-cache"])),
        field("accept", 0.5, some(&["text/html"])),
    );
    fields.prop_map(|(a, b, c, d)| concat(vec![a, b, c, d]))
}

fn says() -> impl Strategy<Value = Fields> {
    let ages = prop_oneof![
        6 => (0..30_u32).prop_map(|age| age.to_string()),
        1 => some(&["5, 9", "+5", "-1", "x", "99999999999", ""]),
    ];
    let fields = (
        response_directives().prop_map(under_cache_control),
        field("expires", 0.25, moment(-10..60)),
        field("expires", 0.02, moment(-10..60)),
        field("date", 0.7, moment(-10..10)),
        field("age", 0.2, ages),
        field("last-modified", 0.4, moment(-600..10)),
        field("etag", 0.4, some(&["\"a\"", "W/\"a\"", "\"\"", "a", "\"a"])),
        field(
            "vary",
            0.1,
            some(&["accept", "*", "accept, *", "a b", "x-absent"]),
        ),
        field("set-cookie", 0.05, some(&["a=b"])),
        field("pragma", 0.05, some(&["no-cache"])),
    );
    fields.prop_map(|(a, b, c, d, e, f, g, h, i, j)| concat(vec![a, b, c, d, e, f, g, h, i, j]))
}

pub(crate) fn case() -> impl Strategy<Value = Case> {
    let codes = prop_oneof![
        5 => Just(200_u16),
        3 => prop::sample::select(vec![
            100, 201, 203, 204, 206, 300, 301, 302, 303, 304, 307, 308, 400, 404, 405, 410, 414, 418, 429, 451, 500, 501, 503, 599,
        ]),
    ];
    (asks(), codes, says(), 0..60_u64).prop_map(|(asks, code, says, resident)| Case {
        asks,
        code,
        says,
        resident,
    })
}
