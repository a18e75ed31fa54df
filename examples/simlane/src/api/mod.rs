//! The API: what the pages show and more to change, as JSON.

mod read;
mod write;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use read::{club, clubs, driver, event, events, me, members, search, series, team};
pub(crate) use write::{
    add_member, create_club, create_driver, create_event, create_participation, create_team,
    delete_club, delete_driver, delete_event, delete_participation, delete_team, patch_club,
    patch_driver, patch_event, patch_me, patch_member, patch_participation, patch_team,
    remove_member,
};

use crate::changes;
use crate::failure::Failure;
use crate::read::Seen;
use crate::write::{Draft, Written};

/// The parameters in a path; one that doesn't parse names no row of ours.
pub(crate) struct Address<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Address<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(parameters)) => Ok(Self(parameters)),
            Err(_) => Err(Failure::NotFound { tags: Vec::new() }),
        }
    }
}

/// The JSON object in the body of a write.
pub(crate) struct Body(Draft);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let body: Result<Json<Value>, JsonRejection> = Json::from_request(request, state).await;
        let Json(value) = body.map_err(|error| Failure::invalid("body", error.body_text()))?;
        Draft::new(value).map(Self)
    }
}

fn seen<T: Serialize>(seen: Seen<T>) -> Response {
    changes::shown(Json(seen.data).into_response(), seen.tags.into_vec())
}

/// The answer to a POST that made a row with an address of its own.
fn created<T: Serialize>(written: Written<T>, address: &str) -> Response {
    let mut response = (StatusCode::CREATED, Json(written.row)).into_response();
    if let Ok(location) = HeaderValue::try_from(address) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    changes::touched(response, written.touched)
}

fn updated<T: Serialize>(written: Written<T>) -> Response {
    changes::touched(Json(written.row).into_response(), written.touched)
}

fn deleted(written: Written<()>) -> Response {
    changes::touched(StatusCode::NO_CONTENT.into_response(), written.touched)
}
