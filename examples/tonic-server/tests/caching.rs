//! What is stored, what a hit repeats, and what ends it.

use tokio::time::timeout;
use tonic::{Code, Response};
use tonic_server::proto::{
    GetClubRequest, ListDriversRequest, RenameClubRequest, WatchResultsRequest,
};

use crate::support::{DEADLINE, OWLS, Running, cache_status, detail};

/// Metadata as the handler made it; tonic's client adds the trailers to it.
fn own<T>(response: &Response<T>) -> tonic::metadata::MetadataMap {
    let mut metadata = response.metadata().clone();
    metadata.remove("cache-status");
    // Every answer is dated by the server itself.
    metadata.remove("date");
    metadata
}

#[tokio::test]
async fn the_second_call_is_a_hit_and_equal_to_the_first() {
    let server = Running::start(&[]).await;
    let mut client = server.client().await;
    let miss = client.get_club(OWLS).await.unwrap();
    let hit = client.get_club(OWLS).await.unwrap();
    let stored = "pitlane; fwd=uri-miss; stored; detail=uri-miss";
    assert_eq!(cache_status(miss.metadata()), stored);
    assert_eq!(detail(&hit), "fresh");
    assert_eq!(miss.get_ref(), hit.get_ref());
    assert_eq!(miss.get_ref().name, "Apex Owls");
    assert_eq!(own(&miss).into_headers(), own(&hit).into_headers());
    assert_eq!(server.service.computed(), 1);

    let club = ListDriversRequest { club: 2 };
    let miss = client.list_drivers(club).await.unwrap();
    let hit = client.list_drivers(club).await.unwrap();
    assert_eq!((detail(&miss), detail(&hit)), ("uri-miss", "fresh"));
    assert_eq!(miss.get_ref(), hit.get_ref());
    assert_eq!(miss.get_ref().drivers.len(), 3);
    assert_eq!(own(&miss).into_headers(), own(&hit).into_headers());
    assert_eq!(server.service.computed(), 2);
    // The same number means another thing to another method, and another number another club.
    let other = client.get_club(GetClubRequest { id: 1 }).await.unwrap();
    assert_eq!(detail(&other), "uri-miss");
    assert_eq!(other.get_ref().name, "Nordschleife Nights");
}

#[tokio::test]
async fn an_error_is_not_stored() {
    let server = Running::start(&[]).await;
    let mut client = server.client().await;
    for call in 1..=3 {
        let error = client.get_club(GetClubRequest { id: 9 }).await.unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
        assert_eq!(error.message(), "there is no such club");
        assert!(
            !cache_status(error.metadata()).contains("stored"),
            "{error:?}"
        );
        assert_eq!(server.service.computed(), call);
    }
}

#[tokio::test]
async fn a_rename_is_seen_by_the_next_call_of_either_method() {
    let server = Running::start(&[]).await;
    let mut client = server.client().await;
    let drivers = ListDriversRequest { club: 2 };
    let other = GetClubRequest { id: 1 };
    client.get_club(other).await.unwrap();
    for round in 0..20 {
        client.get_club(OWLS).await.unwrap();
        client.list_drivers(drivers).await.unwrap();
        let name = format!("Owls {round}");
        let rename = RenameClubRequest {
            id: 2,
            name: name.clone(),
        };
        let renamed = client.rename_club(rename).await.unwrap();
        // A write has nothing to do with the cache.
        assert_eq!(cache_status(renamed.metadata()), "");
        let club = client.get_club(OWLS).await.unwrap();
        assert_eq!(
            (&club.get_ref().name, detail(&club)),
            (&name, "invalidated")
        );
        let listed = client.list_drivers(drivers).await.unwrap();
        assert_eq!(
            (&listed.get_ref().club, detail(&listed)),
            (&name, "invalidated")
        );
    }
    assert_eq!(detail(&client.get_club(other).await.unwrap()), "fresh");
}

#[tokio::test]
async fn a_rename_that_fails_ends_nothing() {
    let server = Running::start(&[]).await;
    let mut client = server.client().await;
    client.get_club(OWLS).await.unwrap();
    let name = "Nobody".to_owned();
    let nobody = RenameClubRequest { id: 9, name };
    let error = client.rename_club(nobody).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert_eq!(detail(&client.get_club(OWLS).await.unwrap()), "fresh");
}

/// The second result is an hour away: the first one arrives all the same.
#[tokio::test]
async fn a_stream_arrives_item_by_item_before_it_ends() {
    let server = Running::start(&["--result-pause", "1h"]).await;
    let mut client = server.client().await;
    let watch = WatchResultsRequest { club: 2 };
    let response = timeout(DEADLINE, client.watch_results(watch)).await;
    let response = response.expect("a head in time").unwrap();
    assert_eq!(cache_status(response.metadata()), "");
    let mut results = response.into_inner();
    let first = timeout(DEADLINE, results.message()).await;
    let first = first.expect("an item in time").unwrap().unwrap();
    assert_eq!((first.place, &*first.driver), (1, "Dara"));
}

#[tokio::test]
async fn every_stream_is_made_anew_and_ends() {
    let server = Running::start(&["--result-pause", "0ms"]).await;
    let mut client = server.client().await;
    for _ in 0..2 {
        let watch = WatchResultsRequest { club: 3 };
        let mut results = client.watch_results(watch).await.unwrap().into_inner();
        let mut drivers = Vec::new();
        while let Some(finish) = results.message().await.unwrap() {
            drivers.push((finish.place, finish.driver));
        }
        let expected = [(1, "Gia"), (2, "Hana"), (3, "Ines")];
        assert_eq!(
            drivers,
            expected.map(|(place, name)| (place, name.to_owned()))
        );
        let trailers = results.trailers().await.unwrap();
        assert!(trailers.is_some());
    }
    assert_eq!(server.caches.get("default").unwrap().memory().entries, 0);
}
