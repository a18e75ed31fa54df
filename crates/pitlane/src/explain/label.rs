//! Reasons and outcomes as they are written everywhere else: by their labels.

use pitlane_core::{Outcome, Reason};
use serde::{Deserialize, Deserializer, Serializer, de::Error};

pub(super) mod outcome {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(outcome: &Outcome, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(outcome.as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Outcome, D::Error> {
        let label = String::deserialize(from)?;
        Outcome::from_label(&label).ok_or_else(|| D::Error::custom("no outcome has that label"))
    }
}

pub(super) mod reason {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(reason: &Reason, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(reason.as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Reason, D::Error> {
        String::deserialize(from).map(|label| known(&label))
    }
}

pub(super) mod maybe {
    use super::*;

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(crate) fn serialize<S: Serializer>(
        reason: &Option<Reason>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match reason {
            Some(reason) => to.serialize_some(reason.as_str()),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Reason>, D::Error> {
        let label = Option::<String>::deserialize(from)?;
        Ok(label.map(|label| known(&label)))
    }
}

/// A node may be newer than the one that reads what it says.
fn known(label: &str) -> Reason {
    Reason::from_label(label).unwrap_or(Reason::Policy)
}
