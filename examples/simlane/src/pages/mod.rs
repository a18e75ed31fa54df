//! The pages for people. Handlers say what to read and which template shows
//! it; `frame` does what all pages have in common.

mod login;
mod personal;
mod public;

use std::collections::HashMap;

use axum::extract::{FromRef, FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;
use tower_sessions::Session;

pub(crate) use login::{login, login_form, logout};
pub(crate) use personal::{manage, me, save_members, save_settings, settings};
pub(crate) use public::{
    Search, about, club, clubs, contact, driver, event, events, home, search, series, stylesheet,
    team,
};

use crate::failure::{Failed, Failure};
use crate::model::User;
use crate::read::Seen;
use crate::tags::{self, Tags};
use crate::{Site, changes, session};

const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Around every page: what it reads and renders is one computation, which
/// begins here unless a cache is around it.
pub(crate) async fn frame(
    State(site): State<Site>,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let scope = site.0.caching.scope();
    scope.run(framed(site, request, next)).await
}

/// Finds out who is looking, turns failures into pages, and adds the viewer's
/// tag, because the navigation shows their name.
async fn framed(site: Site, mut request: Request, next: Next) -> Result<Response, Failure> {
    let viewer = match request.extensions().get::<Session>() {
        Some(session) => session::user(&site, session).await,
        None => Ok(None),
    };
    let page = Page::seen_by(site, viewer)?;
    request.extensions_mut().insert(page.clone());
    let response = next.run(request).await;
    let mut response = match response.extensions().get::<Failed>().cloned() {
        Some(failed) => page.explain(&failed, response)?,
        None => response,
    };
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    let own = page
        .viewer
        .iter()
        .map(|viewer| tags::user(viewer.id))
        .collect();
    Ok(changes::shown(response, own))
}

/// The site, as one visitor sees it.
#[derive(Clone)]
pub(crate) struct Page {
    site: Site,
    viewer: Option<User>,
    /// There is a session, and nobody can tell now whose.
    is_unknown: bool,
}

impl Page {
    /// Where sessions are out of reach, pages for everybody are shown as to
    /// anybody, and the browser keeps its cookie.
    fn seen_by(site: Site, viewer: Result<Option<User>, Failure>) -> Result<Self, Failure> {
        let (viewer, is_unknown) = match viewer {
            Err(Failure::Unavailable) => (None, true),
            viewer => (viewer?, false),
        };
        Ok(Self {
            site,
            viewer,
            is_unknown,
        })
    }

    fn viewer(&self) -> Result<&User, Failure> {
        match &self.viewer {
            Some(viewer) => Ok(viewer),
            None if self.is_unknown => Err(Failure::Unavailable),
            None => Err(Failure::SignIn),
        }
    }

    /// Shows what was read.
    fn render<T: Serialize>(&self, template: &str, seen: Seen<T>) -> Result<Response, Failure> {
        let response = self.html(template, value(&seen.data))?.into_response();
        Ok(changes::shown(response, seen.tags.into_vec()))
    }

    fn html(&self, template: &str, data: Value) -> Result<Html<String>, Failure> {
        let viewer = self.viewer.as_ref().map(value);
        let template = self.site.0.templates.get(template)?;
        Ok(Html(template.render(context! { viewer, ..data })?))
    }

    /// Replaces the JSON of a failure by a page, or by the way to sign in.
    fn explain(&self, failed: &Failed, response: Response) -> Result<Response, Failure> {
        if response.status() == StatusCode::UNAUTHORIZED {
            return Ok(Redirect::to("/login").into_response());
        }
        let (status, message) = (response.status(), &failed.message);
        let title = status.canonical_reason().unwrap_or("Error");
        let html = self.html(
            "error.html",
            context! { status => status.as_u16(), title, message },
        )?;
        let mut page = (status, html).into_response();
        *page.extensions_mut() = response.into_parts().0.extensions;
        Ok(page)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Page
where
    Site: FromRef<S>,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let page = parts.extensions.get::<Self>().cloned();
        page.ok_or_else(|| Failure::Internal("a page outside of its frame".into()))
    }
}

/// A page that shows no rows.
fn nothing_seen() -> Seen<HashMap<(), ()>> {
    Seen {
        data: HashMap::new(),
        tags: Tags::default(),
    }
}

/// The error of a form that is shown again.
fn complaint(failure: Failure) -> Result<String, Failure> {
    match failure {
        Failure::Invalid { .. } | Failure::Conflict(_) => Ok(failure.to_string()),
        other => Err(other),
    }
}

/// What a template sees of a row.
fn value(data: impl Serialize) -> Value {
    Value::from(Serde(data))
}
