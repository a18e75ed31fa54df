//! Each type would need a key of its own.
use pitlane_macros::cached;

pub struct Club;
pub struct DataError<E>(E);

#[cached(caches = &club.caches, cache = "query", key = "x:{id}", skip(club))]
async fn members<T: std::fmt::Display + Send>(club: &Club, id: T) -> Result<u64, DataError<String>> {
    Ok(1)
}

fn main() {}
