//! Without a key nothing is found.
use pitlane_macros::cached;

pub struct Club;
pub struct DataError<E>(E);

#[cached(caches = &club.caches, cache = "query", skip(club))]
async fn members(club: &Club) -> Result<u64, DataError<String>> {
    Ok(1)
}

fn main() {}
