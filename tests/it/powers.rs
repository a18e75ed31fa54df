//! An anonymous client has no powers over the cache: class 32.

use pitlane_e2e::{Answer, Ask, Fixture, send};
use pitlane_testkit::Protocol;

use crate::runner::{Subject, in_memory, serve};

const WISHES: [(&str, &str); 16] = [
    ("cache-control", "no-cache"),
    ("cache-control", "no-store, max-age=0"),
    ("pragma", "no-cache"),
    ("x-purge", "1"),
    ("x-purge-method", "regex"),
    ("purge", "/page"),
    ("surrogate-control", "no-store"),
    ("cache-tag", "page"),
    ("surrogate-key", "page"),
    ("cache-group-invalidation", "\"page\""),
    ("x-cache-bypass", "1"),
    ("x-no-cache", "1"),
    ("x-refresh", "1"),
    ("x-debug", "1"),
    ("fastly-debug", "1"),
    ("x-pitlane-bypass", "1"),
];

fn page() -> Fixture {
    Fixture::new(|seen, _| match &*seen.method {
        "GET" | "HEAD" => Answer::default(),
        _ => Answer::status(405),
    })
    .cache_control(Some("max-age=60"))
}

#[tokio::test]
async fn a_clients_wishes_neither_miss_nor_purge_nor_show_anything() {
    for subject in [Subject::Anonymous, Subject::Api, Subject::General] {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let fixture = page();
            let server = serve(
                subject,
                &in_memory().get("default").unwrap(),
                fixture.clone(),
            )
            .await;
            let address = server.address();
            let ask = async |ask: Ask| send(protocol, address, &ask).await.unwrap();
            let first = ask(Ask::get("/page")).await;
            for (name, value) in WISHES {
                let heard = ask(Ask::get("/page").header(name, value)).await;
                assert_eq!(heard.body, first.body, "{name}: {value}");
                let told = heard.header("cache-status");
                assert!(told.starts_with("pitlane; hit"), "{name}: {told}");
            }
            assert_eq!(fixture.calls(), 1);
        }
    }
}

#[tokio::test]
async fn a_method_that_the_handler_refuses_purges_nothing() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let fixture = page();
        let server = serve(
            Subject::General,
            &in_memory().get("default").unwrap(),
            fixture.clone(),
        )
        .await;
        let address = server.address();
        send(protocol, address, &Ask::get("/page")).await.unwrap();
        let methods = [
            "PURGE", "BAN", "REFRESH", "POST", "DELETE", "OPTIONS", "TRACE",
        ];
        for method in methods {
            let heard = send(protocol, address, &Ask::get("/page").method(method)).await;
            assert_eq!(heard.unwrap().status, 405, "{method}");
        }
        assert_eq!(fixture.calls(), 1 + methods.len());
        let heard = send(protocol, address, &Ask::get("/page")).await.unwrap();
        assert!(heard.header("cache-status").starts_with("pitlane; hit"));
    }
}
