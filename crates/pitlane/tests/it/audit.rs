//! The auditor finds what is served though it is wrong, and nothing else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::Method;
use pitlane::{ResponseCache, ResponseCacheLayer, audit::Audit};
use pitlane_testkit::{Gate, Origin};
use tower::Layer;

use crate::drive::{Bench, ask, bench, bounded, get, until};

const FRESH: &[(&str, &str)] = &[
    ("cache-control", "max-age=3600"),
    ("cache-tag", "club:42"),
    ("content-type", "text/plain"),
];

/// A page that shows what is in the database.
struct Site {
    bench: Bench,
    data: Arc<AtomicU64>,
    origin: Origin,
    service: ResponseCache<Origin>,
}

fn always() -> Audit {
    Audit::one_in(1).grace(Duration::ZERO)
}

impl Site {
    fn new(audit: Audit) -> Self {
        let data = Arc::new(AtomicU64::new(1));
        let shown = Arc::clone(&data);
        Self::showing(audit, data, move |_| shown.load(Ordering::SeqCst))
    }

    /// The page is what `show` makes of the number of the handler's call.
    fn showing(
        audit: Audit,
        data: Arc<AtomicU64>,
        show: impl Fn(u64) -> u64 + Send + Sync + 'static,
    ) -> Self {
        let origin = Origin::new(move |_, call| {
            let page = Origin::reply(FRESH, show(call as u64).to_string());
            std::future::ready(page)
        });
        let bench = bench();
        let layer = bench.layer.clone().audit(audit);
        Self {
            service: layer.layer(origin.clone()),
            bench,
            data,
            origin,
        }
    }

    fn change(&self) {
        self.data.fetch_add(1, Ordering::SeqCst);
    }

    /// One hit, and all that comes behind it.
    async fn hit(&self) {
        self.hit_with(Method::GET, &[]).await;
    }

    async fn hit_with(&self, method: Method, headers: &[(&str, &str)]) {
        ask(&self.service, method, "/clubs/42?page=1", headers).await;
        self.settled().await;
    }

    async fn settled(&self) {
        until(|| self.bench.caches.background() == 0).await;
    }

    /// Audited, same, unstable, stale, ended, failed, unresolved.
    fn counts(&self) -> [u64; 7] {
        let report = self.bench.cache.audit_report();
        [
            report.audited,
            report.same,
            report.unstable,
            report.stale,
            report.ended,
            report.failed,
            report.unresolved,
        ]
    }
}

#[tokio::test]
async fn a_page_that_is_right_is_the_same() {
    let site = Site::new(always());
    site.hit().await;
    assert_eq!(site.counts(), [0; 7], "a miss is no hit");
    for _ in 0..10 {
        site.hit().await;
    }
    assert_eq!(site.counts(), [10, 10, 0, 0, 0, 0, 0]);
    assert_eq!(site.bench.cache.audit_report().stale_rate(), Some(0.0));
}

#[tokio::test]
async fn a_page_that_changed_without_a_word_is_found_within_the_hits_that_are_stated() {
    let site = Site::new(Audit::one_in(20).grace(Duration::ZERO));
    site.hit().await;
    site.change();
    site.bench.clock.advance(Duration::from_secs(90));
    // (1 - 1/20)^(600 - 2) is less than one in 10^13.
    let mut hits = 0;
    while site.counts()[3] == 0 {
        hits += 1;
        assert!(hits <= 600, "{:?}", site.counts());
        site.hit().await;
    }
    let report = site.bench.cache.audit_report();
    assert!(report.stale_rate().unwrap() > 0.0);
    let fault = &report.faults[0];
    assert_eq!(fault.key, "site.test/clubs/42?page=1");
    assert_eq!(fault.tags, ["club:42"]);
    assert_eq!(fault.differs, ["body"]);
    assert_eq!(fault.found_ms - fault.stored_ms, 90_000);
    assert!((fault.age_seconds - 90.0).abs() < 0.001);
    assert!(fault.position.contains('@'));
    // The cache does as ever: it reports, and repairs nothing.
    assert_eq!(get(&site.service, "/clubs/42?page=1").await.text(), "1");
}

#[tokio::test]
async fn a_page_that_is_different_each_time_is_unstable_and_never_stale() {
    let site = Site::showing(always(), Arc::default(), |call| call);
    for _ in 0..101 {
        site.hit().await;
    }
    assert_eq!(site.counts(), [50, 0, 50, 0, 0, 0, 0]);
}

#[tokio::test]
async fn a_page_that_comes_in_two_forms_takes_more_computations_that_agree() {
    // The stored form is the first; four of five computations make the other one.
    let form = |call: u64| u64::from(call % 5 != 1);
    let site = Site::showing(always().times(5), Arc::default(), form);
    for _ in 0..500 {
        site.hit().await;
    }
    let [audited, same, unstable, stale, ..] = site.counts();
    // The last one is looked at still.
    assert!(stale == 0 && same + unstable + 1 >= audited, "{audited}");
    assert!(unstable > 50, "{unstable}");
}

#[tokio::test]
async fn what_was_invalidated_while_it_was_computed_once_more_is_no_fault() {
    let (gate, data) = (Gate::new(), Arc::new(AtomicU64::new(1)));
    let (at, shown) = (gate.clone(), Arc::clone(&data));
    let origin = Origin::new(move |_, _| {
        let (at, shown) = (at.clone(), Arc::clone(&shown));
        async move {
            at.pass().await;
            Origin::reply(FRESH, shown.load(Ordering::SeqCst).to_string())
        }
    });
    let bench = bench();
    let service = bench.layer.clone().audit(always()).layer(origin);
    gate.open(1);
    get(&service, "/").await;
    bounded(gate.arrival()).await;
    get(&service, "/").await;
    bounded(gate.arrival()).await;
    data.store(2, Ordering::SeqCst);
    let _ = bench.caches.invalidate(["club:42"]).await.unwrap();
    gate.open(1);
    until(|| bench.caches.background() == 0).await;
    let report = bench.cache.audit_report();
    assert_eq!((report.audited, report.ended, report.stale), (1, 1, 0));
}

#[tokio::test]
async fn a_write_that_is_invalidated_a_moment_later_is_no_fault() {
    let site = Site::new(always());
    site.hit().await;
    // Committed, and seen by the auditor, before the invalidation is published.
    site.change();
    site.hit().await;
    assert_eq!(site.counts(), [1, 0, 0, 0, 0, 0, 0]);
    let caches = &site.bench.caches;
    let _ = caches.invalidate(["club:42"]).await.unwrap();
    for _ in 0..10 {
        site.hit().await;
    }
    assert_eq!(site.counts(), [1, 0, 0, 0, 0, 0, 0]);
    // Nobody waits for ever for an entry that is gone.
    site.bench.clock.advance(Duration::from_secs(61));
    site.hit().await;
    assert_eq!(site.counts(), [1, 0, 0, 0, 0, 0, 1]);
    site.hit().await;
    assert_eq!(site.counts(), [2, 1, 0, 0, 0, 0, 1]);
}

#[tokio::test]
async fn the_second_computation_waits_for_the_grace() {
    let site = Site::new(always().grace(Duration::from_secs(5)));
    site.hit().await;
    site.change();
    for _ in 0..10 {
        site.hit().await;
    }
    assert_eq!(site.origin.calls(), 2);
    site.bench.clock.advance(Duration::from_secs(5));
    site.hit().await;
    assert_eq!(site.counts(), [1, 0, 0, 1, 0, 0, 0]);
}

#[tokio::test]
async fn what_it_computes_is_neither_stored_nor_counted() {
    let site = Site::new(always());
    site.hit().await;
    site.change();
    for _ in 0..20 {
        site.hit().await;
    }
    let requests: u64 = site.bench.cache.counts().iter().map(|one| one.count).sum();
    assert_eq!(requests, 21);
    let fills: u64 = site
        .bench
        .cache
        .fills()
        .iter()
        .map(|(_, count)| count)
        .sum();
    assert_eq!(fills, 1);
    assert!(site.origin.calls() > 10);
    assert_eq!(get(&site.service, "/clubs/42?page=1").await.text(), "1");
}

#[tokio::test]
async fn the_same_cache_stacked_twice_neither_hides_nor_mends_what_is_stale() {
    let data = Arc::new(AtomicU64::new(1));
    let shown = Arc::clone(&data);
    let origin = Origin::new(move |_, _| {
        let page = Origin::reply(FRESH, shown.load(Ordering::SeqCst).to_string());
        std::future::ready(page)
    });
    let bench = bench();
    let inner = ResponseCacheLayer::new(&bench.cache).layer(origin.clone());
    let service = bench.layer.clone().audit(always()).layer(inner);
    get(&service, "/").await;
    let counted = || -> u64 { bench.cache.counts().iter().map(|one| one.count).sum() };
    let before = counted();
    data.store(2, Ordering::SeqCst);
    for _ in 0..6 {
        assert_eq!(get(&service, "/").await.text(), "1");
        until(|| bench.caches.background() == 0).await;
    }
    let report = bench.cache.audit_report();
    assert_eq!((report.same, report.unstable, report.stale), (0, 0, 3));
    assert_eq!((counted() - before, origin.calls()), (6, 7));
}

#[tokio::test]
async fn another_caches_layer_further_in_answers_the_auditor_like_anybody() {
    let bench = bench();
    let caches = pitlane::Caches::builder().build().unwrap();
    let inside = caches.get("default").unwrap();
    let origin = Origin::counting(FRESH);
    let inner = ResponseCacheLayer::new(&inside).layer(origin.clone());
    let service = bench.layer.clone().audit(always()).layer(inner);
    get(&service, "/").await;
    for _ in 0..3 {
        get(&service, "/").await;
        until(|| bench.caches.background() == 0).await;
    }
    assert_eq!((bench.cache.audit_report().same, origin.calls()), (3, 1));
}

#[tokio::test]
async fn a_suspect_is_given_up_by_the_hits_of_others_and_only_when_its_time_is_over() {
    let site = Site::new(always());
    site.hit().await;
    get(&site.service, "/others").await;
    site.change();
    site.hit().await;
    let other = async |seconds| {
        site.bench.clock.advance(Duration::from_secs(seconds));
        get(&site.service, "/others").await;
        site.settled().await;
        site.counts()
    };
    assert_eq!(other(60).await, [1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(other(1).await, [1, 0, 0, 0, 0, 0, 1]);
    // What was given up is drawn like any other.
    site.hit().await;
    assert_eq!(site.counts(), [2, 0, 0, 0, 0, 0, 1]);
}

#[tokio::test]
async fn heads_and_credentials_are_not_drawn_and_conditions_do_not_reach_the_handler() {
    let site = Site::new(always());
    site.hit().await;
    site.hit_with(Method::HEAD, &[]).await;
    site.hit_with(Method::GET, &[("range", "bytes=0-0")]).await;
    assert_eq!((site.counts()[0], site.origin.calls()), (0, 1));
    let seen = get(&site.service, "/clubs/42?page=1").await;
    site.settled().await;
    let etag = seen.header("etag").to_owned();
    site.hit_with(Method::GET, &[("if-none-match", &etag)])
        .await;
    assert_eq!(site.counts(), [2, 2, 0, 0, 0, 0, 0]);
}

#[tokio::test]
async fn one_computation_runs_at_a_time_and_one_that_takes_too_long_has_failed() {
    let gate = Gate::new();
    let at = gate.clone();
    let origin = Origin::new(move |_, _| {
        let at = at.clone();
        async move {
            at.pass().await;
            Origin::reply(FRESH, "page")
        }
    });
    let bench = bench();
    let audit = always().deadline(Duration::from_millis(50));
    let service = bench.layer.clone().audit(audit).layer(origin.clone());
    gate.open(1);
    get(&service, "/").await;
    for _ in 0..100 {
        get(&service, "/").await;
    }
    until(|| bench.caches.background() == 0).await;
    assert_eq!(origin.calls(), 2);
    let report = bench.cache.audit_report();
    assert_eq!((report.audited, report.failed), (1, 1));
    // It goes on.
    gate.open(1);
    get(&service, "/").await;
    until(|| bench.caches.background() == 0).await;
    assert_eq!(bench.cache.audit_report().same, 1);
}

#[tokio::test]
async fn a_handler_that_panics_for_the_auditor_ends_nothing_else() {
    let origin = Origin::new(|_, call| async move {
        assert!(call != 2, "as it happens");
        Origin::reply(FRESH, "page")
    });
    let bench = bench();
    let service = bench.layer.clone().audit(always()).layer(origin);
    for _ in 0..3 {
        get(&service, "/").await;
        tokio::task::yield_now().await;
        until(|| {
            let report = bench.cache.audit_report();
            report.audited == report.same + report.failed
        })
        .await;
    }
    let report = bench.cache.audit_report();
    assert_eq!((report.same, report.failed), (1, 1));
}
