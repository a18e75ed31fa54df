//! The map of the site. Routes are grouped by how long their answers may be
//! kept, so that each group can take one cache layer around it:
//!
//! | group | kept for | differs by |
//! | --- | --- | --- |
//! | public | 15 minutes | nothing, for visitors without a cookie |
//! | personal | 5 to 10 minutes | the signed-in user |
//! | search | 5 minutes | the query |
//! | api | 3 to 10 minutes | nothing (`/api/me`: the user) |
//! | sessions | 2 weeks, in the database | never kept as a response |
//!
//! A cache layer goes outside of what it is to save: the delay, the look-up of
//! the session, the rendering.

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, patch, post};
use http::{HeaderValue, Method, header};

use crate::changes::{ShownTags, TouchedTags};
use crate::failure::Failure;
use crate::{Site, api, pages};

pub(crate) fn routes(site: Site) -> Router {
    let framed = from_fn_with_state(site.clone(), pages::frame);
    let all = Router::new()
        .merge(paged(public(), &site))
        .merge(paged(personal(), &site))
        .merge(paged(search(), &site))
        .merge(paged(sessions(), &site))
        .nest("/api", delayed(api(), &site).fallback(nothing_here))
        .merge(unkept())
        .fallback(nothing_here.layer(framed))
        .layer(from_fn(same_site));
    let all = if site.0.expose_tags {
        all.layer(from_fn(expose_tags))
    } else {
        all
    };
    all.with_state(site)
}

/// A group of pages; a cache for it goes around what this returns.
fn paged(group: Router<Site>, site: &Site) -> Router<Site> {
    let group = group.method_not_allowed_fallback(no_such_method);
    delayed(
        group.route_layer(from_fn_with_state(site.clone(), pages::frame)),
        site,
    )
}

/// A group that is as slow as `--handler-delay` says.
fn delayed(group: Router<Site>, site: &Site) -> Router<Site> {
    group
        .method_not_allowed_fallback(no_such_method)
        .route_layer(from_fn_with_state(site.clone(), delay))
}

/// Public content: the same for everybody who is not signed in.
fn public() -> Router<Site> {
    Router::new()
        .route("/", get(pages::home))
        .route("/clubs", get(pages::clubs))
        .route("/clubs/{id}", get(pages::club))
        .route("/teams/{id}", get(pages::team))
        .route("/drivers/{simulator}/{id}", get(pages::driver))
        .route("/events", get(pages::events))
        .route("/events/{id}", get(pages::event))
        .route("/series/{id}", get(pages::series))
        .route("/about", get(pages::about))
        .route("/contact", get(pages::contact))
}

/// What belongs to one user: anybody else is sent to `/login`.
fn personal() -> Router<Site> {
    Router::new()
        .route("/me", get(pages::me))
        .route("/settings", get(pages::settings).post(pages::save_settings))
        .route(
            "/clubs/{id}/manage",
            get(pages::manage).post(pages::save_members),
        )
}

fn search() -> Router<Site> {
    Router::new().route("/search", get(pages::search))
}

/// Signing in and out: never kept.
fn sessions() -> Router<Site> {
    Router::new()
        .route("/login", get(pages::login_form).post(pages::login))
        .route("/logout", post(pages::logout))
}

/// Everything again as JSON, and the writes.
fn api() -> Router<Site> {
    Router::new()
        .route("/clubs", get(api::clubs).post(api::create_club))
        .route(
            "/clubs/{id}",
            get(api::club)
                .patch(api::patch_club)
                .delete(api::delete_club),
        )
        .route(
            "/clubs/{id}/members",
            get(api::members).post(api::add_member),
        )
        .route(
            "/clubs/{id}/members/{member}",
            patch(api::patch_member).delete(api::remove_member),
        )
        .route("/teams", post(api::create_team))
        .route(
            "/teams/{id}",
            get(api::team)
                .patch(api::patch_team)
                .delete(api::delete_team),
        )
        .route("/drivers", post(api::create_driver))
        .route(
            "/drivers/{simulator}/{id}",
            get(api::driver)
                .patch(api::patch_driver)
                .delete(api::delete_driver),
        )
        .route("/events", get(api::events).post(api::create_event))
        .route(
            "/events/{id}",
            get(api::event)
                .patch(api::patch_event)
                .delete(api::delete_event),
        )
        .route("/events/{id}/participants", post(api::create_participation))
        .route(
            "/events/{id}/participants/{entry}",
            patch(api::patch_participation).delete(api::delete_participation),
        )
        .route("/series/{id}", get(api::series))
        .route("/search", get(api::search))
        .route("/me", get(api::me).patch(api::patch_me))
}

/// What no cache of ours needs to keep.
fn unkept() -> Router<Site> {
    Router::new()
        .route("/static/site.css", get(pages::stylesheet))
        .route("/healthz", get(async || "ok\n"))
}

async fn nothing_here() -> Failure {
    Failure::NotFound { tags: Vec::new() }
}

async fn no_such_method() -> Failure {
    Failure::Method
}

/// `--handler-delay`: makes every handler as slow as a busy database would.
async fn delay(State(site): State<Site>, request: Request, next: Next) -> Response {
    if !site.0.handler_delay.is_zero() {
        tokio::time::sleep(site.0.handler_delay).await;
    }
    next.run(request).await
}

/// Refuses what another site makes a visitor's browser send. `SameSite=Lax`
/// already keeps the session cookie out of such requests; this also covers
/// signing in and the open API, which need no cookie.
async fn same_site(request: Request, next: Next) -> Result<Response, Failure> {
    let unsafe_method = ![Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    let from = request
        .headers()
        .get("sec-fetch-site")
        .map(HeaderValue::as_bytes);
    if unsafe_method && !matches!(from, None | Some(b"same-origin" | b"none")) {
        return Err(Failure::Forbidden {
            why: "this came from another site".to_owned(),
            tags: Vec::new(),
        });
    }
    Ok(next.run(request).await)
}

/// The hook for tests that compare what is shown with what is touched.
async fn expose_tags(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let shown = response
        .extensions()
        .get::<ShownTags>()
        .map(|tags| tags.0.join(" "));
    let touched = response
        .extensions()
        .get::<TouchedTags>()
        .map(|tags| tags.0.join(" "));
    for (name, tags) in [("x-shown-tags", shown), ("x-touched-tags", touched)] {
        let value = tags.and_then(|tags| HeaderValue::from_bytes(tags.as_bytes()).ok());
        if let Some(value) = value {
            response
                .headers_mut()
                .insert(header::HeaderName::from_static(name), value);
        }
    }
    response
}
