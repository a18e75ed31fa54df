//! The data: laps as lines of text, in memory or in a file that servers share.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Driven before anybody came.
const DEMO: &str = "monza 80246 Ada\nmonza 81046 Ben\nspa 104701 Cleo\nsuzuka 90983 Ada\n";

/// The longest name of a track or a driver, in bytes.
const LONGEST_NAME: usize = 40;

/// One lap. Its text is the line that it is kept as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lap {
    /// Where: letters, digits and `-`.
    pub track: String,
    /// How long it took, in milliseconds.
    pub milliseconds: u32,
    /// Who drove: letters, digits, spaces and `-`.
    pub driver: String,
}

/// All laps that were driven.
#[derive(Clone, Debug)]
pub struct Laps(Arc<Store>);

#[derive(Debug)]
enum Store {
    Memory(Mutex<String>),
    File(PathBuf),
}

impl Laps {
    /// A few laps in memory.
    #[must_use]
    pub fn demo() -> Self {
        Self(Arc::new(Store::Memory(Mutex::new(DEMO.to_owned()))))
    }

    /// What is in a file, which need not be there yet.
    #[must_use]
    pub fn in_file(path: PathBuf) -> Self {
        Self(Arc::new(Store::File(path)))
    }

    /// Whether another server can see them too.
    #[must_use]
    pub fn are_shared(&self) -> bool {
        matches!(*self.0, Store::File(_))
    }

    /// Everything, read anew each time: what makes it quick is the cache in front. It blocks.
    ///
    /// # Errors
    ///
    /// When the file can't be read.
    pub fn read(&self) -> io::Result<Vec<Lap>> {
        let text = match &*self.0 {
            Store::Memory(text) => text.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            Store::File(path) => match std::fs::read_to_string(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
                read => read?,
            },
        };
        Ok(text.lines().filter_map(Lap::parse).collect())
    }

    /// Adds a lap. It blocks.
    ///
    /// # Errors
    ///
    /// When the file can't be written.
    pub fn add(&self, lap: &Lap) -> io::Result<()> {
        let line = format!("{lap}\n");
        match &*self.0 {
            Store::Memory(text) => {
                let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
                text.push_str(&line);
                Ok(())
            }
            // One write of one line at the end: two servers don't mix theirs.
            Store::File(path) => OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)?
                .write_all(line.as_bytes()),
        }
    }
}

impl Lap {
    /// A lap, if the names are names and it took time.
    #[must_use]
    pub fn new(track: &str, milliseconds: &str, driver: &str) -> Option<Self> {
        let milliseconds = milliseconds.parse().ok().filter(|time| *time > 0)?;
        let is_name = |name: &str, others: &[u8]| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || others.contains(&byte);
            (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(fits)
        };
        let named = is_name(track, b"-") && is_name(driver, b"- ") && driver.trim() == driver;
        named.then(|| Self {
            track: track.to_owned(),
            milliseconds,
            driver: driver.to_owned(),
        })
    }

    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.splitn(3, ' ');
        Self::new(parts.next()?, parts.next()?, parts.next()?)
    }
}

impl fmt::Display for Lap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.track, self.milliseconds, self.driver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(track: &str, milliseconds: &str, driver: &str, is_lap: bool) {
        let lap = Lap::new(track, milliseconds, driver);
        assert_eq!(lap.is_some(), is_lap, "{track} {milliseconds} {driver}");
        let read = lap.as_ref().and_then(|lap| Lap::parse(&lap.to_string()));
        assert_eq!(read, lap, "what is written is read again");
    }

    #[test]
    fn names_are_plain_and_times_are_whole() {
        check("monza", "80246", "Ada", true);
        check("spa-1970", "1", "Ada de la Lovelace-Byron", true);
        check("", "80246", "Ada", false);
        check("monza", "0", "Ada", false);
        check("monza", "-1", "Ada", false);
        check("monza", "80246", "", false);
        check("monza", "80246", " Ada", false);
        check("monza", "80246", "Ada\nspa 1 Eve", false);
        check("mon za", "80246", "Ada", false);
        check("../etc", "80246", "Ada", false);
        check(&"m".repeat(41), "80246", "Ada", false);
    }

    #[test]
    fn the_demo_is_made_of_laps() {
        assert_eq!(
            Laps::demo().read().expect("memory").len(),
            DEMO.lines().count()
        );
    }
}
