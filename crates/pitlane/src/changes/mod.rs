//! Which cached answers a change of the data ends, said once for each type of row.
//!
//! A [registry](Changes) knows the types of an application's rows. For each it has rules: the tags
//! that a row's change ends. Whoever writes names the rows, not the tags:
//!
//! ```
//! use pitlane::{Caches, changes::Changes, tags};
//!
//! struct Club { id: u64 }
//! struct Team { id: u64, club: u64 }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), pitlane::Error> {
//! # let caches = Caches::builder().build()?;
//! let changes = Changes::builder()
//!     .on_change::<Club>(|Club { id }| tags!["club:{id}"])
//!     .in_lists::<Club>(|_| tags!["clubs"])
//!     .on_change::<Team>(|team| tags!["team:{}"(team.id)])
//!     .in_lists::<Team>(|team| tags!["club:{}:teams"(team.club)])
//!     .build()?;
//!
//! // Team 7 moves from club 1 to club 2.
//! let (before, after) = (Team { id: 7, club: 1 }, Team { id: 7, club: 2 });
//! let ended = changes.updated(&before, &after)?;
//! assert_eq!(ended.names(), tags!["club:1:teams", "club:2:teams", "team:7"]);
//! let _outcome = caches.publish(ended).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Where the rows are in a database behind sqlx, the transaction guard of the crate `pitlane-sqlx`
//! collects them and publishes after COMMIT. Elsewhere, state what a write will end before it is
//! committed ([`Caches::owe`](crate::Caches::owe)), and publish after.

mod change;
mod registry;

pub use change::Change;
pub use registry::{Changes, ChangesBuilder};

/// A list of tags, each written as for [`format!`]: names in braces, or arguments in parentheses.
///
/// ```
/// use pitlane::{Tag, tags};
///
/// struct Member { club: u64, user: u64 }
/// let member = Member { club: 42, user: 7 };
/// let Member { club, .. } = member;
/// let tags: Vec<Tag> = tags!["clubs", "club:{club}:members", "user:{}:clubs"(member.user)];
/// assert_eq!(tags, ["clubs", "club:42:members", "user:7:clubs"].map(Tag::from));
/// ```
#[macro_export]
macro_rules! tags {
    ($($text:literal $(($($argument:expr),+ $(,)?))?),* $(,)?) => {{
        let tags: ::std::vec::Vec<$crate::Tag> = ::std::vec![$(
            $crate::Tag::new(::std::string::ToString::to_string(
                &::std::format_args!($text $(, $($argument),+)?),
            ))
        ),*];
        tags
    }};
}
