//! What pages are made of is read once; what somebody may do, each time. Rows
//! are changed here behind the site's back, so that nobody is told.

use simlane::Switch;
use sqlx::{Connection, SqliteConnection};

use crate::client::Client;
use crate::server::{Database, Server};

async fn sneak(database: &Database, sql: &'static str) {
    let url = format!("sqlite:{}", database.file());
    let mut db = SqliteConnection::connect(&url).await.unwrap();
    let done = sqlx::query(sql).execute(&mut db).await.unwrap();
    assert_eq!(done.rows_affected(), 1, "{sql}");
}

/// Whether the answers to all of them show the text.
async fn check(client: &mut Client, paths: &[&str], text: &str, is_shown: bool) {
    for path in paths {
        let answer = client.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.body.contains(text), is_shown, "{path} {text}");
    }
}

#[tokio::test]
async fn pages_share_what_was_read_for_one_of_them() {
    let database = Database::new();
    let server = Server::over(&database, Switch::On).await;
    let plain = Server::over(&database, Switch::Off).await;
    let (mut client, mut other) = (server.client().await, plain.client().await);
    let pages = [
        "/clubs/1",
        "/api/clubs/1",
        "/api/clubs/1/members",
        "/teams/1",
    ];
    let drivers = ["/drivers/iracing/101", "/api/drivers/iracing/101"];
    client.get(pages[0]).await;
    client.get(drivers[0]).await;

    sneak(&database, "UPDATE clubs SET name = 'Sneaked' WHERE id = 1").await;
    sneak(
        &database,
        "UPDATE profiles SET name = 'Sneaked' WHERE simulator = 'iracing' AND id = '101'",
    )
    .await;
    check(&mut client, &pages, "Night Shift Racing", true).await;
    check(&mut client, &drivers, "Sneaked", false).await;
    // Without a cache nothing of it is kept, be it asked for twice.
    for _ in 0..2 {
        check(&mut other, &pages, "Sneaked", true).await;
        check(&mut other, &drivers, "Sneaked", true).await;
    }
    sneak(&database, "UPDATE clubs SET name = 'Again' WHERE id = 1").await;
    check(&mut other, &pages, "Again", true).await;
}

#[tokio::test]
async fn a_write_ends_the_pieces_that_show_its_row_and_leaves_the_others() {
    let database = Database::new();
    let server = Server::over(&database, Switch::On).await;
    let mut client = server.client().await;
    client.get("/clubs/1").await;
    sneak(&database, "UPDATE clubs SET name = 'Sneaked' WHERE id = 1").await;
    sneak(&database, "UPDATE teams SET name = 'Slipped' WHERE id = 1").await;
    let renamed = serde_json::json!({ "car": "Zebra GT" });
    let answer = client.json("PATCH", "/api/teams/2", &renamed).await;
    assert_eq!(answer.status, 200);
    // The teams were read again, and the club was not.
    check(&mut client, &["/clubs/1"], "Zebra GT", true).await;
    check(&mut client, &["/clubs/1"], "Slipped", true).await;
    check(&mut client, &["/clubs/1"], "Sneaked", false).await;
}

#[tokio::test]
async fn who_may_manage_is_asked_of_the_database_each_time() {
    let database = Database::new();
    let server = Server::over(&database, Switch::On).await;
    let mut ada = server.signed_in("ada").await;
    assert_eq!(ada.get("/clubs/1/manage").await.status, 200);
    let demoted = "UPDATE club_members SET role = 'driver' WHERE club_id = 1 AND user_id = 1";
    sneak(&database, demoted).await;
    assert_eq!(ada.get("/clubs/1/manage").await.status, 403);
    let form = "action=add&username=ben&role=manager";
    assert_eq!(ada.form("/clubs/1/manage", form).await.status, 403);
}
