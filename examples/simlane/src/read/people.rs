//! The signed-in person's own page.

use pitlane::cached;
use pitlane::data::{DataError, Json};
use serde::Serialize;

use super::{Seen, results};
use crate::Site;
use crate::failure::Failure;
use crate::model::{ClubMember, EventParticipation, SimProfile, User};
use crate::tags::{self, Tags};

#[derive(Debug, Serialize)]
pub(crate) struct MePage {
    user: User,
    clubs: Vec<ClubMember>,
    drivers: Vec<SimProfile>,
    results: Vec<EventParticipation>,
}

pub(crate) async fn me(site: &Site, user: User) -> Result<Seen<MePage>, Failure> {
    let id = user.id;
    let mut shown = Tags::of([tags::user(id)]);
    let clubs = clubs(site, id).await?.noted(&mut shown);
    let drivers = drivers(site, id).await?.noted(&mut shown);
    let results = results(site, id).await?.noted(&mut shown);
    Ok(Seen::new(
        MePage {
            user,
            clubs,
            drivers,
            results,
        },
        shown,
    ))
}

/// A person; nobody where there is none of that number.
#[cached(
    caches = site.queries(),
    cache = "query",
    ttl = "10m",
    key = "user:{id}:basic",
    codec = Json,
    skip(site),
)]
pub(crate) async fn user(site: &Site, id: i64) -> Result<Seen<Option<User>>, DataError<Failure>> {
    let user: Option<User> = sqlx::query_as("SELECT * FROM users WHERE id = ?")
        .bind(id)
        .fetch_optional(&mut *site.read().await?)
        .await?;
    site.piece(user, Tags::of([tags::user(id)]))
}

#[cached(
    caches = site.queries(),
    cache = "query",
    ttl = "5m",
    key = "user:{user}:clubs",
    codec = Json,
    skip(site),
)]
async fn clubs(site: &Site, user: i64) -> Result<Seen<Vec<ClubMember>>, DataError<Failure>> {
    let clubs: Vec<ClubMember> = sqlx::query_as(
        "SELECT m.id, m.club_id, c.name AS club_name, m.user_id, u.username, \
         u.name AS user_name, m.role FROM club_members m JOIN clubs c ON c.id = m.club_id \
         JOIN users u ON u.id = m.user_id WHERE m.user_id = ? ORDER BY m.id",
    )
    .bind(user)
    .fetch_all(&mut *site.read().await?)
    .await?;
    let mut shown = Tags::of([tags::user_clubs(user), tags::user(user)]);
    for membership in &clubs {
        shown.add(tags::club(membership.club_id));
    }
    site.piece(clubs, shown)
}

#[cached(
    caches = site.queries(),
    cache = "query",
    ttl = "5m",
    key = "user:{user}:profiles",
    codec = Json,
    skip(site),
)]
async fn drivers(site: &Site, user: i64) -> Result<Seen<Vec<SimProfile>>, DataError<Failure>> {
    let drivers: Vec<SimProfile> =
        sqlx::query_as("SELECT * FROM profiles WHERE user_id = ? ORDER BY \"row\"")
            .bind(user)
            .fetch_all(&mut *site.read().await?)
            .await?;
    let mut shown = Tags::of([tags::user_profiles(user)]);
    for driver in &drivers {
        shown.add(tags::profile(&driver.simulator, &driver.id));
    }
    site.piece(drivers, shown)
}

#[cached(
    caches = site.queries(),
    cache = "query",
    ttl = "5m",
    key = "user:{user}:participations",
    codec = Json,
    skip(site),
)]
async fn results(
    site: &Site,
    user: i64,
) -> Result<Seen<Vec<EventParticipation>>, DataError<Failure>> {
    let mut shown = Tags::of([tags::user_participations(user)]);
    let mut db = site.read().await?;
    let results = results::read(&mut db, results::OF_USER, user, &mut shown).await?;
    site.piece(results, shown)
}
