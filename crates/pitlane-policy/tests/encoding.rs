//! Which content coding a client takes.

use http::{HeaderMap, HeaderValue, header::ACCEPT_ENCODING};
use pitlane_policy::encoding::best;

const OFFERED: [&str; 3] = ["br", "zstd", "gzip"];

#[track_caller]
fn check(lines: &[&str], expected: Option<&str>) {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(
            ACCEPT_ENCODING,
            HeaderValue::from_str(line).expect("a value"),
        );
    }
    let found = best(&headers, &OFFERED).and_then(|number| OFFERED.get(number).copied());
    assert_eq!(found, expected, "{lines:?}");
}

#[test]
fn what_is_named_is_taken_and_the_first_offered_wins_a_draw() {
    check(&["gzip"], Some("gzip"));
    check(&["gzip, deflate, br, zstd"], Some("br"));
    check(&["GZIP"], Some("gzip"));
    check(&["x-gzip"], Some("gzip"));
    check(&["gzip;q=1, br;q=0.9"], Some("gzip"));
    check(&["gzip ; q=0.5 , zstd; q=0.6"], Some("zstd"));
    check(&["gzip", "br"], Some("br"));
    check(&["*"], Some("br"));
    check(&["*;q=0.1, br;q=0"], Some("zstd"));
    check(&["gzip;q=0.001"], Some("gzip"));
}

#[test]
fn what_is_not_named_or_refused_is_never_taken() {
    check(&[], None);
    check(&[""], None);
    check(&["identity"], None);
    check(&["deflate, compress"], None);
    check(&["gzip;q=0"], None);
    check(&["gzip;q=0.000"], None);
    check(&["*;q=0"], None);
    check(&["br;q=0, zstd;q=0, gzip;q=0, *"], None);
    check(&["gzip, gzip;q=0"], None);
    check(&["gzip", "gzip;q=0"], None);
    check(&["gzip;q=0, x-gzip"], None);
    check(&["gzipped, xgzip, gzi"], None);
}

#[test]
fn a_weight_that_is_none_refuses() {
    for weight in [
        "q=2", "q=1.001", "q=-1", "q=.5", "q=0.0001", "q=", "q", "q=a", "q=0.a", "x=1", "q=1;a=b",
        "q =1",
    ] {
        check(&[&format!("gzip;{weight}")], None);
    }
    check(&["gzip;Q=0.5"], Some("gzip"));
    check(&["gzip;q=1."], Some("gzip"));
    check(&["gzip;q=1.000"], Some("gzip"));
}

#[test]
fn the_content_as_it_is_wins_where_it_is_liked_better() {
    check(&["identity, gzip;q=0.5"], None);
    check(&["identity;q=0.5, gzip;q=0.5"], Some("gzip"));
    check(&["identity;q=0.5, gzip;q=0.4"], None);
    check(&["identity;q=0, gzip;q=0.4"], Some("gzip"));
    check(&["identity;q=0"], None);
}
