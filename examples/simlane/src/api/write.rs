//! POST, PATCH and DELETE.

use axum::extract::State;
use axum::response::Response;
use tower_sessions::Session;

use super::{Address, Body, created, deleted, updated};
use crate::failure::Failure;
use crate::{Site, session, write};

type Answer = Result<Response, Failure>;

pub(crate) async fn create_club(State(site): State<Site>, Body(draft): Body) -> Answer {
    let written = write::create_club(&site, draft).await?;
    let address = format!("/api/clubs/{}", written.row.id);
    Ok(created(written, &address))
}

pub(crate) async fn patch_club(
    State(site): State<Site>,
    Address(id): Address<i64>,
    Body(draft): Body,
) -> Answer {
    Ok(updated(write::patch_club(&site, id, draft).await?))
}

pub(crate) async fn delete_club(State(site): State<Site>, Address(id): Address<i64>) -> Answer {
    Ok(deleted(write::delete_club(&site, id).await?))
}

pub(crate) async fn add_member(
    State(site): State<Site>,
    Address(club): Address<i64>,
    Body(draft): Body,
) -> Answer {
    let written = write::add_member(&site, club, draft).await?;
    let address = format!("/api/clubs/{club}/members/{}", written.row.id);
    Ok(created(written, &address))
}

pub(crate) async fn patch_member(
    State(site): State<Site>,
    Address((club, member)): Address<(i64, i64)>,
    Body(draft): Body,
) -> Answer {
    Ok(updated(
        write::patch_member(&site, club, member, draft).await?,
    ))
}

pub(crate) async fn remove_member(
    State(site): State<Site>,
    Address((club, member)): Address<(i64, i64)>,
) -> Answer {
    Ok(deleted(write::remove_member(&site, club, member).await?))
}

pub(crate) async fn create_team(State(site): State<Site>, Body(draft): Body) -> Answer {
    let written = write::create_team(&site, draft).await?;
    let address = format!("/api/teams/{}", written.row.id);
    Ok(created(written, &address))
}

pub(crate) async fn patch_team(
    State(site): State<Site>,
    Address(id): Address<i64>,
    Body(draft): Body,
) -> Answer {
    Ok(updated(write::patch_team(&site, id, draft).await?))
}

pub(crate) async fn delete_team(State(site): State<Site>, Address(id): Address<i64>) -> Answer {
    Ok(deleted(write::delete_team(&site, id).await?))
}

pub(crate) async fn create_driver(State(site): State<Site>, Body(draft): Body) -> Answer {
    let written = write::create_driver(&site, draft).await?;
    let address = format!("/api/drivers/{}/{}", written.row.simulator, written.row.id);
    Ok(created(written, &address))
}

pub(crate) async fn patch_driver(
    State(site): State<Site>,
    Address((simulator, id)): Address<(String, String)>,
    Body(draft): Body,
) -> Answer {
    Ok(updated(
        write::patch_driver(&site, &simulator, &id, draft).await?,
    ))
}

pub(crate) async fn delete_driver(
    State(site): State<Site>,
    Address((simulator, id)): Address<(String, String)>,
) -> Answer {
    Ok(deleted(write::delete_driver(&site, &simulator, &id).await?))
}

pub(crate) async fn create_event(State(site): State<Site>, Body(draft): Body) -> Answer {
    let written = write::create_event(&site, draft).await?;
    let address = format!("/api/events/{}", written.row.id);
    Ok(created(written, &address))
}

pub(crate) async fn patch_event(
    State(site): State<Site>,
    Address(id): Address<i64>,
    Body(draft): Body,
) -> Answer {
    Ok(updated(write::patch_event(&site, id, draft).await?))
}

pub(crate) async fn delete_event(State(site): State<Site>, Address(id): Address<i64>) -> Answer {
    Ok(deleted(write::delete_event(&site, id).await?))
}

pub(crate) async fn create_participation(
    State(site): State<Site>,
    Address(event): Address<i64>,
    Body(draft): Body,
) -> Answer {
    let written = write::create_participation(&site, event, draft).await?;
    let address = format!("/api/events/{event}/participants/{}", written.row.id);
    Ok(created(written, &address))
}

pub(crate) async fn patch_participation(
    State(site): State<Site>,
    Address((event, entry)): Address<(i64, i64)>,
    Body(draft): Body,
) -> Answer {
    Ok(updated(
        write::patch_participation(&site, event, entry, draft).await?,
    ))
}

pub(crate) async fn delete_participation(
    State(site): State<Site>,
    Address((event, entry)): Address<(i64, i64)>,
) -> Answer {
    Ok(deleted(
        write::delete_participation(&site, event, entry).await?,
    ))
}

/// The one write that needs to know who asks.
pub(crate) async fn patch_me(
    State(site): State<Site>,
    session: Session,
    Body(draft): Body,
) -> Answer {
    let user = session::user_id(&site, &session).await?;
    let user = user.ok_or(Failure::SignIn)?;
    Ok(updated(write::patch_user(&site, user, draft).await?))
}
