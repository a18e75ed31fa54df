//! Calls that differ in the page would share one value.
use pitlane_macros::cached;

pub struct Club;
pub struct DataError<E>(E);

#[cached(caches = &club.caches, cache = "query", key = "club:{id}", skip(club))]
async fn members(club: &Club, id: u64, page: u32) -> Result<u32, DataError<String>> {
    Ok(page)
}

fn main() {}
