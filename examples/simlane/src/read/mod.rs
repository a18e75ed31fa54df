//! What pages and the API show: each function reads one page's worth of rows
//! and collects the tags of all of them. HTML and JSON are made of the same
//! value, so they can't disagree about either.
//!
//! What a page is made of is cached piece by piece, in the cache `query`: the
//! pages that show a club share what was read of it, and a change of its
//! members leaves the rest in place. A piece carries the tags of the rows in
//! it, and hands them on to the page that shows it.

mod clubs;
mod drivers;
mod events;
mod home;
mod people;
mod results;
mod search;

use serde::{Deserialize, Serialize};
use sqlx::{Sqlite, Transaction};

pub(crate) use clubs::{club, club_list, members, membership, team};
pub(crate) use drivers::driver;
pub(crate) use events::{event, event_list, series};
pub(crate) use home::home;
pub(crate) use people::{me, user};
pub(crate) use search::search;

use crate::Site;
use crate::failure::Failure;
use crate::tags::Tags;

/// Data, and the tags of every row in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Seen<T> {
    pub(crate) data: T,
    pub(crate) tags: Tags,
}

impl<T> Seen<T> {
    fn new(data: T, tags: Tags) -> Self {
        Self { data, tags }
    }

    /// The data alone; its tags are collected with the others of a page.
    fn noted(self, shown: &mut Tags) -> T {
        shown.extend(self.tags);
        self.data
    }
}

impl Site {
    /// A transaction, so that all queries of a piece see the same moment.
    async fn read(&self) -> Result<Transaction<'static, Sqlite>, Failure> {
        Ok(self.0.db.begin().await?)
    }

    /// What was read for the cache: it ends with any of the rows in it.
    fn piece<T>(&self, data: T, shown: Tags) -> Result<Seen<T>, Failure> {
        self.0.caching.note(shown.iter())?;
        Ok(Seen::new(data, shown))
    }
}
