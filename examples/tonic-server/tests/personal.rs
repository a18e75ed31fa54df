//! Calls with something of their caller's own: they pass, and nobody else sees their answers.

use tonic::Request;
use tonic::metadata::{Ascii, Binary, MetadataKey, MetadataMap, MetadataValue};
use tonic_server::proto::GetClubRequest;

use crate::support::{OWLS, Running, detail};

/// Calls with metadata twice, before and after a clean call has stored an answer.
async fn check_bypasses(expected: &str, add: impl Fn(&mut MetadataMap)) {
    let server = Running::start(&[]).await;
    let mut client = server.client().await;
    let own = || {
        let mut request = Request::new(OWLS);
        add(request.metadata_mut());
        request
    };
    let before = client.get_club(own()).await.unwrap();
    assert_eq!(detail(&before), expected);
    assert_eq!(detail(&client.get_club(OWLS).await.unwrap()), "uri-miss");
    let after = client.get_club(own()).await.unwrap();
    assert_eq!(detail(&after), expected);
    assert_eq!(after.get_ref().name, "Apex Owls");
    assert_eq!(server.service.computed(), 3);
    assert_eq!(detail(&client.get_club(OWLS).await.unwrap()), "fresh");
}

fn insert(metadata: &mut MetadataMap, name: &'static str, value: &'static str) {
    let name = MetadataKey::<Ascii>::from_static(name);
    metadata.insert(name, MetadataValue::from_static(value));
}

#[tokio::test]
async fn a_bearer_token_bypasses() {
    let add = |metadata: &mut MetadataMap| insert(metadata, "authorization", "Bearer abc");
    check_bypasses("authorization", add).await;
}

#[tokio::test]
async fn a_cookie_bypasses() {
    check_bypasses("cookie", |metadata| insert(metadata, "cookie", "a=b")).await;
}

#[tokio::test]
async fn binary_metadata_bypasses() {
    check_bypasses("metadata", |metadata| {
        let name = MetadataKey::<Binary>::from_static("x-user-bin");
        metadata.insert_bin(name, MetadataValue::from_bytes(&[0, 1, 255]));
    })
    .await;
}

#[tokio::test]
async fn metadata_that_nobody_listed_bypasses() {
    check_bypasses("metadata", |metadata| insert(metadata, "x-tenant", "blue")).await;
}

/// tonic's client says who it is, and by when it wants an answer: that is no reason.
#[tokio::test]
async fn what_every_client_sends_does_not() {
    let server = Running::start(&[]).await;
    let mut client = server.client().await;
    let patient = || {
        let mut request = Request::new(GetClubRequest { id: 1 });
        request.set_timeout(std::time::Duration::from_secs(60));
        insert(request.metadata_mut(), "traceparent", "00-1-2-01");
        request
    };
    assert_eq!(
        detail(&client.get_club(patient()).await.unwrap()),
        "uri-miss"
    );
    assert_eq!(detail(&client.get_club(patient()).await.unwrap()), "fresh");
}
