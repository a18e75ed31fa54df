use super::Fragment;
use crate::cache::{Budget, Place};
use crate::join::join_all;

/// Brings fragments from Redis into memory, all at once, so that rendering finds them. Returns how
/// many of them it will find.
///
/// Takes no longer than the request may lose to Redis in all; trouble with Redis is as if nothing
/// were there. A fragment that isn't told of here is rendered where memory doesn't have it.
///
/// # Example
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let caches = pitlane::Caches::builder().build()?;
/// # let cache = caches.get("default")?;
/// use pitlane::fragment::prefetch;
///
/// let stats = |club: u64| cache.fragment("club_stats").arg(club);
/// prefetch([stats(42), stats(43)]).await;
/// let html = stats(42).render(|| Ok::<_, std::fmt::Error>("…".to_owned()))?;
/// # assert_eq!(html, "…");
/// # Ok(())
/// # }
/// ```
pub async fn prefetch(fragments: impl IntoIterator<Item = Fragment>) -> usize {
    let (mut found, mut missing) = (0, Vec::new());
    for fragment in fragments {
        // Nothing that memory holds would be used.
        if fragment.unkept || fragment.cache.must_confirm() {
            continue;
        }
        let place = fragment.place(&fragment.whole_key());
        match fragment.is_there(&place) {
            true => found += 1,
            false => missing.push((fragment, place)),
        }
    }
    found + pull(missing).await
}

/// Looks into Redis for all of them. They share the time, and the trouble.
async fn pull(missing: Vec<(Fragment, Place)>) -> usize {
    let budget = missing.iter().find_map(|(one, _)| one.cache.budget());
    let Some((budget, left)) = budget.and_then(|budget| Some((budget.clone(), budget.left()?)))
    else {
        return 0;
    };
    let spent = budget.start();
    let looks = missing.iter().map(|(fragment, place)| async move {
        let own = Budget::new(left);
        let _ = fragment.cache.pull(place, Some(&own)).await;
        own.left().is_none()
    });
    let failed = join_all(looks).await.contains(&true);
    if failed {
        spent.exhaust();
    } else {
        spent.stop();
    }
    missing
        .iter()
        .filter(|(fragment, place)| fragment.is_there(place))
        .count()
}

impl Fragment {
    fn is_there(&self, place: &Place) -> bool {
        self.cache.peek(place).is_ok_and(|found| !found.stale)
    }
}
