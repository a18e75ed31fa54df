//! What all processes know for certain, in files that they share.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::moment::Moment;
use crate::space::{NODES, ROWS, Space};

/// The database: one version for each row. A row has one writer.
#[derive(Debug)]
pub(crate) struct Database {
    file: File,
    writing: Mutex<()>,
}

impl Database {
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let file = open(&folder.join("rows"), ROWS * PAIR)?;
        Ok(Self {
            file,
            writing: Mutex::default(),
        })
    }

    pub(crate) fn version(&self, row: usize) -> io::Result<u64> {
        read_pair(&self.file, row)
    }

    /// Commits a new version of a row that belongs to this process, and returns it.
    pub(crate) fn commit(&self, row: usize) -> io::Result<u64> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let version = self.version(row)? + 1;
        write_pair(&self.file, row, version)?;
        Ok(version)
    }
}

/// How an entry must answer to an invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grade {
    /// It must not be used.
    Hard,
    /// It must not be called fresh.
    Soft,
}

/// The newest versions that some invalidation was about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Floor {
    pub(crate) hard: u64,
    pub(crate) soft: u64,
}

impl Floor {
    /// What a value must at least be.
    pub(crate) fn needed(self, stale: bool) -> u64 {
        if stale {
            self.hard
        } else {
            self.hard.max(self.soft)
        }
    }

    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            hard: self.hard.max(other.hard),
            soft: self.soft.max(other.soft),
        }
    }
}

/// The acknowledged invalidations: for each row in each cache the newest version that was
/// committed before an invalidation whose acknowledgement has come, and when the last few came.
///
/// Each node has fields of its own, so that none waits for another.
#[derive(Debug)]
pub(crate) struct Acknowledged {
    floors: File,
    recent: File,
    node: usize,
    /// How often each of this node's fields was written.
    written: Mutex<Vec<u64>>,
}

/// How many acknowledgements of each field are known with their time.
const RECENT: usize = 16;

const GRADES: usize = 2;
const FIELDS: usize = NODES * GRADES;
const CELLS: usize = ROWS * Space::ALL.len();
const TIMED: usize = 24;

impl Acknowledged {
    /// The table as `node` sees it.
    pub(crate) fn open(folder: &Path, node: usize) -> io::Result<Self> {
        Ok(Self {
            floors: open(&folder.join("floors"), CELLS * FIELDS * PAIR)?,
            recent: open(&folder.join("recent"), CELLS * FIELDS * RECENT * TIMED)?,
            node,
            written: Mutex::new(vec![0; CELLS * GRADES]),
        })
    }

    /// What was acknowledged until now.
    pub(crate) fn floor(&self, row: usize, space: Space) -> io::Result<Floor> {
        let first = cell(row, space) * FIELDS;
        let mut bytes = [0; FIELDS * PAIR];
        loop {
            self.floors.read_exact_at(&mut bytes, offset(first, PAIR))?;
            let (fields, _) = bytes.as_chunks::<PAIR>();
            let mut floor = Floor::default();
            let mut whole = true;
            for field in fields.as_chunks::<GRADES>().0 {
                let [hard, soft] = field.map(|field| pair(&field));
                whole &= hard.is_some() && soft.is_some();
                floor = floor.max(Floor {
                    hard: hard.unwrap_or_default(),
                    soft: soft.unwrap_or_default(),
                });
            }
            if whole {
                return Ok(floor);
            }
        }
    }

    /// Notes an acknowledgement that came at `at`.
    pub(crate) fn add(
        &self,
        (row, space): (usize, Space),
        grade: Grade,
        version: u64,
        at: Moment,
    ) -> io::Result<()> {
        let cell = cell(row, space);
        let field = cell * FIELDS + self.node * GRADES + grade as usize;
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if read_pair(&self.floors, field)? >= version {
            return Ok(());
        }
        let count = written.get_mut(cell * GRADES + grade as usize);
        let count = count.ok_or(io::ErrorKind::NotFound)?;
        let slot = usize::try_from(*count).unwrap_or_default() % RECENT;
        *count += 1;
        let words = [version, at.0, version ^ at.0];
        let place = offset(field * RECENT + slot, TIMED);
        let bytes = words.map(u64::to_le_bytes);
        self.recent.write_all_at(bytes.as_flattened(), place)?;
        // After the time: whoever sees the floor finds out since when it holds.
        write_pair(&self.floors, field, version)
    }

    /// The first known acknowledgement of something newer than `version`.
    pub(crate) fn first_newer(
        &self,
        (row, space): (usize, Space),
        stale: bool,
        version: u64,
    ) -> io::Result<Option<Moment>> {
        let first = cell(row, space) * FIELDS * RECENT;
        let mut bytes = [0; FIELDS * RECENT * TIMED];
        self.recent
            .read_exact_at(&mut bytes, offset(first, TIMED))?;
        let (timed, _) = bytes.as_chunks::<TIMED>();
        let counts = |index: usize| !stale || (index / RECENT).is_multiple_of(GRADES);
        let newer = timed
            .iter()
            .enumerate()
            .filter(|(index, _)| counts(*index))
            .filter_map(|(_, timed)| {
                let (words, _) = timed.as_chunks::<8>();
                let words: [[u8; 8]; 3] = words.try_into().ok()?;
                let [newer, at, check] = words.map(u64::from_le_bytes);
                (newer ^ at == check && newer > version).then_some(Moment(at))
            });
        Ok(newer.min())
    }
}

const fn cell(row: usize, space: Space) -> usize {
    row * Space::ALL.len() + space as usize
}

/// A number is written twice: a reader that comes in between sees two.
const PAIR: usize = 16;

fn offset(index: usize, size: usize) -> u64 {
    (index * size) as u64
}

fn open(path: &Path, length: usize) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    file.set_len(length as u64)?;
    Ok(file)
}

fn pair(bytes: &[u8; PAIR]) -> Option<u64> {
    let (words, _) = bytes.as_chunks::<8>();
    let words: [[u8; 8]; 2] = words.try_into().ok()?;
    let [one, other] = words.map(u64::from_le_bytes);
    (one == other).then_some(one)
}

fn read_pair(file: &File, index: usize) -> io::Result<u64> {
    let mut bytes = [0; PAIR];
    loop {
        file.read_exact_at(&mut bytes, offset(index, PAIR))?;
        if let Some(number) = pair(&bytes) {
            return Ok(number);
        }
    }
}

fn write_pair(file: &File, index: usize, number: u64) -> io::Result<()> {
    let bytes = [number.to_le_bytes(); 2];
    file.write_all_at(bytes.as_flattened(), offset(index, PAIR))
}
