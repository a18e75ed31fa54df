//! The files that pages need: three, by their exact names.

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use crate::asked::Asked;
use crate::failure::Failure;

pub(super) fn answer(asked: &Asked) -> Result<Response, Failure> {
    if !asked.is_get() {
        return Err(Failure::Method("GET, HEAD"));
    }
    let (kind, content) = match asked.path.as_str() {
        "/assets/admin.css" => (
            "text/css; charset=utf-8",
            include_str!("../../assets/admin.css"),
        ),
        "/assets/admin.js" => (
            "text/javascript; charset=utf-8",
            include_str!("../../assets/admin.js"),
        ),
        "/assets/icon.svg" => ("image/svg+xml", include_str!("../../assets/icon.svg")),
        _ => return Err(Failure::NotFound),
    };
    let mut response = Response::new(Body::from(content));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}
