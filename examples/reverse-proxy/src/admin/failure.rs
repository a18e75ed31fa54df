//! Why the API did not do what it was asked.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

use super::{BoxError, invalidate, json};

/// A request that is answered with `{"error":{"kind":…,"message":…}}`.
#[derive(Debug)]
pub(super) enum Failure {
    /// It is meant for another host, or for none: a page may have made a browser send it.
    Host,
    /// It has no bearer token, or a wrong one.
    Token,
    /// Its sender was wrong too often, and for how long that still counts.
    LockedOut(Duration),
    /// There is no such route.
    NotFound,
    /// The route takes another method.
    Method(Method),
    /// It has a query, which no route reads.
    Query,
    /// A GET with a body.
    Body,
    /// The body isn't declared to be JSON.
    ContentType,
    /// The body is too large.
    TooLarge,
    /// The body didn't arrive in time.
    TooSlow,
    /// The body broke off.
    Broken,
    /// The body is no JSON.
    Malformed(String),
    /// It is JSON, and asks for something that can't be done.
    Invalid(String),
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
    pub(super) fn response(&self) -> Response<Full<Bytes>> {
        if let Self::Internal(cause) = self {
            tracing::error!(cause, "the admin API failed");
        }
        let message = self.message();
        let error = Detail {
            kind: self.kind(),
            message: &message,
        };
        // Two strings always serialise; an empty body beside the status would still tell.
        let mut response = json(serde_json::to_vec(&Document { error }).unwrap_or_default());
        *response.status_mut() = self.status();
        if let Some((name, value)) = self.header() {
            response.headers_mut().insert(name, value);
        }
        response
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::LockedOut(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Query | Self::Body | Self::Broken | Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Token => "token",
            Self::LockedOut(_) => "locked_out",
            Self::NotFound => "not_found",
            Self::Method(_) => "method_not_allowed",
            Self::Query => "query",
            Self::Body => "body",
            Self::ContentType => "content_type",
            Self::TooLarge => "too_large",
            Self::TooSlow => "too_slow",
            Self::Broken => "broken",
            Self::Malformed(_) => "malformed",
            Self::Invalid(_) => "invalid",
            Self::Internal(_) => "internal",
        }
    }

    fn message(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::Host => "this API answers to its own address and to names of this machine only",
            Self::Token => "send the token as `Authorization: Bearer …`",
            Self::LockedOut(_) => "too many wrong tokens from this address: wait a minute",
            Self::NotFound => "there are GET /api/stats and POST /api/invalidate",
            Self::Method(method) => return format!("this route takes {method} only").into(),
            Self::Query => "no route takes a query",
            Self::Body => "a GET has no body",
            Self::ContentType => "the body must be `Content-Type: application/json`",
            Self::TooLarge => {
                return format!("the body may have {} bytes", invalidate::MAX_BODY).into();
            }
            Self::TooSlow => "the body did not arrive in time",
            Self::Broken => "the body broke off",
            Self::Malformed(why) | Self::Invalid(why) => why,
            Self::Internal(_) => "something broke on our side",
        })
    }

    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Token => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            // A part of a second left is a second to wait.
            Self::LockedOut(rest) => Some((RETRY_AFTER, HeaderValue::from(rest.as_secs() + 1))),
            Self::Method(method) => HeaderValue::from_str(method.as_str())
                .ok()
                .map(|method| (ALLOW, method)),
            _ => None,
        }
    }
}
