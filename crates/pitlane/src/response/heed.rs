//! What a client asks of the cache itself, in its Cache-Control.

use http::HeaderMap;
use pitlane_core::{Reason, Timestamp};
use pitlane_policy::{Profile, RequestDirectives};

use super::{
    admit::Ask,
    layer::Settings,
    lookup::{Found, Stale},
};
use crate::cache::Entry;

/// Applies what the client says in its own Cache-Control.
///
/// In the application profile it can't force a miss, which would be a way to overload the
/// handlers; `only-if-cached` is heeded in both.
pub(crate) fn heed(
    settings: &Settings,
    ask: &Ask,
    headers: &HeaderMap,
    found: Found,
    now: Timestamp,
) -> Result<Found, Reason> {
    if !ask.scan.directives {
        return Ok(found);
    }
    let said = RequestDirectives::from_headers(headers);
    let found = if settings.profile == Profile::Rfc {
        if said.no_store {
            return Err(Reason::RequestNoStore);
        }
        accept(settings, &said, found, now)
    } else {
        found
    };
    let usable = matches!(
        found,
        Found::Fresh { .. } | Found::WhileRevalidate { .. } | Found::Accepted { .. }
    );
    if said.only_if_cached && !usable {
        Err(Reason::OnlyIfCached)
    } else {
        Ok(found)
    }
}

/// Judges what was found by what the client is content with (RFC 9111 §5.2.1).
fn accept(settings: &Settings, said: &RequestDirectives, found: Found, now: Timestamp) -> Found {
    let mut silent = RequestDirectives::default();
    silent.only_if_cached = said.only_if_cached;
    if *said == silent {
        return found;
    }
    let capped = |stale_for| {
        settings
            .max_stale
            .is_some_and(|cap| stale_for >= cap.as_secs())
    };
    let accepts = |entry: &Entry| said.accept(&entry.freshness, entry.meta.resident(now));
    match found {
        Found::Fresh { entry, age, .. } | Found::WhileRevalidate { entry, age, .. }
            if !accepts(&entry) =>
        {
            Found::Miss {
                why: Reason::RequestNoCache,
                stale: Some(Stale {
                    entry,
                    age,
                    stale_for: 0,
                    on_error: false,
                }),
            }
        }
        // Nobody knows for how long what was invalidated softly has been stale.
        Found::Miss {
            why: Reason::Expired,
            stale: Some(stale),
        } if said.max_stale.is_some() && accepts(&stale.entry) && !capped(stale.stale_for) => {
            Found::Accepted {
                entry: stale.entry,
                age: stale.age,
                stale_for: stale.stale_for,
            }
        }
        found => found,
    }
}
