//! A tag names what is no argument.
use pitlane_macros::cached;

pub struct Club;
pub struct DataError<E>(E);

#[cached(caches = &club.caches, cache = "query", key = "club:{id}", tags = ["team:{team_id}"], skip(club))]
async fn members(club: &Club, id: u64) -> Result<u64, DataError<String>> {
    Ok(id)
}

fn main() {}
