//! Names that mean to do something to whoever looks at them.

use pitlane::manage::printable;
use pitlane_testkit::{Client, Protocol};

use crate::stage::{Stage, encode, store};

/// What clients may send and handlers may name.
fn hostile() -> Vec<String> {
    let mut all: Vec<String> = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "'; alert(1); //",
        "</title><script>alert(1)</script>",
        "</textarea><script>alert(1)</script>",
        "javascript:alert(1)",
        "{{ 7 * 7 }}{% for x in y %}",
        "&lt;b&gt;&amp;amp;",
        "\u{202e}gnp.exe",
        "\u{2066}\u{2067}isolated\u{2069}",
        "zero\u{200b}width\u{feff}",
        "\x1b[31mred\x1b[0m\x1b]0;title\x07",
        "nul\0and\x08back",
        "line\r\nbreak\u{2028}\u{2029}",
        "a,b;c|d\\e/f",
        "%3Cscript%3E%0d%0a",
        "https://evil.example/",
        "Z̷a̸l̴g̵o̶",
        "🏁🏎\u{fe0f}",
    ]
    .map(str::to_owned)
    .to_vec();
    all.push("x".repeat(8 << 10));
    all
}

/// Markup that was not escaped, a character that turns the text around it, or one that a terminal
/// would act on.
#[track_caller]
fn check_harmless(page: &str, name: &str) {
    for markup in ["<script>", "<img src=x", "onerror=alert(1)>", "</title><s"] {
        assert!(!page.contains(markup), "{name:?}: {markup}");
    }
    let bad = page.chars().find(|character| {
        let is_layout = matches!(character, '\n' | '\t');
        (character.is_control() && !is_layout)
            || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
                | '\u{200b}' | '\u{feff}' | '\u{2028}' | '\u{2029}')
    });
    // What somebody typed stands in its field as it is, and nowhere else.
    assert_eq!(bad, None, "{name:?}");
}

#[tokio::test]
async fn hostile_tags_and_keys_are_shown_harmlessly_on_every_page() {
    let stage = Stage::set().await;
    let cookie = stage.sign_in().await;
    let csrf = stage.csrf(&cookie).await;
    for (number, name) in hostile().iter().enumerate() {
        let key = format!("hostile{number}");
        store(&stage.cache, &key, &[name]).await;
        let entry = stage
            .page(&cookie, &format!("/entry?cache=default&key={key}"))
            .await;
        assert_eq!(entry.status, 200, "{name:?}: {}", entry.text());
        check_harmless(entry.text(), name);
        let _ = stage.caches.invalidate([name.as_str()]).await.unwrap();
        // As a path and a query, as far as a client can send it.
        let query = encode(&[("q", name)]);
        let url = format!("http://{}/page?{query}", stage.address);
        Client::new(Protocol::Http1).get(&url, &[]).await;
        // As what somebody looks for.
        for path in ["/keys", "/entry", "/cache", "/clear"] {
            let query = match path {
                "/keys" => encode(&[("cache", "default"), ("prefix", name)]),
                "/entry" => encode(&[("cache", "default"), ("key", name)]),
                "/cache" => encode(&[("name", name)]),
                _ => encode(&[("cache", name)]),
            };
            let answer = stage.page(&cookie, &format!("{path}?{query}")).await;
            assert!(
                answer.status.as_u16() < 500,
                "{path} {name:?}: {}",
                answer.text()
            );
            let said = answer.text().replace(&field_of(name), "");
            check_harmless(&said, name);
        }
        let form = [("csrf", csrf.as_str()), ("tags", name)];
        let confirm = stage.post(&cookie, "/invalidate", &form).await;
        assert_eq!(confirm.status, 200, "{name:?}");
        assert!(!confirm.text().contains("<script>"), "{name:?}");
    }
    for path in [
        "/",
        "/activity",
        "/keys?cache=default",
        "/cache?name=default",
        "/routes",
    ] {
        let page = stage.page(&cookie, path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text());
        check_harmless(page.text(), path);
        assert!(page.body.len() < 400_000, "{path} is bounded");
    }
    let activity = stage.page(&cookie, "/activity").await;
    assert!(
        activity
            .text()
            .contains("&lt;script&gt;alert(1)&lt;&#x2f;script&gt;"),
        "it is shown, escaped"
    );
}

/// A value in the field that it was typed into.
fn field_of(name: &str) -> String {
    let mut text = String::new();
    for character in name.chars() {
        match character {
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '&' => text.push_str("&amp;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&#x27;"),
            '/' => text.push_str("&#x2f;"),
            other => text.push(other),
        }
    }
    format!("value=\"{text}\"")
}

#[test]
fn what_is_printable_is_left_as_it_is() {
    assert_eq!(printable("club:42"), "club:42");
}
