//! `#[cached]`, from outside.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(feature = "locks")]
mod locked;

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

use pitlane::{
    Caches, Clock, Invalidation, Key, Timestamp, cached,
    data::{DataError, DataErrorKind, Json},
};

/// What the functions under test work on: it counts what they compute.
#[derive(Clone)]
struct Club {
    caches: Caches,
    clock: Clock,
    computed: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Club {
    fn new() -> Self {
        let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
        let caches = Caches::builder().cache("query").clock(clock.clone());
        Self {
            caches: caches.build().unwrap(),
            clock,
            computed: Arc::default(),
        }
    }

    fn compute(&self, what: impl Into<String>) -> usize {
        let mut computed = self.computed.lock().unwrap();
        let count = computed.entry(what.into()).or_default();
        *count += 1;
        *count
    }

    /// What a method computes.
    #[cached(
        caches = &self.caches,
        cache = "query",
        ttl = "10m",
        key = "club:{club_id}:members:{page.number}",
        tags = ["club:{club_id}", "members"],
        version = 1,
        skip(self, page)
    )]
    async fn members(&self, club_id: u64, page: Page) -> Result<String, DataError<Infallible>> {
        let count = self.compute(format!("{club_id}.{}", page.number));
        Ok(format!("{club_id}.{} {count}", page.number))
    }
}

#[derive(Clone)]
struct Page {
    number: u32,
}

/// What a function computes from what it borrows.
#[cached(
    caches = &club.caches,
    cache = "query",
    key = "search:{query}",
    ttl = "1m",
    stale_if_error = "1m",
    codec = Json,
    skip(club)
)]
async fn search(club: &Club, query: &str) -> Result<Vec<String>, DataError<io::Error>> {
    let count = club.compute(query);
    if query == "fails" || count == 3 {
        return Err(io::Error::other(query.to_owned()));
    }
    Ok(vec![format!("{query} {count}")])
}

#[cached(caches = &club.caches, cache = "query", key = "driver:{id}", ttl = "1h", negative = "30s", skip(club))]
async fn driver(club: Club, id: u64) -> Result<Option<u64>, DataError<Infallible>> {
    let count = club.compute(format!("driver {id}"));
    Ok((count > 1).then_some(id))
}

#[cached(caches = &club.caches, cache = "query", user = "{user_id}", key = "settings", skip(club))]
async fn settings(club: &Club, user_id: u32) -> Result<usize, DataError<Infallible>> {
    Ok(club.compute(format!("settings {user_id}")))
}

#[cached(caches = &club.caches, cache = "nowhere", key = "x", skip(club))]
async fn misnamed(club: &Club) -> Result<usize, DataError<Infallible>> {
    Ok(club.compute("misnamed"))
}

mod other {
    use super::{Club, DataError, Infallible, cached};

    /// A function of the same type, with the same key.
    #[cached(caches = &club.caches, cache = "query", user = "{user_id}", key = "settings", skip(club))]
    pub(super) async fn settings(
        club: &Club,
        user_id: u32,
    ) -> Result<usize, DataError<Infallible>> {
        Ok(100 + club.compute(format!("other settings {user_id}")))
    }
}

/// One for each tenant.
#[derive(Clone)]
struct Tenant {
    id: &'static str,
    club: Club,
}

impl Tenant {
    #[cached(caches = &self.club.caches, cache = "query", key = "{self.id}:members:{page}")]
    async fn members(&self, page: u32) -> Result<String, DataError<Infallible>> {
        Ok(format!("{} {page} {}", self.id, self.club.compute(self.id)))
    }
}

/// Another type with a method of the same name, in the same module.
#[derive(Clone)]
struct Other(Club);

impl Other {
    #[cached(caches = &self.0.caches, cache = "query", key = "{id}", skip(self))]
    async fn get(&self, id: u32) -> Result<String, DataError<Infallible>> {
        Ok(format!("other {id}"))
    }
}

impl Tenant {
    #[cached(caches = &self.club.caches, cache = "query", key = "{id}", skip(self))]
    async fn get(&self, id: u32) -> Result<String, DataError<Infallible>> {
        Ok(format!("tenant {id}"))
    }
}

#[tokio::test]
async fn methods_of_one_name_are_two() {
    let club = Club::new();
    let tenant = Tenant {
        id: "a",
        club: club.clone(),
    };
    for _ in 0..2 {
        assert_eq!(tenant.get(1).await.unwrap(), "tenant 1");
        assert_eq!(Other(club.clone()).get(1).await.unwrap(), "other 1");
    }
}

#[tokio::test]
async fn functions_and_tenants_never_share() {
    let club = Club::new();
    for _ in 0..2 {
        assert_eq!(settings(&club, 1).await.unwrap(), 1);
        assert_eq!(other::settings(&club, 1).await.unwrap(), 101);
        for id in ["a", "b"] {
            let tenant = Tenant {
                id,
                club: club.clone(),
            };
            assert_eq!(tenant.members(1).await.unwrap(), format!("{id} 1 1"));
        }
    }
}

async fn found(club: &Club, query: &str) -> String {
    search(club, query).await.unwrap().concat()
}

#[tokio::test]
async fn calls_with_equal_arguments_share_one_value() {
    let club = Club::new();
    for _ in 0..3 {
        assert_eq!(found(&club, "a").await, "a 1");
        assert_eq!(found(&club, "b").await, "b 1");
    }
    let page = |number| Page { number };
    for _ in 0..2 {
        assert_eq!(club.members(1, page(1)).await.unwrap(), "1.1 1");
        assert_eq!(club.members(1, page(2)).await.unwrap(), "1.2 1");
        assert_eq!(club.members(2, page(1)).await.unwrap(), "2.1 1");
    }
}

#[tokio::test]
async fn what_an_argument_holds_makes_no_level_and_no_other_key() {
    let club = Club::new();
    for query in ["a:b", "a", "a%3Ab", "a@1", "{a}", ""] {
        assert_eq!(found(&club, query).await, format!("{query} 1"));
    }
    let below = Invalidation::default().add_key(&Key::new("search").child("a"));
    let _ = club.caches.publish(below).await.unwrap();
    assert_eq!(found(&club, "a").await, "a 2");
    assert_eq!(found(&club, "a:b").await, "a:b 1");
}

#[tokio::test]
async fn tags_and_keys_end_what_they_name() {
    let club = Club::new();
    let page = Page { number: 1 };
    let invalidations = [
        Invalidation::tags(["club:1"]),
        Invalidation::tags(["members"]),
        Invalidation::default().add_key(&Key::new("club").child(1)),
    ];
    for (round, invalidation) in invalidations.into_iter().enumerate() {
        let expected = format!("1.1 {}", round + 1);
        assert_eq!(club.members(1, page.clone()).await.unwrap(), expected);
        let _ = club
            .caches
            .publish(Invalidation::tags(["club:2"]))
            .await
            .unwrap();
        assert_eq!(club.members(1, page.clone()).await.unwrap(), expected);
        let _ = club.caches.publish(invalidation).await.unwrap();
    }
    assert_eq!(club.members(1, page).await.unwrap(), "1.1 4");
}

#[tokio::test]
async fn an_error_is_the_functions_own_and_what_is_stale_stands_in() {
    let club = Club::new();
    for count in 1..3 {
        let error = search(&club, "fails").await.unwrap_err();
        assert_eq!(error.kind(), DataErrorKind::Computation);
        assert_eq!(error.computation_error().unwrap().to_string(), "fails");
        assert_eq!(club.computed.lock().unwrap()["fails"], count);
    }
    assert_eq!(found(&club, "a").await, "a 1");
    club.clock.advance(Duration::from_secs(60));
    assert_eq!(found(&club, "a").await, "a 2");
    club.clock.advance(Duration::from_secs(60));
    assert_eq!(found(&club, "a").await, "a 2");
    assert_eq!(club.computed.lock().unwrap()["a"], 3);
}

#[tokio::test]
async fn none_is_kept_as_long_as_it_is_said() {
    let club = Club::new();
    assert_eq!(driver(club.clone(), 7).await.unwrap(), None);
    club.clock.advance(Duration::from_secs(29));
    assert_eq!(driver(club.clone(), 7).await.unwrap(), None);
    club.clock.advance(Duration::from_secs(1));
    assert_eq!(driver(club.clone(), 7).await.unwrap(), Some(7));
    club.clock.advance(Duration::from_secs(3599));
    assert_eq!(driver(club.clone(), 7).await.unwrap(), Some(7));
    assert_eq!(club.computed.lock().unwrap()["driver 7"], 2);
}

#[tokio::test]
async fn a_users_values_are_their_own() {
    let club = Club::new();
    for _ in 0..2 {
        assert_eq!(settings(&club, 1).await.unwrap(), 1);
        assert_eq!(settings(&club, 2).await.unwrap(), 1);
    }
    let _ = club.caches.invalidate(["user:1"]).await.unwrap();
    assert_eq!(settings(&club, 1).await.unwrap(), 2);
    assert_eq!(settings(&club, 2).await.unwrap(), 1);
}

#[tokio::test]
async fn a_cache_that_is_not_there_is_an_error_that_names_those_that_are() {
    let error = misnamed(&Club::new()).await.unwrap_err();
    assert_eq!(error.kind(), DataErrorKind::Configuration);
    assert!(error.to_string().contains("nowhere"), "{error}");
}

/// An argument that counts how often it is copied.
struct Copied(Arc<AtomicUsize>);

impl Clone for Copied {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

#[cached(caches = &club.caches, cache = "query", key = "laps", tags = ["laps"], skip(club, copied))]
async fn laps(club: &Club, copied: &Copied) -> Result<usize, DataError<Infallible>> {
    let _ = copied;
    Ok(club.compute("laps"))
}

#[tokio::test]
async fn a_hit_makes_no_argument_its_own() {
    let (club, copies) = (Club::new(), Arc::new(AtomicUsize::new(0)));
    let copied = Copied(Arc::clone(&copies));
    for _ in 0..3 {
        assert_eq!(laps(&club, &copied).await.unwrap(), 1);
        assert_eq!(
            copies.load(Ordering::Relaxed),
            1,
            "the computation needs one"
        );
    }
    // What a hit did not look at still ends it.
    let _ = club.caches.invalidate(["laps"]).await.unwrap();
    assert_eq!(laps(&club, &copied).await.unwrap(), 2);
    assert_eq!(copies.load(Ordering::Relaxed), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_callers_are_one_computation() {
    let club = Club::new();
    let calls: Vec<_> = (0..1000)
        .map(|_| {
            let club = club.clone();
            tokio::spawn(async move { club.members(1, Page { number: 1 }).await.unwrap() })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), "1.1 1");
    }
}
