//! From JSON to fields that may be stored.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::failure::Failure;

/// The fields of a model that can be set.
pub(crate) trait Fields: Serialize + DeserializeOwned {
    /// Refuses values that no row may have, naming the field.
    fn check(&self) -> Result<(), Failure>;

    /// What the row is found by, where it can be searched for.
    fn text(&self) -> Option<String> {
        None
    }
}

/// A JSON object on its way to becoming fields.
#[derive(Debug)]
pub(crate) struct Draft(Map<String, Value>);

impl Draft {
    pub(crate) fn new(value: Value) -> Result<Self, Failure> {
        match value {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(Failure::invalid("body", "must be a JSON object")),
        }
    }

    /// Takes a member that is not one of the model's fields: a parent's id,
    /// say. `null` counts as absent.
    pub(super) fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, Failure> {
        let value = self.0.remove(name).unwrap_or(Value::Null);
        serde_json::from_value(value).map_err(|error| Failure::invalid(name, error.to_string()))
    }

    /// Takes a member that has to be there.
    pub(super) fn need<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, Failure> {
        self.take(name)?
            .ok_or_else(|| Failure::invalid(name, "is missing"))
    }

    /// What is left, as the fields of a new row.
    pub(super) fn fields<F: Fields>(self) -> Result<F, Failure> {
        let fields: F = typed(Value::Object(self.0))?;
        fields.check()?;
        Ok(fields)
    }

    /// What is left, merged into the fields of a row as RFC 7396 merges
    /// patches: what isn't mentioned stays.
    pub(super) fn merged_into<F: Fields>(self, current: &F) -> Result<F, Failure> {
        let current = serde_json::to_value(current).map_err(|e| Failure::Internal(e.into()))?;
        let mut merged = Self::new(current)?;
        merged.0.extend(self.0);
        merged.fields()
    }
}

/// Reads fields; an error names the member it is about.
fn typed<F: Fields>(value: Value) -> Result<F, Failure> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { "body".to_owned() } else { path };
        Failure::invalid(field, error.into_inner().to_string())
    })
}
