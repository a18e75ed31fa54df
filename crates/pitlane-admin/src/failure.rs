//! Why somebody did not get what they asked for.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use crate::BoxError;
use crate::asked::MAX_BODY;

/// A request that is refused, or that failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It is meant for another host, or for none: a page may have made a browser send it.
    Host,
    /// Another site's page made a browser send it, or nothing says that none did.
    Origin,
    /// It has no bearer token, or a wrong one.
    Token,
    /// Its sender was wrong too often, and for how long that still counts.
    LockedOut(Duration),
    /// It comes from nobody who has signed in.
    SignedOut,
    /// A form that is not one of this visitor's pages.
    Csrf,
    /// There is no such route.
    NotFound,
    /// The route takes another method.
    Method(&'static str),
    /// It has a query that the route does not read as it is.
    Query(String),
    /// A GET with a body.
    Body,
    /// The body isn't declared to be what the route reads.
    ContentType(&'static str),
    /// The body is too large.
    TooLarge,
    /// The body didn't arrive in time.
    TooSlow,
    /// The body broke off.
    Broken,
    /// The body is not what it is declared to be.
    Malformed(String),
    /// It can be read, and asks for something that can't be done.
    Invalid(String),
    /// There is no cache, or no entry, of that name.
    Unknown(String),
    /// The program that mounted us gave no service to ask.
    NoApp,
    /// As many event streams are open as may be.
    TooManyStreams,
    /// Something that it needs did not answer: Redis, mostly.
    Unavailable(String),
    /// Our own fault.
    Internal(BoxError),
}

#[derive(Serialize)]
struct Document<'a> {
    error: Detail<'a>,
}

#[derive(Serialize)]
struct Detail<'a> {
    kind: &'a str,
    message: &'a str,
}

impl Failure {
    /// The answer of the API: `{"error":{"kind":…,"message":…}}`.
    pub(crate) fn json(&self) -> Response {
        let message = self.message();
        let error = Detail {
            kind: self.kind(),
            message: &message,
        };
        // Two strings always serialise; an empty body beside the status would still tell.
        let body = serde_json::to_vec(&Document { error }).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        self.mark(&mut response);
        response
    }

    /// Gives an answer, page or not, the status and the header that belong to the failure.
    pub(crate) fn mark(&self, response: &mut Response) {
        *response.status_mut() = self.status();
        if let Some((name, value)) = self.header() {
            response.headers_mut().insert(name, value);
        }
    }

    /// Our own faults are told to whoever runs the program, and to nobody else.
    pub(crate) fn log(&self) {
        if let Self::Internal(cause) = self {
            tracing::error!(cause, "the admin pages failed");
        }
    }

    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin | Self::Csrf => StatusCode::FORBIDDEN,
            Self::Token | Self::SignedOut => StatusCode::UNAUTHORIZED,
            Self::LockedOut(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::NotFound | Self::Unknown(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Query(_) | Self::Body | Self::Broken | Self::Malformed(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::ContentType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NoApp => StatusCode::NOT_IMPLEMENTED,
            Self::TooManyStreams | Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Origin => "origin",
            Self::Token => "token",
            Self::LockedOut(_) => "locked_out",
            Self::SignedOut => "signed_out",
            Self::Csrf => "csrf",
            Self::NotFound | Self::Unknown(_) => "not_found",
            Self::Method(_) => "method_not_allowed",
            Self::Query(_) => "query",
            Self::Body => "body",
            Self::ContentType(_) => "content_type",
            Self::TooLarge => "too_large",
            Self::TooSlow => "too_slow",
            Self::Broken => "broken",
            Self::Malformed(_) => "malformed",
            Self::Invalid(_) => "invalid",
            Self::NoApp => "no_app",
            Self::TooManyStreams => "too_many_streams",
            Self::Unavailable(_) => "unavailable",
            Self::Internal(_) => "internal",
        }
    }

    pub(crate) fn message(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::Host => {
                "this API answers to its own address and to names of this machine only, and to \
                 those that the program lists"
            }
            Self::Origin => "this came from another site's page",
            Self::Token => "send the token as `Authorization: Bearer …`",
            Self::LockedOut(_) => "too many wrong tokens from this address: wait a minute",
            Self::SignedOut => "you are not signed in, or no longer",
            Self::Csrf => {
                "the form is from another sign-in: go back, reload the page and try again"
            }
            Self::NotFound => "there is nothing here",
            Self::Method(methods) => return format!("this route takes {methods} only").into(),
            Self::Body => "a GET has no body",
            Self::ContentType(kind) => {
                return format!("the body must be `Content-Type: {kind}`").into();
            }
            Self::TooLarge => return format!("the body may have {MAX_BODY} bytes").into(),
            Self::TooSlow => "the body did not arrive in time",
            Self::Broken => "the body broke off",
            Self::NoApp => "the program gave its admin pages no service to ask",
            Self::TooManyStreams => "too many event streams are open: close one",
            Self::Query(why)
            | Self::Malformed(why)
            | Self::Invalid(why)
            | Self::Unknown(why)
            | Self::Unavailable(why) => why,
            Self::Internal(_) => "something broke on our side",
        })
    }

    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Token => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            // A part of a second left is a second to wait.
            Self::LockedOut(rest) => Some((RETRY_AFTER, HeaderValue::from(rest.as_secs() + 1))),
            Self::Method(methods) => Some((ALLOW, HeaderValue::from_static(methods))),
            _ => None,
        }
    }
}
