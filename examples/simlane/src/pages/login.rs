//! Signing in and out.

use axum::Form;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, StatusCode, header};
use minijinja::context;
use serde::Deserialize;

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
    headers: HeaderMap,
    Form(Credentials { username, password }): Form<Credentials>,
) -> Result<Response, Failure> {
    let db = &page.site.0.db;
    let Some(user) = session::sign_in(db, &username, password).await? else {
        let html = page.html("login.html", context! { username, wrong => true })?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, html).into_response());
    };
    let cookie = session::begin(db, &headers, user).await?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/me")).into_response())
}

pub(crate) async fn logout(page: Page, headers: HeaderMap) -> Result<Response, Failure> {
    let cookie = session::end(&page.site.0.db, &headers).await?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response())
}
