//! Recordings, explained without a server.

use std::time::Duration;

use http::StatusCode;
use pitlane::{
    ErrorKind, Outcome, Profile, Reason, Timestamp,
    explain::{
        Explanation,
        offline::{self, MOST_BYTES, Options, Recording},
    },
};
use serde_json::{Value, json};

fn read(document: &Value) -> Recording {
    offline::read(document.to_string().as_bytes()).unwrap()
}

fn har(entries: &[Value]) -> Value {
    json!({ "log": { "version": "1.2", "entries": entries } })
}

fn fields(fields: &[(&str, &str)]) -> Value {
    let field = |(name, value): &(&str, &str)| json!({ "name": name, "value": value });
    fields.iter().map(field).collect()
}

/// An entry as browsers write it: what HTTP/2 says first is among the fields.
fn entry(request: &[(&str, &str)], status: i64, response: &[(&str, &str)]) -> Value {
    let mut asked = vec![(":authority", "example.org"), (":path", "/clubs?page=2")];
    asked.extend(request);
    json!({
        "startedDateTime": "2023-11-14T22:13:20.000Z",
        "time": 12.5,
        "request": {
            "method": "GET",
            "url": "https://example.org/clubs?page=2",
            "httpVersion": "http/2.0",
            "headers": fields(&asked),
            "cookies": [],
        },
        "response": {
            "status": status,
            "headers": fields(response),
            "content": { "size": 11, "mimeType": "text/plain", "text": "hello world" },
        },
    })
}

fn why(entry: &Value, options: &Options) -> Explanation {
    let recording = read(&har(std::slice::from_ref(entry)));
    assert!(recording.skipped.is_empty(), "{:?}", recording.skipped);
    offline::explain(&recording.exchanges[0], options).unwrap()
}

#[track_caller]
fn check(entry: &Value, options: &Options, expected: Reason) {
    let told = why(entry, options);
    assert_eq!(told.reason, expected, "{told}");
    let stored = matches!(expected, Reason::UriMiss);
    assert_eq!(told.stored, stored, "{told}");
    assert_eq!(told.advice.as_deref(), expected.advice());
}

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60"), ("content-length", "7")];

#[test]
fn an_entry_is_explained_by_the_layers_own_rules() {
    let plain = Options::new();
    check(&entry(&[], 200, FRESH), &plain, Reason::UriMiss);
    check(&entry(&[], 200, &[]), &plain, Reason::NoFreshness);
    let ttl = Options::new().ttl(Duration::from_secs(5));
    check(&entry(&[], 200, &[]), &ttl, Reason::UriMiss);
    check(
        &entry(&[("cookie", "a=1")], 200, FRESH),
        &plain,
        Reason::Cookie,
    );
    let harmless = Options::new().add_harmless_cookie("a");
    check(
        &entry(&[("cookie", "a=1")], 200, FRESH),
        &harmless,
        Reason::UriMiss,
    );
    check(&entry(&[], 404, FRESH), &plain, Reason::Status);
    let status = Options::new().add_status(StatusCode::NOT_FOUND);
    check(&entry(&[], 404, FRESH), &status, Reason::UriMiss);
    let rfc = Options::new().profile(Profile::Rfc);
    check(&entry(&[], 404, FRESH), &rfc, Reason::UriMiss);
    check(&entry(&[], 302, FRESH), &plain, Reason::Redirect);
    check(
        &entry(&[], 302, FRESH),
        &Options::new().store_redirects(),
        Reason::UriMiss,
    );
    let cookies = [FRESH[0], ("set-cookie", "a=SECRET\nb=SECRET; Path=/")];
    let told = why(&entry(&[], 200, &cookies), &plain);
    assert_eq!(told.sentence, "The response sets a cookie: `a`, `b`.");
    check(
        &entry(&[("range", "bytes=0-1")], 206, FRESH),
        &plain,
        Reason::Range,
    );
    check(
        &entry(&[("if-none-match", "\"1\"")], 304, FRESH),
        &plain,
        Reason::NotModified,
    );
}

#[test]
fn who_asks_later_is_answered_for_as_long_as_it_is_fresh() {
    let headers = [
        ("cache-control", "max-age=60, stale-while-revalidate=30"),
        ("age", "20"),
        ("vary", "accept-language"),
    ];
    let told = why(
        &entry(&[("accept-language", "de")], 200, &headers),
        &Options::new(),
    );
    assert_eq!(
        (told.outcome, told.reason),
        (Outcome::Miss, Reason::UriMiss)
    );
    assert_eq!(told.key.as_deref(), Some("example.org/clubs?page=2"));
    let facts = told.entry.clone().unwrap();
    assert_eq!((facts.age_seconds, facts.ttl_seconds), (20.0, 40.0));
    assert_eq!(facts.stale_while_revalidate_seconds, 30.0);
    assert_eq!(facts.vary, ["accept-language"]);
    assert_eq!(facts.stored_at_ms, 1_700_000_000_012);
    assert_eq!(facts.body_bytes, 11);
    let last = told.steps.last().unwrap();
    assert_eq!(
        last.text,
        "Requests for the same key with the same `accept-language` are answered with it for 40 s."
    );
}

/// The time is the recording's: what was fresh then is not stale because it is old now.
#[test]
fn an_expiry_counts_from_when_the_answer_came() {
    let headers = [("expires", "Tue, 14 Nov 2023 22:14:20 GMT")];
    let told = why(&entry(&[], 200, &headers), &Options::new());
    assert_eq!(told.entry.unwrap().lifetime_seconds, 59.0);
    // Without a time of its own it is the answer's Date, and then the caller's word.
    let heads = |date: &str| {
        let heads = format!(
            "GET / HTTP/1.1\nhost: a.org\n\nHTTP/1.1 200 OK\n\
             expires: Tue, 14 Nov 2023 22:14:20 GMT\n{date}"
        );
        offline::read(heads.as_bytes()).unwrap().exchanges.remove(0)
    };
    let told = offline::explain(
        &heads("date: Tue, 14 Nov 2023 22:14:00 GMT\n"),
        &Options::new(),
    );
    assert_eq!(told.unwrap().entry.unwrap().lifetime_seconds, 20.0);
    let now = Options::new().received(Timestamp::from_millis(1_700_000_060_000));
    let told = offline::explain(&heads(""), &now).unwrap();
    assert_eq!(told.reason, Reason::ExpiredOnArrival);
}

#[test]
fn a_body_counts_as_far_as_it_was_recorded() {
    let content = |content: Value, kind: &str| {
        let mut entry = entry(&[], 200, &[FRESH[0], ("content-type", kind)]);
        entry["response"]["content"] = content;
        entry
    };
    let page = json!({ "size": 20, "text": "<script nonce=abc>" });
    check(
        &content(page, "text/html"),
        &Options::new(),
        Reason::CspNonce,
    );
    let empty = json!({ "size": 0 });
    check(
        &content(empty.clone(), "text/html"),
        &Options::new(),
        Reason::EmptyBody,
    );
    check(
        &content(empty, "text/html"),
        &Options::new().store_empty(),
        Reason::UriMiss,
    );
    let large = json!({ "size": 2 << 20, "text": "AAAA", "encoding": "base64" });
    check(
        &content(large.clone(), "image/png"),
        &Options::new(),
        Reason::TooLarge,
    );
    check(
        &content(large, "image/png"),
        &Options::new().max_body(4 << 20),
        Reason::UriMiss,
    );
    // What was recorded is the page, and not how long it was on the wire.
    check(
        &content(json!({}), "text/html"),
        &Options::new(),
        Reason::UriMiss,
    );
}

/// Nothing is changed by a recording, so every method can be looked at.
#[test]
fn a_write_in_a_recording_is_explained() {
    let mut write = entry(&[], 200, FRESH);
    write["request"]["method"] = json!("POST");
    write["request"]["postData"] = json!({ "mimeType": "text/plain", "text": "x" });
    let told = why(&write, &Options::new());
    assert_eq!(
        (told.outcome, told.reason),
        (Outcome::Bypass, Reason::Method)
    );
    assert_eq!(
        told.sentence,
        "Only GET and HEAD are cached; others where the layer keys on their bodies: `POST`."
    );
}

#[test]
fn what_is_no_exchange_is_named_with_its_place_and_the_rest_is_read() {
    let mut blocked = entry(&[], 0, &[]);
    let mut socket = entry(&[], 101, &[]);
    socket["request"]["url"] = json!("wss://example.org/live");
    let mut data = entry(&[], 200, &[]);
    data["request"]["url"] = json!("data:image/png;base64,AAAA");
    let mut method = entry(&[], 200, &[]);
    method["request"]["method"] = json!("G T");
    let broken = entry(&[("a b", "SECRET")], 200, &[]);
    let value = entry(&[], 200, &[("a", "SECRET\u{0}")]);
    blocked["startedDateTime"] = json!("yesterday");
    let good = entry(&[], 200, FRESH);
    let all = [blocked, socket, data, method, broken, value, good];
    let recording = read(&har(&all));
    assert_eq!(recording.exchanges.len(), 1);
    let places: Vec<_> = recording.skipped.iter().map(|one| &*one.place).collect();
    let expected = [
        "log.entries[0].response.status",
        "log.entries[1].request.url",
        "log.entries[2].request.url",
        "log.entries[3].request.method",
        "log.entries[4].request.headers[2].name",
        "log.entries[5].response.headers[0].value",
    ];
    assert_eq!(places, expected);
    assert!(!format!("{recording:?}").contains("SECRET"));
}

#[track_caller]
fn check_refused(document: &[u8], expected: &str) {
    let error = offline::read(document).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Explain);
    let said = error.to_string();
    assert!(said.starts_with(expected), "{said}");
    assert!(!said.contains("SECRET"), "{said}");
}

#[test]
fn what_is_no_recording_is_refused_with_its_place() {
    check_refused(b"{", "?: the document ends in the middle");
    check_refused(b"{\"log\":1}", "log: something of another kind");
    check_refused(
        b"{\"log\":{}}",
        "log: something of another kind belongs here, or is missing",
    );
    check_refused(
        b"{\"log\":{\"entries\":[{}]}}",
        "log.entries[0]: something of another kind",
    );
    let mut entry = entry(&[], 200, &[]);
    entry["request"]["headers"][1]["value"] = json!({ "SECRET": "SECRET" });
    let document = har(&[entry]).to_string();
    check_refused(
        document.as_bytes(),
        "log.entries[0].request.headers[1].value: something of another kind",
    );
    check_refused(
        b"{\"log\":{\"entries\":[]}} SECRET",
        "behind the end of the document",
    );
    let deep = "{\"log\":".repeat(10_000);
    check_refused(deep.as_bytes(), "log");
    check_refused(&vec![b'{'; MOST_BYTES + 1], "a recording of more than");
    check_refused(&vec![b'G'; MOST_BYTES + 1], "a recording of more than");
    check_refused(b"\xef\xbb\xbfnothing", "line 1: a request line is");
}

/// No prefix of a recording and no changed byte of it is worth a panic.
#[test]
fn whatever_is_read_is_explained_or_refused() {
    let entry = entry(&[("cookie", "a=1; b")], 200, &[FRESH[0], ("vary", "x")]);
    let document = har(&[entry]).to_string().into_bytes();
    let heads =
        b"GET /a?b HTTP/1.1\nhost: a.org\n\nHTTP/1.1 200 OK\nvary: x\nage: 1\n\nbody".to_vec();
    for recording in [document, heads] {
        for end in 0..recording.len() {
            explain_all(&recording[..end]);
        }
        for at in 0..recording.len() {
            for byte in [0, b'\n', b'"', b'9', b'{', 0xff] {
                let mut changed = recording.clone();
                changed[at] = byte;
                explain_all(&changed);
            }
        }
    }
}

fn explain_all(recording: &[u8]) {
    let Ok(recording) = offline::read(recording) else {
        return;
    };
    for exchange in &recording.exchanges {
        offline::explain(exchange, &Options::new()).unwrap();
    }
}

#[test]
fn what_is_shown_of_an_exchange_is_no_secret() {
    let heads = b"GET /a?token=SECRET HTTP/1.1\nhost: a.org\ncookie: a=SECRET\n\nHTTP/1.1 200 OK\nset-cookie: a=SECRET\n";
    let recording = offline::read(heads).unwrap();
    assert!(
        !format!("{recording:?}").contains("SECRET"),
        "{recording:?}"
    );
    assert_eq!(recording.exchanges[0].uri(), "/a?token=SECRET");
    assert_eq!(recording.exchanges[0].status(), 200);
    assert_eq!(recording.exchanges[0].method(), "GET");
}
