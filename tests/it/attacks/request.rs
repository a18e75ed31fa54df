//! What a request says beside its target: classes 1-4, 11, 12, 17, 18.

use pitlane_e2e::{Answer, Ask, Payload, Seen};

use super::clean;
use crate::runner::{Expect, MARKER, Row};

pub(super) fn rows() -> Vec<Row> {
    [
        forwarding(),
        overrides(),
        bodies(),
        sizes(),
        control_characters(),
        credentials(),
        cookies(),
    ]
    .concat()
}

fn forwarding() -> Vec<Row> {
    let names = [
        "forwarded",
        "x-forwarded-host",
        "x-forwarded-scheme",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-server",
        "x-host",
    ];
    let row = |name: &&str| Row::new(1, *name, clean().header(*name, MARKER), clean()).hidden();
    let mut rows: Vec<_> = names.iter().map(row).collect();
    let split = clean()
        .header("X-Forwarded-Host", "v.example")
        .header("X-Forwarded-Host", MARKER);
    let once = clean().header("X-Forwarded-Host", "v.example");
    rows.push(Row::new(1, "a second line beside the proxy's", split, once).hidden());
    rows
}

fn overrides() -> Vec<Row> {
    let uri = ["x-original-url", "x-rewrite-url", "x-original-uri"];
    let uri = uri
        .iter()
        .map(|name| Row::new(2, *name, clean().header(*name, "/evil"), clean()));
    let method = [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ];
    let method = method
        .iter()
        .map(|name| Row::new(4, *name, clean().header(*name, "EVIL"), clean()));
    let parameter = ["/page?_method=evil", "/page?a=1&_method=evil"];
    let parameter = parameter
        .iter()
        .map(|target| Row::new(4, *target, Ask::get(*target), clean()));
    uri.chain(method).chain(parameter).collect()
}

fn bodies() -> Vec<Row> {
    let with = |payload| clean().payload(payload);
    let length = Payload::Length(MARKER.into());
    let chunked = Payload::Chunked(MARKER.into());
    vec![
        Row::new(3, "a body by its length", with(length.clone()), clean()).http1(),
        Row::new(3, "a body in chunks", with(chunked), clean()).http1(),
        Row::new(3, "DATA", with(length.clone()), clean()).http2(),
        Row::new(
            3,
            "DATA and its length",
            with(length.clone()).header("content-length", "4"),
            clean(),
        )
        .http2(),
        Row::new(
            3,
            "a HEAD with a body",
            with(length).method("HEAD"),
            clean(),
        )
        .http1(),
    ]
}

fn sizes() -> Vec<Row> {
    // The handler minds headers that the server let pass, and a careless cache keeps its error.
    let minds = |seen: &Seen, _| {
        let size: usize = seen.headers.values().map(|value| value.len()).sum();
        if size > 4 << 10 {
            Answer::status(431).header("cache-control", "max-age=60")
        } else {
            Answer::default()
        }
    };
    let sized = |kib: usize| {
        clean().header(
            "x-big",
            format!("{MARKER}{}", "x".repeat((kib << 10) - MARKER.len())),
        )
    };
    let passing = |kib| {
        let row = Row::new(11, format!("{kib} KiB"), sized(kib), clean());
        row.answers(minds).hidden()
    };
    let refused = |kib| {
        let row = Row::new(11, format!("{kib} KiB of frames"), sized(kib), clean());
        row.http2().expect(Expect::Refused)
    };
    let mut rows = vec![
        passing(8),
        passing(16).http1(),
        passing(64).http1(),
        refused(16),
        refused(64),
    ];
    let many = (0..101).fold(clean(), |ask, n| ask.header(format!("x-{n}"), MARKER));
    let refused = Row::new(11, "101 headers", many.clone(), clean());
    rows.push(refused.http1().expect(Expect::Refused));
    rows.push(
        Row::new(11, "101 headers in frames", many, clean())
            .http2()
            .hidden()
            .answers(|seen, _| {
                Answer::status(if seen.headers.len() > 100 { 431 } else { 200 })
                    .header("cache-control", "max-age=60")
            }),
    );
    rows
}

fn control_characters() -> Vec<Row> {
    let row = |(name, bytes): (&str, &[u8])| {
        let value = [MARKER.as_bytes(), bytes].concat();
        Row::new(12, name, clean().header("x-reflect", value), clean())
            .http1()
            .expect(Expect::Refused)
    };
    let table: [(&str, &[u8]); 5] = [
        ("NUL", b"\0x"),
        ("SOH", b"\x01x"),
        ("DEL", b"\x7fx"),
        ("a bare CR", b"\rSet-Cookie: x"),
        ("a bare LF and no colon", b"\nx"),
    ];
    table.into_iter().map(row).collect()
}

fn credentials() -> Vec<Row> {
    let bearer = |name: &str| clean().header(name, "Bearer evil");
    let says = |value: &'static str| {
        move |_: &Seen, _: usize| Answer::default().header("cache-control", value)
    };
    let mut rows = vec![
        Row::new(17, "a token", bearer("authorization"), clean()).answers(says("max-age=60")),
        Row::new(
            17,
            "a proxy's token",
            bearer("proxy-authorization"),
            clean(),
        ),
    ];
    for value in [
        "public, max-age=60",
        "s-maxage=60",
        "max-age=60, must-revalidate",
    ] {
        let name = format!("a token and an answer with {value}");
        rows.push(Row::new(17, name, bearer("authorization"), clean()).answers(says(value)));
    }
    // The other way round: somebody's own page must not be the anonymous one.
    let known = clean().header("authorization", "Bearer known");
    rows.push(Row::new(17, "nobody, then a token", clean(), known).never_kept());
    let known = clean().header("cookie", "session=known");
    rows.push(Row::new(18, "nobody, then a cookie", clean(), known).never_kept());
    rows
}

fn cookies() -> Vec<Row> {
    let line = |value: &str| clean().header("cookie", value);
    let mut rows: Vec<_> = [
        "session=evil",
        "THEME=evil",
        "theme=ok; session=evil",
        "theme=ok;session=evil",
        ";; session=evil",
        "themes=evil",
        "evil",
        "=evil",
        "_ga=\"1; session=evil\"",
        "_GA=evil",
    ]
    .iter()
    .map(|value| Row::new(18, *value, line(value), clean()))
    .collect();
    let crumbs = line("theme=ok").header("cookie", "session=evil");
    rows.push(Row::new(18, "two lines or crumbs", crumbs, clean()));
    let latin = clean().header("cookie", b"theme=\xe9; session=evil");
    rows.push(Row::new(18, "a cookie that is no text", latin, clean()));
    for harmless in ["theme=evil", "_ga_X=evil", "theme=evil; _ga=evil"] {
        let name = format!("harmless: {harmless}");
        rows.push(Row::new(18, name, line(harmless), clean()).expect(Expect::Shared));
    }
    rows
}
