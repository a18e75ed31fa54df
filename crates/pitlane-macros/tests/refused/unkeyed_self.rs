//! Different ones would share one value.
use pitlane_macros::cached;

pub struct Club;
pub struct DataError<E>(E);

impl Club {
    #[cached(caches = &self.caches, cache = "query", key = "members:{id}")]
    async fn members(&self, id: u64) -> Result<u64, DataError<String>> {
        Ok(id)
    }
}

fn main() {}
