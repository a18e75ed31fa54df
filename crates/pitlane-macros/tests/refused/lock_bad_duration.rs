//! A lease is a duration.
use pitlane_macros::cached;

pub struct Club;
pub struct DataError<E>(E);

#[cached(caches = &club.caches, cache = "query", key = "members", skip(club), lock(or_error, lease = "30"))]
async fn members(club: &Club) -> Result<u64, DataError<String>> {
    Ok(1)
}

fn main() {}
