//! The pages that change something, each with a question before it does.

use axum::response::Response;
use minijinja::context;

use super::shell::Shell;
use super::watch::{in_time, unknown};
use crate::api::{self, Wanted};
use crate::asked::{Asked, Fields};
use crate::failure::Failure;
use crate::view::told;

/// The form; a link from elsewhere may have filled it in, which changes nothing yet.
pub(super) fn invalidate_form(shell: Shell<'_>, asked: &Asked) -> Result<Response, Failure> {
    let query = asked.parameters(&["tags", "urls", "prefixes", "keys"])?;
    invalidate_page(shell, &wanted(&query), None)
}

/// The question, and after it the deed.
pub(super) async fn invalidate(shell: Shell<'_>, fields: &Fields) -> Result<Response, Failure> {
    let wanted = wanted(fields);
    let invalidation = match wanted.invalidation() {
        Ok(invalidation) => invalidation,
        Err(failure) => {
            let mut response = invalidate_page(shell, &wanted, Some(&failure.message()))?;
            failure.mark(&mut response);
            return Ok(response);
        }
    };
    let caches = &shell.shared.caches;
    if fields.get("confirmed") != "yes" {
        // Counting walks over everything: what takes too long is not worth the wait.
        let affected = in_time(caches.affected(&invalidation)).await.ok();
        let more = context! { wanted => told(&wanted), affected => told(&affected) };
        return shell.page("invalidate", "Invalidate?", "confirm.html", more);
    }
    let done = wanted.run(caches).await?;
    let more = context! { heading => "Invalidated", done => told(done), again => "invalidate" };
    shell.page("invalidate", "Invalidated", "done.html", more)
}

fn invalidate_page(
    shell: Shell<'_>,
    wanted: &Wanted,
    problem: Option<&str>,
) -> Result<Response, Failure> {
    let more = context! { wanted => told(wanted), problem => problem };
    shell.page("invalidate", "Invalidate", "invalidate.html", more)
}

fn wanted(fields: &Fields) -> Wanted {
    Wanted {
        tags: fields.lines("tags"),
        keys: fields.lines("keys"),
        prefixes: fields.lines("prefixes"),
        urls: fields.lines("urls"),
        soft: fields.get("soft") == "yes",
    }
}

pub(super) fn clear_form(shell: Shell<'_>, asked: &Asked) -> Result<Response, Failure> {
    let query = asked.parameters(&["cache"])?;
    let (caches, name) = (&shell.shared.caches, query.get("cache"));
    let node = caches.node_stats();
    let kind = match name {
        "" => None,
        name => {
            let found = node.caches.iter().find(|cache| cache.name == name);
            Some(found.ok_or_else(|| unknown(caches, name))?.kind.clone())
        }
    };
    let more = context! { cache => name, kind => kind, node => told(&node) };
    shell.page("clear", "Clear a cache", "clear.html", more)
}

pub(super) async fn clear(shell: Shell<'_>, fields: &Fields) -> Result<Response, Failure> {
    let name = fields.get("cache");
    let done = api::clear(shell.shared, name).await?;
    let heading = format!("Cleared {}", crate::view::shown(name, 60));
    let more = context! { heading => heading, done => told(done), again => "clear" };
    shell.page("clear", "Cleared", "done.html", more)
}
