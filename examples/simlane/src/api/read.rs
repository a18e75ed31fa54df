//! GET.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use tower_sessions::Session;

use super::{Address, seen};
use crate::failure::Failure;
use crate::pages::Search;
use crate::{Site, read, session};

type Answer = Result<Response, Failure>;

pub(crate) async fn clubs(State(site): State<Site>) -> Answer {
    Ok(seen(read::club_list(&site).await?))
}

pub(crate) async fn club(State(site): State<Site>, Address(id): Address<i64>) -> Answer {
    Ok(seen(read::club(&site, id).await?))
}

pub(crate) async fn members(State(site): State<Site>, Address(id): Address<i64>) -> Answer {
    Ok(seen(read::members(&site, id).await?))
}

pub(crate) async fn team(State(site): State<Site>, Address(id): Address<i64>) -> Answer {
    Ok(seen(read::team(&site, id).await?))
}

pub(crate) async fn driver(
    State(site): State<Site>,
    Address((simulator, id)): Address<(String, String)>,
) -> Answer {
    Ok(seen(read::driver(&site, &simulator, &id).await?))
}

pub(crate) async fn events(State(site): State<Site>) -> Answer {
    Ok(seen(read::event_list(&site).await?))
}

pub(crate) async fn event(State(site): State<Site>, Address(id): Address<i64>) -> Answer {
    Ok(seen(read::event(&site, id).await?))
}

pub(crate) async fn series(State(site): State<Site>, Address(id): Address<i64>) -> Answer {
    Ok(seen(read::series(&site, id).await?))
}

pub(crate) async fn search(
    State(site): State<Site>,
    query: Result<Query<Search>, QueryRejection>,
) -> Answer {
    let Query(search) = query.map_err(|error| Failure::invalid("q", error.body_text()))?;
    Ok(seen(read::search(&site, &search.q).await?))
}

/// The only read here that asks who is looking.
pub(crate) async fn me(State(site): State<Site>, session: Session) -> Answer {
    let user = session::user(&site, &session).await?;
    let user = user.ok_or(Failure::SignIn)?;
    Ok(seen(read::me(&site, user).await?))
}
