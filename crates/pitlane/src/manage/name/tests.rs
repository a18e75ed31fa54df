use super::*;

fn push(key: &mut Vec<u8>, part: &[u8]) {
    key.extend_from_slice(&u32::try_from(part.len()).unwrap().to_be_bytes());
    key.extend_from_slice(part);
}

/// A key as the layer writes it for a plain GET.
fn get(path: &[u8], query: Option<&[u8]>, origin: &[u8], headers: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![RESPONSE, 0];
    push(&mut key, path);
    key.push(u8::from(query.is_some()));
    push(&mut key, query.unwrap_or_default());
    key.push(0);
    key.extend_from_slice(origin);
    key.extend_from_slice(&u32::try_from(origin.len()).unwrap().to_be_bytes());
    key.push(0);
    push(&mut key, b"");
    for part in headers {
        push(&mut key, part);
    }
    key
}

#[track_caller]
fn check(key: &[u8], kind: KeyKind, text: &str) {
    let name = Name::of(key);
    assert_eq!((name.kind, &*name.text), (kind, text));
}

#[test]
fn keys_read_like_what_was_asked_for() {
    let club = get(b"/clubs", Some(b"page=2"), b"http://site.org", &[]);
    check(&club, KeyKind::Response, "GET //site.org/clubs?page=2");
    let variant = get(
        b"/clubs",
        None,
        b"http://site.org",
        &[b"x-region", b"eu", b"vary", b"accept-language", b"de"],
    );
    let text = "GET //site.org/clubs [x-region: eu, accept-language: de]";
    check(&variant, KeyKind::Response, text);
    check(b"vclub:42:members", KeyKind::Value, "club:42:members");
    check(
        b"c12345678\0\0\0\x02club:42",
        KeyKind::Value,
        "club:42 [version 2]",
    );
    check(
        b"f0123456789abcdef\0\0\0\0club_stats:42",
        KeyKind::Value,
        "club_stats:42",
    );
    let mut call = b"g".to_vec();
    push(&mut call, b"/race.Laps/Get");
    let text = format!("gRPC /race.Laps/Get [{}]", digest(&call));
    check(&call, KeyKind::Call, &text);
}

#[test]
fn values_of_secret_headers_are_not_shown() {
    let key = get(b"/", None, b"http://h", &[b"x-api-key", b"hunter2"]);
    let name = Name::of(&key);
    assert!(!name.text.contains("hunter2"), "{name:?}");
    assert!(name.text.contains("x-api-key: #"), "{name:?}");
}

#[test]
fn no_part_of_a_key_shows_a_secret_however_it_is_cut() {
    for bits in [0, SAID, SWAPS, BODY, BODY | SAID] {
        let secret = "hunter2".repeat(300);
        let headers: [&[u8]; 6] = [
            b"authorization",
            secret.as_bytes(),
            b"x-region",
            b"eu",
            b"vary",
            b"cookie",
        ];
        let mut key = get(b"/clubs", None, b"http://h", &headers);
        push(&mut key, b"sid=hunter2");
        key[0] |= bits;
        for length in 0..key.len() {
            let name = Name::of(&key[..length]);
            assert!(!name.text.contains("hunter2"), "{bits} {length}: {name:?}");
        }
        assert!(Name::of(&key).text.contains("eu"), "{bits}");
        let cut = Name::of(&key[..200]).text;
        assert!(cut.starts_with("GET //h/clubs [… #"), "{cut}");
    }
}

#[test]
fn hostile_bytes_are_escaped() {
    let key = get(b"/\x1b[2J\n\xff\\", None, b"http://h", &[]);
    let text = "GET //h/\\x1b[2J\\x0a\\xff\\\\";
    check(&key, KeyKind::Response, text);
    assert_eq!(
        printable("a\u{202e}b\u{9b}c\u{feff}"),
        "a\\u{202e}b\\u{9b}c\\u{feff}"
    );
    assert_eq!(printable("Zürich 🏁"), "Zürich 🏁");
}

#[test]
fn any_bytes_have_a_bounded_name_without_control_characters() {
    let mut state = 7_u64;
    let mut random = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as u8
    };
    for round in 0..20_000 {
        let length = round % 90;
        let mut key: Vec<u8> = (0..length).map(|_| random() & random()).collect();
        if let Some(first) = key.first_mut() {
            *first = [RESPONSE, RESPONSE | 7, b'v', b'c', b'g', 0][round % 6];
        }
        let name = Name::of(&key);
        assert!(name.text.chars().all(is_plain), "{name:?}");
    }
}

#[test]
fn long_keys_are_cut_and_stay_apart() {
    let long = |end: &[u8]| Name::of(&[b"v", &vec![b'a'; 9000][..], end].concat());
    let (one, two) = (long(b"1"), long(b"2"));
    assert_ne!(one.text, two.text);
    assert_eq!(one.text.chars().count(), MAX_CHARS + 10);
}

#[test]
fn a_key_answers_to_its_names_and_to_no_other() {
    let key = get(b"/clubs", Some(b"p=2"), b"http://site.org", &[b"a", b"b"]);
    let name = Name::of(&key);
    for wanted in [
        "GET //site.org/clubs?p=2 [a: b]",
        "GET //site.org/clubs?p=2",
        "http://site.org/clubs?p=2",
        "https://SITE.org:443/clubs?p=2",
        "//site.org/clubs?p=2",
        "/clubs?p=2",
    ] {
        assert!(name.answers_to(wanted), "{wanted}");
    }
    for other in [
        "/clubs",
        "http://site.org/clubs",
        "http://b.org/clubs?p=2",
        "GET",
        "",
    ] {
        assert!(!name.answers_to(other), "{other}");
    }
    for prefix in [
        "/clu",
        "//site.org/",
        "http://site.org/clubs",
        "GET //s",
        "",
    ] {
        assert!(name.begins_with(prefix), "{prefix}");
    }
    for prefix in ["/x", "//site.com", "https://site.org/clubs?p=3", "clubs"] {
        assert!(!name.begins_with(prefix), "{prefix}");
    }
}
