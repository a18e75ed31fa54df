//! `POST api/clear`: empties one cache.

use axum::body::Body;
use serde::Deserialize;

use super::invalidate::Done;
use crate::admin::Shared;
use crate::asked::Asked;
use crate::failure::Failure;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    cache: String,
}

pub(super) async fn run(shared: &Shared, asked: &Asked, body: Body) -> Result<Done, Failure> {
    let Wanted { cache } = asked.json(body).await?;
    clear(shared, &cache).await
}

/// Empties the cache of this name.
pub(crate) async fn clear(shared: &Shared, name: &str) -> Result<Done, Failure> {
    let cleared = shared.caches.clear(name).await;
    cleared.map(Done::from).map_err(|error| match error.kind() {
        pitlane::ErrorKind::UnknownCache => Failure::Unknown(error.to_string()),
        _ => Failure::Unavailable(error.to_string()),
    })
}
