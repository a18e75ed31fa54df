//! Who is signed in: a random id in a cookie, its hash in the database.
//!
//! The database never holds an id that would open a session, so a copy of it
//! signs nobody in.

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use http::{HeaderMap, HeaderValue, header};
use sqlx::SqlitePool;

use crate::failure::Failure;
use crate::model::User;

const COOKIE: &str = "simlane_session";
/// Fourteen days, in seconds; the database's clock decides.
const LIFETIME: i64 = 14 * 24 * 60 * 60;

/// The user whose session the request carries. Without the cookie the database
/// isn't asked.
pub(crate) async fn user(db: &SqlitePool, headers: &HeaderMap) -> Result<Option<User>, Failure> {
    let Some(id) = id(headers) else {
        return Ok(None);
    };
    let user = sqlx::query_as(
        "SELECT u.* FROM sessions s JOIN users u ON u.id = s.user_id \
         WHERE s.id_hash = ? AND s.expires_at > unixepoch()",
    )
    .bind(hash(id))
    .fetch_optional(db)
    .await?;
    Ok(user)
}

/// Whose session the request carries, without anything that can change.
pub(crate) async fn user_id(db: &SqlitePool, headers: &HeaderMap) -> Result<Option<i64>, Failure> {
    let Some(id) = id(headers) else {
        return Ok(None);
    };
    let user = sqlx::query_scalar(
        "SELECT user_id FROM sessions WHERE id_hash = ? AND expires_at > unixepoch()",
    )
    .bind(hash(id))
    .fetch_optional(db)
    .await?;
    Ok(user)
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

/// Begins a session in place of the one that the request may carry; the
/// result is the `Set-Cookie` header.
pub(crate) async fn begin(
    db: &SqlitePool,
    headers: &HeaderMap,
    user: i64,
) -> Result<HeaderValue, Failure> {
    end(db, headers).await?;
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| Failure::Internal(error.into()))?;
    let id = format!("{:032x}", u128::from_be_bytes(id));
    sqlx::query("DELETE FROM sessions WHERE expires_at <= unixepoch()")
        .execute(db)
        .await?;
    sqlx::query(
        "INSERT INTO sessions (id_hash, user_id, expires_at) VALUES (?, ?, unixepoch() + ?)",
    )
    .bind(hash(&id))
    .bind(user)
    .bind(LIFETIME)
    .execute(db)
    .await?;
    cookie(&id, LIFETIME)
}

/// Ends the session of the request, if there is one; the result is the
/// `Set-Cookie` header that makes the browser forget it.
pub(crate) async fn end(db: &SqlitePool, headers: &HeaderMap) -> Result<HeaderValue, Failure> {
    if let Some(id) = id(headers) {
        sqlx::query("DELETE FROM sessions WHERE id_hash = ?")
            .bind(hash(id))
            .execute(db)
            .await?;
    }
    cookie("", 0)
}

fn cookie(id: &str, seconds: i64) -> Result<HeaderValue, Failure> {
    let cookie = format!("{COOKIE}={id}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}");
    HeaderValue::try_from(cookie).map_err(|error| Failure::Internal(error.into()))
}

fn id(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers
        .get_all(header::COOKIE)
        .into_iter()
        .filter_map(|line| line.to_str().ok());
    cookies
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE && !value.is_empty()).then_some(value))
}

fn hash(id: &str) -> String {
    blake3::hash(id.as_bytes()).to_hex().to_string()
}

fn verify(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    })
}
