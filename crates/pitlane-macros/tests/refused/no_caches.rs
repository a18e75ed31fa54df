//! There is no global registry.
use pitlane_macros::cached;

pub struct Club;
pub struct DataError<E>(E);

#[cached(cache = "query", key = "club:{id}")]
async fn members(id: u64) -> Result<u64, DataError<String>> {
    Ok(id)
}

fn main() {}
