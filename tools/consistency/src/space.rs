//! What is cached: each row of the database, in several caches.

use pitlane::Key;

/// How many rows the database has.
pub(crate) const ROWS: usize = 128;

/// How many rows stand below one key and one URL.
pub(crate) const GROUP: usize = 16;

/// How many nodes there may be.
pub(crate) const NODES: usize = 8;

/// The caches, each with a nature of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    /// Values in memory and in Redis.
    Near,
    /// Values in Redis alone.
    Far,
    /// Values in memory that the log confirms at every hit.
    Strict,
    /// Answers over HTTP, through a layer; those of some rows have variants.
    Pages,
    /// Values that are made of the row's value in `Near`.
    Views,
}

impl Space {
    pub(crate) const ALL: [Self; 5] = [
        Self::Near,
        Self::Far,
        Self::Strict,
        Self::Pages,
        Self::Views,
    ];

    /// The caches whose keys carry the row's number below its group's.
    pub(crate) const KEYED: [Self; 4] = [Self::Near, Self::Far, Self::Strict, Self::Views];

    /// The name of the cache.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Near => "near",
            Self::Far => "far",
            Self::Strict => "strict",
            Self::Pages => "pages",
            Self::Views => "views",
        }
    }

    /// What an emptied cache takes along: what is made of its values goes with them.
    pub(crate) const fn cleared(self) -> &'static [Self] {
        match self {
            Self::Near => &[Self::Near, Self::Views],
            Self::Far => &[Self::Far],
            Self::Strict => &[Self::Strict],
            Self::Pages => &[Self::Pages],
            Self::Views => &[Self::Views],
        }
    }

    pub(crate) fn key(self, row: usize) -> Key {
        match self {
            Self::Views => Key::new("view").child(row),
            _ => group_key(row).child(row),
        }
    }
}

/// The caches as a configuration file names them.
pub(crate) const CONFIGURATION: &str = "\
[memory]
limit = \"24MiB\"
max_body = \"64KiB\"
[caches.near]
[caches.far]
memory = \"0B\"
[caches.strict]
coherence = \"strict\"
[caches.pages]
compression = \"none\"
[caches.views]
database = 3
";

pub(crate) fn tag(row: usize) -> String {
    format!("row:{row}")
}

pub(crate) fn group_key(row: usize) -> Key {
    Key::new("group").child(row / GROUP)
}

pub(crate) fn group_url(row: usize) -> String {
    format!("http://site.org/group/{}", row / GROUP)
}

pub(crate) fn path(row: usize) -> String {
    format!("/group/{}/{row}", row / GROUP)
}

pub(crate) fn url(row: usize) -> String {
    format!("http://site.org{}", path(row))
}

/// All rows of a row's group.
pub(crate) const fn group(row: usize) -> std::ops::Range<usize> {
    let first = row / GROUP * GROUP;
    first..first + GROUP
}
