//! A SQLite file whose COMMIT waits for as long as somebody reads.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pitlane_sqlx::Guarded;
use sqlx::{
    ConnectOptions, Sqlite, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};
use tokio::sync::Mutex;

use crate::fixture::{CLUB, Site, until};

const SCHEMA: &str = "
CREATE TABLE clubs (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE teams (
    id INTEGER PRIMARY KEY,
    club INTEGER NOT NULL REFERENCES clubs (id) DEFERRABLE INITIALLY DEFERRED
) STRICT;
INSERT INTO clubs VALUES (1, 'old');
";

/// A site over a file of its own.
pub(crate) struct Database {
    pub(crate) site: Site,
    pub(crate) pool: SqlitePool,
    /// The one connection that pages read by. While it is within a transaction it sees the old
    /// state, and no COMMIT succeeds.
    reader: Arc<Mutex<SqliteConnection>>,
    /// One that waits for nobody.
    probe: Mutex<SqliteConnection>,
    _folder: Folder,
}

impl Database {
    pub(crate) async fn new() -> Self {
        let folder = Folder::new();
        let options = SqliteConnectOptions::new()
            .filename(folder.0.join("clubs.sqlite"))
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Delete)
            .busy_timeout(Duration::from_secs(60));
        let pool = SqlitePoolOptions::new().max_connections(2);
        let pool = pool.connect_with(options.clone()).await.unwrap();
        sqlx::raw_sql(SCHEMA).execute(&pool).await.unwrap();
        let reader = Arc::new(Mutex::new(options.connect().await.unwrap()));
        let hasty = options.busy_timeout(Duration::ZERO);
        let probe = Mutex::new(hasty.connect().await.unwrap());
        let read = Arc::clone(&reader);
        let site = Site::new(Arc::new(move || {
            let reader = Arc::clone(&read);
            Box::pin(async move { name(&mut *reader.lock().await).await })
        }));
        Self {
            site,
            pool,
            reader,
            probe,
            _folder: folder,
        }
    }

    pub(crate) async fn begin(&self) -> Guarded<Sqlite> {
        // A transaction that begins as a reader could not write beside others.
        let transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
        Guarded::over(transaction, &self.site.caches, &self.site.changes)
    }

    /// A transaction that has renamed the row, and said so.
    pub(crate) async fn renaming(&self, name: &'static str) -> Guarded<Sqlite> {
        let mut tx = self.begin().await;
        rename(&mut tx, name).await;
        tx.changed(&CLUB).unwrap();
        tx
    }

    /// From here on COMMIT waits.
    pub(crate) async fn hold_commits(&self) {
        let mut reader = self.reader.lock().await;
        sqlx::query("BEGIN").execute(&mut *reader).await.unwrap();
        name(&mut reader).await;
    }

    /// Commits that waited go on.
    pub(crate) async fn let_commits_go(&self) {
        let mut reader = self.reader.lock().await;
        sqlx::query("COMMIT").execute(&mut *reader).await.unwrap();
    }

    /// Waits until a COMMIT waits: then nobody new may read.
    pub(crate) async fn until_a_commit_waits(&self) {
        let mut probe = self.probe.lock().await;
        until("a COMMIT waits", async || {
            let read = sqlx::query("SELECT * FROM clubs").fetch_all(&mut *probe);
            read.await.is_err()
        })
        .await;
    }

    /// The row as it is now, once nobody writes any more.
    pub(crate) async fn truth(&self) -> String {
        let transaction = self.pool.begin_with("BEGIN IMMEDIATE").await;
        name(&mut transaction.unwrap()).await
    }
}

pub(crate) async fn rename(db: &mut SqliteConnection, name: &'static str) {
    let query = sqlx::query("UPDATE clubs SET name = ? WHERE id = 1");
    query.bind(name).execute(db).await.unwrap();
}

pub(crate) async fn name(db: &mut SqliteConnection) -> String {
    let query = sqlx::query_scalar("SELECT name FROM clubs WHERE id = 1");
    query.fetch_one(db).await.unwrap()
}

/// Removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pitlane-sqlx-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays behind is the system's to clean up.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
