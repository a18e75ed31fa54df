//! Messages as stories write them: line feeds for CRLF, placeholders for what depends on the time.

use std::{
    ops::RangeInclusive,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use pitlane::parse_duration;

/// The host of a request that doesn't name one.
const HOST: &str = "site.example";

/// When every story begins.
const START: &str = "Sun, 06 Nov 2033 08:49:37 GMT";

pub(super) fn start() -> SystemTime {
    httpdate::parse_http_date(START).expect("a date")
}

/// What is wrong with a text, and in which of its lines, from zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) line: usize,
    pub(super) message: String,
}

impl Wrong {
    pub(super) fn new(line: usize, message: impl Into<String>) -> Self {
        Self {
            line,
            message: message.into(),
        }
    }
}

/// One HTTP message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// The request line or the status line.
    pub(super) first: String,
    /// The field lines as they are written, each with a colon.
    pub(super) lines: Vec<String>,
    /// What follows the empty line, if there is one.
    pub(super) body: Option<String>,
}

impl Message {
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let (head, body) = split(text);
        let mut lines = head.lines();
        let first = lines.next().unwrap_or_default().to_owned();
        let lines: Vec<_> = lines.map(str::to_owned).collect();
        if let Some(at) = lines.iter().position(|line| !line.contains(':')) {
            return Err(Wrong::new(at + 1, "a field line without a colon"));
        }
        Ok(Self {
            first,
            lines,
            body: body.map(str::to_owned),
        })
    }

    /// One of the parts of the first line.
    pub(super) fn word(&self, number: usize) -> &str {
        self.first.split(' ').nth(number).unwrap_or_default()
    }

    /// The first line of this name.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.lines.iter().filter_map(|line| line.split_once(':'));
        let found = fields.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }

    /// The same with one more field behind the others.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.lines.push(format!("{name}: {value}"));
        self
    }

    pub(super) fn with_host(self) -> Self {
        match self.field("host") {
            Some(_) => self,
            None => self.with("Host", HOST),
        }
    }

    /// The same with a Content-Length, unless it says already where it ends.
    pub(super) fn with_length(self) -> Self {
        let says = |name| self.field(name).is_some();
        if says("content-length") || says("transfer-encoding") {
            return self;
        }
        let length = self.body.as_ref().map_or(0, String::len);
        self.with("Content-Length", &length.to_string())
    }

    pub(super) fn is_chunked(&self) -> bool {
        self.field("transfer-encoding").is_some()
    }

    /// The fields as a library sees them. An error where it would refuse them.
    pub(super) fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in self.lines.iter().filter_map(|line| line.split_once(':')) {
            let wrong = || format!("{name:?}: {value:?} is no header field");
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            let value = HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| wrong())?;
            headers.append(name, value);
        }
        Ok(headers)
    }

    /// The message on the wire, byte for byte. `bodiless` is one that only speaks of a body.
    pub(super) fn wire(&self, bodiless: bool) -> Vec<u8> {
        let mut bytes = format!("{}\r\n", self.first).into_bytes();
        for line in &self.lines {
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        let body = self.body.as_deref().unwrap_or_default();
        if bodiless {
            return bytes;
        }
        if self.is_chunked() {
            if !body.is_empty() {
                bytes.extend_from_slice(format!("{:x}\r\n{body}\r\n", body.len()).as_bytes());
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        } else {
            bytes.extend_from_slice(body.as_bytes());
        }
        bytes
    }
}

/// Head and body of a text. The last line feed belongs to the way it is written.
pub(super) fn split(text: &str) -> (&str, Option<&str>) {
    let end = |text| str::strip_suffix(text, "\n").unwrap_or(text);
    match text.split_once("\n\n") {
        Some((head, body)) => (head, Some(end(body))),
        None => (end(text), None),
    }
}

/// Puts in what `{now}`, `{now-90s}`, `{now+1h}`, `{body:N}` and `{body:FIRST-LAST}` stand for.
///
/// A brace with anything but a small letter behind it is a brace.
pub(super) fn expand(text: &str, now: SystemTime) -> Result<String, Wrong> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        out.push_str(before);
        let placeholder = behind.split_once('}');
        let placeholder =
            placeholder.filter(|_| behind.starts_with(|first: char| first.is_ascii_lowercase()));
        let Some((placeholder, after)) = placeholder else {
            out.push('{');
            rest = behind;
            continue;
        };
        let value = meaning(placeholder, now).ok_or_else(|| {
            let line = out.matches('\n').count();
            Wrong::new(line, format!("{{{placeholder}}} is no placeholder"))
        })?;
        out.push_str(&value);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn meaning(placeholder: &str, now: SystemTime) -> Option<String> {
    if let Some(range) = placeholder.strip_prefix("body:") {
        let range = match range.split_once('-') {
            Some((first, last)) => first.parse().ok()?..=last.parse().ok()?,
            None => 0..=range.parse::<usize>().ok()?.checked_sub(1)?,
        };
        return Some(body(range));
    }
    let rest = placeholder.strip_prefix("now")?;
    let by = |text| -> Option<Duration> { parse_duration(text).ok() };
    let time = match rest.split_at_checked(1) {
        Some(("-", span)) => now.checked_sub(by(span)?)?,
        Some(("+", span)) => now.checked_add(by(span)?)?,
        None => now,
        Some(_) => return None,
    };
    Some(httpdate::fmt_http_date(time))
}

/// A part of an endless text in which no two places look alike for long.
fn body(range: RangeInclusive<usize>) -> String {
    let letters = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let letter = |at: usize| letters.get((at * 7 + at / 36) % 36).copied();
    range.filter_map(letter).map(char::from).collect()
}

#[test]
fn placeholders_are_replaced_and_other_braces_stay() {
    let now = start();
    let expand = |text| expand(text, now).map_err(|wrong| wrong.message);
    assert_eq!(expand("Date: {now}").unwrap(), format!("Date: {START}"));
    assert_eq!(
        expand("{now-37s}").unwrap(),
        "Sun, 06 Nov 2033 08:49:00 GMT"
    );
    assert_eq!(expand("{now+1h}").unwrap(), "Sun, 06 Nov 2033 09:49:37 GMT");
    let whole = expand("{body:100}").unwrap();
    assert_eq!(whole.len(), 100);
    assert_eq!(expand("{body:10-19}").unwrap(), whole[10..=19]);
    assert_eq!(expand(r#"{"a": {}}"#).unwrap(), r#"{"a": {}}"#);
    for wrong in ["{nwo}", "{now*3s}", "{now-3}", "{body:x}"] {
        assert!(expand(wrong).unwrap_err().contains("no placeholder"));
    }
}

#[test]
fn a_message_has_a_body_only_behind_an_empty_line() {
    let body = |text| Message::parse(text).map(|message| message.body);
    assert_eq!(body("GET / HTTP/1.1\nA: b\n").unwrap(), None);
    assert_eq!(body("GET / HTTP/1.1\nA: b\n\n").unwrap(), Some("".into()));
    assert_eq!(body("X\nA: b\n\nc\n\nd\n").unwrap(), Some("c\n\nd".into()));
    assert_eq!(body("X\nA: b\nc\n").unwrap_err().line, 2);
}
