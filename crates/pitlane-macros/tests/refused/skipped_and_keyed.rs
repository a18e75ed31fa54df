//! An argument that both decides and does not.
use pitlane_macros::cached;

pub struct Club;
pub struct DataError<E>(E);

#[cached(caches = &club.caches, cache = "query", key = "club:{id}", skip(club, id))]
async fn members(club: &Club, id: u64) -> Result<u64, DataError<String>> {
    Ok(id)
}

fn main() {}
