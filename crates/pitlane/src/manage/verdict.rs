//! Whether an entry would be served now, in words.

use pitlane_core::Reason;
use serde::{Deserialize, Serialize};

use super::view::TagView;
use crate::cache::Usable;

/// Whether a hit would use an entry, and why. It comes from the code that judges hits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Verdict {
    /// Whether it would be served without asking anybody.
    pub usable: bool,
    /// `fresh`, `stale-while-revalidate`, `stale`, `unusable`, or `no-entry`.
    pub state: String,
    /// The label of the [`Reason`]; nothing for what is no entry.
    pub reason: Option<String>,
    /// The same for people.
    pub sentence: String,
}

impl Verdict {
    /// What is no entry at all.
    pub(super) fn none(sentence: impl Into<String>) -> Self {
        Self {
            usable: false,
            state: "no-entry".to_owned(),
            reason: None,
            sentence: sentence.into(),
        }
    }

    pub(super) fn of(judged: Usable, ended_by: &[TagView]) -> Self {
        match judged {
            Usable::Fresh { ttl, .. } => Self::new(
                "fresh",
                Reason::Fresh,
                format!("It is served: fresh for another {ttl} s."),
            ),
            Usable::WhileRevalidate { stale_for, .. } => Self::new(
                "stale-while-revalidate",
                Reason::StaleWhileRevalidate,
                format!("It is served {} while a new one is made.", stale(stale_for)),
            ),
            Usable::Stale {
                stale_for,
                on_error,
                reason,
                ..
            } => {
                let error = if on_error {
                    " It stands in when the handler fails."
                } else {
                    ""
                };
                let sentence = format!(
                    "It is not served as it is, {}: {}{error}",
                    stale(stale_for),
                    reason.explain()
                );
                Self::new("stale", reason, sentence)
            }
            Usable::No(reason) => {
                let mut sentence = reason.explain().to_owned();
                if let Some(tag) = ended_by.first() {
                    sentence.push_str(&format!(" What ended it: {} {}.", tag.kind, tag.name));
                }
                Self::new("unusable", reason, sentence)
            }
        }
    }

    fn new(state: &str, reason: Reason, sentence: String) -> Self {
        Self {
            usable: matches!(state, "fresh" | "stale-while-revalidate"),
            state: state.to_owned(),
            reason: Some(reason.as_str().to_owned()),
            sentence,
        }
    }
}

fn stale(stale_for: u64) -> String {
    if stale_for == 0 {
        "stale".to_owned()
    } else {
        format!("stale for {stale_for} s")
    }
}
