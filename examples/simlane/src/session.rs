//! Who is signed in: the number of a user in a session, which a random id in a
//! cookie opens.
//!
//! Sessions live in a store of their own (`caching::Caching`): in Redis, where
//! there is one, beside what is cached and not among it. No store holds an id
//! that would open a session, so a copy of it signs nobody in.

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use pitlane_sessions::PitlaneStore;
use serde::{Deserialize, Serialize};
use sqlx::SqlitePool;
use tower_sessions::cookie::SameSite;
use tower_sessions::cookie::time::Duration;
use tower_sessions::{Expiry, Session, SessionManagerLayer};

use crate::Site;
use crate::failure::Failure;
use crate::model::User;
use crate::read;

const COOKIE: &str = "simlane_session";
const LIFETIME: Duration = Duration::days(14);
/// The name of what a session holds.
const USER: &str = "user";

/// Whose a session is. The number of a user is another person's in another
/// database, and sessions may outlive theirs in Redis.
#[derive(Serialize, Deserialize)]
struct Holder {
    user: i64,
    database: String,
}

/// Gives requests their session, which is looked up when it is asked for.
pub(crate) fn layer(store: PitlaneStore) -> SessionManagerLayer<PitlaneStore> {
    SessionManagerLayer::new(store)
        .with_name(COOKIE)
        .with_same_site(SameSite::Lax)
        // The site speaks plain HTTP on loopback; behind TLS this is `true`.
        .with_secure(false)
        .with_expiry(Expiry::OnInactivity(LIFETIME))
}

/// The user whose session the request carries. Without the cookie nobody is
/// asked.
pub(crate) async fn user(site: &Site, session: &Session) -> Result<Option<User>, Failure> {
    match user_id(site, session).await? {
        Some(id) => Ok(read::user(site, id).await?.data),
        None => Ok(None),
    }
}

/// Whose session the request carries, without anything that can change.
pub(crate) async fn user_id(site: &Site, session: &Session) -> Result<Option<i64>, Failure> {
    let holder: Option<Holder> = session.get(USER).await?;
    let ours = holder.filter(|holder| holder.database == site.0.identity);
    Ok(ours.map(|holder| holder.user))
}

/// The user with this name and password.
pub(crate) async fn sign_in(
    db: &SqlitePool,
    username: &str,
    password: String,
) -> Result<Option<i64>, Failure> {
    let known: Option<(i64, String)> =
        sqlx::query_as("SELECT id, password_hash FROM users WHERE username = ?")
            .bind(username)
            .fetch_optional(db)
            .await?;
    // An unknown name costs a verification too: the time of an answer must
    // not tell which names exist.
    let anybody: Option<(i64, String)> = match &known {
        Some(_) => None,
        None => {
            sqlx::query_as("SELECT id, password_hash FROM users LIMIT 1")
                .fetch_optional(db)
                .await?
        }
    };
    let exists = known.is_some();
    let Some((id, hash)) = known.or(anybody) else {
        return Ok(None);
    };
    let right = tokio::task::spawn_blocking(move || verify(&password, &hash))
        .await
        .map_err(|error| Failure::Internal(error.into()))?;
    Ok((exists && right).then_some(id))
}

/// Begins a session in place of the one that the request may carry, under an
/// id that nobody knew before.
pub(crate) async fn begin(site: &Site, session: &Session, user: i64) -> Result<(), Failure> {
    if session.id().is_some() {
        session.clear().await;
        session.cycle_id().await?;
    }
    let database = site.0.identity.clone();
    Ok(session.insert(USER, Holder { user, database }).await?)
}

/// Ends the session of the request, if there is one, and makes the browser
/// forget it.
pub(crate) async fn end(session: &Session) -> Result<(), Failure> {
    Ok(session.flush().await?)
}

fn verify(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    })
}
