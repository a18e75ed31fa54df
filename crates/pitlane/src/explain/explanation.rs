use std::fmt;

use pitlane_core::{Outcome, Reason};
use serde::{Deserialize, Serialize};

use super::{facts::EntryFacts, label};

/// How one cache layer answers a request, and why.
///
/// Names of cookies and header fields are in it, and their values never.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The name of the layer's cache.
    pub cache: String,
    /// How the request is answered.
    #[serde(with = "label::outcome")]
    pub outcome: Outcome,
    /// Why: the detail in Cache-Status, or what was found out later, when the body was read.
    #[serde(with = "label::reason")]
    pub reason: Reason,
    /// The reason in one sentence, with what it was in this request or its answer.
    pub sentence: String,
    /// What to change so that more is answered from the cache, where anything is.
    pub advice: Option<String>,
    /// Whether a request like this one will find the answer stored.
    pub stored: bool,
    /// What the answer is stored under, for people; `None` where the cache has no part in it.
    pub key: Option<String>,
    /// What was found, or would be stored.
    pub entry: Option<EntryFacts>,
    /// What was decided on the way, in order.
    pub steps: Vec<Step>,
}

/// One decision on the way to an answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Step {
    /// Where it was made.
    pub stage: Stage,
    /// Why it was no, where it was.
    #[serde(with = "label::maybe")]
    pub reason: Option<Reason>,
    /// One sentence for people.
    pub text: String,
}

impl Step {
    pub(crate) fn new(stage: Stage, reason: Option<Reason>, text: impl Into<String>) -> Self {
        Self {
            stage,
            reason,
            text: text.into(),
        }
    }
}

/// Where something is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Stage {
    /// Whether the request may be answered from the cache, and its key.
    Request,
    /// What memory has.
    Memory,
    /// Whether somebody else is computing the same answer.
    Flight,
    /// What Redis has.
    Redis,
    /// Whether the handler was asked, and what it said.
    Handler,
    /// Whether its answer may be stored, by its head.
    Response,
    /// Whether its body may be.
    Body,
    /// How the request was answered.
    Answer,
    /// Which later requests the answer would serve.
    Reuse,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::Request,
        Self::Memory,
        Self::Flight,
        Self::Redis,
        Self::Handler,
        Self::Response,
        Self::Body,
        Self::Answer,
        Self::Reuse,
    ];

    /// Its name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Memory => "memory",
            Self::Flight => "flight",
            Self::Redis => "redis",
            Self::Handler => "handler",
            Self::Response => "response",
            Self::Body => "body",
            Self::Answer => "answer",
            Self::Reuse => "reuse",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The reason, what to change, and the steps, each on a line.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cache,
            outcome,
            reason,
            sentence,
            ..
        } = self;
        writeln!(f, "{cache}: {outcome} ({reason}). {sentence}")?;
        if let Some(advice) = &self.advice {
            writeln!(f, "  -> {advice}")?;
        }
        self.steps
            .iter()
            .try_for_each(|step| writeln!(f, "  {:<8}  {}", step.stage, step.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_written_the_same_way_everywhere() {
        for stage in Stage::ALL {
            let json = serde_json::to_value(stage).unwrap();
            assert_eq!(json, stage.as_str());
        }
    }

    #[test]
    fn a_reason_that_a_newer_node_names_is_read_as_one_without_a_name() {
        let step = r#"{"stage":"memory","reason":"of-tomorrow","text":"."}"#;
        let step: Step = serde_json::from_str(step).unwrap();
        assert_eq!(step.reason, Some(Reason::Policy));
        let step = r#"{"stage":"memory","reason":null,"text":"."}"#;
        let step: Step = serde_json::from_str(step).unwrap();
        assert_eq!(step.reason, None);
    }
}
