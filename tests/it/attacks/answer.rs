//! What a handler answers and nobody else may see: classes 13-16, 19, 20, 31, 35.

use pitlane_e2e::{Answer, Content, Seen};

use super::{clean, triggered, when_triggered};
use crate::runner::{MARKER, Row};

pub(super) fn rows() -> Vec<Row> {
    [
        statuses(),
        empty_bodies(),
        redirects(),
        cookies(),
        directives(),
        variants(),
        origins(),
        nonces(),
    ]
    .concat()
}

fn statuses() -> Vec<Row> {
    let codes = [
        400, 401, 403, 404, 405, 407, 412, 413, 414, 416, 429, 431, 500, 501, 502, 503, 504, 511,
        599,
    ];
    let row = |code| {
        let answer = Answer::status(code).header("cache-control", "public, max-age=60");
        Row::new(13, code.to_string(), triggered(), clean()).answers(when_triggered(answer))
    };
    codes.into_iter().map(row).collect()
}

fn empty_bodies() -> Vec<Row> {
    let table = [
        ("204", Answer::status(204).content(Content::Empty)),
        ("an empty 200", Answer::default().content(Content::Empty)),
        (
            "a stream that ends at once",
            Answer::default().content(Content::EmptyStream),
        ),
        ("205", Answer::status(205).content(Content::Empty)),
    ];
    let row = |(name, answer): (&str, Answer)| {
        let answer = answer.header("cache-control", "max-age=60");
        Row::new(14, name, triggered(), clean()).answers(when_triggered(answer))
    };
    table.into_iter().map(row).collect()
}

fn redirects() -> Vec<Row> {
    let codes = [300, 301, 302, 303, 307, 308];
    let row = |code| {
        let answer = Answer::status(code)
            .header("location", "//evil.example")
            .header("cache-control", "max-age=60");
        Row::new(15, code.to_string(), triggered(), clean()).answers(when_triggered(answer))
    };
    codes.into_iter().map(row).collect()
}

fn cookies() -> Vec<Row> {
    let row = |directive: &'static str| {
        let answer = Answer::default()
            .header("set-cookie", "session=evil")
            .header("cache-control", directive);
        Row::new(16, directive, triggered(), clean()).answers(when_triggered(answer))
    };
    let directives = ["max-age=60", "public, max-age=60", "public, s-maxage=60"];
    directives.into_iter().map(row).collect()
}

fn directives() -> Vec<Row> {
    let values: [&[&str]; 22] = [
        &["private"],
        &["no-store"],
        &["max-age=60, private"],
        &["public, private, max-age=60"],
        &["public, max-age=60, no-store"],
        &["PRIVATE, max-age=60"],
        &["private=\"X-User\", max-age=60"],
        &["private=\"X-User, max-age=60"],
        &["private=X, max-age=60"],
        &["private = \"x\", max-age=60"],
        &["no-cache=\"X-User\", max-age=60"],
        &["no-cache, max-age=60"],
        &["no-store=1, max-age=60"],
        &["foo=\"bar\\\", private, max-age=60"],
        &["max-age=60", "private"],
        &["no-store", "max-age=60"],
        &["max-age=60, max-age=0"],
        &["max-age=0, s-maxage=0"],
        &["max-age=60; private"],
        &["max-age=-1"],
        &["max-age"],
        &["max-age=6e1"],
    ];
    let mut rows: Vec<_> = values
        .iter()
        .map(|lines| {
            let answer = lines.iter().fold(Answer::default(), |answer, line| {
                answer.header("cache-control", *line)
            });
            Row::new(19, lines.join(" + "), triggered(), clean()).answers(when_triggered(answer))
        })
        .collect();
    for expires in ["0", "-1", "Thu, 01 Jan 1970 00:00:00 GMT"] {
        let answer = Answer::default()
            .header("expires", expires)
            .header("cache-control", "foo");
        let name = format!("Expires: {expires}");
        rows.push(Row::new(19, name, triggered(), clean()).answers(when_triggered(answer)));
    }
    rows
}

fn variants() -> Vec<Row> {
    let varying = |value: &'static str| move |_: &Seen, _| Answer::default().header("vary", value);
    let french = || clean().header("x-lang", "fr");
    let evil = || clean().header("x-lang", MARKER);
    let vary = |name: &str, attack, victim, value| {
        Row::new(20, name, attack, victim).answers(varying(value))
    };
    vec![
        vary("Vary: *", evil(), clean(), "*").never_kept(),
        vary("a star among names", evil(), clean(), "x-lang, *").never_kept(),
        vary("no name", evil(), clean(), "x-lang, \u{40}").never_kept(),
        vary("a header outside the key", evil(), clean(), "x-lang"),
        vary("another value of it", evil(), french(), "X-Lang"),
        vary(
            "a second line of it",
            french().header("x-lang", MARKER),
            french(),
            "x-lang",
        ),
        vary(
            "an empty value and none",
            clean().header("x-lang", ""),
            clean(),
            "x-lang",
        ),
        vary(
            "one value split in two",
            clean().header("x-lang", "a").header("x-dialect", "b, c"),
            clean().header("x-lang", "a, b").header("x-dialect", "c"),
            "x-lang, x-dialect",
        ),
        vary(
            "user agent",
            clean().header("user-agent", MARKER),
            clean(),
            "user-agent",
        ),
        Row::new(20, "Vary only on the attack's answer", evil(), clean())
            .hidden()
            .answers(|seen, _| {
                if seen.headers.contains_key("x-lang") {
                    Answer::default().header("vary", "x-lang")
                } else {
                    Answer::default()
                }
            }),
    ]
}

fn origins() -> Vec<Row> {
    let reflecting = |vary: bool| {
        move |seen: &Seen, _| {
            let answer = match seen.header("origin") {
                "" => Answer::default(),
                origin => Answer::default().header("access-control-allow-origin", origin),
            };
            if vary {
                answer.header("vary", "Origin")
            } else {
                answer
            }
        }
    };
    let from = |origin| clean().header("origin", origin);
    let evil = || from("https://evil.example");
    vec![
        Row::new(31, "without Vary", evil(), clean())
            .answers(reflecting(false))
            .hidden(),
        Row::new(31, "with Vary", evil(), clean()).answers(reflecting(true)),
        Row::new(31, "with Vary, another", evil(), from("https://w.example"))
            .answers(reflecting(true)),
        Row::new(
            31,
            "without Vary, another",
            evil(),
            from("https://w.example"),
        )
        .answers(reflecting(false))
        .hidden()
        .never_kept(),
        Row::new(31, "null", from("null"), clean())
            .answers(reflecting(false))
            .hidden(),
    ]
}

/// A page with the attacker's nonce, in a header or in the body.
fn nonces() -> Vec<Row> {
    let header = |name: &'static str| {
        when_triggered(Answer::default().header(name, "script-src 'nonce-evil'"))
    };
    let mut rows = vec![
        Row::new(35, "a policy", triggered(), clean()).answers(header("content-security-policy")),
        Row::new(35, "a policy that only reports", triggered(), clean())
            .answers(header("content-security-policy-report-only")),
    ];
    let pages = [
        ("text/html", "<script nonce=\"evil\">"),
        ("text/html; charset=utf-8", "<script async nonce='evil'>"),
        ("TEXT/HTML", "<SCRIPT NONCE=evil>"),
        ("text/html", "<script\nnonce=\"evil\">"),
        ("text/html", "<script\tnonce=\"evil\">"),
        ("text/html", "<script src=\"x\"nonce=\"evil\">"),
        ("text/html", "<script/nonce=evil>"),
        ("text/html", "<script nonce = \"evil\">"),
        ("application/xhtml+xml", "<script nonce=\"evil\">"),
        (
            "text/html",
            "<meta http-equiv=Content-Security-Policy content=\"script-src 'nonce-evil'\">",
        ),
    ];
    rows.extend(pages.map(|(kind, page)| {
        let answer = Answer::default()
            .header("content-type", kind)
            .content(Content::Text(page.to_owned()));
        let name = format!("{kind} with {page:?}");
        Row::new(35, name, triggered(), clean()).answers(when_triggered(answer))
    }));
    rows
}
