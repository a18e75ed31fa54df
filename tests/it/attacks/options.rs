//! What an operator has said of requests: a proxy that is believed (class 1), parameters that
//! don't count (6), credentials by other names (17), tenants (37).

use pitlane_e2e::Ask;

use super::clean;
use crate::runner::{Expect, MARKER, Row, SECRET, Subject};

const CONFIGURED: &[Subject] = &[Subject::Configured];
const LISTED: &[Subject] = &[Subject::Listed];
const TENANTS: &[Subject] = &[Subject::Tenants];

pub(super) fn rows() -> Vec<Row> {
    [
        strangers(),
        spellings(),
        proxied_hosts(),
        proxied_schemes(),
        ignored(),
        allowed(),
        credentials(),
        unkeyed(),
        tenants(),
    ]
    .concat()
}

/// A request through the proxy.
fn proxied() -> Ask {
    clean().header(SECRET.0, SECRET.1)
}

fn for_host(host: &str) -> Ask {
    proxied().header("x-forwarded-host", host)
}

/// Who isn't the proxy is not heard, and can't plant anything for those who come through it.
fn strangers() -> Vec<Row> {
    let row = |name: &str, attack, victim| Row::new(1, name, attack, victim).only(CONFIGURED);
    let wrong = clean().header(SECRET.0, MARKER);
    let twice = clean()
        .header(SECRET.0, "evil")
        .header(SECRET.0, SECRET.1)
        .header("x-forwarded-host", MARKER);
    vec![
        row(
            "a wrong secret",
            wrong.clone().header("x-forwarded-host", MARKER),
            clean(),
        )
        .expect(Expect::Shared),
        row("a secret behind a wrong one", twice, clean()).expect(Expect::Shared),
        row(
            "a wrong secret and all fields",
            wrong
                .header("forwarded", "host=evil.example")
                .header("x-forwarded-prefix", "/evil")
                .header("x-host", MARKER),
            clean(),
        )
        .expect(Expect::Shared),
        row(
            "a stranger's word for the proxied host",
            clean()
                .hosts(&["evil.example"])
                .header("x-forwarded-host", "shop.example"),
            for_host("shop.example"),
        ),
        row(
            "a stranger at the host that the proxy names",
            clean()
                .hosts(&["shop.example"])
                .header("x-forwarded-host", MARKER),
            for_host("shop.example"),
        ),
        row(
            "the proxy's word, then a stranger's",
            for_host("evil.example"),
            clean().header("x-forwarded-host", "w.example"),
        ),
    ]
}

/// One host by several spellings, and what is no host at all.
fn spellings() -> Vec<Row> {
    let row = |host: &str, other: &str| {
        let name = format!("proxied {host:?} and {other:?}");
        Row::new(1, name, for_host(host), for_host(other)).only(CONFIGURED)
    };
    let shop = "shop.example";
    let same = [
        "SHOP.example",
        "shop.example:443",
        "shop.example:80",
        "shop.example.",
        "Shop.Example.:443",
    ];
    let same = same
        .iter()
        .map(|host| row(host, shop).expect(Expect::Shared));
    let other = [
        "evil.example",
        "shop.example:8080",
        "evil.example, shop.example",
        "shop.example, evil.example",
        "shop.example,",
        "evil@shop.example",
        "shop.example/evil",
        "shop.example?evil",
        "shop.example#evil",
        "shop.example evil",
        "shop.example:80:80",
        "shop.example:evil",
        "http://shop.example",
        "shop.example..",
        "[::1]",
        "",
    ];
    let other = other.iter().map(|host| row(host, shop));
    let mut rows: Vec<_> = same.chain(other).collect();
    for hosts in [[shop, "evil.example"], ["evil.example", shop], [shop, shop]] {
        let two = for_host(hosts[0]).header("X-Forwarded-Host", hosts[1]);
        let name = format!("proxied, two lines: {hosts:?}");
        rows.push(Row::new(1, name, two, for_host(shop)).only(CONFIGURED));
    }
    rows
}

/// A proxied request that also says something else.
fn proxied_hosts() -> Vec<Row> {
    let shop = || for_host("shop.example");
    let row = |name: &str, attack| Row::new(1, name, attack, shop()).only(CONFIGURED);
    let mut rows = vec![
        row("proxied, for no host", proxied()),
        row("proxied, to another host", shop().hosts(&["evil.example"])),
    ];
    for (name, value) in [
        ("forwarded", "host=evil.example"),
        ("x-forwarded-prefix", "/evil"),
        ("x-forwarded-port", "evil"),
        ("x-forwarded-server", "evil.example"),
        ("x-original-host", "evil.example"),
        ("x-host", "evil.example"),
    ] {
        rows.push(row(
            &format!("proxied, with {name}"),
            shop().header(name, value),
        ));
    }
    for (target, expect) in [
        ("http://evil.example/page", Expect::Apart),
        ("https://v.example/page", Expect::Apart),
        ("evil://v.example/page", Expect::Apart),
    ] {
        let attack = Ask {
            target: target.to_owned(),
            ..shop()
        };
        rows.push(
            row(&format!("proxied, as {target}"), attack)
                .http1()
                .expect(expect),
        );
    }
    rows.push(row("proxied, a bogus scheme", shop().scheme("evil")).http2());
    let host = shop().header("host", "evil.example");
    rows.push(row("proxied, a host beside the authority", host).http2());
    let alone = |ask: Ask| ask.header("x-forwarded-proto", "https");
    let name = "proxied by scheme alone, to another host";
    let attack = alone(proxied()).hosts(&["evil.example"]);
    rows.push(Row::new(1, name, attack, alone(proxied())).only(CONFIGURED));
    rows
}

fn proxied_schemes() -> Vec<Row> {
    let of = |scheme: &str| for_host("shop.example").header("x-forwarded-proto", scheme);
    let row = |scheme: &str, victim| {
        let name = format!("proxied by {scheme:?}");
        Row::new(1, name, of(scheme), victim).only(CONFIGURED)
    };
    let plain = || for_host("shop.example");
    let mut rows = vec![
        row("HTTPS", of("https")).expect(Expect::Shared),
        row("https", plain()),
        row("https, evil", of("https")),
        row("evil", plain()),
        row("", plain()),
        row("https\t", of("https")).expect(Expect::Shared),
    ];
    let other = of("https").scheme("evil");
    let name = "proxied by a scheme beside a bogus one";
    rows.push(
        Row::new(1, name, other, of("https"))
            .only(CONFIGURED)
            .http2(),
    );
    let two = of("https").header("x-forwarded-proto", MARKER);
    rows.push(Row::new(1, "proxied by two schemes", two, of("https")).only(CONFIGURED));
    rows
}

fn pairs(subjects: &'static [Subject], expect: Expect, table: &[(&str, &str)]) -> Vec<Row> {
    let row = |(attack, victim): &(&str, &str)| {
        let name = format!("{subjects:?}: {attack} and {victim}");
        Row::new(6, name, Ask::get(*attack), Ask::get(*victim))
            .only(subjects)
            .expect(expect)
    };
    table.iter().map(row).collect()
}

fn ignored() -> Vec<Row> {
    // Hidden from the handler, so that V may share.
    let hidden = [
        ("/?utm_x=evil", "/"),
        ("/?utm_x", "/"),
        ("/?utm_=evil", "/"),
        ("/?cb=1&utm_x=1;cb=evil", "/?cb=1"),
        ("/?utm_x=evil&cb=1", "/?cb=1"),
        ("/?cb=1&utm_x=evil&utm_x=evil", "/?cb=1&utm_y"),
        ("/?utm_x=1?evil", "/"),
        ("/?utm_x=%26cb=evil", "/"),
        ("/?cb=1&utm_x=evil=cb&cb=2", "/?cb=1&cb=2"),
        ("/?&utm_x=evil", "/?"),
        ("/?utm_x[]=evil", "/"),
        ("//?utm_x=evil", "//"),
        ("/?utm_x=1&utm_;_method=evil", "/"),
    ];
    // Something else than an ignored parameter, by any reading.
    let other = [
        ("/?%75tm_x=evil", "/"),
        ("/?utm%5fx=evil", "/"),
        ("/?utm%5Fx=evil&cb=1", "/?cb=1"),
        ("/?UTM_x=evil", "/"),
        ("/?utm=evil", "/"),
        ("/?xutm_x=evil", "/"),
        ("/?+utm_x=evil", "/"),
        ("/?cb=1;utm_x=evil", "/?cb=1"),
        ("/?cb=1%26utm_x=evil", "/?cb=1"),
        ("/?cb=utm_x&cb=evil", "/?cb=utm_x"),
        ("/?cb=evil&utm_x=1&cb=1", "/?cb=1"),
        ("/?cb=1&utm_x=1&cb=evil", "/?cb=1"),
        ("/?b=2&utm_x=evil&a=1", "/?a=1&b=2"),
        ("/?utm_x=1&&cb=1", "/?cb=1"),
        ("/?utm_x=1", "/?"),
    ];
    let mut rows = pairs(CONFIGURED, Expect::Shared, &hidden);
    rows.extend(pairs(CONFIGURED, Expect::Apart, &other));
    let absolute = [
        ("http://v.example/?utm_x=evil", "/"),
        ("http://v.example?utm_x=evil", "/"),
    ];
    let absolute = pairs(CONFIGURED, Expect::Normalised, &absolute);
    rows.extend(absolute.into_iter().map(Row::http1));
    rows
}

fn allowed() -> Vec<Row> {
    let hidden = [
        ("/?evil", "/"),
        ("/?evil=1&page=1", "/?page=1"),
        ("/?page=1&utm_x=1;page=evil", "/?page=1"),
        ("/?PAGE=evil", "/"),
        ("/?pages=evil", "/"),
        ("/?page[]=evil", "/"),
        ("/?%70age=evil", "/"),
        ("/?+page=evil", "/"),
        ("/?_method=evil", "/"),
        ("/?%5fmethod=evil&page=1", "/?page=1"),
        ("/?;page=evil", "/"),
        ("/?=evil", "/"),
    ];
    let other = [
        ("/?page=evil", "/"),
        ("/?page=1&page=evil", "/?page=1"),
        ("/?page=evil&page=1", "/?page=1"),
        ("/?page=1;page=evil", "/?page=1"),
        ("/?page=1%26evil", "/?page=1"),
        ("/?page", "/?page="),
        ("/?q=evil", "/"),
        ("/?query=evil", "/?q"),
        ("/?q=1&page=2", "/?page=2&q=1"),
        ("/?page&x", "/?x"),
    ];
    let mut rows = pairs(LISTED, Expect::Shared, &hidden);
    rows.extend(pairs(LISTED, Expect::Apart, &other));
    rows
}

/// Somebody by another name than Authorization or Cookie, before and behind nobody in particular.
fn credentials() -> Vec<Row> {
    let names = [
        "x-api-key",
        "X-API-KEY",
        "api-key",
        "x-auth-token",
        "x-access-token",
        "x-forwarded-user",
        "x-forwarded-client-cert",
        "x-amzn-oidc-data",
        "x-goog-iap-jwt-assertion",
        "cf-access-jwt-assertion",
        "x-ms-client-principal",
        "x-user-id",
        "remote-user",
        "remote-email",
        "client-cert",
        "ssl-client-cert",
        "private-token",
        "ocp-apim-subscription-key",
        "x-goog-api-key",
        "x-functions-key",
        "x-authentik-username",
        "x-pomerium-jwt-assertion",
        "x-forwarded-groups",
        "tailscale-user-login",
    ];
    let rows = names.iter().flat_map(|name| both_ways(name));
    let own = both_ways("x-badge").map(|row| row.only(CONFIGURED));
    let keyed = clean().header("x-keyed", "1").header("x-api-key", MARKER);
    let beside = Row::new(
        17,
        "a key beside a keyed field",
        keyed,
        clean().header("x-keyed", "1"),
    );
    rows.chain(own).chain([beside.only(CONFIGURED)]).collect()
}

fn both_ways(name: &str) -> [Row; 2] {
    let by = |value: &str| clean().header(name, value);
    [
        Row::new(17, format!("{name}, then nobody"), by(MARKER), clean()),
        Row::new(17, format!("nobody, then {name}"), clean(), by("known")).never_kept(),
    ]
}

/// What isn't in the key is nothing that a handler could repeat.
fn unkeyed() -> Vec<Row> {
    let names = [
        "user-agent",
        "referer",
        "accept-language",
        "accept-encoding",
        "origin",
        "x-request-id",
        "x-reflect",
        "via",
        "x-forwarded-for",
        "cdn-loop",
        "if-none-match",
        "content-language",
        "content-type",
        "content-encoding",
        "priority",
    ];
    let row = |name: &&str| {
        let attack = clean().header(*name, MARKER);
        Row::new(20, format!("unkeyed {name}"), attack, clean())
            .only(CONFIGURED)
            .expect(Expect::Shared)
    };
    let mut rows: Vec<_> = names.iter().map(row).collect();
    let keyed = |value: &str| clean().header("x-keyed", value);
    let apart = |name: &str, attack, victim| Row::new(20, name, attack, victim).only(CONFIGURED);
    rows.extend([
        apart("a keyed field and none", keyed(MARKER), clean()),
        apart("a keyed field and another", keyed(MARKER), keyed("1")),
        apart(
            "a keyed field in two lines",
            keyed("1").header("x-keyed", MARKER),
            keyed("1"),
        ),
        apart("an empty keyed field", keyed(""), clean()),
    ]);
    rows
}

fn tenants() -> Vec<Row> {
    let of = |tenant: &str| clean().header("x-tenant", tenant);
    let row = |attack: &str, victim: &str| {
        let name = format!("{attack:?} and {victim:?}");
        Row::new(37, name, of(attack), of(victim)).only(TENANTS)
    };
    let nobody = |name: &str, attack, victim| Row::new(37, name, attack, victim).only(TENANTS);
    vec![
        row("evil", "v"),
        row("V", "v"),
        row("", "v"),
        row("v", ""),
        row("v:", "v"),
        row("v,", "v"),
        row("user:v", "v"),
        row("*", "v"),
        nobody("an empty id and none", of(""), clean()).never_kept(),
        nobody("none and an empty id", clean(), of("")),
        nobody("none and none", clean().header("x-any", MARKER), clean()).never_kept(),
        nobody(
            "an id that is no text",
            clean().header("x-tenant", b"v\xe9"),
            of("v"),
        ),
    ]
}
