//! What `--json` writes is what docs/reference/schemas says.

use std::fs;
use std::path::Path;

use pitlane::stats::StatsOptions;
use serde_json::Value;

use crate::explains;
use crate::run::Ended;
use crate::schema::faults;
use crate::site::Site;

/// Checks a run's document, which is all of its output, and returns it.
#[track_caller]
pub(crate) fn check(name: &str, ended: &Ended) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/schemas");
    let text = fs::read_to_string(folder.join(format!("{name}.json"))).expect("a schema");
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    let document: Value = serde_json::from_str(&ended.out).expect("one JSON document");
    assert_eq!(faults(&schema, &document), [""; 0], "{name}: {document:#}");
    document
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_what_their_schemas_say() {
    let site = Site::start().await;
    let options = StatsOptions::new().name("web-1");
    let keeper = site.caches.keep_stats(options);
    site.fill().await;
    site.get("api", "http://site.org/clubs/3").await;
    let club = "http://site.org/clubs/3";
    let clears = ["clear", "--yes", "--cache", "query"];
    for (name, arguments) in [
        ("test", &["test"][..]),
        ("keys", &["keys", "--limit", "5"]),
        ("inspect", &["inspect", club]),
        ("inspect", &["inspect", "club:3", "--cache", "api"]),
        ("clear", &["clear", "--dry-run"]),
        ("clear", &clears),
        ("invalidate", &["invalidate", "--tag", "clubs", "--dry-run"]),
        ("invalidate", &["invalidate", "--tag", "clubs", "--soft"]),
        ("inspect", &["inspect", "club:3", "--cache", "api"]),
        ("stats", &["stats"]),
        ("error", &["inspect", "nothing"]),
        ("error", &["keys", "--cache", "apj"]),
    ] {
        let ended = site.run(&[arguments, &["--json"]].concat()).await;
        assert_eq!(ended.code == 0, name != "error", "{ended:?}");
        check(name, &ended);
    }
    let record = site
        .run(&["keys", "--cache", "sessions", "--json"])
        .await
        .ok();
    let listed = check("keys", &record);
    let name = listed["caches"][0]["keys"][0]["name"]
        .as_str()
        .expect("a name");
    let shown = site
        .run(&["inspect", name, "--cache", "sessions", "--json"])
        .await;
    check("inspect", &shown.ok());
    drop(keeper);
}

#[tokio::test(flavor = "multi_thread")]
async fn explanations_are_what_their_schemas_say() {
    check("explain-offline", &explains::offline(&["--json"]).await);
    check("explain", &explains::live(&["--json"]).await);
}
