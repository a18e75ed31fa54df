//! `POST api/explain`: asks the program's own service, and tells every decision on the way.

use axum::body::Body;
use std::collections::BTreeMap;
use std::time::Duration;

use http::uri::Authority;
use pitlane::explain::{Asking, Explanation};
use serde::{Deserialize, Serialize};

use super::inquiry::{Inquiry, drain};
use crate::admin::Shared;
use crate::asked::Asked;
use crate::failure::Failure;

/// A handler that takes longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default = "get")]
    method: String,
}

fn get() -> String {
    "GET".to_owned()
}

/// What was found out.
#[derive(Debug, Serialize)]
pub(crate) struct Explained {
    /// The status of the answer.
    status: u16,
    /// By each cache layer that saw the request, the outermost first.
    explanations: Vec<Explanation>,
}

pub(super) async fn run(shared: &Shared, asked: &Asked, body: Body) -> Result<Explained, Failure> {
    let host = asked.host.clone();
    let wanted: Wanted = asked.json(body).await?;
    let inquiry = Inquiry {
        method: wanted.method,
        path: wanted.path,
        headers: wanted.headers.into_iter().collect(),
    };
    explain(shared, &inquiry, &host).await
}

/// Asks, and drops the answer itself: only what became of it counts.
pub(crate) async fn explain(
    shared: &Shared,
    inquiry: &Inquiry,
    host: &Authority,
) -> Result<Explained, Failure> {
    let request = inquiry.request(shared, host)?;
    let app = shared.app.as_ref().ok_or(Failure::NoApp)?;
    let marked = Asking::mark(request);
    let (request, asked) = marked.map_err(|error| Failure::Invalid(error.to_string()))?;
    let answering = async {
        let answer = app.ask(request).await?;
        let status = answer.status().as_u16();
        // What breaks off while it is read is told in the explanation.
        let _ = drain(answer.into_body()).await;
        Ok::<_, crate::BoxError>(status)
    };
    let answered = tokio::time::timeout(PATIENCE, answering).await;
    let status = answered
        .map_err(|_| Failure::Unavailable("the program did not answer in time".to_owned()))?
        .map_err(|error| Failure::Unavailable(format!("the program did not answer: {error}")))?;
    Ok(Explained {
        status,
        explanations: asked.explanations(),
    })
}
