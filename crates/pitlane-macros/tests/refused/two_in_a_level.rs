//! Different pairs of arguments would make one text.
use pitlane_macros::cached;

pub struct Club;
pub struct DataError<E>(E);

#[cached(caches = &club.caches, cache = "query", key = "doc:{owner}-{name}", skip(club))]
async fn document(club: &Club, owner: &str, name: &str) -> Result<u64, DataError<String>> {
    Ok(1)
}

fn main() {}
