//! Signing in and out.

use axum::Form;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use minijinja::context;
use serde::Deserialize;
use tower_sessions::Session;

use super::Page;
use crate::failure::Failure;
use crate::session;

#[derive(Deserialize)]
pub(crate) struct Credentials {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

pub(crate) async fn login_form(page: Page) -> Result<Response, Failure> {
    Ok(page
        .html("login.html", context! { username => "", wrong => false })?
        .into_response())
}

pub(crate) async fn login(
    page: Page,
    session: Session,
    Form(Credentials { username, password }): Form<Credentials>,
) -> Result<Response, Failure> {
    let db = &page.site.0.db;
    let Some(user) = session::sign_in(db, &username, password).await? else {
        let html = page.html("login.html", context! { username, wrong => true })?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, html).into_response());
    };
    session::begin(&page.site, &session, user).await?;
    Ok(Redirect::to("/me").into_response())
}

pub(crate) async fn logout(session: Session) -> Result<Response, Failure> {
    session::end(&session).await?;
    Ok(Redirect::to("/").into_response())
}
