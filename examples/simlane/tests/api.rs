//! The API: round trips and refusals.

use serde_json::{Value, json};

use crate::server::Server;

#[tokio::test]
async fn what_is_created_can_be_read_changed_and_deleted() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let rows = [
        (
            "/api/clubs",
            json!({ "name": "Zebra", "country": "ZA", "founded": 2001 }),
            "club",
        ),
        (
            "/api/teams",
            json!({ "club_id": 1, "name": "Zebra", "number": 7 }),
            "team",
        ),
        (
            "/api/drivers",
            json!({ "simulator": "acc", "id": "z-1", "name": "Zebra", "country": "ZA" }),
            "driver",
        ),
        (
            "/api/events",
            json!({
                "series_id": 1, "name": "Zebra", "track": "Spa", "laps": 9,
                "starts_at": "2027-06-01T18:00",
            }),
            "event",
        ),
    ];
    for (path, new, name) in rows {
        let created = client.json("POST", path, &new).await;
        assert_eq!(created.status, 201, "{path}: {}", created.body);
        let address = created.header("location").unwrap().to_owned();
        assert_eq!(
            client.get(&address).await.value()[name]["name"],
            "Zebra",
            "{address}"
        );

        let changed = client
            .json("PATCH", &address, &json!({ "name": "Okapi" }))
            .await;
        assert_eq!(changed.status, 200, "{address}: {}", changed.body);
        let mut expected = created.value();
        expected["name"] = json!("Okapi");
        assert_eq!(
            changed.value(),
            expected,
            "{address}: a patch changes what it names"
        );
        assert_eq!(
            client.get(&address).await.value()[name]["name"],
            "Okapi",
            "{address}"
        );

        assert_eq!(
            client.json("DELETE", &address, &Value::Null).await.status,
            204,
            "{address}"
        );
        for method in ["GET", "PATCH", "DELETE"] {
            let gone = client.json(method, &address, &json!({})).await;
            assert_eq!(gone.status, 404, "{method} {address}");
            assert_eq!(
                gone.value()["error"]["kind"],
                "not_found",
                "{method} {address}"
            );
        }
    }
}

#[tokio::test]
async fn members_and_entries_live_below_their_parents() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let new = json!({ "username": "ben", "role": "driver" });
    let member = client.json("POST", "/api/clubs/1/members", &new).await;
    assert_eq!(member.status, 201, "{}", member.body);
    assert_eq!(member.value()["user_name"], "Ben Okafor");
    let address = member.header("location").unwrap().to_owned();
    let changed = client
        .json("PATCH", &address, &json!({ "role": "manager" }))
        .await;
    assert_eq!(changed.value()["role"], "manager");
    let elsewhere = address.replace("clubs/1/", "clubs/2/");
    assert_eq!(
        client.json("DELETE", &elsewhere, &Value::Null).await.status,
        404
    );
    assert_eq!(
        client.json("DELETE", &address, &Value::Null).await.status,
        204
    );

    client
        .json("DELETE", "/api/drivers/iracing/120", &Value::Null)
        .await;
    let driver = json!({ "simulator": "iracing", "id": "120", "name": "Zebra", "country": "ZA" });
    client.json("POST", "/api/drivers", &driver).await;
    let new = json!({ "driver_id": "120", "team_id": 2 });
    let entry = client
        .json("POST", "/api/events/4/participants", &new)
        .await;
    assert_eq!(entry.status, 201, "{}", entry.body);
    assert_eq!(entry.value()["status"], "entered");
    let address = entry.header("location").unwrap().to_owned();
    let finished = json!({ "status": "finished", "position": 1, "best_lap_ms": 83456 });
    assert_eq!(client.json("PATCH", &address, &finished).await.status, 200);
    let page = client.get("/drivers/iracing/120").await.body;
    assert!(
        page.contains("1:23.456") && page.contains("Night Shift Dawn"),
        "{page}"
    );
    assert_eq!(
        client.json("DELETE", &address, &Value::Null).await.status,
        204
    );
}

#[tokio::test]
async fn a_refusal_names_the_field() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let entry = client.get("/api/events/1").await.value()["participants"][0]["id"].clone();
    let entry = format!("/api/events/1/participants/{entry}");
    let long = "x".repeat(81);
    let wrong = [
        ("PATCH", "/api/clubs/1", json!({ "name": " " }), "name"),
        ("PATCH", "/api/clubs/1", json!({ "name": long }), "name"),
        (
            "PATCH",
            "/api/clubs/1",
            json!({ "name": "a\u{0}b" }),
            "name",
        ),
        (
            "PATCH",
            "/api/clubs/1",
            json!({ "founded": "1999" }),
            "founded",
        ),
        (
            "PATCH",
            "/api/clubs/1",
            json!({ "country": "Norway" }),
            "country",
        ),
        ("PATCH", "/api/clubs/1", json!({ "name": null }), "name"),
        ("PATCH", "/api/clubs/1", json!({ "id": 7 }), "id"),
        ("PATCH", "/api/clubs/1", json!([1]), "body"),
        (
            "POST",
            "/api/clubs",
            json!({ "name": "Zebra", "country": "ZA" }),
            "body",
        ),
        (
            "PATCH",
            "/api/teams/1",
            json!({ "colour": "plaid" }),
            "colour",
        ),
        ("PATCH", "/api/teams/1", json!({ "number": 1000 }), "number"),
        (
            "POST",
            "/api/teams",
            json!({ "name": "Zebra", "number": 1 }),
            "club_id",
        ),
        (
            "POST",
            "/api/teams",
            json!({ "club_id": 99, "name": "Z", "number": 1 }),
            "club_id",
        ),
        (
            "POST",
            "/api/teams",
            json!({ "club_id": "1", "name": "Z", "number": 1 }),
            "club_id",
        ),
        (
            "PATCH",
            "/api/drivers/acc/201",
            json!({ "podiums": 10_000 }),
            "podiums",
        ),
        (
            "POST",
            "/api/drivers",
            json!({ "simulator": "gt7", "id": "1" }),
            "simulator",
        ),
        (
            "POST",
            "/api/drivers",
            json!({ "simulator": "acc", "id": "a b" }),
            "id",
        ),
        (
            "PATCH",
            "/api/events/1",
            json!({ "starts_at": "tomorrow" }),
            "starts_at",
        ),
        (
            "PATCH",
            "/api/events/1",
            json!({ "status": "cancelled" }),
            "status",
        ),
        (
            "PATCH",
            entry.as_str(),
            json!({ "status": "retired" }),
            "position",
        ),
        (
            "PATCH",
            entry.as_str(),
            json!({ "position": null }),
            "position",
        ),
        (
            "POST",
            "/api/events/1/participants",
            json!({ "driver_id": "201" }),
            "driver_id",
        ),
        (
            "POST",
            "/api/clubs/1/members",
            json!({ "username": "zebra", "role": "driver" }),
            "username",
        ),
    ];
    for (method, path, body, field) in wrong {
        let answer = client.json(method, path, &body).await;
        assert_eq!(
            answer.status, 422,
            "{method} {path} {body}: {}",
            answer.body
        );
        let error = &answer.value()["error"];
        assert_eq!(error["kind"], "invalid", "{method} {path} {body}");
        assert_eq!(error["field"], field, "{method} {path} {body}: {error}");
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .starts_with(&format!("{field}: ")),
            "{error}"
        );
        assert_eq!(
            answer.header("x-touched-tags"),
            None,
            "{method} {path} {body}"
        );
    }
}

#[tokio::test]
async fn errors_are_json_with_a_kind() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let twice = json!({ "username": "ada", "role": "driver" });
    let cases = [
        ("GET", "/api/nowhere", Value::Null, 404, "not_found"),
        ("GET", "/api/clubs/one", Value::Null, 404, "not_found"),
        ("GET", "/api/me", Value::Null, 401, "sign_in"),
        ("PATCH", "/api/me", json!({}), 401, "sign_in"),
        ("GET", "/api/teams", Value::Null, 405, "method_not_allowed"),
        ("PUT", "/api/clubs/1", json!({}), 405, "method_not_allowed"),
        ("POST", "/api/clubs/1/members", twice, 409, "conflict"),
        ("PATCH", "/api/clubs/99", json!({}), 404, "not_found"),
    ];
    for (method, path, body, status, kind) in cases {
        let answer = client.json(method, path, &body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert_eq!(answer.value()["error"]["kind"], kind, "{method} {path}");
    }
    // Without the content type that a form on another site can't send.
    let answer = client
        .send("PATCH", "/api/clubs/1", &[], "{\"name\":\"Zebra\"}")
        .await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert_eq!(answer.value()["error"]["field"], "body");
}

#[tokio::test]
async fn deleting_a_club_takes_its_teams_and_their_results_along() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let page = client.get("/api/clubs/1").await.value();
    let entry = page["results"][0].clone();
    assert_eq!(
        client
            .json("DELETE", "/api/clubs/1", &Value::Null)
            .await
            .status,
        204
    );
    assert_eq!(client.get("/api/teams/1").await.status, 404);
    let event = client
        .get(&format!("/api/events/{}", entry["event_id"]))
        .await
        .value();
    let left = event["participants"].as_array().unwrap();
    assert!(
        left.iter().all(|other| other["id"] != entry["id"]),
        "{entry} is still there"
    );
    assert_eq!(left.len() + 1, 10);
}

#[tokio::test]
async fn a_person_changes_themselves() {
    let server = Server::start().await;
    let mut ben = server.signed_in("ben").await;
    let changed = ben
        .json("PATCH", "/api/me", &json!({ "bio": "Rain dancer." }))
        .await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(
        ben.get("/api/me").await.value()["user"]["bio"],
        "Rain dancer."
    );
    assert!(
        !changed.body.contains("argon2"),
        "the hash of a password is nobody's business"
    );
    let refused = ben
        .json("PATCH", "/api/me", &json!({ "username": "ada" }))
        .await;
    assert_eq!(refused.value()["error"]["field"], "username");
}
