//! What every page has around it.

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use minijinja::{Value, context};

use crate::admin::Shared;
use crate::door::Visitor;
use crate::failure::Failure;

/// Whose page it is, and from what it is made.
#[derive(Clone, Copy)]
pub(crate) struct Shell<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) visitor: &'a Visitor,
}

impl Shell<'_> {
    /// A page: `page` is its place in the navigation.
    pub(crate) fn page(
        self,
        page: &str,
        title: &str,
        template: &str,
        more: Value,
    ) -> Result<Response, Failure> {
        let frame = context! {
            base => self.shared.base(),
            page => page,
            title => title,
            csrf => self.visitor.csrf(),
            now_ms => self.shared.clock.now().as_millis(),
            ..more
        };
        render(self.shared, template, frame)
    }
}

/// A page that says why there is no other, for a visitor or for somebody at the door.
pub(crate) fn refused(shared: &Shared, visitor: Option<&Visitor>, failure: &Failure) -> Response {
    failure.log();
    let message = failure.message();
    let frame = context! {
        base => shared.base(),
        page => visitor.map(|_| ""),
        layout => if visitor.is_some() { "base.html" } else { "door.html" },
        title => title(failure),
        csrf => visitor.map(Visitor::csrf),
        message => message,
        now_ms => shared.clock.now().as_millis(),
    };
    let mut response = render(shared, "refused.html", frame).unwrap_or_else(|error| {
        error.log();
        Response::new(Body::from("something broke on our side"))
    });
    failure.mark(&mut response);
    response
}

fn title(failure: &Failure) -> &'static str {
    match failure {
        Failure::NotFound | Failure::Unknown(_) => "Not found",
        Failure::SignedOut => "Signed out",
        Failure::Internal(_) => "Something broke",
        Failure::Unavailable(_) | Failure::NoApp => "Not available",
        _ => "Refused",
    }
}

pub(crate) fn render(shared: &Shared, template: &str, frame: Value) -> Result<Response, Failure> {
    let failed = |error: minijinja::Error| Failure::Internal(error.into());
    let template = shared.templates.get_template(template).map_err(failed)?;
    let text = template.render(frame).map_err(failed)?;
    let mut response = Response::new(Body::from(text));
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}
