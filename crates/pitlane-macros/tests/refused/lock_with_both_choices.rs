//! Who waits in vain does one thing.
use pitlane_macros::cached;

pub struct Club;
pub struct DataError<E>(E);

#[cached(caches = &club.caches, cache = "query", key = "members", skip(club), lock(or_compute, or_error))]
async fn members(club: &Club) -> Result<u64, DataError<String>> {
    Ok(1)
}

fn main() {}
