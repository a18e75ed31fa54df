//! The key names what is no argument.
use pitlane_macros::cached;

pub struct Club;
pub struct DataError<E>(E);

#[cached(caches = &club.caches, cache = "query", key = "club:{team_id}", skip(club))]
async fn members(club: &Club, club_id: u64) -> Result<u64, DataError<String>> {
    Ok(club_id)
}

fn main() {}
