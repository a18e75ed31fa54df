//! What a story expects of an answer, or of what the origin sees.

use std::{collections::BTreeMap, fmt::Write as _};

use bytes::Bytes;
use http::HeaderMap;

use super::text::{Wrong, split};

/// An answer as it came.
#[derive(Clone, Debug)]
pub(super) struct Came {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// It broke off.
    pub(super) cut: bool,
}

/// A request as it reached the origin.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
}

/// What is expected of an answer. What isn't named isn't looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expect {
    status: u16,
    fields: Fields,
    body: Option<Text>,
}

/// What is expected of a message's fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(BTreeMap<String, Field>);

/// What is expected of all lines of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Absent,
    /// These lines in this order; if none of them is given in full, the value they make together.
    Lines(Vec<Line>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    Is(String),
    With(String),
    Without(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Text {
    Exactly(String),
    Containing(Vec<String>),
}

impl Expect {
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let (head, body) = split(text);
        let mut lines = head.lines();
        let status = lines.next().unwrap_or_default();
        let status = status
            .trim()
            .parse()
            .map_err(|_| Wrong::new(0, format!("{status:?} is no status")))?;
        let mut fields = Fields::default();
        for (number, line) in (1..).zip(lines) {
            fields
                .add(line)
                .map_err(|message| Wrong::new(number, message))?;
        }
        Ok(Self {
            status,
            fields,
            body: body.map(Text::parse),
        })
    }

    /// What is otherwise than expected. An answer may break off only if the origin's did.
    pub(super) fn check(&self, came: &Came, may_be_cut: bool) -> Vec<String> {
        let mut wrong = self.fields.check(&came.headers);
        if came.status != self.status {
            let status = self.status;
            wrong.insert(0, format!("expected {status}, but it is {}", came.status));
        }
        if came.cut && !may_be_cut {
            wrong.push("the answer broke off".to_owned());
        }
        wrong.extend(self.body.as_ref().and_then(|body| body.check(&came.body)));
        wrong
    }
}

impl Fields {
    /// Takes one line: `Name: value`, `Name: ~ part`, `Name: !~ part`, `!Name`.
    pub(super) fn add(&mut self, line: &str) -> Result<(), String> {
        let (name, next) = match (line.strip_prefix('!'), line.split_once(':')) {
            (Some(name), None) => (name, Field::Absent),
            (None, Some((name, value))) => (name, Field::Lines(vec![Line::of(value.trim())])),
            _ => return Err(format!("{line:?} is neither `Name: value` nor `!Name`")),
        };
        let name = name.trim().to_ascii_lowercase();
        match (self.0.get_mut(&name), next) {
            (None, next) => drop(self.0.insert(name, next)),
            (Some(Field::Lines(lines)), Field::Lines(more)) => lines.extend(more),
            _ => return Err(format!("{line:?} contradicts an earlier line")),
        }
        Ok(())
    }

    fn check(&self, headers: &HeaderMap) -> Vec<String> {
        let check = |(name, field): (&String, &Field)| field.check(name, headers);
        self.0.iter().filter_map(check).collect()
    }
}

impl Field {
    fn check(&self, name: &str, headers: &HeaderMap) -> Option<String> {
        let lines = headers.get_all(name).iter();
        let came: Vec<_> = lines.map(|value| text(value.as_bytes())).collect();
        let holds = match self {
            Self::Absent => came.is_empty(),
            Self::Lines(lines) if lines.iter().any(|line| matches!(line, Line::Is(_))) => {
                let mut pairs = lines.iter().zip(&came);
                lines.len() == came.len() && pairs.all(|(line, came)| line.fits(came))
            }
            Self::Lines(lines) => {
                let whole = came.join(", ");
                lines.iter().all(|line| line.fits(&whole))
            }
        };
        let came = match came.is_empty() {
            true => "not there".to_owned(),
            false => format!("{came:?}"),
        };
        (!holds).then(|| format!("expected {name} {}, but it is {came}", self.describe()))
    }

    fn describe(&self) -> String {
        match self {
            Self::Absent => "to be absent".to_owned(),
            Self::Lines(lines) => {
                let lines: Vec<_> = lines.iter().map(Line::describe).collect();
                format!("to be {}", lines.join(" and "))
            }
        }
    }
}

impl Line {
    fn of(value: &str) -> Self {
        if let Some(part) = value.strip_prefix("~ ") {
            Self::With(part.trim().to_owned())
        } else if let Some(part) = value.strip_prefix("!~ ") {
            Self::Without(part.trim().to_owned())
        } else {
            Self::Is(value.to_owned())
        }
    }

    fn fits(&self, value: &str) -> bool {
        match self {
            Self::Is(whole) => value == whole,
            Self::With(part) => value.contains(part),
            Self::Without(part) => !value.contains(part),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Is(whole) => format!("{whole:?}"),
            Self::With(part) => format!("with {part:?}"),
            Self::Without(part) => format!("without {part:?}"),
        }
    }
}

impl Text {
    /// Lines that all begin with `~ ` are parts; anything else is the whole.
    fn parse(body: &str) -> Self {
        let parts: Option<Vec<_>> = body
            .lines()
            .map(|line| line.strip_prefix("~ ").map(str::to_owned))
            .collect();
        match parts {
            Some(parts) if !parts.is_empty() => Self::Containing(parts),
            _ => Self::Exactly(body.to_owned()),
        }
    }

    fn check(&self, body: &[u8]) -> Option<String> {
        let body = text(body);
        let wrong = match self {
            Self::Exactly(expected) => (body != *expected).then(|| shorten(expected)),
            Self::Containing(parts) => {
                let missing = parts.iter().find(|part| !body.contains(*part));
                missing.map(|part| format!("a body with {part:?}"))
            }
        };
        wrong.map(|expected| format!("expected the body {expected}, but it is {}", shorten(&body)))
    }
}

impl Came {
    /// The whole answer for a report.
    pub(super) fn describe(&self) -> String {
        let mut out = format!("{}\n", self.status);
        describe_headers(&self.headers, &mut out);
        let cut = if self.cut { " and broken off" } else { "" };
        let body = shorten(&text(&self.body));
        let _ = writeln!(out, "body of {} bytes{cut}: {body}", self.body.len());
        out
    }
}

impl Seen {
    pub(super) fn describe(&self) -> String {
        let mut out = format!("{} {}\n", self.method, self.target);
        describe_headers(&self.headers, &mut out);
        out
    }
}

/// What is otherwise in the requests that reached the origin: an item is a field as in an answer,
/// or `METHOD target`.
pub(super) fn check_seen(items: &[String], seen: &[Seen]) -> Vec<String> {
    let mut wrong = Vec::new();
    for seen in seen {
        let mut fields = Fields::default();
        for item in items {
            let line = format!("{} {}", seen.method, seen.target);
            if is_request_line(item) {
                if *item != line {
                    wrong.push(format!("expected the origin to see {item:?}, not {line:?}"));
                }
            } else if let Err(message) = fields.add(item) {
                wrong.push(message);
            }
        }
        let told = fields.check(&seen.headers);
        wrong.extend(told.iter().map(|what| format!("at the origin: {what}")));
    }
    wrong
}

/// Whether `origin_sees` may hold this.
pub(super) fn check_item(item: &str) -> Result<(), String> {
    if is_request_line(item) {
        return Ok(());
    }
    Fields::default().add(item)
}

fn is_request_line(item: &str) -> bool {
    let words = item.split_once(' ');
    words.is_some_and(|(method, target)| !method.contains([':', '!']) && target.starts_with('/'))
}

fn describe_headers(headers: &HeaderMap, out: &mut String) {
    for (name, value) in headers {
        let _ = writeln!(out, "{name}: {}", text(value.as_bytes()));
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(600) {
        Some((at, _)) => format!("{:?}… ({} bytes)", text.get(..at), text.len()),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expect: &str, wrong: &[&str]) {
        let mut headers = HeaderMap::new();
        headers.insert("age", "5".parse().unwrap());
        headers.append("link", "a".parse().unwrap());
        headers.append("link", "b".parse().unwrap());
        let came = Came {
            status: 200,
            headers,
            body: Bytes::from_static(b"hello"),
            cut: false,
        };
        let found = Expect::parse(expect).unwrap().check(&came, false);
        assert_eq!(found, wrong, "{expect}");
    }

    #[test]
    fn what_is_named_is_compared_and_nothing_else() {
        check("200\n", &[]);
        check("200\nAge: 5\n!Date\nLink: a\nLink: b\n\nhello\n", &[]);
        check("200\nLink: ~ a\nLink: b\n\n~ hell\n~ lo", &[]);
        check("200\nLink: ~ a, b\nLink: !~ c", &[]);
    }

    #[test]
    fn every_difference_is_told() {
        check("404", &["expected 404, but it is 200"]);
        check(
            "200\nAge: 6",
            &["expected age to be \"6\", but it is [\"5\"]"],
        );
        check(
            "200\nLink: b\nLink: a",
            &["expected link to be \"b\" and \"a\", but it is [\"a\", \"b\"]"],
        );
        check(
            "200\n!Age\nETag: ~ x",
            &[
                "expected age to be absent, but it is [\"5\"]",
                "expected etag to be with \"x\", but it is not there",
            ],
        );
        check(
            "200\nAge: !~ 5",
            &["expected age to be without \"5\", but it is [\"5\"]"],
        );
        check(
            "200\n\nhell",
            &["expected the body \"hell\", but it is \"hello\""],
        );
        check(
            "200\n\n~ hell\n~ heaven",
            &["expected the body a body with \"heaven\", but it is \"hello\""],
        );
        check("200\n\n", &["expected the body \"\", but it is \"hello\""]);
    }

    #[test]
    fn what_contradicts_itself_or_says_nothing_is_refused() {
        for (text, line) in [("ok", 0), ("200\nAge", 1), ("200\nA: 1\n!A", 2)] {
            assert_eq!(Expect::parse(text).unwrap_err().line, line, "{text}");
        }
    }
}
