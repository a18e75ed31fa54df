//! What does not wait is not computed elsewhere.
use pitlane_macros::cached;

pub struct Club;
pub struct DataError<E>(E);

#[cached(caches = &club.caches, cache = "query", key = "x", skip(club))]
fn members(club: &Club) -> Result<u64, DataError<String>> {
    Ok(1)
}

fn main() {}
