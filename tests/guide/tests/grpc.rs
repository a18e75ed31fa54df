//! gRPC: an interceptor may look at metadata on either side of the cache, because whatever the
//! cache was not told of passes it.

use clap::Parser;
use pitlane::{Caches, GrpcCacheLayer, testing};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, service::InterceptorLayer};
use tonic_server::proto::clubs_client::ClubsClient;
use tonic_server::proto::clubs_server::ClubsServer;
use tonic_server::proto::{Club, GetClubRequest};
use tonic_server::{Options, Racing};

use crate::support::{MINUTE, within};

/// Refuses a wrong token and a wrong card, wherever it stands.
fn check_caller(call: Request<()>) -> Result<Request<()>, Status> {
    for name in ["authorization", "club-card"] {
        if call
            .metadata()
            .get(name)
            .is_some_and(|said| said != "right")
        {
            return Err(Status::unauthenticated("who are you?"));
        }
    }
    Ok(call)
}

fn racing(caches: &Caches) -> Racing {
    Racing::new(caches, &Options::parse_from(["tonic-server"])).unwrap()
}

fn calls(caches: &Caches) -> GrpcCacheLayer {
    GrpcCacheLayer::new(&caches.get("default").unwrap()).method("/racing.Clubs/GetClub", MINUTE)
}

async fn ask(
    client: &mut ClubsClient<Channel>,
    metadata: Option<(&'static str, &'static str)>,
) -> Result<Response<Club>, Status> {
    let mut call = Request::new(GetClubRequest { id: 1 });
    if let Some((name, value)) = metadata {
        call.metadata_mut().insert(name, value.parse().unwrap());
    }
    within("an answer", client.get_club(call)).await
}

#[track_caller]
fn check(answer: Result<Response<Club>, Status>, told: &str) {
    let answer = answer.unwrap();
    let seen = answer.metadata().get("cache-status").unwrap();
    assert!(seen.to_str().unwrap().contains(told), "{seen:?}");
}

/// What a server answers to callers with the right thing, with a wrong one, and with none.
async fn check_callers(url: String, racing: Racing) {
    let channel = Endpoint::from_shared(url).unwrap().connect().await;
    let mut client = ClubsClient::new(channel.unwrap());
    check(ask(&mut client, None).await, "stored");
    for name in ["authorization", "club-card"] {
        check(ask(&mut client, Some((name, "right"))).await, "fwd=bypass");
        let refused = ask(&mut client, Some((name, "wrong"))).await;
        assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    }
    check(ask(&mut client, None).await, "pitlane; hit");
    assert_eq!(racing.computed(), 3);
}

async fn listen() -> (TcpIncoming, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (TcpIncoming::from(listener), url)
}

#[tokio::test]
async fn an_interceptor_outside_is_asked_for_every_call() {
    let caches = testing::caches().0;
    let (racing, (incoming, url)) = (racing(&caches), listen().await);
    let server = Server::builder()
        .layer(InterceptorLayer::new(check_caller))
        .layer(calls(&caches))
        .add_service(ClubsServer::new(racing.clone()))
        .serve_with_incoming(incoming);
    tokio::select! {
        ended = server => panic!("the server ended: {ended:?}"),
        () = check_callers(url, racing) => {}
    }
}

#[tokio::test]
async fn an_interceptor_inside_is_asked_for_every_call_that_brings_something() {
    let caches = testing::caches().0;
    let (racing, (incoming, url)) = (racing(&caches), listen().await);
    let server = Server::builder()
        .layer(calls(&caches))
        .layer(InterceptorLayer::new(check_caller))
        .add_service(ClubsServer::new(racing.clone()))
        .serve_with_incoming(incoming);
    tokio::select! {
        ended = server => panic!("the server ended: {ended:?}"),
        () = check_callers(url, racing) => {}
    }
}
