//! What pages and the API show: each function reads one page's worth of rows
//! and collects the tags of all of them. HTML and JSON are made of the same
//! value, so they can't disagree about either.

mod clubs;
mod drivers;
mod events;
mod home;
mod people;
mod results;
mod search;

use serde::Serialize;

pub(crate) use clubs::{club, club_list, members, membership, team};
pub(crate) use drivers::driver;
pub(crate) use events::{event, event_list, series};
pub(crate) use home::home;
pub(crate) use people::me;
pub(crate) use search::search;

use crate::tags::Tags;

/// Data, and the tags of every row in it.
#[derive(Debug)]
pub(crate) struct Seen<T> {
    pub(crate) data: T,
    pub(crate) tags: Tags,
}

impl<T: Serialize> Seen<T> {
    fn new(data: T, tags: Tags) -> Self {
        Self { data, tags }
    }
}
