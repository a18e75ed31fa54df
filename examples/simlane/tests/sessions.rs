//! Signing in and out, and the pages that are one person's.

use serde_json::json;

use crate::server::Server;

#[tokio::test]
async fn personal_pages_send_strangers_to_the_login() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for path in ["/me", "/settings", "/clubs/1/manage"] {
        let answer = client.get(path).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, Some("/login")),
            "{path}"
        );
    }
    for path in ["/settings", "/clubs/1/manage"] {
        let answer = client.form(path, "action=remove&member=1").await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, Some("/login")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_session_begins_with_the_password_and_ends_with_the_logout() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let answer = client.sign_in("ada", "pitlane").await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("/me"))
    );
    let cookie = answer.header("set-cookie").unwrap().to_owned();
    let (id, attributes) = cookie.split_once("; ").unwrap();
    let id = id.strip_prefix("simlane_session=").unwrap();
    assert_eq!(id.len(), 22, "128 bits in base 64");
    let mut attributes: Vec<_> = attributes.split("; ").collect();
    attributes.sort_unstable();
    let (age, others) = attributes.split_at(2);
    let seconds = age[1].strip_prefix("Max-Age=").unwrap();
    let left = 1_209_600 - seconds.parse::<u32>().unwrap();
    assert!(left < 60, "fourteen days: {seconds}");
    assert_eq!(
        (age[0], others),
        ("HttpOnly", &["Path=/", "SameSite=Lax"][..])
    );
    assert_eq!(client.get("/me").await.status, 200);

    let answer = client.form("/logout", "").await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
    let forgotten = answer.header("set-cookie").unwrap();
    assert!(forgotten.starts_with("simlane_session=;"), "{forgotten}");
    assert!(forgotten.contains("; Max-Age=0"), "{forgotten}");
    // The cookie is still sent here: the server must have forgotten it too.
    assert_eq!(client.get("/me").await.status, 303);
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_look_alike() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for (username, password) in [("ada", "wrong"), ("nobody", "pitlane"), ("", "")] {
        let answer = client.sign_in(username, password).await;
        assert_eq!(answer.status, 422, "{username}");
        assert_eq!(answer.header("set-cookie"), None, "{username}");
        assert!(
            answer.body.contains("The name or the password is wrong."),
            "{username}"
        );
    }
}

#[tokio::test]
async fn a_made_up_session_is_nobody() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for cookie in ["", "0", "00000000000000000000000000000000", "é' OR 1=1 --"] {
        client.cookie = Some(format!("simlane_session={cookie}"));
        assert_eq!(client.get("/me").await.status, 303, "{cookie}");
        assert_eq!(client.get("/clubs/1").await.status, 200, "{cookie}");
    }
}

#[tokio::test]
async fn pages_differ_by_the_person_and_by_nothing_else() {
    let server = Server::start().await;
    let (mut ada, mut ben) = (server.signed_in("ada").await, server.signed_in("ben").await);
    let (mut one, mut two) = (server.client().await, server.client().await);
    two.cookie = Some("_ga=1; theme=dark".to_owned());
    for path in [
        "/",
        "/clubs/1",
        "/events",
        "/about",
        "/nowhere",
        "/search?q=spa",
    ] {
        let bodies = [
            ada.get(path).await.body,
            ben.get(path).await.body,
            one.get(path).await.body,
            two.get(path).await.body,
        ];
        assert!(
            bodies[0].contains("<a href=\"/me\">Ada Marlow</a>"),
            "{path}"
        );
        assert!(
            bodies[1].contains("<a href=\"/me\">Ben Okafor</a>"),
            "{path}"
        );
        assert_eq!(
            bodies[0].replace("/me\">Ada Marlow", "/me\">Ben Okafor"),
            bodies[1],
            "{path}"
        );
        assert_eq!(bodies[2], bodies[3], "{path}");
        assert!(!bodies[2].contains("Sign out"), "{path}");
    }
    assert_ne!(ada.get("/me").await.body, ben.get("/me").await.body);
    assert_eq!(ada.get("/api/me").await.value()["user"]["username"], "ada");
    assert_eq!(ben.get("/api/me").await.value()["user"]["username"], "ben");
}

#[tokio::test]
async fn settings_are_saved_or_shown_again() {
    let server = Server::start().await;
    let mut ada = server.signed_in("ada").await;
    let saved = ada
        .form(
            "/settings",
            "name=Ada+Lane&email=a%40b.example&country=FR&bio=",
        )
        .await;
    assert_eq!((saved.status, saved.header("location")), (303, Some("/me")));
    assert!(saved.tags("x-touched-tags").contains("user:1"));
    assert!(ada.get("/me").await.body.contains("<h1>Ada Lane</h1>"));

    let again = ada
        .form("/settings", "name=Ada&email=nowhere&country=FR&bio=")
        .await;
    assert_eq!(again.status, 422);
    assert!(
        again.body.contains("email: must be an e-mail address"),
        "{}",
        again.body
    );
    assert!(
        again.body.contains("value=\"nowhere\""),
        "what was typed is gone: {}",
        again.body
    );
    assert!(ada.get("/me").await.body.contains("<h1>Ada Lane</h1>"));
    assert_eq!(
        ada.form("/settings", "name=Ada").await.status,
        303,
        "the rest stays as it was"
    );
}

#[tokio::test]
async fn only_owners_and_managers_manage_a_club() {
    let server = Server::start().await;
    let (mut ada, mut elena) = (
        server.signed_in("ada").await,
        server.signed_in("elena").await,
    );
    assert_eq!(ada.get("/clubs/1/manage").await.status, 200);
    for path in ["/clubs/1/manage", "/clubs/2/manage"] {
        let refused = elena.get(path).await;
        assert_eq!(refused.status, 403, "{path}");
        assert!(refused.body.contains("only owners and managers"), "{path}");
    }
    assert_eq!(
        elena
            .form("/clubs/1/manage", "action=remove&member=1")
            .await
            .status,
        403
    );
    assert_eq!(ada.get("/clubs/99/manage").await.status, 404);
}

#[tokio::test]
async fn members_are_managed_with_a_form() {
    let server = Server::start().await;
    let mut ada = server.signed_in("ada").await;
    let path = "/clubs/1/manage";
    let added = ada.form(path, "action=add&username=ben&role=manager").await;
    assert_eq!((added.status, added.header("location")), (303, Some(path)));
    assert!(added.tags("x-touched-tags").contains("club:1:members"));
    assert_eq!(server.signed_in("ben").await.get(path).await.status, 200);

    for (form, complaint) in [
        ("action=add&username=ben&role=driver", "this exists already"),
        (
            "action=add&username=zebra&role=driver",
            "username: nobody has this name",
        ),
        (
            "action=role&member=1&role=king",
            "role: must be one of owner",
        ),
        ("action=paint", "action: must be add, role or remove"),
    ] {
        let again = ada.form(path, form).await;
        assert_eq!(again.status, 422, "{form}");
        assert!(again.body.contains(complaint), "{form}: {}", again.body);
    }
    assert_eq!(
        ada.form(path, "action=remove&member=9999").await.status,
        404
    );
    let members = ada.get("/api/clubs/1/members").await.value();
    let ben = &members["members"][8];
    assert_eq!(ben["username"], "ben");
    let removed = ada
        .form(path, &format!("action=remove&member={}", ben["id"]))
        .await;
    assert_eq!(removed.status, 303);
    assert!(!ada.get("/clubs/1").await.body.contains("Ben Okafor"));
}

#[tokio::test]
async fn what_another_site_sends_is_refused() {
    let server = Server::start().await;
    let mut client = server.signed_in("ada").await;
    let form = ("content-type", "application/x-www-form-urlencoded");
    for from in ["cross-site", "same-site"] {
        let headers = [form, ("sec-fetch-site", from)];
        let answer = client
            .send("POST", "/login", &headers, "username=ada&password=pitlane")
            .await;
        assert_eq!(
            (answer.status, answer.header("set-cookie")),
            (403, None),
            "{from}"
        );
        let renamed = json!({ "name": "Zebra" }).to_string();
        let headers = [
            ("content-type", "application/json"),
            ("sec-fetch-site", from),
        ];
        assert_eq!(
            client
                .send("PATCH", "/api/clubs/1", &headers, &renamed)
                .await
                .status,
            403
        );
        assert_eq!(
            client.send("GET", "/me", &headers, "").await.status,
            200,
            "{from}"
        );
    }
    let headers = [form, ("sec-fetch-site", "same-origin")];
    assert_eq!(
        client.send("POST", "/logout", &headers, "").await.status,
        303
    );
}
