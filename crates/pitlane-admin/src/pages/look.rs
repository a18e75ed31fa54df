//! The pages that look into caches: what keys there are, and what is behind one.

use axum::response::Response;
use minijinja::context;

use super::required;
use super::shell::Shell;
use crate::api::{self, KeysWanted};
use crate::asked::Asked;
use crate::failure::Failure;
use crate::view::told;

pub(super) async fn keys(shell: Shell<'_>, asked: &Asked) -> Result<Response, Failure> {
    let query = asked.parameters(&["cache", "prefix", "tier", "cursor"])?;
    let caches = &shell.shared.caches;
    let names: Vec<_> = caches.iter().map(|cache| cache.name().to_owned()).collect();
    let name = match query.get("cache") {
        "" if names.iter().any(|name| name == "default") => "default",
        "" => names.first().map_or("", String::as_str),
        name => name,
    };
    // A part of a form that was left empty is not there.
    let wanted = KeysWanted {
        cache: name,
        prefix: query.get("prefix"),
        tier: query.get("tier"),
        cursor: query.get("cursor"),
        limit: "50",
    };
    let (found, problem) = match api::find_keys(caches, &wanted).await {
        Ok(found) => (Some(found), None),
        // Redis is away, and memory may still be looked at: the form stays.
        Err(Failure::Unavailable(problem)) => (None, Some(problem)),
        Err(failure) => return Err(failure),
    };
    let more = context! {
        names => &names,
        cache => name,
        prefix => query.get("prefix"),
        tier => query.get("tier"),
        has_redis => caches.redis().is_some(),
        is_first => query.get("cursor").is_empty(),
        found => told(found),
        problem => problem,
    };
    shell.page("keys", "Keys", "keys.html", more)
}

pub(super) async fn entry(shell: Shell<'_>, asked: &Asked) -> Result<Response, Failure> {
    let query = asked.parameters(&["cache", "key"])?;
    let (cache, key) = (required(&query, "cache")?, required(&query, "key")?);
    let entry = api::find_entry(&shell.shared.caches, cache, key).await?;
    let tiers = [
        ("In this node's memory", &entry.memory),
        ("In Redis", &entry.redis),
    ];
    let tiers: Vec<_> = tiers
        .into_iter()
        .filter_map(|(title, stored)| Some((title, stored.as_ref()?)))
        .map(|(title, stored)| context! { title => title, stored => told(stored) })
        .collect();
    let more = context! { cache => cache, entry => told(&entry), tiers => tiers };
    shell.page("keys", "Entry", "entry.html", more)
}
