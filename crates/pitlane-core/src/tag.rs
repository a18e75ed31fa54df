use std::{fmt, sync::Arc};

use crate::hash::{Digest, Hasher128};

/// What a record in the log speaks of. It is part of the table's key, so the cache `api` and the
/// tag `api` never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum TagKind {
    /// A name that many entries share.
    Tag = 1,
    /// A key and everything below it.
    Subtree = 2,
    /// A whole named cache.
    Cache = 3,
    /// Every variant of one URI.
    Uri = 4,
    /// A cache group of one origin (RFC 9875).
    Group = 5,
}

impl TagKind {
    /// The kind of a number that left the process.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Tag,
            2 => Self::Subtree,
            3 => Self::Cache,
            4 => Self::Uri,
            5 => Self::Group,
            _ => return None,
        })
    }

    /// The name used in metrics and the admin API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tag => "tag",
            Self::Subtree => "subtree",
            Self::Cache => "cache",
            Self::Uri => "uri",
            Self::Group => "group",
        }
    }
}

/// A name that entries share and that an invalidation can speak of. Any string is a tag; names
/// are compared byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    kind: TagKind,
    name: Arc<str>,
}

impl Tag {
    /// A plain tag, such as `club:42`.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self::of(TagKind::Tag, name)
    }

    /// A name of any kind.
    #[must_use]
    pub fn of(kind: TagKind, name: impl Into<Arc<str>>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }

    /// What the name speaks of.
    #[must_use]
    pub const fn kind(&self) -> TagKind {
        self.kind
    }

    /// The name alone.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// The tag's number in one log.
    #[must_use]
    pub fn id(&self, hasher: &TagHasher) -> TagId {
        TagId::of(hasher, self.kind, self.name.as_bytes())
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.kind.as_str(), &*self.name)
    }
}

impl<T: Into<Arc<str>>> From<T> for Tag {
    fn from(name: T) -> Self {
        Self::new(name)
    }
}

/// Numbers the tags of one log.
///
/// Within a process the key is random and the function fast. A log that several processes follow
/// needs a number that all of them find: BLAKE3 under a key that follows from the namespace.
#[derive(Clone, Debug)]
pub struct TagHasher(Numbers);

#[derive(Clone, Debug)]
enum Numbers {
    Local(Hasher128),
    Shared(Box<[u8; 32]>),
}

impl TagHasher {
    /// Numbers for this process alone.
    #[must_use]
    pub fn local() -> Self {
        Self(Numbers::Local(Hasher128::new()))
    }

    /// Numbers that every process finds that follows the log of `namespace`.
    #[must_use]
    pub fn shared(namespace: &str) -> Self {
        let key = blake3::derive_key("pitlane 2026 tag numbers", namespace.as_bytes());
        Self(Numbers::Shared(Box::new(key)))
    }
}

/// A tag as the table knows it: a keyed 128-bit digest of its kind and name. Should two names
/// ever share one, an invalidation reaches too far, which costs a miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagId(pub(crate) u128);

impl TagId {
    /// The number of a name, without building a [`Tag`].
    #[must_use]
    pub fn of(hasher: &TagHasher, kind: TagKind, name: &[u8]) -> Self {
        match &hasher.0 {
            Numbers::Local(hasher) => {
                let Digest(id) = hasher.digest_bytes(kind as u8, name);
                Self(id)
            }
            Numbers::Shared(key) => {
                let mut hasher = blake3::Hasher::new_keyed(key);
                hasher.update(&[kind as u8]);
                hasher.update(name);
                let mut id = [0; 16];
                hasher.finalize_xof().fill(&mut id);
                Self::from_bytes(id)
            }
        }
    }

    /// The number in the form in which it leaves the process.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The number that [`TagId::to_bytes`] wrote.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

/// One invalidation of one tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Whose entries.
    pub tag: TagId,
    /// Soft marks make entries stale; hard ones make them unusable.
    pub soft: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_of_two_kinds_has_two_ids() {
        for hasher in [TagHasher::local(), TagHasher::shared("site")] {
            let api = Tag::new("api").id(&hasher);
            assert_ne!(api, Tag::of(TagKind::Cache, "api").id(&hasher));
            assert_eq!(api, Tag::from("api").id(&hasher));
        }
    }

    #[test]
    fn every_process_finds_the_shared_number_and_no_other_namespace_does() {
        let id = |namespace| Tag::new("api").id(&TagHasher::shared(namespace));
        assert_eq!(id("site"), id("site"));
        assert_ne!(id("site"), id("other"));
        assert_ne!(
            Tag::new("api").id(&TagHasher::local()),
            Tag::new("api").id(&TagHasher::local())
        );
    }

    #[test]
    fn every_kind_has_its_number() {
        for number in 0..=u8::MAX {
            if let Some(kind) = TagKind::from_number(number) {
                assert_eq!(kind as u8, number);
            }
        }
        assert_eq!(
            TagKind::from_number(TagKind::Group as u8),
            Some(TagKind::Group)
        );
    }
}
