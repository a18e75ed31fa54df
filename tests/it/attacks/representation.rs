//! Parts, codings, conditions and connections: classes 22-25, 27.

use pitlane_e2e::{Answer, Ask, Content, Seen};

use super::{clean, triggered, when_triggered};
use crate::runner::{Expect, MARKER, Row};

pub(super) fn rows() -> Vec<Row> {
    [codings(), ranges(), conditions(), heads(), hops()].concat()
}

/// A handler that compresses for whoever accepts it, and says so.
fn negotiating(seen: &Seen, _: usize) -> Answer {
    let accepts = seen.header("accept-encoding");
    let answer = Answer::default().header("vary", "Accept-Encoding");
    if accepts.contains("gzip") && !accepts.contains("gzip;q=0") {
        answer
            .header("content-encoding", "gzip")
            .content(Content::Text("evil, compressed".to_owned()))
    } else {
        answer.content(Content::Text("plain".to_owned()))
    }
}

fn codings() -> Vec<Row> {
    let accepting = |value: &str| clean().header("accept-encoding", value);
    let mut rows = vec![
        Row::new(22, "gzip, then no word", accepting("gzip"), clean()).answers(negotiating),
        Row::new(22, "in a list", accepting("br, gzip;q=0.5"), clean()).answers(negotiating),
    ];
    for value in [
        "gzip;q=0",
        "identity;q=0",
        "br",
        "",
        "*;q=0",
        "gz ip",
        "gzip;q=0, gzip;q=0",
        "\"gzi",
    ] {
        let name = format!("gzip, then {value:?}");
        rows.push(Row::new(22, name, accepting("gzip"), accepting(value)).answers(negotiating));
    }
    rows
}

fn ranges() -> Vec<Row> {
    let partial = |seen: &Seen, _: usize| {
        let range = seen.header("range");
        if range.is_empty() {
            return Answer::default();
        }
        let status = if range.starts_with("bytes=0") {
            206
        } else {
            416
        };
        Answer::status(status)
            .header("content-range", "bytes 0-0/1000")
            .header("cache-control", "max-age=60")
            .content(Content::Text("e".to_owned()))
    };
    let many = (0..1000).map(|n| format!("{n}-{n}"));
    let many = format!("bytes={}", many.collect::<Vec<_>>().join(","));
    let ranged = |value: &str| clean().header("range", value);
    let mut rows = vec![
        Row::new(23, "the first byte", ranged("bytes=0-0"), clean()),
        Row::new(
            23,
            "a bad If-Range",
            ranged("bytes=0-0").header("if-range", "evil"),
            clean(),
        ),
        Row::new(23, "1000 ranges", ranged(&many), clean()),
        Row::new(23, "no range at all", ranged("evil"), clean()),
        Row::new(23, "beyond the end", ranged("bytes=9999-"), clean()),
        Row::new(
            23,
            "two lines",
            ranged("bytes=0-0").header("range", "x"),
            clean(),
        ),
    ];
    let partly = |row: Row| row.answers(partial).whole();
    rows = rows.into_iter().map(partly).collect();
    let unasked = Answer::status(206)
        .header("content-range", "bytes 0-0/1000")
        .header("cache-control", "max-age=60");
    rows.push(
        Row::new(23, "a part that nobody asked for", triggered(), clean())
            .answers(when_triggered(unasked)),
    );
    let condition = clean().header("if-range", "\"evil\"");
    rows.push(Row::new(23, "If-Range alone", condition, clean()).expect(Expect::Shared));
    rows
}

fn conditions() -> Vec<Row> {
    // An origin that believes every condition, and lets its answers be kept.
    let credulous = |seen: &Seen, _: usize| {
        let says = |name| seen.headers.contains_key(name);
        let status = if says("if-none-match") || says("if-modified-since") {
            304
        } else if says("if-match") || says("if-unmodified-since") {
            412
        } else {
            return Answer::default();
        };
        Answer::status(status)
            .header("cache-control", "max-age=60")
            .content(Content::Empty)
    };
    let date = "Thu, 01 Jan 2099 00:00:00 GMT";
    let table = [
        ("if-none-match", "\"evil\""),
        ("if-none-match", "*"),
        ("if-modified-since", date),
        ("if-match", "\"evil\""),
        ("if-unmodified-since", date),
    ];
    let row = |(name, value): (&str, &str)| {
        let title = format!("{name}: {value}");
        Row::new(24, title, clean().header(name, value), clean())
            .expect(Expect::Shared)
            .answers(credulous)
    };
    let mut rows: Vec<_> = table.into_iter().map(row).collect();
    let unasked = Answer::status(304)
        .header("cache-control", "max-age=60")
        .content(Content::Empty);
    rows.push(
        Row::new(24, "a 304 that nobody asked for", triggered(), clean())
            .answers(when_triggered(unasked)),
    );
    rows
}

fn heads() -> Vec<Row> {
    let honest = |seen: &Seen, _: usize| {
        if seen.method == "HEAD" {
            Answer::default()
                .header("content-length", "1000")
                .content(Content::Empty)
        } else {
            Answer::default()
        }
    };
    let head = |ask: Ask| ask.method("HEAD");
    let marked = clean().header("x-any", MARKER);
    vec![
        Row::new(25, "HEAD, then GET", head(clean()), clean()).answers(honest),
        Row::new(25, "HEAD with more, then GET", head(marked), clean()),
        Row::new(
            25,
            "HEAD with a condition, then GET",
            head(clean()).header("if-none-match", "*"),
            clean(),
        ),
    ]
}

/// What belongs to one connection stays with it.
fn hops() -> Vec<Row> {
    let row = |(name, value): (&'static str, &'static str)| {
        Row::new(27, name, clean(), clean())
            .http1()
            .expect(Expect::Shared)
            .answers(move |_, call| {
                let answer = Answer::default().header("connection", "x-foo, close");
                // Only A's own answer has the marker.
                answer.header(name, if call == 1 { value } else { "" })
            })
    };
    let table = [
        ("x-foo", MARKER),
        ("keep-alive", "timeout=5, x=evil"),
        ("proxy-authenticate", "Basic realm=evil"),
        ("proxy-connection", MARKER),
        ("te", MARKER),
        ("trailer", "x-evil"),
    ];
    let upgrade = clean()
        .header("upgrade", MARKER)
        .header("connection", "upgrade");
    let mut rows: Vec<_> = table.into_iter().map(row).collect();
    rows.push(Row::new(27, "a wish to upgrade", upgrade, clean()).http1());
    // A proxy behind the cache takes away what Connection names: the key must not have it.
    let named = |names| {
        let host = clean().header("x-forwarded-host", "w.example");
        let attack = host.clone().header("connection", names);
        Row::new(27, format!("Connection: {names}"), attack, host)
            .http1()
            .answers(|seen, _| {
                let named = seen.header("connection").to_lowercase();
                let host = match seen.header("x-forwarded-host") {
                    host if !named.contains("x-forwarded-host") => host,
                    _ => "evil",
                };
                Answer::default().content(Content::Text(format!("for {host}")))
            })
    };
    rows.extend(["x-forwarded-host", "keep-alive, X-Forwarded-Host"].map(named));
    rows
}
