//! What a request asks for: classes 5, 7-10.

use pitlane_e2e::{Answer, Ask, Seen};

use super::clean;
use crate::runner::{Expect, MARKER, Row};

pub(super) fn rows() -> Vec<Row> {
    [
        parameters(),
        deceptive_paths(),
        spellings(),
        hosts(),
        absolute_forms(),
        pseudo_headers(),
    ]
    .concat()
}

fn pairs(class: u8, table: &[(&str, &str)]) -> Vec<Row> {
    let row = |(attack, victim): &(&str, &str)| {
        let name = format!("{attack} and {victim}");
        Row::new(class, name, Ask::get(*attack), Ask::get(*victim))
    };
    table.iter().map(row).collect()
}

fn parameters() -> Vec<Row> {
    let ignored = pairs(5, &[("/?cb=1&utm_x=1;cb=evil", "/?cb=1&utm_x=1")]);
    let mut rows: Vec<_> = ignored.into_iter().map(Row::hidden).collect();
    rows.extend(pairs(
        5,
        &[
            ("/?cb=1;cb=evil", "/?cb=1"),
            ("/?cb=evil&cb=1", "/?cb=1"),
            ("/?cb=1&cb=evil", "/?cb=1"),
            ("/?cb=1%26evil", "/?cb=1"),
            ("/?cb=1&", "/?cb=1"),
            ("/?&cb=1", "/?cb=1"),
            ("/?cb", "/?cb="),
            ("/?", "/"),
            ("/?CB=1", "/?cb=1"),
            ("/?c%62=1", "/?cb=1"),
            ("/?cb=+", "/?cb=%20"),
            ("/?a=1&b=2", "/?b=2&a=1"),
            ("/?cb[]=1", "/?cb=1"),
            ("/?cb=1#evil", "/?cb=1&"),
        ],
    ));
    rows
}

/// A user's page under a name that looks like a file: what the user saw must not be there for
/// the next one, whoever says that it is theirs.
fn deceptive_paths() -> Vec<Row> {
    let personal = |seen: &Seen, _: usize| {
        if seen.headers.contains_key("x-client") {
            Answer::default().header("cache-control", "private, max-age=60")
        } else {
            Answer::default()
        }
    };
    let paths = [
        "/me/x.css",
        "/me;.css",
        "/me%00.css",
        "/me%0a.css",
        "/me%23.css",
        "/me%3f.css",
        "/me/x.js?v=1",
        "/robots.txt",
    ];
    let rows = paths.iter().flat_map(|path| {
        let by_cookie = Ask::get(*path).header("cookie", "session=evil");
        let by_answer = Ask::get(*path).header("x-client", MARKER);
        [
            Row::new(7, format!("{path} by cookie"), by_cookie, Ask::get(*path)),
            Row::new(7, format!("{path} by answer"), by_answer, Ask::get(*path)).answers(personal),
        ]
    });
    rows.collect()
}

fn spellings() -> Vec<Row> {
    let mut rows = pairs(
        8,
        &[
            ("/static/..%2fme", "/me"),
            ("/static/../me", "/me"),
            ("/static/%2e%2e/me", "/me"),
            ("/a//b", "/a/b"),
            ("//", "/"),
            ("/a/./b", "/a/b"),
            ("/a%2Fb", "/a/b"),
            ("/a%2fb", "/a%2Fb"),
            ("/%61", "/a"),
            ("/a/", "/a"),
            ("/A", "/a"),
            ("/a;x=1", "/a"),
            ("/a%3fx=1", "/a?x=1"),
            ("/a%23b", "/a"),
            ("/a%00", "/a"),
            ("/a%0a%0devil:1", "/a"),
            ("/a%252Fb", "/a%2Fb"),
        ],
    );
    let backslash = pairs(8, &[("/a\\b", "/a/b")]);
    rows.extend(backslash.into_iter().map(Row::http1));
    rows
}

fn hosts() -> Vec<Row> {
    let to = |host| clean().hosts(&[host]);
    let row = |attack, victim| {
        Row::new(
            9,
            format!("{attack:?} and {victim:?}"),
            to(attack),
            to(victim),
        )
    };
    let same = ["v.example:80", "V.EXAMPLE", "v.example.", "V.example.:80"];
    let same = same
        .iter()
        .map(|host| row(*host, "v.example").expect(Expect::Normalised));
    let other = [
        ("v.example:8080", "v.example"),
        ("v.example:8", "v.example"),
        ("evil.example", "v.example"),
        ("v.example.evil.example", "v.example"),
        ("[::1]", "v.example"),
        ("v.example:443", "v.example"),
    ];
    let other = other.iter().map(|(attack, victim)| row(*attack, *victim));
    // HTTP/2 clients refuse to send these.
    let broken = [
        ("v.example:8080:80", "v.example:8080"),
        ("v.example:8080.", "v.example:8080"),
        ("v.example:8080:", "v.example:8080"),
        ("v.example..", "v.example."),
        ("v.example:evil", "v.example"),
        ("v.example:80evil", "v.example"),
        ("evil@v.example", "v.example"),
        ("v.example/evil", "v.example"),
        ("v.example#evil", "v.example"),
        ("v.example?evil", "v.example"),
        ("v.example, evil.example", "v.example"),
        ("v.example evil", "v.example"),
        ("http://v.example", "v.example"),
        ("", "v.example"),
        (":80", "v.example"),
    ];
    let broken = broken
        .iter()
        .map(|(attack, victim)| row(*attack, *victim).http1());
    let mut rows: Vec<_> = same.chain(other).chain(broken).collect();
    for hosts in [
        &["v.example", "evil.example"],
        &["evil.example", "v.example"],
    ] {
        let name = format!("two Host lines, {} first", hosts[0]);
        rows.push(Row::new(9, name, clean().hosts(hosts), clean()).http1());
    }
    rows
}

fn absolute_forms() -> Vec<Row> {
    let row = |target: &str, expect| {
        Row::new(9, target, Ask::get(target), clean())
            .http1()
            .expect(expect)
    };
    vec![
        row("http://v.example/page", Expect::Normalised),
        row("HTTP://V.EXAMPLE:80/page", Expect::Normalised),
        row("http://evil.example/page", Expect::Apart),
        row("https://v.example/page", Expect::Apart),
        row("http://v.example:8080/page", Expect::Apart),
        row("http://evil@v.example/page", Expect::Apart),
        row("evil://v.example/page", Expect::Apart),
    ]
}

fn pseudo_headers() -> Vec<Row> {
    let host = clean().header("host", "evil.example");
    let authority = clean().hosts(&["evil.example"]).header("host", "v.example");
    let two = clean()
        .header("host", "v.example")
        .header("host", "evil.example");
    let rows = [
        ("a host beside the authority", host),
        ("an authority beside the host", authority),
        ("two hosts beside the authority", two),
        ("a bogus scheme", clean().scheme("evil")),
        ("another scheme", clean().scheme("https")),
    ];
    let rows = rows.map(|(name, attack)| Row::new(10, name, attack, clean()).http2());
    rows.into()
}
