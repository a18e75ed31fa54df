//! Calls that differ in another field would share one value.
use pitlane_macros::cached;

pub struct Club;
pub struct Filter;
pub struct DataError<E>(E);

#[cached(caches = &club.caches, cache = "query", key = "list:{filter.page}", skip(club))]
async fn list(club: &Club, filter: Filter) -> Result<u64, DataError<String>> {
    Ok(1)
}

fn main() {}
