//! The JSON API: a bearer token on every request, and a cookie never opens it.

mod clear;
mod events;
mod explain;
mod inquiry;
mod invalidate;
mod keys;
mod stats;
mod warm;

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use serde::Serialize;

use crate::admin::Shared;
use crate::asked::Asked;
use crate::door::Admission;
use crate::failure::Failure;

pub(crate) use clear::clear;
pub(crate) use events::stream;
pub(crate) use explain::explain;
pub(crate) use inquiry::Inquiry;
pub(crate) use invalidate::Wanted;
pub(crate) use keys::{KeysWanted, find_entry, find_keys};

/// Looks at the token, unless the peer has been wrong too often, and then at the route.
pub(crate) async fn answer(
    shared: &Shared,
    asked: &Asked,
    body: Body,
) -> Result<Response, Failure> {
    // What brings no token guesses none: counted, it would let any page that somebody of this
    // machine visits lock this machine out.
    if !asked.headers.contains_key(AUTHORIZATION) {
        return Err(Failure::Token);
    }
    let is_right = || shared.token.is_borne_by(&asked.headers);
    match shared
        .lockout
        .admit(asked.peer, shared.clock.now(), is_right)
    {
        Admission::Granted => {}
        Admission::Refused => return Err(Failure::Token),
        Admission::LockedOut(rest) => return Err(Failure::LockedOut(rest)),
    }
    match asked.path.as_str() {
        "/api/stats" => {
            read(asked)?;
            asked.no_query()?;
            json(&stats::Stats::of_all(&shared.caches).await)
        }
        "/api/keys" => {
            read(asked)?;
            json(&keys::keys(&shared.caches, asked).await?)
        }
        "/api/entry" => {
            read(asked)?;
            json(&keys::entry(&shared.caches, asked).await?)
        }
        "/api/events" => {
            read(asked)?;
            asked.no_query()?;
            events::stream(shared, || true)
        }
        "/api/invalidate" => {
            write(asked)?;
            let wanted: Wanted = asked.json(body).await?;
            json(&wanted.run(&shared.caches).await?)
        }
        "/api/clear" => {
            write(asked)?;
            json(&clear::run(shared, asked, body).await?)
        }
        "/api/warm" => {
            write(asked)?;
            json(&warm::run(shared, asked, body).await?)
        }
        "/api/explain" => {
            write(asked)?;
            json(&explain::run(shared, asked, body).await?)
        }
        _ => Err(Failure::NotFound),
    }
}

/// Lets a GET through that carries nothing.
fn read(asked: &Asked) -> Result<(), Failure> {
    if asked.method != http::Method::GET {
        return Err(Failure::Method("GET"));
    }
    asked.no_body()
}

/// Lets a POST through; what it wants is in its body alone.
fn write(asked: &Asked) -> Result<(), Failure> {
    if asked.method != http::Method::POST {
        return Err(Failure::Method("POST"));
    }
    asked.no_query()
}

fn json(value: &impl Serialize) -> Result<Response, Failure> {
    let body = serde_json::to_vec(value).map_err(|error| Failure::Internal(error.into()))?;
    let mut response = Response::new(Body::from(body));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}
