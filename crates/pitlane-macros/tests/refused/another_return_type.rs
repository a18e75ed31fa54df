//! There has to be room for what can go wrong.
use pitlane_macros::cached;

pub struct Club;
pub struct DataError<E>(E);

#[cached(caches = &club.caches, cache = "query", key = "x", skip(club))]
async fn members(club: &Club) -> Result<u64, String> {
    Ok(1)
}

fn main() {}
