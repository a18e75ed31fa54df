//! `pitlane explain`: of a recording, and of a running node.

use std::fs;

use pitlane_testkit::{Origin, Server};

use crate::run::{Ended, pitlane};

const RECORDING: &str = "\
GET /clubs HTTP/1.1
host: example.org
cookie: session=1

HTTP/1.1 200 OK
cache-control: max-age=60
";

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn file(name: &str, text: &str) -> String {
    let path = std::env::temp_dir().join(format!("pitlane-{}-{name}", std::process::id()));
    fs::write(&path, text).expect("a file");
    path.to_str().expect("text").to_owned()
}

async fn run(arguments: Vec<String>) -> Ended {
    let run = tokio::task::spawn_blocking(move || pitlane(&arguments));
    run.await.expect("a run")
}

/// Explains a recording.
pub(crate) async fn offline(more: &[&str]) -> Ended {
    let path = file(&format!("recording-{}", more.join("-")), RECORDING);
    let mut all = vec!["explain".to_owned(), "--offline".to_owned(), path.clone()];
    all.extend(more.iter().map(ToString::to_string));
    let ended = run(all).await;
    fs::remove_file(path).expect("the file");
    ended
}

/// Asks a node's admin API, which answers as one would.
pub(crate) async fn live(more: &[&str]) -> Ended {
    let explained = offline(&["--json"]).await.ok();
    let document: serde_json::Value = serde_json::from_str(&explained.out).expect("JSON");
    let explanation = document.pointer("/exchanges/0/explanation");
    let body = serde_json::json!({"status": 200, "explanations": [explanation]}).to_string();
    let api = Origin::new(move |request, _| {
        let body = body.clone();
        async move {
            let expected = format!("Bearer {TOKEN}");
            let token = request.headers().get("authorization");
            let known = token.is_some_and(|token| token == expected.as_str());
            let asked = request.method() == "POST" && request.uri().path() == "/admin/api/explain";
            let mut answer = if known {
                Origin::reply(&[("content-type", "application/json")], body)
            } else {
                let error = r#"{"error":{"kind":"token","message":"who is this?\u001b[2J"}}"#;
                Origin::reply(&[("content-type", "application/json")], error)
            };
            if !known {
                *answer.status_mut() = http::StatusCode::UNAUTHORIZED;
            }
            if !asked {
                *answer.status_mut() = http::StatusCode::NOT_FOUND;
            }
            answer
        }
    });
    let server = Server::start(api).await;
    let wrong = more.contains(&"wrong");
    let name = format!("token-{}", more.join("-"));
    let token = file(
        &name,
        if wrong {
            "another token\n"
        } else {
            "0123456789abcdef0123456789abcdef\n"
        },
    );
    let mut all = vec!["explain".to_owned(), "/clubs?page=2".to_owned()];
    all.extend(["--header".to_owned(), "Cookie: session=1".to_owned()]);
    all.extend(["--admin".to_owned(), server.url("/admin/")]);
    all.extend(["--token-file".to_owned(), token.clone()]);
    all.extend(
        more.iter()
            .filter(|one| **one != "wrong")
            .map(ToString::to_string),
    );
    let ended = run(all).await;
    fs::remove_file(token).expect("the file");
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_explained_in_one_sentence_with_what_to_change() {
    let ended = offline(&[]).await.ok();
    let says = "The request carries a cookie that is not listed as harmless: `session`.";
    assert!(ended.out.contains(says), "{ended:?}");
    let ended = offline(&["--harmless-cookie", "session"]).await.ok();
    assert!(!ended.out.contains(says), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_asked_with_its_token() {
    let ended = live(&[]).await.ok();
    assert!(
        ended
            .out
            .starts_with("GET /clubs?page=2 is answered with 200\n"),
        "{ended:?}"
    );
    assert!(ended.out.contains("not listed as harmless"), "{ended:?}");
    let refused = live(&["wrong"]).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.err.contains("401") && refused.err.contains("who is this?"),
        "{refused:?}"
    );
    assert!(
        !refused.err.contains('\x1b') && !refused.err.contains("another token"),
        "{refused:?}"
    );
}

#[test]
fn what_is_needed_is_said() {
    for (arguments, says) in [
        (&["explain"][..], "URL"),
        (&["explain", "/clubs"], "--admin URL and --token-file FILE"),
        (&["explain", "--offline", "/nowhere"], "can't read"),
        (&["explain", "/clubs", "--offline", "x"], "--offline"),
    ] {
        let ended = pitlane(arguments);
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.err.contains(says), "{ended:?}");
    }
}
