//! `POST api/invalidate`: ends what carries a tag, lies below a key or a URL, or has a URL.

use pitlane::{Caches, Invalidated, Invalidation, Key};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// What a caller asks for.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Wanted {
    pub(crate) tags: Vec<String>,
    pub(crate) keys: Vec<String>,
    pub(crate) prefixes: Vec<String>,
    pub(crate) urls: Vec<String>,
    pub(crate) soft: bool,
}

/// What became of it.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum Done {
    /// It is in the log: no read that begins now returns anything older, on any node.
    Applied { position: String },
    /// It holds on this node, which owes it to the others.
    Queued,
}

impl From<Invalidated> for Done {
    fn from(invalidated: Invalidated) -> Self {
        match invalidated {
            Invalidated::Applied { position } => Self::Applied {
                position: position.to_string(),
            },
            // Whatever else there may be, it is not in the log yet.
            _ => Self::Queued,
        }
    }
}

impl Wanted {
    pub(crate) async fn run(&self, caches: &Caches) -> Result<Done, Failure> {
        let published = caches.publish(self.invalidation()?).await;
        published
            .map(Done::from)
            .map_err(|error| Failure::Internal(error.into()))
    }

    /// Reads every name; what can't be read is an error that says which it is.
    pub(crate) fn invalidation(&self) -> Result<Invalidation, Failure> {
        let mut all = Invalidation::default();
        for (at, tag) in self.tags.iter().enumerate() {
            if tag.is_empty() {
                return Err(invalid("tags", at, &"a tag has at least one character"));
            }
            all = all.add_tag(tag.as_str());
        }
        for (at, key) in self.keys.iter().enumerate() {
            all = all.add_key(&parse_key("keys", at, key)?);
        }
        for (at, prefix) in self.prefixes.iter().enumerate() {
            all = add_prefix(all, at, prefix)?;
        }
        for (at, url) in self.urls.iter().enumerate() {
            all = all
                .add_url(url)
                .map_err(|error| invalid("urls", at, &error))?;
        }
        if all.is_empty() {
            let why = "name at least one of tags, keys, prefixes and urls";
            return Err(Failure::Invalid(why.to_owned()));
        }
        Ok(if self.soft { all.soft() } else { all })
    }
}

/// A URL or a key, and everything below it. A key that looks like a URL is one of `keys`, which
/// end what lies below them too.
fn add_prefix(all: Invalidation, at: usize, prefix: &str) -> Result<Invalidation, Failure> {
    if !prefix.contains("://") {
        return Ok(all.add_key(&parse_key("prefixes", at, prefix)?));
    }
    if prefix.contains(['?', '#']) {
        let why = "a prefix ends with its path: a query has nothing below it";
        return Err(invalid("prefixes", at, &why));
    }
    all.add_url_prefix(prefix)
        .map_err(|error| invalid("prefixes", at, &error))
}

fn parse_key(field: &str, at: usize, key: &str) -> Result<Key, Failure> {
    key.parse()
        .map_err(|error: pitlane::KeyError| invalid(field, at, &error))
}

fn invalid(field: &str, at: usize, why: &dyn std::fmt::Display) -> Failure {
    Failure::Invalid(format!("{field}[{at}]: {why}"))
}
