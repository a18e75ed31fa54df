//! A PostgreSQL whose COMMIT can be held back on its way, at the server, and
//! on the way back.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pitlane_sqlx::{CommitErrorKind, Guarded};
use pitlane_testkit::{Fault, FaultProxy, PostgresServer};
use sqlx::{
    PgConnection, PgPool, Postgres,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::fixture::{CLUB, Site, until};

/// In a schema of its own. A COMMIT that has changed the row waits at the server while
/// somebody else has the lock.
const SCHEMA: &str = "
CREATE TABLE clubs (id bigint PRIMARY KEY, name text NOT NULL);
INSERT INTO clubs VALUES (1, 'old');
CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_advisory_xact_lock(hashtext(TG_TABLE_SCHEMA));
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER wait AFTER UPDATE ON clubs DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION wait();
";

const NEVER: Duration = Duration::from_secs(3600);

/// A site over a schema of its own, whose writes go through a proxy.
struct Database {
    site: Site,
    proxy: FaultProxy,
    direct: PgPool,
    proxied: PgPool,
    schema: String,
}

impl Database {
    async fn new() -> Self {
        static SERVER: OnceLock<PostgresServer> = OnceLock::new();
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let start = || SERVER.get_or_init(PostgresServer::start);
        let server = tokio::task::spawn_blocking(start).await.unwrap();
        let schema = format!("schema_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let proxy = FaultProxy::start(server.address()).await;
        let direct = pool(&server.url(), &schema).await;
        let create = sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}"));
        sqlx::raw_sql(create).execute(&direct).await.unwrap();
        sqlx::raw_sql(SCHEMA).execute(&direct).await.unwrap();
        let read = direct.clone();
        let site = Site::new(Arc::new(move || {
            let read = read.clone();
            Box::pin(async move { name(&read).await })
        }));
        Self {
            site,
            proxied: pool(&server.url_at(proxy.address()), &schema).await,
            proxy,
            direct,
            schema,
        }
    }

    /// A transaction through the proxy that has renamed the row, and said so.
    async fn renaming(&self, name: &str) -> Guarded<Postgres> {
        let (caches, changes) = (&self.site.caches, &self.site.changes);
        let mut tx = Guarded::begin(&self.proxied, caches, changes)
            .await
            .unwrap();
        rename(&mut tx, name).await;
        tx.changed(&CLUB).unwrap();
        tx
    }

    /// From here on COMMIT waits at the server; drop the result to let it go.
    async fn hold_commits(&self) -> sqlx::Transaction<'static, Postgres> {
        let mut tx = self.direct.begin().await.unwrap();
        let lock = sqlx::query("SELECT pg_advisory_xact_lock(hashtext($1))");
        lock.bind(&self.schema).execute(&mut *tx).await.unwrap();
        tx
    }

    /// Waits until that server process waits for a lock, within its COMMIT.
    async fn until_a_commit_waits(&self, process: i32) {
        until("a COMMIT waits", async || {
            let waits = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND query = 'COMMIT' \
                 AND wait_event = 'advisory'",
            );
            let waits: i64 = waits.bind(process).fetch_one(&self.direct).await.unwrap();
            waits == 1
        })
        .await;
    }

    async fn until_committed(&self, expected: &str) {
        until("it is committed", async || {
            name(&self.direct).await == expected
        })
        .await;
    }
}

async fn pool(url: &str, schema: &str) -> PgPool {
    let options: PgConnectOptions = url.parse().unwrap();
    let options = options.options([("search_path", schema)]);
    let pool = PgPoolOptions::new().max_connections(3);
    pool.connect_with(options).await.unwrap()
}

async fn rename(db: &mut PgConnection, name: &str) {
    let query = sqlx::query("UPDATE clubs SET name = $1 WHERE id = 1");
    query.bind(name).execute(db).await.unwrap();
}

async fn name(pool: &PgPool) -> String {
    let query = sqlx::query_scalar("SELECT name FROM clubs WHERE id = 1");
    query.fetch_one(pool).await.unwrap()
}

async fn process_of(db: &mut PgConnection) -> i32 {
    let query = sqlx::query_scalar("SELECT pg_backend_pid()");
    query.fetch_one(db).await.unwrap()
}

#[tokio::test]
async fn a_commit_ends_what_shows_the_row_and_a_rollback_ends_nothing() {
    let db = Database::new().await;
    db.site.warm().await;
    db.renaming("never").await.rollback().await.unwrap();
    db.site.check_kept("old").await;
    drop(db.renaming("never").await);
    db.site.check_kept("old").await;
    let _ended = db.renaming("new").await.commit().await.unwrap();
    db.site.check_ended("new").await;
}

/// What anybody would write without the guard.
async fn naive(db: &Database) {
    let mut tx = db.proxied.begin().await.unwrap();
    rename(&mut tx, "naive").await;
    db.proxy.set(Fault::Delay(NEVER));
    tx.commit().await.unwrap();
    let _ended = db.site.caches.invalidate(["club:1"]).await.unwrap();
}

#[tokio::test]
async fn a_handler_that_is_dropped_between_commit_and_its_answer_ends_what_it_changed() {
    let db = Database::new().await;
    db.site.warm().await;
    tokio::select! {
        () = naive(&db) => panic!("it hears of its commit"),
        () = db.until_committed("naive") => {}
    }
    db.proxy.set(Fault::Pass);
    db.proxy.cut_all();
    // The row is another, and nobody will ever say so: this is what the guard is for.
    db.site.check_kept("old").await;

    let tx = db.renaming("new").await.grace(NEVER);
    db.proxy.set(Fault::Delay(NEVER));
    tokio::select! {
        ended = tx.commit() => panic!("it hears of its commit: {ended:?}"),
        () = db.until_committed("new") => {}
    }
    db.site.check_kept("old").await;
    db.proxy.set(Fault::Pass);
    db.proxy.cut_all();
    db.site.until_shown("new").await;
}

#[tokio::test]
async fn a_commit_that_arrives_after_its_handler_is_gone_ends_what_it_changed() {
    let db = Database::new().await;
    db.site.warm().await;
    let tx = db.renaming("new").await.grace(NEVER);
    db.proxy.set(Fault::Blackhole);
    let committing = tx.commit();
    let waited = tokio::time::timeout(Duration::from_millis(50), committing).await;
    assert!(waited.is_err(), "nothing passes the proxy: {waited:?}");
    // The handler is gone. Ended now, the page would be stored again, old.
    db.site.check_kept("old").await;
    db.proxy.set(Fault::Pass);
    db.until_committed("new").await;
    db.site.until_shown("new").await;
}

#[tokio::test]
async fn a_connection_that_is_killed_during_commit_ends_what_might_have_changed() {
    let db = Database::new().await;
    db.site.warm().await;
    let mut tx = db.renaming("new").await;
    let process = process_of(&mut tx).await;
    let held = db.hold_commits().await;
    let committing = tokio::spawn(tx.commit());
    db.until_a_commit_waits(process).await;
    db.site.check_kept("old").await;
    let kill = sqlx::query("SELECT pg_terminate_backend($1)").bind(process);
    kill.execute(&db.direct).await.unwrap();
    let error = committing.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), CommitErrorKind::Database);
    db.site.check_ended("old").await;
    drop(held);
    assert_eq!(name(&db.direct).await, "old");
}

#[tokio::test]
async fn a_commit_that_is_done_after_its_connection_broke_ends_what_it_changed() {
    let db = Database::new().await;
    db.site.warm().await;
    let mut tx = db.renaming("new").await.grace(Duration::from_secs(3));
    let process = process_of(&mut tx).await;
    let held = db.hold_commits().await;
    let committing = tokio::spawn(tx.commit());
    db.until_a_commit_waits(process).await;
    db.proxy.cut_all();
    let error = committing.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), CommitErrorKind::Database);
    // Ended at once, and stored again as it still is; the server knows nothing of the cut.
    db.site.check_ended("old").await;
    drop(held);
    db.until_committed("new").await;
    db.site.until_shown("new").await;
}
