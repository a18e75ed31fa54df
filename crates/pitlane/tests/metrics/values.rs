//! Looks and computations of data behind the handlers.

use std::time::Duration;

use pitlane::{Cache, Claim, Fill, Freshness, Key};

use crate::{
    book::Book,
    drive::{SECOND, bench},
};

const MINUTE: Duration = Duration::from_secs(60);

async fn claim(cache: &Cache) -> Fill {
    match cache.claim(&Key::new("club")).await {
        Claim::Fill(fill) => fill,
        Claim::Hit(value) => panic!("{value:?}"),
    }
}

#[tokio::test]
async fn looks_and_computations_of_values_are_counted_once_each() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    let bench = bench();
    let cache = &bench.cache;
    let key = Key::new("club");

    assert!(cache.get(&key).is_none());
    drop(claim(cache).await);
    claim(cache).await.release();
    let freshness = Freshness::new(MINUTE).with_stale_while_revalidate(MINUTE);
    claim(cache)
        .await
        .store_with("a club", freshness, ["clubs"]);
    assert!(cache.get(&key).is_some());
    assert!(cache.read(&key).await.is_some());
    assert!(matches!(cache.claim(&key).await, Claim::Hit(_)));
    bench.clock.advance(70 * SECOND);
    assert!(cache.get(&key).is_some_and(|value| value.is_stale()));
    let _ = bench.caches.invalidate(["clubs"]).await;
    assert!(cache.get(&key).is_none());
    bench.caches.record_metrics();

    let check = |name: &str, expected: &[(&str, u64)]| {
        let expected = expected.iter();
        let expected =
            expected.map(|(labels, count)| (format!("{name}{{cache=default,{labels}}}"), *count));
        assert_eq!(book.counted(name), expected.collect());
    };
    check(
        "pitlane_lookups_total",
        &[
            ("tier=memory,outcome=miss,reason=uri-miss", 4),
            ("tier=memory,outcome=hit,reason=fresh", 3),
            ("tier=memory,outcome=hit,reason=stale-while-revalidate", 1),
            ("tier=memory,outcome=unusable,reason=invalidated", 1),
        ],
    );
    check(
        "pitlane_fills_total",
        &[
            ("outcome=abandoned", 1),
            ("outcome=uncacheable", 1),
            ("outcome=stored", 1),
        ],
    );
    assert_eq!(
        book.counter("pitlane_invalidations_total{kind=tag,outcome=applied}"),
        1
    );
}
