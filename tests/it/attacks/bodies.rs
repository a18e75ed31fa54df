//! QUERY, and POST that only asks: what is in their bodies is what is asked (class 36).

use bytes::Bytes;
use pitlane_e2e::{Answer, Ask, Payload, Seen};

use super::clean;
use crate::runner::{BODY_LIMIT, Expect, MARKER, Row, Subject};

const BODIES: &[Subject] = &[Subject::Bodies];

pub(super) fn rows() -> Vec<Row> {
    let rows = [questions(), framings(), lengths(), posts(), others()];
    let rows = rows.concat().into_iter();
    rows.map(|row| row.only(BODIES)).collect()
}

fn length(body: impl Into<Bytes>) -> Payload {
    Payload::Length(body.into())
}

fn query(body: impl Into<Bytes>) -> Ask {
    clean().method("QUERY").payload(length(body))
}

fn post(body: impl Into<Bytes>) -> Ask {
    clean().method("POST").payload(length(body))
}

fn row(name: &str, attack: Ask, victim: Ask) -> Row {
    Row::new(36, name, attack, victim)
}

fn questions() -> Vec<Row> {
    let described = |name: &str, value: &str| query("v").header(name, value);
    let json = || described("content-type", "application/json");
    vec![
        row("a body and another", query(MARKER), query("v")),
        row("a body and an empty one", query(MARKER), query("")),
        row("a body and none", query(MARKER), clean().method("QUERY")),
        row("an empty one and a body", query(""), query("v")),
        row("a longer body", query("v evil"), query("v")),
        row("a zero byte more", query("v\0"), query("v")),
        row(
            "another target",
            Ask {
                target: "/page?evil".into(),
                ..query("v")
            },
            query("v"),
        ),
        row(
            "another host",
            query("v").hosts(&["evil.example"]),
            query("v"),
        ),
        row("another type", described("content-type", MARKER), json()),
        row(
            "a type and none",
            described("content-type", MARKER),
            query("v"),
        ),
        row("two types", json().header("content-type", MARKER), json()),
        row(
            "another coding",
            described("content-encoding", MARKER),
            query("v"),
        ),
        row(
            "another language",
            described("content-language", MARKER),
            query("v"),
        ),
        row(
            "a type that looks like a coding",
            described("content-type", "gzip"),
            described("content-encoding", "gzip"),
        ),
    ]
}

/// The handler sees how a body came, and V's came in another way.
fn framings() -> Vec<Row> {
    let chunked = |body: &'static str| {
        clean()
            .method("QUERY")
            .payload(Payload::Chunked(body.into()))
    };
    let framed = |ask: Ask, how: &str| ask.header("content-length", how);
    vec![
        row("in chunks and by length", chunked(MARKER), query("v")).http1(),
        row(
            "in chunks and by length, the same",
            chunked("v"),
            query("v"),
        )
        .http1()
        .expect(Expect::Shared),
        row(
            "by length and in chunks, the same",
            query("v"),
            chunked("v"),
        )
        .http1()
        .expect(Expect::Shared),
        row(
            "an odd coding before the chunks",
            clean()
                .method("QUERY")
                .header("transfer-encoding", MARKER)
                .payload(Payload::Chunked("v".into())),
            query("v"),
        )
        .http1()
        .expect(Expect::Shared),
        row("DATA with its length", framed(query("v"), "1"), query("v"))
            .http2()
            .expect(Expect::Shared),
        row("two lengths", framed(query("v evil"), "1"), query("v"))
            .http1()
            .expect(Expect::Refused),
    ]
}

fn lengths() -> Vec<Row> {
    let of = |length: usize, end: &str| format!("{}{end}", "x".repeat(length - end.len()));
    vec![
        row(
            "a body past the limit, and its beginning",
            query(of(BODY_LIMIT, "") + MARKER),
            query(of(BODY_LIMIT, "")),
        ),
        row(
            "the longest body",
            query(of(BODY_LIMIT, MARKER)),
            query(of(BODY_LIMIT, "")),
        ),
        row(
            "two bodies past the limit",
            query(of(BODY_LIMIT + 1, MARKER)),
            query(of(BODY_LIMIT + 1, "")),
        )
        .never_kept(),
    ]
}

fn posts() -> Vec<Row> {
    vec![
        row("POST and another", post("ask evil"), post("ask v")),
        row("a write, then a question", post(MARKER), post("ask v")),
        row("a question, then a write", post("ask evil"), post("v")).never_kept(),
        row(
            "the same write twice",
            post("v").header("x-any", MARKER),
            post("v"),
        )
        .never_kept(),
        row(
            "POST, then QUERY",
            post("ask v").header("x-any", MARKER),
            query("ask v"),
        ),
        row(
            "QUERY, then POST",
            query("ask v").header("x-any", MARKER),
            post("ask v"),
        ),
        row("an empty POST", post("ask evil"), post("")).never_kept(),
        row(
            "a POST past the limit",
            post(format!("ask{}", "x".repeat(80))),
            post("ask"),
        ),
    ]
}

/// What is asked without a body, by somebody, or with more than that.
fn others() -> Vec<Row> {
    let marked = || query("").header("x-any", MARKER);
    let by = |name: &str, value: &str| query("v").header(name, value);
    let personal = |seen: &Seen, _: usize| match seen.header("x-any") {
        "" => Answer::default(),
        _ => Answer::default().header("cache-control", "private"),
    };
    vec![
        row("QUERY, then GET", marked(), clean()),
        row(
            "GET, then QUERY",
            clean().header("x-any", MARKER),
            query(""),
        ),
        row("QUERY, then HEAD", marked(), clean().method("HEAD"))
            .http1()
            .never_kept(),
        row("HEAD, then QUERY", clean().method("HEAD"), query("")),
        row(
            "a GET with a body, then QUERY",
            clean().payload(length("v evil")),
            query("v evi"),
        ),
        row("a cookie", by("cookie", "session=evil"), query("v")),
        row("a token", by("authorization", "Bearer evil"), query("v")),
        row("a key", by("x-api-key", MARKER), query("v")),
        row(
            "a method beside the method",
            by("x-http-method-override", MARKER),
            query("v"),
        ),
        row(
            "another method's name",
            Ask {
                method: "QUERYX",
                ..query(MARKER)
            },
            query("v"),
        ),
        row(
            "in small letters",
            Ask {
                method: "query",
                ..query("v")
            },
            query("v"),
        ),
        row(
            "another's part",
            post("ask v").header("range", "bytes=0-0"),
            post("ask v"),
        )
        // POST knows no parts: A gets the whole, and so does V.
        .expect(Expect::Shared),
        row("a part", by("range", "bytes=0-0"), query("v")),
        row("one's own answer", by("x-any", MARKER), query("v")).answers(personal),
    ]
}
