//! Pages that anybody may see.

use axum::extract::Query;
use axum::response::{IntoResponse, Response};
use http::header;
use serde::Deserialize;

use super::{Page, nothing_seen};
use crate::api::Address;
use crate::failure::Failure;
use crate::read;

pub(crate) async fn home(page: Page) -> Result<Response, Failure> {
    page.render("home.html", read::home(&page.site).await?)
}

pub(crate) async fn clubs(page: Page) -> Result<Response, Failure> {
    page.render("clubs.html", read::club_list(&page.site).await?)
}

/// The parts of a club's dashboard.
const DASHBOARD: [&str; 4] = ["club_stats", "club_races", "club_teams", "club_members"];

pub(crate) async fn club(page: Page, Address(id): Address<i64>) -> Result<Response, Failure> {
    let templates = &page.site.0.templates;
    templates.prefetch("club.html", &DASHBOARD, id).await?;
    page.render("club.html", read::club(&page.site, id).await?)
}

pub(crate) async fn team(page: Page, Address(id): Address<i64>) -> Result<Response, Failure> {
    page.render("team.html", read::team(&page.site, id).await?)
}

pub(crate) async fn driver(
    page: Page,
    Address((simulator, id)): Address<(String, String)>,
) -> Result<Response, Failure> {
    page.render(
        "driver.html",
        read::driver(&page.site, &simulator, &id).await?,
    )
}

pub(crate) async fn events(page: Page) -> Result<Response, Failure> {
    page.render("events.html", read::event_list(&page.site).await?)
}

pub(crate) async fn event(page: Page, Address(id): Address<i64>) -> Result<Response, Failure> {
    page.render("event.html", read::event(&page.site, id).await?)
}

pub(crate) async fn series(page: Page, Address(id): Address<i64>) -> Result<Response, Failure> {
    page.render("series.html", read::series(&page.site, id).await?)
}

/// What is searched for.
#[derive(Debug, Deserialize)]
pub(crate) struct Search {
    #[serde(default)]
    pub(crate) q: String,
}

pub(crate) async fn search(
    page: Page,
    query: Result<Query<Search>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Failure> {
    let Query(search) = query.map_err(|error| Failure::invalid("q", error.body_text()))?;
    page.render("search.html", read::search(&page.site, &search.q).await?)
}

pub(crate) async fn about(page: Page) -> Result<Response, Failure> {
    page.render("about.html", nothing_seen())
}

pub(crate) async fn contact(page: Page) -> Result<Response, Failure> {
    page.render("contact.html", nothing_seen())
}

pub(crate) async fn stylesheet() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
    ];
    (headers, include_str!("../../static/site.css"))
}
