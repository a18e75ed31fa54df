use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use foldhash::fast::RandomState;

use super::UNMATCHED;

/// More routes than this are counted together: a label must never grow with the traffic.
pub(crate) const MAX_ROUTES: usize = 512;
/// Where the routes beyond the bound are counted.
pub(crate) const OTHER: &str = "other";

/// The routes that have a label of their own. Whoever has no label has one.
#[derive(Debug)]
pub(crate) struct Routes(RwLock<Named>);

#[derive(Debug)]
struct Named {
    numbers: HashMap<Box<str>, u16, RandomState>,
    labels: Vec<Box<str>>,
}

impl Default for Routes {
    fn default() -> Self {
        let mut named = Named {
            numbers: HashMap::default(),
            labels: Vec::new(),
        };
        named.learn(UNMATCHED, 0);
        Self(RwLock::new(named))
    }
}

impl Routes {
    /// The number of a label; `None` once there are too many.
    pub(crate) fn number(&self, label: &str) -> Option<u16> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let number = known.number(label);
        // Whoever labels by paths does so for ever: that must not serialize its requests.
        if number.is_some() || known.is_full() {
            return number;
        }
        drop(known);
        let mut named = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = named.number(label) {
            return Some(number);
        }
        let number = u16::try_from(named.labels.len()).ok()?;
        if named.is_full() {
            return None;
        }
        named.learn(label, number);
        Some(number)
    }

    /// The label to count under.
    pub(crate) fn admit<'a>(&self, label: &'a str) -> &'a str {
        if self.number(label).is_some() {
            label
        } else {
            OTHER
        }
    }

    /// The label of a number.
    #[cfg(feature = "metrics")]
    pub(crate) fn label(&self, number: Option<u16>) -> String {
        let named = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let label = number.and_then(|number| named.labels.get(usize::from(number)));
        label.map_or(OTHER, |label| label).to_owned()
    }
}

impl Named {
    fn number(&self, label: &str) -> Option<u16> {
        self.numbers.get(label).copied()
    }

    fn is_full(&self) -> bool {
        // One of them is the label of those without any.
        self.labels.len() > MAX_ROUTES
    }

    fn learn(&mut self, label: &str, number: u16) {
        self.numbers.insert(label.into(), number);
        self.labels.push(label.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_keeps_its_place_when_there_are_too_many() {
        let routes = Routes::default();
        for route in 0..2 * MAX_ROUTES {
            routes.admit(&route.to_string());
        }
        assert_eq!(routes.admit("0"), "0");
        assert_eq!(routes.admit("511"), "511");
        assert_eq!(routes.admit("512"), OTHER);
        assert_eq!(routes.admit(UNMATCHED), UNMATCHED);
    }
}
