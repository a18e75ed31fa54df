use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::support::{BOTH, Board, DEADLINE, check};

async fn frame(body: &mut Incoming) -> String {
    let frame = timeout(DEADLINE, body.frame()).await.expect("in time");
    let data = frame.unwrap().unwrap().into_data().unwrap();
    String::from_utf8(data.to_vec()).unwrap()
}

#[tokio::test]
async fn a_stream_passes_at_once_and_is_never_stored() {
    for protocol in BOTH {
        let board = Board::start(protocol).await;
        let watch = async || {
            let request = Request::get(board.url("/live")).body(Full::default());
            let answer = board.client.begin(request.unwrap()).await.unwrap();
            assert_eq!(answer.headers()["content-type"], "text/event-stream");
            let told = answer.headers()["cache-status"].to_str().unwrap();
            assert!(!told.contains("hit;") && !told.contains("stored"), "{told}");
            answer.into_body()
        };
        let (mut one, mut other) = (watch().await, watch().await);
        assert_eq!(frame(&mut one).await, ": watching\n\n");
        assert_eq!(frame(&mut other).await, ": watching\n\n");

        // Each lap is there before the next is driven: nothing waits for an end.
        for (form, event) in [
            ("driver=Ada&ms=80000", "data: monza 80000 Ada\n\n"),
            ("driver=Ben&ms=80001", "data: monza 80001 Ben\n\n"),
        ] {
            check(&board.drive("monza", form).await, 201, "detail=method");
            assert_eq!(frame(&mut one).await, event);
            assert_eq!(frame(&mut other).await, event);
        }
        drop(other);
        board.drive("monza", "driver=Ada&ms=79999").await;
        let event = "data: monza 79999 Ada\n\n";
        assert_eq!(frame(&mut one).await, event, "one that leaves ends nobody");

        board.site.live().close();
        let rest = timeout(DEADLINE, one.collect()).await.expect("in time");
        assert!(rest.unwrap().to_bytes().is_empty());
    }
}
