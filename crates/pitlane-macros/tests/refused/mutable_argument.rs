//! Others would get the result without the change.
use pitlane_macros::cached;

pub struct Club;
pub struct DataError<E>(E);

#[cached(caches = &club.caches, cache = "query", key = "x", skip(club, count))]
async fn members(club: &Club, count: &mut u64) -> Result<u64, DataError<String>> {
    Ok(*count)
}

fn main() {}
