//! The pages: made on the server, for somebody who has signed in.

mod act;
mod assets;
mod explain;
mod look;
mod shell;
mod sign_in;
mod watch;

use axum::body::Body;
use axum::response::Response;
use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderValue, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};

use crate::admin::Shared;
use crate::api;
use crate::asked::{Asked, Fields};
use crate::door::{COOKIE, Visitor, check_origin, cookie};
use crate::failure::Failure;

use shell::Shell;
pub(crate) use shell::refused;

/// Answers with a page, whatever happens.
pub(crate) async fn answer(shared: &Shared, asked: &Asked, body: Body) -> Response {
    let visitor = visitor(shared, asked);
    match route(shared, asked, body, visitor.as_ref()).await {
        Ok(response) => response,
        Err(failure) => refused(shared, visitor.as_ref(), &failure),
    }
}

fn visitor(shared: &Shared, asked: &Asked) -> Option<Visitor> {
    let id = cookie(&asked.headers)?;
    shared.sign_ins.find(id, shared.clock.now())
}

async fn route(
    shared: &Shared,
    asked: &Asked,
    body: Body,
    visitor: Option<&Visitor>,
) -> Result<Response, Failure> {
    match asked.path.as_str() {
        "" => return redirect(StatusCode::PERMANENT_REDIRECT, &format!("{}/", shared.base)),
        "/sign-in" => return sign_in::answer(shared, asked, body).await,
        path if path.starts_with("/assets/") => return assets::answer(asked),
        _ => {}
    }
    let Some(visitor) = visitor else {
        return match asked.is_get() && asked.path != "/live" {
            true => redirect(StatusCode::SEE_OTHER, &sign_in::link(shared, asked)),
            false => Err(Failure::SignedOut),
        };
    };
    let shell = Shell { shared, visitor };
    match (asked.is_get(), asked.path.as_str()) {
        (true, path) => read(shell, path, asked).await,
        (false, path) if asked.method == Method::POST => write(shell, path, asked, body).await,
        _ => Err(Failure::Method("GET, HEAD, POST")),
    }
}

/// What only shows something: nothing is changed by any of these.
async fn read(shell: Shell<'_>, path: &str, asked: &Asked) -> Result<Response, Failure> {
    match path {
        "/" => watch::overview(shell, asked).await,
        "/caches" => watch::caches(shell),
        "/cache" => watch::cache(shell, asked),
        "/routes" => watch::routes(shell),
        "/activity" => watch::activity(shell).await,
        "/redis" => watch::redis(shell),
        "/nodes" => watch::nodes(shell).await,
        "/keys" => look::keys(shell, asked).await,
        "/entry" => look::entry(shell, asked).await,
        "/explain" => explain::form(shell),
        "/invalidate" => act::invalidate_form(shell, asked),
        "/clear" => act::clear_form(shell, asked),
        "/live" => live(shell, asked),
        "/sign-out" => Err(Failure::Method("POST")),
        _ => Err(Failure::NotFound),
    }
}

/// What may change something: a form of this visitor's own pages, and nothing else.
async fn write(
    shell: Shell<'_>,
    path: &str,
    asked: &Asked,
    body: Body,
) -> Result<Response, Failure> {
    if !["/invalidate", "/clear", "/explain", "/sign-out"].contains(&path) {
        return Err(match path {
            "/" | "/caches" | "/cache" | "/routes" | "/activity" | "/redis" | "/nodes"
            | "/keys" | "/entry" | "/live" => Failure::Method("GET, HEAD"),
            _ => Failure::NotFound,
        });
    }
    check_origin(&asked.headers, &asked.host, shell.shared.https)?;
    asked.no_query()?;
    let fields = asked.form(body).await?;
    if !shell.visitor.made(fields.get("csrf")) {
        return Err(Failure::Csrf);
    }
    match path {
        "/invalidate" => act::invalidate(shell, &fields).await,
        "/clear" => act::clear(shell, &fields).await,
        "/explain" => explain::answer(shell, &fields, &asked.host).await,
        _ => sign_out(shell.shared, cookie(&asked.headers)),
    }
}

/// The event stream, which ends with the sign-in.
fn live(shell: Shell<'_>, asked: &Asked) -> Result<Response, Failure> {
    let id: Option<SecretString> = cookie(&asked.headers).map(|id| id.to_owned().into());
    let (sign_ins, clock) = (shell.shared.sign_ins.clone(), shell.shared.clock.clone());
    api::stream(shell.shared, move || {
        let id = id.as_ref().map(ExposeSecret::expose_secret);
        id.is_some_and(|id| sign_ins.is_valid(id, clock.now()))
    })
}

fn sign_out(shared: &Shared, id: Option<&str>) -> Result<Response, Failure> {
    if let Some(id) = id {
        shared.sign_ins.end(id);
    }
    let mut response = redirect(StatusCode::SEE_OTHER, &format!("{}/sign-in", shared.base))?;
    set_cookie(&mut response, shared, "", "; Max-Age=0")?;
    Ok(response)
}

/// For this mount alone, out of scripts' reach, and sent along by no other site's page.
fn set_cookie(
    response: &mut Response,
    shared: &Shared,
    value: &str,
    more: &str,
) -> Result<(), Failure> {
    let secure = if shared.https { "; Secure" } else { "" };
    let path = &shared.base;
    let text = format!("{COOKIE}={value}; Path={path}/; HttpOnly; SameSite=Strict{secure}{more}");
    let mut value =
        HeaderValue::from_str(&text).map_err(|error| Failure::Internal(error.into()))?;
    value.set_sensitive(true);
    response.headers_mut().append(SET_COOKIE, value);
    Ok(())
}

fn redirect(status: StatusCode, to: &str) -> Result<Response, Failure> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let to = HeaderValue::from_str(to).map_err(|error| Failure::Internal(error.into()))?;
    response.headers_mut().insert(LOCATION, to);
    Ok(response)
}

/// A field that must be there.
fn required<'a>(fields: &'a Fields, name: &str) -> Result<&'a str, Failure> {
    match fields.get(name) {
        "" => Err(Failure::Query(format!("{name} is missing"))),
        value => Ok(value),
    }
}
