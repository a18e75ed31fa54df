//! GET.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::HeaderMap;
use sqlx::{Sqlite, Transaction};

use super::{Address, seen};
use crate::failure::Failure;
use crate::pages::Search;
use crate::{Site, read, session};

type Answer = Result<Response, Failure>;

/// A transaction, so that all queries of an answer see the same moment.
async fn db(site: &Site) -> Result<Transaction<'static, Sqlite>, Failure> {
    Ok(site.0.db.begin().await?)
}

pub(crate) async fn clubs(State(site): State<Site>) -> Answer {
    Ok(seen(read::club_list(&mut *db(&site).await?).await?))
}

pub(crate) async fn club(State(site): State<Site>, Address(id): Address<i64>) -> Answer {
    Ok(seen(read::club(&mut *db(&site).await?, id).await?))
}

pub(crate) async fn members(State(site): State<Site>, Address(id): Address<i64>) -> Answer {
    Ok(seen(read::members(&mut *db(&site).await?, id).await?))
}

pub(crate) async fn team(State(site): State<Site>, Address(id): Address<i64>) -> Answer {
    Ok(seen(read::team(&mut *db(&site).await?, id).await?))
}

pub(crate) async fn driver(
    State(site): State<Site>,
    Address((simulator, id)): Address<(String, String)>,
) -> Answer {
    Ok(seen(
        read::driver(&mut *db(&site).await?, &simulator, &id).await?,
    ))
}

pub(crate) async fn events(State(site): State<Site>) -> Answer {
    Ok(seen(read::event_list(&mut *db(&site).await?).await?))
}

pub(crate) async fn event(State(site): State<Site>, Address(id): Address<i64>) -> Answer {
    Ok(seen(read::event(&mut *db(&site).await?, id).await?))
}

pub(crate) async fn series(State(site): State<Site>, Address(id): Address<i64>) -> Answer {
    Ok(seen(read::series(&mut *db(&site).await?, id).await?))
}

pub(crate) async fn search(
    State(site): State<Site>,
    query: Result<Query<Search>, QueryRejection>,
) -> Answer {
    let Query(search) = query.map_err(|error| Failure::invalid("q", error.body_text()))?;
    Ok(seen(read::search(&mut *db(&site).await?, &search.q).await?))
}

/// The only read here that asks who is looking.
pub(crate) async fn me(State(site): State<Site>, headers: HeaderMap) -> Answer {
    let user = session::user(&site.0.db, &headers)
        .await?
        .ok_or(Failure::SignIn)?;
    Ok(seen(read::me(&mut *db(&site).await?, user).await?))
}
