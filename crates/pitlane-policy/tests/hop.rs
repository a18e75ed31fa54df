use crate::headers;
use http::HeaderName;
use pitlane_policy::hop;

const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

#[test]
fn hop_by_hop_fields_are_dropped_and_the_others_kept_in_order() {
    let fields: String = HOP_BY_HOP
        .iter()
        .map(|name| format!("{name}: x\n{name}: y\n"))
        .collect();
    let mut stripped = headers(&format!("a: 1\n{fields}b: 2\na: 3"));
    hop::strip(&mut stripped);
    assert_eq!(stripped, headers("a: 1\nb: 2\na: 3"));
    assert!(
        HOP_BY_HOP
            .iter()
            .all(|name| hop::is_hop_by_hop(&HeaderName::from_static(name)))
    );
    assert!(!hop::is_hop_by_hop(&http::header::CACHE_CONTROL));
}

#[test]
fn what_connection_names_is_dropped_too() {
    let mut stripped =
        headers("connection: close, X-Foo\nconnection: ,x-bar ,a b\nx-foo: 1\nX-Bar: 2\nx-baz: 3");
    hop::strip(&mut stripped);
    assert_eq!(stripped, headers("x-baz: 3"));
}
