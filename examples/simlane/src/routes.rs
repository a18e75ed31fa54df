//! The map of the site. Routes are grouped by how long their answers are kept,
//! each group inside one cache layer of `caching.rs`:
//!
//! | group | kept for | differs by |
//! | --- | --- | --- |
//! | public | 15 minutes | nothing; only for visitors without a cookie |
//! | search | 5 minutes | the query; only for visitors without a cookie |
//! | personal | 5 minutes | the signed-in user |
//! | api | 3 minutes | nothing; only for clients without credentials |
//! | personal api | 3 minutes | the signed-in user |
//! | forms | never | |
//!
//! A cache layer goes outside of what it is to save: the delay, the rendering
//! and the session, which a hit doesn't look at. Only where answers differ by
//! the signed-in user, the session and the look-up of whose it is are in front.

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, patch, post};
use http::{HeaderValue, Method, header};

use crate::caching::identify;
use crate::changes::{ShownTags, TouchedTags};
use crate::failure::Failure;
use crate::{Site, api, monitoring, pages};

pub(crate) fn routes(site: Site) -> Router {
    let framed = from_fn_with_state(site.clone(), pages::frame);
    let exposed = from_fn_with_state(site.clone(), expose_tags);
    let identified = from_fn_with_state(site.clone(), identify);
    let caching = &site.0.caching;
    let sessions = caching.sessions();
    let all = Router::new()
        .merge(
            paged(public(), &site)
                .route_layer(sessions.clone())
                .route_layer(caching.public()),
        )
        .merge(
            paged(search(), &site)
                .route_layer(sessions.clone())
                .route_layer(caching.search()),
        )
        .merge(
            paged(personal(), &site)
                .route_layer(caching.personal())
                .route_layer(identified.clone())
                .route_layer(sessions.clone()),
        )
        .merge(
            paged(forms(), &site)
                .route_layer(sessions.clone())
                .route_layer(from_fn(no_store)),
        )
        .merge(delayed(api(), &site).route_layer(caching.api()))
        .merge(
            delayed(personal_api(), &site)
                .route_layer(caching.personal_api())
                .route_layer(identified)
                .route_layer(sessions.clone()),
        )
        .nest("/api", Router::new().fallback(nothing_here))
        .merge(unkept())
        .fallback(nothing_here.layer(framed).layer(exposed).layer(sessions))
        .layer(from_fn(same_site))
        .layer(monitoring::layer(&caching.caches));
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
        .route_layer(from_fn_with_state(site.clone(), expose_tags))
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
}

fn search() -> Router<Site> {
    Router::new().route("/search", get(pages::search))
}

/// Signing in and out, and the members of a club: never kept.
fn forms() -> Router<Site> {
    Router::new()
        .route(
            "/clubs/{id}/manage",
            get(pages::manage).post(pages::save_members),
        )
        .route("/login", get(pages::login_form).post(pages::login))
        .route("/logout", post(pages::logout))
}

/// Everything again as JSON, and the writes.
fn api() -> Router<Site> {
    Router::new()
        .route("/api/clubs", get(api::clubs).post(api::create_club))
        .route(
            "/api/clubs/{id}",
            get(api::club)
                .patch(api::patch_club)
                .delete(api::delete_club),
        )
        .route(
            "/api/clubs/{id}/members",
            get(api::members).post(api::add_member),
        )
        .route(
            "/api/clubs/{id}/members/{member}",
            patch(api::patch_member).delete(api::remove_member),
        )
        .route("/api/teams", post(api::create_team))
        .route(
            "/api/teams/{id}",
            get(api::team)
                .patch(api::patch_team)
                .delete(api::delete_team),
        )
        .route("/api/drivers", post(api::create_driver))
        .route(
            "/api/drivers/{simulator}/{id}",
            get(api::driver)
                .patch(api::patch_driver)
                .delete(api::delete_driver),
        )
        .route("/api/events", get(api::events).post(api::create_event))
        .route(
            "/api/events/{id}",
            get(api::event)
                .patch(api::patch_event)
                .delete(api::delete_event),
        )
        .route(
            "/api/events/{id}/participants",
            post(api::create_participation),
        )
        .route(
            "/api/events/{id}/participants/{entry}",
            patch(api::patch_participation).delete(api::delete_participation),
        )
        .route("/api/series/{id}", get(api::series))
        .route("/api/search", get(api::search))
}

fn personal_api() -> Router<Site> {
    Router::new().route("/api/me", get(api::me).patch(api::patch_me))
}

/// What no cache of ours needs to keep.
fn unkept() -> Router<Site> {
    Router::new()
        .route("/static/site.css", get(pages::stylesheet))
        .route("/healthz", get(async || "ok\n"))
        .route("/metrics", get(monitoring::scrape))
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

/// Forms hold what one person typed or may do: no cache anywhere keeps them.
async fn no_store(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The hook for tests that compare what is shown with what is touched. It is
/// inside of the caches, so that a hit has the tags of the answer it repeats.
async fn expose_tags(State(site): State<Site>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if !site.0.expose_tags {
        return response;
    }
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
