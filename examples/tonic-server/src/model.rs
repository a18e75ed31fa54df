//! The demo data, in memory.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use crate::proto::{Club, Driver};

/// What the service knows of one club.
#[derive(Debug)]
struct Known {
    club: Club,
    drivers: Vec<Driver>,
}

/// All clubs.
#[derive(Debug)]
pub(crate) struct Clubs(RwLock<BTreeMap<u32, Known>>);

impl Clubs {
    /// Three clubs with three drivers each.
    pub(crate) fn demo() -> Self {
        let clubs = [
            (1, "Nordschleife Nights", "Nürburg", ["Ada", "Bea", "Cleo"]),
            (2, "Apex Owls", "Silverstone", ["Dara", "Eva", "Fay"]),
            (3, "Chicane Club", "Monza", ["Gia", "Hana", "Ines"]),
        ];
        Self(RwLock::new(clubs.into_iter().map(known).collect()))
    }

    pub(crate) fn get(&self, id: u32) -> Option<Club> {
        self.look(id, |known| known.club.clone())
    }

    pub(crate) fn drivers(&self, id: u32) -> Option<Vec<Driver>> {
        self.look(id, |known| known.drivers.clone())
    }

    /// Gives a club another name.
    pub(crate) fn rename(&self, id: u32, name: String) -> Option<Club> {
        let mut clubs = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let known = clubs.get_mut(&id)?;
        known.club.name = name;
        Some(known.club.clone())
    }

    fn look<T>(&self, id: u32, what: impl FnOnce(&Known) -> T) -> Option<T> {
        let clubs = self.0.read().unwrap_or_else(PoisonError::into_inner);
        clubs.get(&id).map(what)
    }
}

fn known((id, name, city, drivers): (u32, &str, &str, [&str; 3])) -> (u32, Known) {
    let (name, city) = (name.to_owned(), city.to_owned());
    let drivers = (10 * id..).zip(drivers).map(|(number, name)| Driver {
        number,
        name: name.to_owned(),
    });
    let known = Known {
        club: Club { id, name, city },
        drivers: drivers.collect(),
    };
    (id, known)
}
