//! The form that takes the token, and gives a cookie for it.

use axum::body::Body;
use axum::response::Response;
use http::{Method, StatusCode};
use minijinja::context;
use secrecy::ExposeSecret;

use super::shell::render;
use super::{redirect, set_cookie};
use crate::admin::Shared;
use crate::asked::{Asked, Fields};
use crate::door::{Admission, check_origin, cookie};
use crate::failure::Failure;

/// The longest way back that is remembered.
const MAX_WAY: usize = 2048;

pub(super) async fn answer(
    shared: &Shared,
    asked: &Asked,
    body: Body,
) -> Result<Response, Failure> {
    match asked.method {
        Method::GET | Method::HEAD => {
            let query = asked.parameters(&["to"])?;
            form(shared, query.get("to"), None)
        }
        Method::POST => {
            asked.no_query()?;
            // Nobody is signed in by another site's page either.
            check_origin(&asked.headers, &asked.host, shared.https)?;
            let fields = asked.form(body).await?;
            let is_right = || shared.token.is(fields.get("token").trim().as_bytes());
            let now = shared.clock.now();
            match shared.lockout.admit(asked.peer, now, is_right) {
                Admission::Granted => enter(shared, &fields, cookie(&asked.headers)),
                Admission::Refused => form(shared, fields.get("to"), Some(&Failure::Token)),
                Admission::LockedOut(rest) => {
                    form(shared, fields.get("to"), Some(&Failure::LockedOut(rest)))
                }
            }
        }
        _ => Err(Failure::Method("GET, HEAD, POST")),
    }
}

/// Where somebody who is not signed in is sent to, and from there back again.
pub(super) fn link(shared: &Shared, asked: &Asked) -> String {
    let mut to = asked.path.trim_start_matches('/').to_owned();
    if let Some(query) = &asked.query {
        to.push('?');
        to.push_str(query);
    }
    let base = &shared.base;
    match way(&to) {
        "" => format!("{base}/sign-in"),
        to => {
            let to: String = form_urlencoded::byte_serialize(to.as_bytes()).collect();
            format!("{base}/sign-in?to={to}")
        }
    }
}

fn form(shared: &Shared, to: &str, problem: Option<&Failure>) -> Result<Response, Failure> {
    let said = problem.map(|problem| match problem {
        Failure::Token => "That is not the token.".to_owned(),
        other => format!("{}.", other.message()),
    });
    let frame = context! {
        base => shared.base(),
        title => "Sign in",
        to => way(to),
        problem => said,
    };
    let mut response = render(shared, "sign-in.html", frame)?;
    if let Some(problem) = problem {
        problem.mark(&mut response);
    }
    Ok(response)
}

/// A new cookie, whatever cookie there was before; what that opened ends.
fn enter(shared: &Shared, fields: &Fields, before: Option<&str>) -> Result<Response, Failure> {
    if let Some(before) = before {
        shared.sign_ins.end(before);
    }
    let begun = shared.sign_ins.begin(shared.clock.now());
    let id = begun.map_err(|error| Failure::Internal(error.into()))?;
    let to = format!("{}/{}", shared.base, way(fields.get("to")));
    let mut response = redirect(StatusCode::SEE_OTHER, &to)?;
    set_cookie(&mut response, shared, id.expose_secret(), "")?;
    Ok(response)
}

/// A way back is one of our own pages: it goes behind the mount's path and a slash, and could name
/// another host only if it began with a slash itself.
fn way(to: &str) -> &str {
    let is_own = to.len() <= MAX_WAY
        && !to.starts_with('/')
        && !to.contains("//")
        && !to.starts_with("sign-")
        && to
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_own { to } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_stays_here() {
        for to in ["keys?cache=api&prefix=%2F", "caches", ""] {
            assert_eq!(way(to), to);
        }
        for to in [
            "/evil.example",
            "//evil.example",
            "https://evil.example",
            "\\\\evil.example",
            "a\\b",
            "a b",
            "a\r\nSet-Cookie: x=y",
            "sign-out",
        ] {
            assert_eq!(way(to), "", "{to}");
        }
        assert_eq!(way(&"x".repeat(MAX_WAY + 1)), "");
    }
}
