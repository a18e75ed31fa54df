//! Clubs, their members and their teams.

use pitlane::cached;
use pitlane::data::{DataError, Json};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, SqliteConnection};

use super::{Seen, results};
use crate::Site;
use crate::failure::Failure;
use crate::model::{Club, ClubMember, EventParticipation, Team};
use crate::tags::{self, Tags};

#[derive(Debug, Serialize)]
pub(crate) struct ClubList {
    clubs: Vec<ClubCard>,
}

/// A club as it stands in a list.
#[derive(Debug, Serialize, Deserialize, FromRow)]
pub(crate) struct ClubCard {
    #[serde(flatten)]
    #[sqlx(flatten)]
    club: Club,
    members: i64,
    teams: i64,
}

#[derive(Debug, Serialize)]
pub(crate) struct ClubPage {
    pub(crate) club: Club,
    stats: ClubStats,
    members: Vec<ClubMember>,
    teams: Vec<Team>,
    results: Vec<EventParticipation>,
}

#[derive(Debug, Default, Serialize)]
struct ClubStats {
    members: usize,
    teams: usize,
    starts: usize,
    podiums: usize,
    wins: usize,
}

#[derive(Debug, Serialize)]
pub(crate) struct MemberPage {
    club: Club,
    members: Vec<ClubMember>,
}

#[derive(Debug, Serialize)]
pub(crate) struct TeamPage {
    team: Team,
    club: Club,
    results: Vec<EventParticipation>,
}

macro_rules! cards {
    ($rest:literal) => {
        concat!(
            "SELECT c.*, \
             (SELECT count(*) FROM club_members m WHERE m.club_id = c.id) AS members, \
             (SELECT count(*) FROM teams t WHERE t.club_id = c.id) AS teams FROM clubs c ",
            $rest
        )
    };
}

pub(super) const FEATURED: &str = cards!("WHERE c.featured ORDER BY c.id");
const ALL: &str = cards!("ORDER BY c.name, c.id");

pub(super) async fn cards(
    db: &mut SqliteConnection,
    sql: &'static str,
    shown: &mut Tags,
) -> Result<Vec<ClubCard>, Failure> {
    let cards: Vec<ClubCard> = sqlx::query_as(sql).fetch_all(db).await?;
    for card in &cards {
        shown.add(tags::club(card.club.id));
        shown.add(tags::club_stats(card.club.id));
    }
    Ok(cards)
}

pub(crate) async fn club_list(site: &Site) -> Result<Seen<ClubList>, Failure> {
    let Seen { data: clubs, tags } = list(site).await?;
    Ok(Seen::new(ClubList { clubs }, tags))
}

#[cached(
    caches = site.queries(),
    cache = "query",
    ttl = "10m",
    key = "query:club_list",
    codec = Json,
    skip(site),
)]
async fn list(site: &Site) -> Result<Seen<Vec<ClubCard>>, DataError<Failure>> {
    let mut shown = Tags::of([tags::CLUBS.into()]);
    let clubs = cards(&mut *site.read().await?, ALL, &mut shown).await?;
    site.piece(clubs, shown)
}

pub(crate) async fn club(site: &Site, id: i64) -> Result<Seen<ClubPage>, Failure> {
    let mut shown = Tags::default();
    let club = basic(site, id).await?.noted(&mut shown);
    let members = members_of(site, id).await?.noted(&mut shown);
    let teams = teams_of(site, id).await?.noted(&mut shown);
    let results = results_of(site, id).await?.noted(&mut shown);
    let stats = stats(&members, &teams, &results);
    Ok(Seen::new(
        ClubPage {
            club,
            stats,
            members,
            teams,
            results,
        },
        shown,
    ))
}

pub(crate) async fn members(site: &Site, id: i64) -> Result<Seen<MemberPage>, Failure> {
    let mut shown = Tags::default();
    let club = basic(site, id).await?.noted(&mut shown);
    let members = members_of(site, id).await?.noted(&mut shown);
    Ok(Seen::new(MemberPage { club, members }, shown))
}

/// A club, and the role that a user has in it, as the database has them: what
/// somebody may do is not decided by what was so a moment ago.
pub(crate) async fn membership(
    site: &Site,
    club: i64,
    user: i64,
) -> Result<Seen<(Club, Option<String>)>, Failure> {
    let mut db = site.read().await?;
    let mut shown = Tags::of([tags::membership(club, user)]);
    let row = club_row(&mut db, club, &mut shown).await?;
    let role =
        sqlx::query_scalar("SELECT role FROM club_members WHERE club_id = ? AND user_id = ?")
            .bind(club)
            .bind(user)
            .fetch_optional(&mut *db)
            .await?;
    Ok(Seen::new((row, role), shown))
}

pub(crate) async fn team(site: &Site, id: i64) -> Result<Seen<TeamPage>, Failure> {
    let mut shown = Tags::default();
    let (team, results) = detail(site, id).await?.noted(&mut shown);
    let club = basic(site, team.club_id).await?.noted(&mut shown);
    Ok(Seen::new(
        TeamPage {
            team,
            club,
            results,
        },
        shown,
    ))
}

#[cached(
    caches = site.queries(),
    cache = "query",
    ttl = "10m",
    key = "team:{id}:detail",
    codec = Json,
    skip(site),
)]
async fn detail(
    site: &Site,
    id: i64,
) -> Result<Seen<(Team, Vec<EventParticipation>)>, DataError<Failure>> {
    let mut db = site.read().await?;
    let team: Option<Team> = sqlx::query_as("SELECT * FROM teams WHERE id = ?")
        .bind(id)
        .fetch_optional(&mut *db)
        .await?;
    let team = team.ok_or_else(|| Failure::missing(tags::team(id)))?;
    let mut shown = Tags::of([tags::team(id), tags::team_results(id)]);
    let results = results::read(&mut db, results::OF_TEAM, id, &mut shown).await?;
    site.piece((team, results), shown)
}

#[cached(
    caches = site.queries(),
    cache = "query",
    ttl = "30m",
    key = "club:{id}:basic",
    codec = Json,
    skip(site),
)]
async fn basic(site: &Site, id: i64) -> Result<Seen<Club>, DataError<Failure>> {
    let mut shown = Tags::default();
    let club = club_row(&mut *site.read().await?, id, &mut shown).await?;
    site.piece(club, shown)
}

#[cached(
    caches = site.queries(),
    cache = "query",
    ttl = "10m",
    key = "club:{club}:members",
    codec = Json,
    skip(site),
)]
async fn members_of(site: &Site, club: i64) -> Result<Seen<Vec<ClubMember>>, DataError<Failure>> {
    let mut db = site.read().await?;
    let members: Vec<ClubMember> = sqlx::query_as(
        "SELECT m.id, m.club_id, c.name AS club_name, m.user_id, u.username, \
         u.name AS user_name, m.role FROM club_members m JOIN clubs c ON c.id = m.club_id \
         JOIN users u ON u.id = m.user_id WHERE m.club_id = ? ORDER BY m.id",
    )
    .bind(club)
    .fetch_all(&mut *db)
    .await?;
    let mut shown = Tags::of([tags::club_members(club), tags::club(club)]);
    for member in &members {
        shown.add(tags::user(member.user_id));
    }
    site.piece(members, shown)
}

#[cached(
    caches = site.queries(),
    cache = "query",
    ttl = "10m",
    key = "club:{club}:teams",
    codec = Json,
    skip(site),
)]
async fn teams_of(site: &Site, club: i64) -> Result<Seen<Vec<Team>>, DataError<Failure>> {
    let mut db = site.read().await?;
    let teams: Vec<Team> = sqlx::query_as("SELECT * FROM teams WHERE club_id = ? ORDER BY id")
        .bind(club)
        .fetch_all(&mut *db)
        .await?;
    let mut shown = Tags::of([tags::club_teams(club)]);
    for team in &teams {
        shown.add(tags::team(team.id));
    }
    site.piece(teams, shown)
}

#[cached(
    caches = site.queries(),
    cache = "query",
    ttl = "10m",
    key = "club:{club}:results",
    codec = Json,
    skip(site),
)]
async fn results_of(
    site: &Site,
    club: i64,
) -> Result<Seen<Vec<EventParticipation>>, DataError<Failure>> {
    let mut shown = Tags::of([tags::club_results(club)]);
    let mut db = site.read().await?;
    let results = results::read(&mut db, results::OF_CLUB, club, &mut shown).await?;
    site.piece(results, shown)
}

async fn club_row(db: &mut SqliteConnection, id: i64, shown: &mut Tags) -> Result<Club, Failure> {
    let club: Option<Club> = sqlx::query_as("SELECT * FROM clubs WHERE id = ?")
        .bind(id)
        .fetch_optional(db)
        .await?;
    shown.add(tags::club(id));
    club.ok_or_else(|| Failure::missing(tags::club(id)))
}

fn stats(members: &[ClubMember], teams: &[Team], results: &[EventParticipation]) -> ClubStats {
    let within = |place: i64| {
        results
            .iter()
            .filter(|entry| entry.fields.position.is_some_and(|at| at <= place))
            .count()
    };
    ClubStats {
        members: members.len(),
        teams: teams.len(),
        starts: results
            .iter()
            .filter(|entry| entry.fields.status != "entered")
            .count(),
        podiums: within(3),
        wins: within(1),
    }
}
