//! Pages of the person who is signed in, and the forms on them.

use std::collections::HashMap;

use axum::Form;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use minijinja::{Value, context};
use serde_json::json;

use super::{Page, complaint, value};
use crate::api::Address;
use crate::changes::{TouchedTags, shown, touched};
use crate::failure::Failure;
use crate::write::Draft;
use crate::{read, write};

type Fields = Form<HashMap<String, String>>;

pub(crate) async fn me(page: Page) -> Result<Response, Failure> {
    let viewer = page.viewer()?.clone();
    page.render("me.html", read::me(&page.site, viewer).await?)
}

pub(crate) async fn settings(page: Page) -> Result<Response, Failure> {
    let user = page.viewer()?;
    show_settings(&page, value(user), None)
}

pub(crate) async fn save_settings(page: Page, Form(form): Fields) -> Result<Response, Failure> {
    let id = page.viewer()?.id;
    match write::patch_user(&page.site, id, Draft::new(json!(form))?).await {
        Ok(written) => Ok(touched(
            Redirect::to("/me").into_response(),
            written.touched,
        )),
        // What was typed stays in the form.
        Err(failure) => show_settings(&page, value(&form), Some(complaint(failure)?)),
    }
}

fn show_settings(page: &Page, form: Value, wrong: Option<String>) -> Result<Response, Failure> {
    let status = if wrong.is_some() {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::OK
    };
    Ok((
        status,
        page.html("settings.html", context! { form, wrong })?,
    )
        .into_response())
}

pub(crate) async fn manage(page: Page, Address(club): Address<i64>) -> Result<Response, Failure> {
    must_manage(&page, club).await?;
    show_members(&page, club, None).await
}

/// Adds, changes or removes a member, as the form's `action` says.
pub(crate) async fn save_members(
    page: Page,
    Address(club): Address<i64>,
    Form(form): Fields,
) -> Result<Response, Failure> {
    must_manage(&page, club).await?;
    match change_members(&page, club, &form).await {
        Ok(tags) => {
            let back = Redirect::to(&format!("/clubs/{club}/manage"));
            Ok(touched(back.into_response(), tags))
        }
        Err(failure) => {
            let wrong = complaint(failure)?;
            show_members(&page, club, Some(wrong)).await
        }
    }
}

async fn change_members(
    page: &Page,
    club: i64,
    form: &HashMap<String, String>,
) -> Result<TouchedTags, Failure> {
    let site = &page.site;
    let member = form.get("member").and_then(|id| id.parse().ok());
    match (form.get("action").map(String::as_str), member) {
        (Some("add"), _) => {
            let draft =
                Draft::new(json!({ "username": form.get("username"), "role": form.get("role") }))?;
            Ok(write::add_member(site, club, draft).await?.touched)
        }
        (Some("role"), Some(member)) => {
            let draft = Draft::new(json!({ "role": form.get("role") }))?;
            Ok(write::patch_member(site, club, member, draft)
                .await?
                .touched)
        }
        (Some("remove"), Some(member)) => {
            Ok(write::remove_member(site, club, member).await?.touched)
        }
        _ => Err(Failure::invalid("action", "must be add, role or remove")),
    }
}

async fn show_members(page: &Page, club: i64, wrong: Option<String>) -> Result<Response, Failure> {
    let status = if wrong.is_some() {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::OK
    };
    let seen = read::members(&page.site, club).await?;
    let data = context! { wrong, ..value(&seen.data) };
    let response = (status, page.html("manage.html", data)?).into_response();
    Ok(shown(response, seen.tags.into_vec()))
}

/// Only owners and managers manage. A refusal shows the club's name and the
/// viewer's role, so it depends on both rows.
async fn must_manage(page: &Page, club: i64) -> Result<(), Failure> {
    let viewer = page.viewer()?.id;
    let seen = read::membership(&page.site, club, viewer).await?;
    let (club, role) = seen.data;
    let role = match role.as_deref() {
        Some("owner" | "manager") => return Ok(()),
        Some(role) => format!("a {role}"),
        None => "no member".to_owned(),
    };
    let name = club.fields.name;
    let why = format!("only owners and managers change the members of {name}, and you are {role}");
    Err(Failure::Forbidden {
        why,
        tags: seen.tags.into_vec(),
    })
}
