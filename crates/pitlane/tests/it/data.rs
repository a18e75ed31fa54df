//! Typed values, computed once and shared.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use pitlane::{
    Invalidation, Key,
    data::{Data, DataErrorKind, Json, Postcard},
};
use pitlane_testkit::{Gate, Origin};
use serde::{Deserialize, Serialize};
use tower::Layer;

use crate::drive::{FRESH, bench, bounded, get, until};

const MINUTE: Duration = Duration::from_secs(60);

fn key() -> Key {
    Key::new("club").child(42).child("members")
}

/// Counts its calls, and answers with their number.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicUsize>);

impl Counter {
    fn calls(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn count(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    async fn of(&self, data: &Data<usize>) -> usize {
        let this = self.clone();
        let count = async move || Ok::<_, Infallible>(this.count());
        bounded(data.get_or_compute(&key(), count)).await.unwrap()
    }

    async fn fails(&self, data: &Data<usize>) -> Result<usize, DataErrorKind> {
        let this = self.clone();
        let fail = async move || Err::<usize, _>(io::Error::other(this.count().to_string()));
        let result = bounded(data.get_or_compute(&key(), fail)).await;
        result.map_err(|error| error.kind())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_callers_are_one_computation() {
    let bench = bench();
    let (data, counter, gate) = (bench.cache.data::<usize>(), Counter::default(), Gate::new());
    let calls: Vec<_> = (0..1000)
        .map(|_| {
            let (data, counter, gate) = (data.clone(), counter.clone(), gate.clone());
            tokio::spawn(async move {
                let compute = async move || {
                    gate.pass().await;
                    Ok::<_, Infallible>(counter.count())
                };
                data.get_or_compute(&key(), compute).await.unwrap()
            })
        })
        .collect();
    bounded(gate.arrival()).await;
    gate.open(1000);
    for call in calls {
        assert_eq!(bounded(call).await.unwrap(), 1);
    }
    assert_eq!(counter.calls(), 1);
}

#[tokio::test]
async fn everybody_who_waits_gets_the_one_error_and_nobody_after_them() {
    let bench = bench();
    let (data, counter, gate) = (bench.cache.data::<usize>(), Counter::default(), Gate::new());
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let (data, counter, gate) = (data.clone(), counter.clone(), gate.clone());
            tokio::spawn(async move {
                let fail = async move || {
                    gate.pass().await;
                    Err::<usize, _>(io::Error::other(counter.count().to_string()))
                };
                data.get_or_compute(&key(), fail).await.unwrap_err()
            })
        })
        .collect();
    bounded(gate.arrival()).await;
    tokio::task::yield_now().await;
    gate.open(100);
    let mut errors = Vec::new();
    for call in calls {
        errors.push(bounded(call).await.unwrap());
    }
    assert_eq!(counter.calls(), 1);
    let first = errors[0].computation_error().unwrap();
    assert_eq!(first.to_string(), "1");
    let same = |error: &pitlane::data::DataError<io::Error>| {
        Arc::ptr_eq(error.computation_error().unwrap(), first)
    };
    assert!(errors.iter().all(same));
    assert_eq!(counter.of(&data).await, 2);
    assert_eq!(bench.cache.in_flight(), 0);
}

#[tokio::test]
async fn a_panic_is_an_error_for_all_who_wait_and_for_nobody_after_them() {
    let bench = bench();
    let (data, gate) = (bench.cache.data::<usize>(), Gate::new());
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let (data, gate) = (data.clone(), gate.clone());
            tokio::spawn(async move {
                let panics = async move || -> Result<usize, Infallible> {
                    gate.pass().await;
                    panic!("on purpose");
                };
                data.get_or_compute(&key(), panics)
                    .await
                    .unwrap_err()
                    .kind()
            })
        })
        .collect();
    bounded(gate.arrival()).await;
    tokio::task::yield_now().await;
    gate.open(10);
    for call in calls {
        assert_eq!(bounded(call).await.unwrap(), DataErrorKind::Panicked);
    }
    assert_eq!(Counter::default().of(&data).await, 1);
}

#[tokio::test]
async fn a_computation_outlives_its_caller() {
    let bench = bench();
    let (data, counter, gate) = (bench.cache.data::<usize>(), Counter::default(), Gate::new());
    let (inner, held) = (counter.clone(), gate.clone());
    let owned = data.clone();
    let caller = tokio::spawn(async move {
        let compute = async move || {
            held.pass().await;
            Ok::<_, Infallible>(inner.count())
        };
        owned.get_or_compute(&key(), compute).await
    });
    bounded(gate.arrival()).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    gate.open(1);
    until(|| counter.calls() == 1).await;
    assert_eq!(counter.of(&data).await, 1);
}

#[tokio::test]
async fn what_is_slow_is_answered_with_what_is_stale_and_goes_on() {
    let bench = bench();
    let data = bench
        .cache
        .data::<usize>()
        .ttl(MINUTE)
        .stale_if_error(MINUTE);
    let data = data.soft_timeout(Duration::from_millis(20));
    let counter = Counter::default();
    assert_eq!(counter.of(&data).await, 1);
    bench.clock.advance(MINUTE);
    let (inner, gate) = (counter.clone(), Gate::new());
    let held = gate.clone();
    let slow = async move || {
        held.pass().await;
        Ok::<_, Infallible>(inner.count())
    };
    assert_eq!(bounded(data.get_or_compute(&key(), slow)).await.unwrap(), 1);
    // A second caller waits for the first one's, no longer than it has to.
    let never = async || -> Result<usize, Infallible> { unreachable!() };
    assert_eq!(
        bounded(data.get_or_compute(&key(), never)).await.unwrap(),
        1
    );
    gate.open(1);
    until(|| bench.cache.in_flight() == 0).await;
    assert_eq!((counter.of(&data).await, counter.calls()), (2, 2));
}

#[tokio::test]
async fn a_hard_timeout_ends_a_computation() {
    let bench = bench();
    let data = bench
        .cache
        .data::<usize>()
        .ttl(MINUTE)
        .stale_if_error(MINUTE);
    let data = data.hard_timeout(Duration::from_millis(20));
    let (dropped, key) = (Arc::new(()), key());
    let stuck = |held: Arc<()>| {
        async move || {
            let _held = held;
            std::future::pending::<Result<usize, Infallible>>().await
        }
    };
    let timed_out = data.get_or_compute(&key, stuck(Arc::clone(&dropped)));
    assert_eq!(
        bounded(timed_out).await.unwrap_err().kind(),
        DataErrorKind::TimedOut
    );
    until(|| Arc::strong_count(&dropped) == 1).await;
    assert_eq!(bench.cache.in_flight(), 0);
    let counter = Counter::default();
    assert_eq!(counter.of(&data).await, 1);
    bench.clock.advance(MINUTE);
    let stale = data.get_or_compute(&key, stuck(Arc::clone(&dropped)));
    assert_eq!(bounded(stale).await.unwrap(), 1);
}

#[tokio::test]
async fn within_its_window_what_is_stale_is_handed_out_and_renewed_once() {
    let bench = bench();
    let data = bench
        .cache
        .data::<usize>()
        .ttl(MINUTE)
        .stale_while_revalidate(MINUTE);
    let counter = Counter::default();
    assert_eq!(counter.of(&data).await, 1);
    bench.clock.advance(MINUTE);
    for _ in 0..10 {
        assert_eq!(counter.of(&data).await, 1);
    }
    until(|| bench.cache.in_flight() == 0).await;
    assert_eq!((counter.of(&data).await, counter.calls()), (2, 2));
    bench.clock.advance(3 * MINUTE);
    assert_eq!(counter.of(&data).await, 3);
}

#[tokio::test]
async fn what_is_stale_stands_in_for_an_error_while_it_may() {
    let bench = bench();
    let data = bench
        .cache
        .data::<usize>()
        .ttl(MINUTE)
        .stale_if_error(MINUTE);
    let data = data.tags(["members"]);
    let counter = Counter::default();
    assert_eq!(counter.of(&data).await, 1);
    bench.clock.advance(MINUTE);
    assert_eq!(counter.fails(&data).await, Ok(1));
    bench.clock.advance(MINUTE);
    assert_eq!(counter.fails(&data).await, Err(DataErrorKind::Computation));
    assert_eq!(counter.of(&data).await, 4);
    bench.clock.advance(MINUTE);
    let _ = bench.caches.invalidate(["members"]).await.unwrap();
    assert_eq!(counter.fails(&data).await, Err(DataErrorKind::Computation));
}

#[tokio::test]
async fn what_is_stale_is_no_more_once_it_was_invalidated_meanwhile() {
    let bench = bench();
    let data = bench
        .cache
        .data::<usize>()
        .ttl(MINUTE)
        .stale_if_error(MINUTE);
    let data = data.tags(["members"]);
    Counter::default().of(&data).await;
    bench.clock.advance(MINUTE);
    let caches = bench.caches.clone();
    let fail = async move || {
        let _ = caches.invalidate(["members"]).await.unwrap();
        Err::<usize, _>(io::Error::other("no"))
    };
    let error = bounded(data.get_or_compute(&key(), fail))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), DataErrorKind::Computation);
}

#[tokio::test]
async fn what_was_invalidated_while_it_was_computed_serves_nobody_else() {
    let invalidations: [fn() -> Invalidation; 5] = [
        || Invalidation::tags(["members"]),
        || Invalidation::default().add_key(&key()),
        || Invalidation::default().add_key(&Key::new("club").child(42)),
        || Invalidation::default().add_key(&Key::new("club")),
        || Invalidation::tags(["inner"]),
    ];
    for invalidation in invalidations {
        let bench = bench();
        let data = bench.cache.data::<usize>().tags(["members"]);
        let (caches, cache, counter) = (
            bench.caches.clone(),
            bench.cache.clone(),
            Counter::default(),
        );
        let inner = counter.clone();
        let compute = async move || {
            pitlane::depend_on(&cache, ["inner"]);
            let computed = inner.count();
            let _ = caches.publish(invalidation()).await.unwrap();
            Ok::<_, Infallible>(computed)
        };
        assert_eq!(
            bounded(data.get_or_compute(&key(), compute)).await.unwrap(),
            1
        );
        assert_eq!(counter.of(&data).await, 2);
        assert_eq!(counter.of(&data).await, 2);
        let _ = bench
            .caches
            .publish(Invalidation::tags(["other"]))
            .await
            .unwrap();
        assert_eq!(counter.of(&data).await, 2);
    }
}

#[tokio::test]
async fn a_negative_value_has_a_life_of_its_own() {
    let bench = bench();
    let data = bench
        .cache
        .data::<Option<usize>>()
        .ttl(10 * MINUTE)
        .negative(Option::is_none, MINUTE);
    let of = |value: Option<usize>| {
        let data = data.clone();
        async move {
            let compute = async move || Ok::<_, Infallible>(value);
            bounded(data.get_or_compute(&key(), compute)).await.unwrap()
        }
    };
    assert_eq!(of(None).await, None);
    bench.clock.advance(MINUTE - Duration::from_secs(1));
    assert_eq!(of(Some(1)).await, None);
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(of(Some(1)).await, Some(1));
    bench.clock.advance(9 * MINUTE);
    assert_eq!(of(None).await, Some(1));
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Member {
    name: String,
}

#[tokio::test]
async fn other_versions_types_and_forms_live_side_by_side() {
    let bench = bench();
    let (cache, counter) = (&bench.cache, Counter::default());
    for expected in [1, 2, 3] {
        let data = cache.data::<usize>().version(expected);
        assert_eq!(counter.of(&data).await, usize::try_from(expected).unwrap());
    }
    assert_eq!(counter.of(&cache.data().version(1)).await, 1);
    assert_eq!(
        counter.of(&cache.data().codec(Postcard).version(2)).await,
        2
    );
    let json = cache.data::<usize>().codec(Json).version(1);
    let compute = async || Ok::<_, Infallible>(7);
    assert_eq!(json.get_or_compute(&key(), compute).await.unwrap(), 7);
    let member = Member { name: "Ada".into() };
    let typed = cache.data::<Member>().version(1);
    let own = member.clone();
    let compute = async move || Ok::<_, Infallible>(own);
    assert_eq!(typed.get_or_compute(&key(), compute).await.unwrap(), member);
    assert_eq!(counter.of(&cache.data().version(1)).await, 1);
    assert!(cache.get(&key()).is_none());
    // One invalidation of the key ends them all.
    let _ = bench
        .caches
        .publish(Invalidation::default().add_key(&key()))
        .await
        .unwrap();
    assert_eq!(counter.of(&cache.data().version(1)).await, 4);
    assert_eq!(counter.of(&cache.data().version(3)).await, 5);
}

#[tokio::test]
async fn each_user_has_values_of_their_own() {
    let bench = bench();
    let counter = Counter::default();
    let of = |id: &'static str| bench.cache.data::<usize>().user(id);
    assert_eq!(counter.of(&of("1")).await, 1);
    assert_eq!(counter.of(&of("2")).await, 2);
    assert_eq!(counter.of(&of("1:club")).await, 3);
    assert_eq!(counter.of(&bench.cache.data()).await, 4);
    let _ = bench.caches.invalidate(["user:1"]).await.unwrap();
    assert_eq!(counter.of(&of("1")).await, 5);
    assert_eq!(counter.of(&of("2")).await, 2);
    let user = Invalidation::default().add_key(&Key::new("user").child(2));
    let _ = bench.caches.publish(user).await.unwrap();
    assert_eq!(counter.of(&of("2")).await, 6);
    assert_eq!(counter.of(&of("1:club")).await, 3);
}

/// A value that has no form.
#[derive(Debug, Deserialize)]
struct Formless;

impl Serialize for Formless {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("formless"))
    }
}

#[tokio::test]
async fn a_value_without_a_form_reaches_its_caller_and_is_not_stored() {
    let bench = bench();
    let (data, counter) = (bench.cache.data::<Formless>(), Counter::default());
    for _ in 0..2 {
        let counter = counter.clone();
        let compute = async move || {
            counter.count();
            Ok::<_, Infallible>(Formless)
        };
        let Formless = bounded(data.get_or_compute(&key(), compute)).await.unwrap();
    }
    assert_eq!(counter.calls(), 2);
}

#[tokio::test]
async fn a_page_ends_with_the_values_that_it_shows() {
    let bench = bench();
    let (cache, counter) = (bench.cache.clone(), Counter::default());
    let inner = counter.clone();
    let handler = tower::service_fn(move |_: Request<Empty<Bytes>>| {
        let (cache, counter) = (cache.clone(), inner.clone());
        async move {
            let value = counter.of(&cache.data().tags(["members"])).await;
            Ok::<_, Infallible>(Origin::reply(FRESH, value.to_string()))
        }
    });
    let service = bench.layer.clone().layer(handler);
    assert_eq!(get(&service, "/").await.text(), "1");
    // Taken from memory this time: the page carries its tags all the same.
    assert_eq!(get(&service, "/other").await.text(), "1");
    assert!(get(&service, "/").await.is_hit());
    let _ = bench.caches.invalidate(["members"]).await.unwrap();
    for path in ["/", "/other"] {
        let page = get(&service, path).await;
        assert_eq!((page.text(), page.detail()), ("2", "invalidated"));
    }
}

#[tokio::test]
async fn a_page_that_shows_something_stale_is_not_stored() {
    let bench = bench();
    let (cache, counter) = (bench.cache.clone(), Counter::default());
    let handler = tower::service_fn(move |_: Request<Empty<Bytes>>| {
        let (cache, counter) = (cache.clone(), counter.clone());
        async move {
            let data = cache.data().ttl(MINUTE).stale_while_revalidate(MINUTE);
            let value = counter.of(&data).await;
            Ok::<_, Infallible>(Origin::reply(FRESH, value.to_string()))
        }
    });
    let service = bench.layer.clone().layer(handler);
    get(&service, "/").await;
    bench.clock.advance(MINUTE);
    let stale = get(&service, "/").await;
    assert_eq!((stale.text(), stale.detail()), ("1", "stale-dependency"));
    until(|| bench.cache.in_flight() == 0).await;
    assert_eq!(get(&service, "/").await.text(), "2");
}

/// Computes squares, and remembers which it was asked for.
#[derive(Clone, Default)]
struct Squares(Arc<Mutex<Vec<Vec<u64>>>>);

impl Squares {
    fn asked(&self) -> Vec<Vec<u64>> {
        self.0.lock().unwrap().clone()
    }

    async fn of(&self, data: &Data<u64>, ids: &[u64]) -> Vec<u64> {
        let this = self.clone();
        let compute = move |ids: Vec<u64>| {
            this.0.lock().unwrap().push(ids.clone());
            async move {
                tokio::task::yield_now().await;
                Ok::<_, Infallible>(ids.iter().map(|id| id * id).collect())
            }
        };
        let key = |id: &u64| Key::new("square").child(id);
        let many = data.get_many(ids.to_vec(), key, compute);
        bounded(many).await.unwrap()
    }
}

#[tokio::test]
async fn what_is_missing_of_many_is_computed_together() {
    let bench = bench();
    let (data, squares) = (bench.cache.data::<u64>(), Squares::default());
    assert_eq!(squares.of(&data, &[3, 1]).await, [9, 1]);
    assert_eq!(squares.of(&data, &[1, 2, 3, 4]).await, [1, 4, 9, 16]);
    assert_eq!(squares.of(&data, &[4, 4, 5, 5]).await, [16, 16, 25, 25]);
    assert_eq!(squares.of(&data, &[]).await, [0u64; 0]);
    assert_eq!(squares.asked(), [vec![3, 1], vec![2, 4], vec![5]]);
    let one = Invalidation::default().add_key(&Key::new("square").child(2));
    let _ = bench.caches.publish(one).await.unwrap();
    squares.of(&data, &[1, 2, 3]).await;
    assert_eq!(squares.asked().last().unwrap(), &[2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn overlapping_questions_wait_for_one_another_and_ask_for_nothing_twice() {
    for round in 0..50 {
        let bench = bench();
        let (data, squares) = (bench.cache.data::<u64>(), Squares::default());
        let calls: Vec<_> = (0..8)
            .map(|first| {
                let (data, squares) = (data.clone(), squares.clone());
                tokio::spawn(async move {
                    let mut ids: Vec<u64> = (first..first + 6).collect();
                    if first % 2 == 1 {
                        ids.reverse();
                    }
                    let found = squares.of(&data, &ids).await;
                    assert_eq!(found, ids.iter().map(|id| id * id).collect::<Vec<_>>());
                })
            })
            .collect();
        for call in calls {
            bounded(call).await.unwrap();
        }
        let mut asked = BTreeMap::new();
        for id in squares.asked().concat() {
            *asked.entry(id).or_insert(0) += 1;
        }
        assert!(
            asked.values().all(|times| *times == 1),
            "round {round}: {asked:?}"
        );
        assert_eq!(bench.cache.in_flight(), 0);
    }
}

#[tokio::test]
async fn many_values_that_are_not_as_many_as_asked_are_an_error() {
    let bench = bench();
    let data = bench.cache.data::<u64>();
    let key = |id: &u64| Key::new("square").child(id);
    let short = |_: Vec<u64>| async { Ok::<_, Infallible>(vec![1]) };
    let error = bounded(data.get_many([1, 2], key, short))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), DataErrorKind::Miscounted);
    assert_eq!(
        error.to_string(),
        "a computation was asked for 2 values and returned 1"
    );
    let fails = |_: Vec<u64>| async { Err::<Vec<u64>, _>(io::Error::other("no")) };
    let error = bounded(data.get_many([1, 2], key, fails))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), DataErrorKind::Computation);
    assert_eq!(bench.cache.in_flight(), 0);
    assert_eq!(Squares::default().of(&data, &[1, 2]).await, [1, 4]);
}

#[tokio::test]
async fn each_of_many_ends_with_what_all_were_made_of() {
    let bench = bench();
    let data = bench.cache.data::<u64>();
    let (cache, squares) = (bench.cache.clone(), Squares::default());
    let compute = move |ids: Vec<u64>| {
        let cache = cache.clone();
        async move {
            pitlane::depend_on(&cache, ["table"]);
            Ok::<_, Infallible>(ids)
        }
    };
    let key = |id: &u64| Key::new("square").child(id);
    assert_eq!(
        bounded(data.get_many([2, 3], key, compute)).await.unwrap(),
        [2, 3]
    );
    assert_eq!(squares.of(&data, &[3]).await, [3]);
    let _ = bench.caches.invalidate(["table"]).await.unwrap();
    assert_eq!(squares.of(&data, &[3]).await, [9]);
    assert_eq!(squares.of(&data, &[2]).await, [4]);
}

#[tokio::test(start_paused = true)]
async fn many_are_waited_for_together_and_no_longer_than_the_hard_timeout() {
    let bench = bench();
    let data = bench.cache.data::<u64>();
    let key = |id: &u64| Key::new("square").child(id);
    let stuck = |_: Vec<u64>| std::future::pending::<Result<Vec<u64>, Infallible>>();
    let leader = data.clone();
    let leading = tokio::spawn(async move { leader.get_many(0..50, key, stuck).await });
    until(|| bench.cache.in_flight() == 50).await;
    let began = tokio::time::Instant::now();
    let limit = Duration::from_secs(2);
    let waits = data.clone().hard_timeout(limit);
    let never = |_: Vec<u64>| async { Ok::<Vec<u64>, Infallible>(Vec::new()) };
    let error = waits.get_many(0..50, key, never).await.unwrap_err();
    assert_eq!(
        (error.kind(), began.elapsed()),
        (DataErrorKind::TimedOut, limit)
    );
    // Without one there is patience, once for all of them.
    let squares = Squares::default();
    let ids: Vec<u64> = (0..50).collect();
    let compute = squares.clone();
    let found = data.get_many(ids, key, move |ids: Vec<u64>| {
        compute.0.lock().unwrap().push(ids.clone());
        async move { Ok::<_, Infallible>(ids) }
    });
    assert_eq!(found.await.unwrap().len(), 50);
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "{:?}",
        began.elapsed()
    );
    leading.abort();
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_slow_computation_waits_as_long_as_it_may_take() {
    let bench = bench();
    let data = bench.cache.data::<usize>().hard_timeout(MINUTE);
    let counter = Counter::default();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (data, counter) = (data.clone(), counter.clone());
            tokio::spawn(async move {
                let slow = async move || {
                    tokio::time::sleep(MINUTE / 2).await;
                    Ok::<_, Infallible>(counter.count())
                };
                data.get_or_compute(&key(), slow).await.unwrap()
            })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_hangs_ends_and_gives_back_what_it_holds() {
    let bench = bench();
    let data = bench
        .cache
        .data::<usize>()
        .ttl(MINUTE)
        .stale_while_revalidate(10 * MINUTE);
    Counter::default().of(&data).await;
    bench.clock.advance(MINUTE);
    let stuck = async || std::future::pending::<Result<usize, Infallible>>().await;
    assert_eq!(data.get_or_compute(&key(), stuck).await.unwrap(), 1);
    until(|| bench.caches.background() == 1).await;
    tokio::time::sleep(2 * MINUTE).await;
    assert_eq!((bench.caches.background(), bench.cache.in_flight()), (0, 0));
}

#[tokio::test]
async fn what_has_no_form_and_what_failed_end_the_page_that_was_made_with_it() {
    for fails in [false, true] {
        for ending in [
            Invalidation::tags(["club:42"]),
            Invalidation::default().add_key(&key()),
        ] {
            let bench = bench();
            let cache = bench.cache.clone();
            let pages = bench.layer.clone().layer(Origin::new(move |_, call| {
                // JSON has no form for such keys.
                let data = cache.data::<BTreeMap<(u8, u8), u8>>().codec(Json);
                let data = data.tags(["club:42"]);
                async move {
                    let compute = async move || match fails {
                        true => Err(io::Error::other("no")),
                        false => Ok(BTreeMap::from([((1, 2), 3)])),
                    };
                    let result = data.get_or_compute(&key(), compute).await;
                    assert_eq!(result.is_err(), fails);
                    Origin::reply(FRESH, call.to_string())
                }
            }));
            get(&pages, "/").await;
            assert!(get(&pages, "/").await.is_hit());
            let _ = bench.caches.publish(ending.clone()).await.unwrap();
            assert!(!get(&pages, "/").await.is_hit(), "{fails} {ending:?}");
        }
    }
}
