use http::Method;

use crate::support::{BOTH, Board, check};

#[tokio::test]
async fn a_page_is_a_miss_and_then_a_hit() {
    for protocol in BOTH {
        let board = Board::start(protocol).await;
        for path in ["/", "/tracks/monza"] {
            let first = board.get(path).await;
            check(&first, 200, "fwd=uri-miss; stored");
            let second = board.get(path).await;
            check(&second, 200, "pitlane; hit");
            assert_eq!(first.text(), second.text());
            assert!(first.text().contains("1:20.246  Ada"), "{}", first.text());
        }
        let head = board
            .client
            .ask(Method::HEAD, &board.url("/tracks/monza"), &[])
            .await;
        check(&head, 200, "pitlane; hit");
        assert!(head.body.is_empty());
    }
}

#[tokio::test]
async fn a_head_of_what_is_not_stored_has_the_length_and_no_body() {
    for protocol in BOTH {
        let board = Board::start(protocol).await;
        let url = board.url("/tracks/monza");
        let head = board.client.ask(Method::HEAD, &url, &[]).await;
        check(&head, 200, "detail=head-miss");
        assert!(head.body.is_empty());
        let page = board.get("/tracks/monza").await;
        assert_eq!(head.header("content-length"), page.body.len().to_string());
    }
}

#[tokio::test]
async fn a_lap_ends_the_pages_that_show_it_and_no_others() {
    for protocol in BOTH {
        let board = Board::start(protocol).await;
        for path in ["/", "/tracks/monza", "/tracks/spa"] {
            board.get(path).await;
            check(&board.get(path).await, 200, "pitlane; hit");
        }
        let driven = board.drive("monza", "driver=Eve+Marsh&ms=79119").await;
        check(&driven, 201, "detail=method");
        for path in ["/", "/tracks/monza"] {
            let answer = board.get(path).await;
            check(&answer, 200, "detail=invalidated");
            assert!(answer.text().contains("1:19.119  Eve Marsh"));
        }
        check(&board.get("/tracks/spa").await, 200, "pitlane; hit");
    }
}

#[tokio::test]
async fn what_is_no_lap_changes_nothing() {
    let board = Board::start(BOTH[0]).await;
    let page = board.get("/tracks/monza").await;
    for form in ["", "driver=Eve", "driver=Eve&ms=fast", "driver=<b>&ms=1"] {
        let refused = board.drive("monza", form).await;
        assert_eq!(refused.status, 422, "{form}");
    }
    static LONG: [u8; 2000] = [b'x'; 2000];
    let long = std::str::from_utf8(&LONG).unwrap();
    assert_eq!(board.drive("monza", long).await.status, 400);
    let again = board.get("/tracks/monza").await;
    check(&again, 200, "pitlane; hit");
    assert_eq!(again.text(), page.text());
}

#[tokio::test]
async fn an_error_is_not_stored() {
    for protocol in BOTH {
        let board = Board::start(protocol).await;
        for _ in 0..2 {
            let answer = board.get("/tracks/imola").await;
            check(&answer, 404, "detail=");
            assert!(!answer.is_hit());
        }
        board.drive("imola", "driver=Ada&ms=75404").await;
        let answer = board.get("/tracks/imola").await;
        assert_eq!(answer.status, 200, "the track is there at once");
        assert_eq!(board.get("/nowhere").await.status, 404);
        let url = board.url("/tracks/imola");
        let refused = board.client.ask(Method::DELETE, &url, &[]).await;
        assert_eq!(refused.status, 405);
    }
}

#[tokio::test]
async fn a_visitor_with_a_cookie_gets_their_own_page_and_leaves_nothing() {
    for protocol in BOTH {
        let board = Board::start(protocol).await;
        let url = board.url("/");
        for round in ["first", "then"] {
            for name in ["Ada", "Ben"] {
                let cookie = format!("name={name}");
                let answer = board.client.get(&url, &[("cookie", &cookie)]).await;
                check(&answer, 200, "detail=cookie");
                let greeting = format!("Welcome back, {name}.");
                assert!(answer.text().starts_with(&greeting), "{round}");
            }
            let answer = board.get("/").await;
            assert!(answer.text().starts_with("Lap records"), "{round}");
        }
        check(&board.get("/").await, 200, "pitlane; hit");
    }
}
