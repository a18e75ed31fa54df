//! The attribute `#[cached]`: use it as `pitlane::cached`.

mod arguments;
mod expand;
mod options;
mod template;

use proc_macro::TokenStream;

/// Caches what an async function or method computes, by its arguments.
///
/// ```ignore
/// use pitlane::{Caches, cached, data::DataError};
///
/// #[cached(
///     caches = &club.caches,
///     cache = "query",
///     ttl = "10m",
///     key = "club:{club_id}:members",
///     tags = ["club:{club_id}"],
///     version = 1,
///     skip(club),
/// )]
/// async fn members(club: &Club, club_id: u64) -> Result<Vec<Member>, DataError<sqlx::Error>> {
///     Ok(load(&club.pool, club_id).await?)
/// }
/// ```
///
/// The function's type is the one that is written. Its body is that of a function which returns
/// `Result<T, E>` where the type says `Result<T, DataError<E>>`. It runs in a task of its own, for all
/// who ask for the same at once: what it borrows is cloned first (`ToOwned`; a method's `Self` is
/// `Clone`).
///
/// | option | |
/// | --- | --- |
/// | `caches` | where the cache is: an expression of the type `&Caches`, in which the arguments can be used. There is no global registry |
/// | `cache` | the cache's name |
/// | `key` | the key, level by level; `{argument}` or `{argument.field}` stands for its text (`Display`), one in each level. Every argument is in it, or in `skip(…)`; one of which only a field is in it, in both; a method's `self` as well |
/// | `tags` | more that ends a value, with the same placeholders |
/// | `ttl`, `stale_while_revalidate`, `stale_if_error`, `soft_timeout`, `hard_timeout` | durations, as `"10m"`; see `pitlane::data::Data` |
/// | `negative` | how long `None` is kept, where the value is an `Option` |
/// | `user` | a template: the value is this user's own |
/// | `version` | of the value's type; count it up when its fields change |
/// | `codec` | a type that implements `pitlane::data::Codec` |
/// | `lock(…)` | of all servers one computes, the others wait for it: `or_compute` or `or_error` (what is done by those who waited in vain), `lease = "30s"`, `wait = "10s"`; see `pitlane::lock::Locking` (feature `locks`) |
/// | `skip(…)` | arguments that don't decide what is computed, such as a connection |
#[proc_macro_attribute]
pub fn cached(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::cached(options.into(), item.into())
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
