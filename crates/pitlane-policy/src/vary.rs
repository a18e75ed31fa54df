use crate::syntax;
use http::header::VARY;
use http::{HeaderMap, HeaderName};

/// The request fields that a response depends on (RFC 9110 §12.5.5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Vary {
    /// It depends on none.
    #[default]
    Absent,
    /// It depends on more than fields can say, so it never matches another request.
    Any,
    /// It depends on these: sorted, each once, at least one.
    Fields(Box<[HeaderName]>),
}

impl Vary {
    /// Reads all `Vary` lines.
    ///
    /// A `*` anywhere counts for the whole, and so does a member that is no field name: what can't
    /// be understood can't be matched.
    #[must_use]
    pub fn parse(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(VARY).into_iter();
        let members = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
        let members = members
            .map(syntax::trim)
            .filter(|member| !member.is_empty());
        let mut names = Vec::new();
        for member in members {
            // `*` is a legal field name by grammar, so it has to be looked for first.
            match HeaderName::from_bytes(member) {
                Ok(name) if name != "*" => names.push(name),
                _ => return Self::Any,
            }
        }
        Self::of(names)
    }

    /// The fields, none for `Absent` and `Any`.
    #[must_use]
    pub fn fields(&self) -> &[HeaderName] {
        match self {
            Self::Absent | Self::Any => &[],
            Self::Fields(names) => names,
        }
    }

    /// Whether the response depends on this field.
    #[must_use]
    pub fn contains(&self, name: &HeaderName) -> bool {
        *self == Self::Any || self.fields().contains(name)
    }

    /// All that either depends on.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if *self == Self::Any || *other == Self::Any {
            return Self::Any;
        }
        Self::of([self.fields(), other.fields()].concat())
    }

    fn of(mut names: Vec<HeaderName>) -> Self {
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        if names.is_empty() {
            Self::Absent
        } else {
            Self::Fields(names.into())
        }
    }
}
