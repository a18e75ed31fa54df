//! Why a request was refused, for pages and for the API alike.
//!
//! The response of a failure is the API's JSON; `pages::frame` replaces it
//! with a page for people.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use pitlane::data::DataError;
use pitlane_sqlx::CommitError;
use serde_json::json;

use crate::changes;

/// A request that was not served as it hoped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// No such row; the tags say whose arrival would change that.
    #[error("nothing was found here")]
    NotFound { tags: Vec<String> },
    /// A value that was sent is wrong.
    #[error("{field}: {message}")]
    Invalid { field: String, message: String },
    /// The request contradicts what is stored.
    #[error("{0}")]
    Conflict(&'static str),
    /// Only for people who are signed in.
    #[error("sign in first")]
    SignIn,
    /// Signed in, but not allowed; the tags say whose change could allow it.
    #[error("{why}")]
    Forbidden { why: String, tags: Vec<String> },
    /// The route exists, the method doesn't.
    #[error("this address does not answer that method")]
    Method,
    /// Nobody can tell now who is asking.
    #[error("sessions are out of reach for a moment: try again")]
    Unavailable,
    /// Our own fault. The cause goes to the log, never to the visitor.
    #[error("something broke on our side")]
    Internal(#[source] crate::BoxError),
}

/// Rides on the response so that a page can be made of it.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    pub(crate) kind: &'static str,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid {
            field: field.into(),
            message: message.into(),
        }
    }

    /// The row behind this tag does not exist.
    pub(crate) fn missing(tag: String) -> Self {
        Self::NotFound { tags: vec![tag] }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::SignIn => StatusCode::UNAUTHORIZED,
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::Invalid { .. } => "invalid",
            Self::Conflict(_) => "conflict",
            Self::SignIn => "sign_in",
            Self::Forbidden { .. } => "forbidden",
            Self::Method => "method_not_allowed",
            Self::Unavailable => "unavailable",
            Self::Internal(_) => "internal",
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if let Self::Internal(cause) = &self {
            eprintln!("simlane: {}", told(&**cause));
        }
        let failed = Failed {
            kind: self.kind(),
            message: self.to_string(),
        };
        let mut body = json!({ "error": { "kind": failed.kind, "message": failed.message } });
        if let Self::Invalid { field, .. } = &self {
            body = json!({ "error": { "kind": failed.kind, "message": failed.message, "field": field } });
        }
        let mut response = (self.status(), Json(body)).into_response();
        response.extensions_mut().insert(failed);
        match self {
            Self::NotFound { tags } | Self::Forbidden { tags, .. } => {
                changes::shown(response, tags)
            }
            _ => response,
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error() {
            Some(cause) if cause.is_unique_violation() => Self::Conflict("this exists already"),
            _ => Self::Internal(error.into()),
        }
    }
}

/// A commit that was refused, or whose answer was lost.
impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        let cause = error
            .database_error()
            .and_then(sqlx::Error::as_database_error);
        match cause {
            Some(cause) if cause.is_unique_violation() => Self::Conflict("this exists already"),
            _ => Self::Internal(error.into()),
        }
    }
}

/// What isn't there is told to each of those who waited for it.
impl From<DataError<Self>> for Failure {
    fn from(error: DataError<Self>) -> Self {
        match error.computation_error().map(|failure| &**failure) {
            Some(Self::NotFound { tags }) => Self::NotFound { tags: tags.clone() },
            _ => Self::Internal(error.into()),
        }
    }
}

impl From<pitlane::Error> for Failure {
    fn from(error: pitlane::Error) -> Self {
        Self::Internal(error.into())
    }
}

impl From<tower_sessions::session::Error> for Failure {
    fn from(error: tower_sessions::session::Error) -> Self {
        tracing::debug!(%error, "no session");
        Self::Unavailable
    }
}

impl From<minijinja::Error> for Failure {
    fn from(error: minijinja::Error) -> Self {
        // The alternate form names the line of the template.
        Self::Internal(format!("{error:#}").into())
    }
}

/// An error with all that it came from.
fn told(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(Some(error), |error| error.source());
    let sources: Vec<String> = sources.map(ToString::to_string).collect();
    sources.join(": ")
}
