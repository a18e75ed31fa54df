//! What is stored, and what a hit repeats.

use tonic_server::proto::GetClubRequest;

use crate::support::{Running, detail};

#[tokio::test]
async fn the_second_call_is_a_hit_and_equal_to_the_first() {
    let server = Running::start(&[]).await;
    let mut client = server.client().await;
    let miss = client.get_club(GetClubRequest { id: 1 }).await.unwrap();
    let hit = client.get_club(GetClubRequest { id: 1 }).await.unwrap();
    assert_eq!((detail(&miss), detail(&hit)), ("uri-miss", "fresh"));
    assert_eq!(miss.get_ref(), hit.get_ref());
    assert_eq!(server.service.computed(), 1);
}
