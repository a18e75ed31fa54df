//! The database: SQLite, in a file of the user's or in a temporary folder.

mod demo;
mod people;
mod schema;
mod season;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::BoxError;

pub(crate) use people::{DEMO_PASSWORD, DEMO_USER};

/// An open database, and the folder that goes when it does.
pub(crate) struct Database {
    pub(crate) pool: SqlitePool,
    /// A name that no other database has.
    pub(crate) identity: String,
    /// It was empty a moment ago: what anybody knows of it is of another one.
    pub(crate) is_new: bool,
    _folder: Option<TemporaryFolder>,
}

/// Opens what `--database` names, creates the schema and fills an empty
/// database with the demo data.
pub(crate) async fn open(name: Option<&str>) -> Result<Database, BoxError> {
    let (options, folder) = match name {
        Some(url) if url.starts_with("sqlite:") => (SqliteConnectOptions::from_str(url)?, None),
        Some(file) => (SqliteConnectOptions::new().filename(file), None),
        None => {
            let folder = TemporaryFolder::new()?;
            (
                SqliteConnectOptions::new().filename(folder.0.join("simlane.sqlite")),
                Some(folder),
            )
        }
    };
    let options = options
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(5));
    let pool = pool(name).connect_with(options).await.map_err(|error| {
        format!(
            "cannot open the database {}: {error}",
            name.unwrap_or("in a temporary folder")
        )
    })?;
    sqlx::raw_sql(schema::SCHEMA).execute(&pool).await?;
    let is_new = demo::fill(&pool).await?;
    let identity = sqlx::query_scalar("SELECT identity FROM site LIMIT 1")
        .fetch_one(&pool)
        .await?;
    Ok(Database {
        pool,
        identity,
        is_new,
        _folder: folder,
    })
}

/// A database in memory belongs to one connection, which must then stay.
fn pool(name: Option<&str>) -> SqlitePoolOptions {
    let in_memory =
        name.is_some_and(|name| name.contains(":memory:") || name.contains("mode=memory"));
    if in_memory {
        SqlitePoolOptions::new()
            .min_connections(1)
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
    } else {
        SqlitePoolOptions::new().max_connections(8)
    }
}

/// A folder only we can read, removed on drop.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn new() -> Result<Self, BoxError> {
        let mut name = [0; 16];
        getrandom::fill(&mut name)?;
        let name = format!("simlane-{:032x}", u128::from_be_bytes(name));
        let path = std::env::temp_dir().join(name);
        create_private(&path)?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // A folder that stays behind is the system's to clean up.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn create_private(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
