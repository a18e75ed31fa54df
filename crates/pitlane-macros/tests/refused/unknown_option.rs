//! An option that nobody knows.
use pitlane_macros::cached;

pub struct Club;
pub struct DataError<E>(E);

#[cached(caches = &club.caches, cache = "query", key = "x", tll = "10m", skip(club))]
async fn members(club: &Club) -> Result<u64, DataError<String>> {
    Ok(1)
}

fn main() {}
