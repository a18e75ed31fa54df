//! The database behind the nodes, and what each answer may say of it.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// Rows that fit into memory.
pub(crate) const HOT: usize = 40;

/// Rows that mostly don't, so that their hits come from Redis.
const COLD: usize = 400;

pub(crate) const NODES: usize = 2;

/// What pages are filled up to. Every so many rows there is one that is larger than what a server
/// of Redis sends without counting it as a client's backlog.
const SMALL: usize = 1024;
const LARGE: usize = 18 * 1024;
const LARGE_EVERY: usize = 20;

/// The version of each row, and what was acknowledged of it.
#[derive(Debug)]
pub(crate) struct Rows {
    committed: Vec<AtomicU64>,
    /// Acknowledged by a node: what this node answers later is not older.
    own: [Vec<AtomicU64>; NODES],
    /// Acknowledged as being in the log: no answer that had to ask anybody is older.
    applied: Vec<AtomicU64>,
}

/// The oldest versions that a request which begins now may see.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor {
    pub(crate) own: u64,
    pub(crate) applied: u64,
}

impl Rows {
    pub(crate) fn new() -> Self {
        let zeros = || (0..HOT + COLD).map(|_| AtomicU64::new(0)).collect();
        Self {
            committed: zeros(),
            own: std::array::from_fn(|_| zeros()),
            applied: zeros(),
        }
    }

    pub(crate) const fn count() -> usize {
        HOT + COLD
    }

    pub(crate) fn read(&self, row: usize) -> u64 {
        self.committed[row].load(Ordering::SeqCst)
    }

    /// Commits a new version and returns it.
    pub(crate) fn write(&self, row: usize) -> u64 {
        self.committed[row].fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Notes that a node has acknowledged the invalidation that belongs to a version.
    pub(crate) fn acknowledge(&self, node: usize, row: usize, version: u64, applied: bool) {
        self.own[node][row].fetch_max(version, Ordering::SeqCst);
        if applied {
            self.applied[row].fetch_max(version, Ordering::SeqCst);
        }
    }

    pub(crate) fn floor(&self, node: usize, row: usize) -> Floor {
        Floor {
            own: self.own[node][row].load(Ordering::SeqCst),
            applied: self.applied[row].load(Ordering::SeqCst),
        }
    }

    /// Reads a page back, whole. Says what is wrong with it, or its version.
    pub(crate) fn check(&self, row: usize, floor: u64, body: &Bytes) -> Result<u64, String> {
        let text = std::str::from_utf8(body).map_err(|_| "no text".to_owned())?;
        let mut words = text.split(' ');
        let (named, version) = (words.next(), words.next());
        let version: u64 = version
            .and_then(|version| version.parse().ok())
            .ok_or_else(|| format!("no version in {:?}", text.get(..40)))?;
        if *body != page(row, version) {
            return Err(format!(
                "asked for row {row}, was given {named:?} or a part"
            ));
        }
        let newest = self.read(row);
        if version < floor || version > newest {
            return Err(format!(
                "version {version} of row {row}, when {floor} was acknowledged and {newest} is \
                 the newest"
            ));
        }
        Ok(version)
    }
}

/// A row's page: every byte follows from the row and its version.
pub(crate) fn page(row: usize, version: u64) -> Bytes {
    let large = row >= HOT && row.is_multiple_of(LARGE_EVERY);
    let length = if large { LARGE } else { SMALL };
    let mut page = format!("{row} {version} ");
    let filling = format!("{row}.{version};");
    while page.len() < length {
        page.push_str(&filling);
    }
    page.into()
}

/// The path of a row's page; it says in which cache the page is kept.
pub(crate) fn path(row: usize) -> String {
    let kind = if row < HOT { "hot" } else { "cold" };
    format!("/{kind}/{row}")
}

/// The row of a path.
pub(crate) fn row(path: &str) -> Option<usize> {
    let (_, row) = path.rsplit_once('/')?;
    row.parse().ok().filter(|row| *row < Rows::count())
}

pub(crate) fn tag(row: usize) -> String {
    format!("row-{row}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(row: usize, floor: u64, body: &Bytes, problem: &str) {
        let rows = Rows::new();
        rows.write(7);
        rows.write(7);
        match rows.check(row, floor, body) {
            Ok(version) => assert_eq!(problem, "", "accepted version {version}"),
            Err(said) => assert!(!problem.is_empty() && said.contains(problem), "{said}"),
        }
    }

    #[test]
    fn only_a_whole_page_of_the_row_between_floor_and_newest_is_right() {
        check(7, 1, &page(7, 1), "");
        check(7, 1, &page(7, 2), "");
        check(7, 2, &page(7, 1), "when 2 was acknowledged");
        check(7, 0, &page(7, 3), "2 is the newest");
        check(8, 0, &page(7, 1), "asked for row 8");
        check(7, 0, &page(7, 1).slice(..500), "or a part");
        check(7, 0, &Bytes::from_static(b"nothing"), "no version");
    }

    #[test]
    fn what_a_node_queued_binds_that_node_alone() {
        let rows = Rows::new();
        let version = rows.write(3);
        rows.acknowledge(0, 3, version, false);
        assert_eq!((rows.floor(0, 3).own, rows.floor(1, 3).own), (1, 0));
        assert_eq!(rows.floor(1, 3).applied, 0);
        rows.acknowledge(0, 3, version, true);
        assert_eq!(rows.floor(1, 3).applied, 1);
    }

    #[test]
    fn a_path_names_its_row() {
        for one in [0, HOT - 1, HOT, Rows::count() - 1] {
            assert_eq!(row(&path(one)), Some(one));
        }
        assert_eq!(row("/cold/440"), None);
    }
}
