//! The signed-in person's own page.

use serde::Serialize;
use sqlx::SqliteConnection;

use super::{Seen, results};
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

pub(crate) async fn me(db: &mut SqliteConnection, user: User) -> Result<Seen<MePage>, Failure> {
    let id = user.id;
    let own = [
        tags::user,
        tags::user_clubs,
        tags::user_profiles,
        tags::user_participations,
    ];
    let mut shown = Tags::of(own.map(|tag| tag(id)));
    let clubs = clubs(db, id, &mut shown).await?;
    let drivers = drivers(db, id, &mut shown).await?;
    let results = results::read(db, results::OF_USER, id, &mut shown).await?;
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

async fn clubs(
    db: &mut SqliteConnection,
    user: i64,
    shown: &mut Tags,
) -> Result<Vec<ClubMember>, Failure> {
    let clubs: Vec<ClubMember> = sqlx::query_as(
        "SELECT m.id, m.club_id, c.name AS club_name, m.user_id, u.username, \
         u.name AS user_name, m.role FROM club_members m JOIN clubs c ON c.id = m.club_id \
         JOIN users u ON u.id = m.user_id WHERE m.user_id = ? ORDER BY m.id",
    )
    .bind(user)
    .fetch_all(db)
    .await?;
    for membership in &clubs {
        shown.add(tags::club(membership.club_id));
    }
    Ok(clubs)
}

async fn drivers(
    db: &mut SqliteConnection,
    user: i64,
    shown: &mut Tags,
) -> Result<Vec<SimProfile>, Failure> {
    let drivers: Vec<SimProfile> =
        sqlx::query_as("SELECT * FROM profiles WHERE user_id = ? ORDER BY \"row\"")
            .bind(user)
            .fetch_all(db)
            .await?;
    for driver in &drivers {
        shown.add(tags::profile(&driver.simulator, &driver.id));
    }
    Ok(drivers)
}
