use crate::{headers, seconds};
use pitlane_policy::{Freshness, MaxStale, RequestDirectives};

#[track_caller]
fn read(lines: &str) -> RequestDirectives {
    RequestDirectives::from_headers(&headers(lines))
}

#[test]
fn every_directive_is_read() {
    let directives = read(
        "cache-control: No-Cache, no-store, only-if-cached\ncache-control: max-age=1, max-stale=2, min-fresh=3",
    );
    assert!(directives.no_cache && directives.no_store && directives.only_if_cached);
    assert_eq!(directives.max_age, Some(seconds(1)));
    assert_eq!(directives.max_stale, Some(MaxStale::Limit(seconds(2))));
    assert_eq!(directives.min_fresh, Some(seconds(3)));
    assert_eq!(
        read("cache-control: surprise=1"),
        RequestDirectives::default()
    );
}

#[test]
fn pragma_counts_only_without_cache_control() {
    for (lines, no_cache) in [
        ("pragma: no-cache", true),
        ("pragma: x=y, No-Cache", true),
        ("pragma: x", false),
        ("pragma: no-cache\ncache-control: max-age=60", false),
        ("pragma: no-cache\ncache-control:", false),
        ("pragma: no-cache\ncache-control: no-cache", true),
    ] {
        assert_eq!(read(lines).no_cache, no_cache, "RFC 9111 5.4: {lines}");
    }
}

#[test]
fn the_strictest_of_several_counts_and_what_cannot_be_read_is_strict() {
    for (line, max_stale) in [
        ("max-stale", MaxStale::Any),
        ("max-stale, max-stale=9", MaxStale::Limit(seconds(9))),
        ("max-stale=9, max-stale", MaxStale::Limit(seconds(9))),
        ("max-stale=9, max-stale=5", MaxStale::Limit(seconds(5))),
        ("max-stale=x", MaxStale::Limit(seconds(0))),
        ("max-stale=", MaxStale::Limit(seconds(0))),
    ] {
        assert_eq!(
            read(&format!("cache-control: {line}")).max_stale,
            Some(max_stale),
            "{line}"
        );
    }
    assert_eq!(
        read("cache-control: max-age=9, max-age=5").max_age,
        Some(seconds(5))
    );
    assert_eq!(read("cache-control: max-age=-1").max_age, Some(seconds(0)));
    assert_eq!(
        read("cache-control: min-fresh=5, min-fresh=9").min_fresh,
        Some(seconds(9))
    );
    assert_eq!(
        read("cache-control: min-fresh=x").min_fresh,
        Some(seconds(1 << 31))
    );
}

/// The response has a lifetime of 60 s.
#[track_caller]
fn check(section: &str, directives: &str, age: u64, accepted: bool) {
    let request = read(&format!("cache-control: {directives}"));
    let freshness = Freshness::new(seconds(60));
    assert_eq!(
        request.accept(&freshness, seconds(age)),
        accepted,
        "{section}: {directives} at {age} s"
    );
}

#[test]
fn a_client_accepts_what_its_directives_allow() {
    for (section, directives, age, accepted) in [
        ("4.2", "x", 59, true),
        ("4.2", "x", 60, false),
        ("5.2.1.1", "max-age=30", 30, true),
        ("5.2.1.1", "max-age=30", 31, false),
        ("5.2.1.1", "max-age=0", 0, true),
        ("5.2.1.2", "max-stale", 9999, true),
        ("5.2.1.2", "max-stale=10", 70, true),
        ("5.2.1.2", "max-stale=10", 71, false),
        ("5.2.1.2", "max-stale=10, max-age=60", 65, false),
        ("5.2.1.3", "min-fresh=10", 50, true),
        ("5.2.1.3", "min-fresh=10", 51, false),
        ("5.2.1.3", "min-fresh=10, max-stale", 70, false),
        ("5.2.1.4", "no-cache", 0, false),
        ("5.2.1.4", "no-cache, max-stale", 0, false),
    ] {
        check(section, directives, age, accepted);
    }
}

#[test]
fn max_stale_does_not_overrule_a_server_that_forbids_stale_use() {
    let freshness = Freshness::new(seconds(60)).without_stale();
    let request = read("cache-control: max-stale");
    assert!(request.accept(&freshness, seconds(59)));
    assert!(!request.accept(&freshness, seconds(60)));
}
