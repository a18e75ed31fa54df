/// What happened to a row.
#[derive(Debug)]
#[non_exhaustive]
pub enum Change<'a, T> {
    /// It is new.
    Created(&'a T),
    /// It is another than before.
    Updated {
        /// As it was.
        before: &'a T,
        /// As it is.
        after: &'a T,
    },
    /// It is gone; this is how it was.
    Deleted(&'a T),
    /// Nobody says what: it may have been any of these.
    Somehow(&'a T),
}

impl<'a, T> Change<'a, T> {
    /// The row as it was; nothing where it is new.
    #[must_use]
    pub const fn before(self) -> Option<&'a T> {
        match self {
            Self::Created(_) => None,
            Self::Updated { before, .. } => Some(before),
            Self::Deleted(row) | Self::Somehow(row) => Some(row),
        }
    }

    /// The row as it is; nothing where it is gone.
    #[must_use]
    pub const fn after(self) -> Option<&'a T> {
        match self {
            Self::Deleted(_) => None,
            Self::Updated { after, .. } => Some(after),
            Self::Created(row) | Self::Somehow(row) => Some(row),
        }
    }

    /// The row in each of its states: before, after, or both.
    pub fn states(self) -> impl Iterator<Item = &'a T> {
        let (one, other) = match self {
            Self::Updated { before, after } => (before, Some(after)),
            Self::Created(row) | Self::Deleted(row) | Self::Somehow(row) => (row, None),
        };
        [one].into_iter().chain(other)
    }
}

impl<T> Clone for Change<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Change<'_, T> {}
