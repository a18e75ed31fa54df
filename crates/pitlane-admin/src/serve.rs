//! The one way in: every request passes here, in this order: the host it names, the site it comes
//! from, and then the token (the API) or the sign-in (the pages) before the route is looked at.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;

use crate::admin::Shared;
use crate::asked::Asked;
use crate::door::check_site;
use crate::failure::Failure;
use crate::seal::seal;
use crate::{api, pages};

/// Answers, and seals whatever the answer is.
pub(crate) async fn answer(shared: &Shared, request: Request) -> Response {
    let path = request.uri().path().strip_prefix(&shared.base);
    let is_api = path.is_some_and(|path| path == "/api" || path.starts_with("/api/"));
    let mut response = match is_api {
        true => api_answer(shared, request).await,
        false => page_answer(shared, request).await,
    };
    seal(response.headers_mut());
    response
}

async fn api_answer(shared: &Shared, request: Request) -> Response {
    let answered = match enter(shared, request, false) {
        Ok((asked, body)) => api::answer(shared, &asked, body).await,
        Err(failure) => Err(failure),
    };
    answered.unwrap_or_else(|failure| {
        failure.log();
        failure.json()
    })
}

async fn page_answer(shared: &Shared, request: Request) -> Response {
    match enter(shared, request, true) {
        Ok((asked, body)) => pages::answer(shared, &asked, body).await,
        Err(failure) => pages::refused(shared, None, &failure),
    }
}

fn enter(shared: &Shared, request: Request, is_page: bool) -> Result<(Asked, Body), Failure> {
    let host = shared.hosts.check(request.headers(), request.uri())?;
    check_site(request.headers(), request.method(), is_page)?;
    Asked::split(request, &shared.base, host)
}
