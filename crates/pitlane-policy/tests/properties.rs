//! What must hold for every response: of time, of directives, and of the fields it keeps.

use crate::soup::{config, facts, rules, soup, status, use_of};
use crate::update::lines;
use crate::{date, headers, received, seconds};
use http::header::CDN_CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use pitlane_policy::{Profile, RequestFacts, Rules, Verdict, hop, may_store, update};
use proptest::prelude::*;
use std::time::Duration;

/// What a response says of its time, and when it is asked for.
#[derive(Clone, Debug)]
struct Timing {
    target: Option<u64>,
    shared: Option<u64>,
    max_age: Option<u64>,
    expires: Option<i64>,
    date: Option<i64>,
    age: Option<u64>,
    resident: u64,
}

impl Timing {
    fn response(&self) -> HeaderMap {
        let mut text = "etag: \"a\"\n".to_owned();
        let mut say = |name: &str, value: Option<String>| {
            text += &value
                .map(|value| format!("{name}{value}\n"))
                .unwrap_or_default();
        };
        say(
            "cdn-cache-control: max-age=",
            self.target.map(|n| n.to_string()),
        );
        say(
            "cache-control: s-maxage=",
            self.shared.map(|n| n.to_string()),
        );
        say(
            "cache-control: max-age=",
            self.max_age.map(|n| n.to_string()),
        );
        say("expires: ", self.expires.map(date));
        say("date: ", self.date.map(date));
        say("age: ", self.age.map(|n| n.to_string()));
        headers(&text)
    }

    /// RFC 9111 §4.2.1 and §4.2.3 in one line each.
    fn is_fresh(&self) -> bool {
        let date = self.date.unwrap_or(0);
        let expires = self
            .expires
            .map(|expires| u64::try_from(expires - date).unwrap_or(0));
        let lifetime = self.target.or(self.shared).or(self.max_age).or(expires);
        let apparent = u64::try_from(-date).unwrap_or(0);
        let age = apparent.max(self.age.unwrap_or(0)) + self.resident;
        lifetime.is_some_and(|lifetime| lifetime > age)
    }
}

fn timing() -> impl Strategy<Value = Timing> {
    let span = || prop::option::of(0..40_u64);
    let moment = || prop::option::of(-30..40_i64);
    (
        span(),
        span(),
        span(),
        moment(),
        moment(),
        span(),
        0..40_u64,
    )
        .prop_map(
            |(target, shared, max_age, expires, date, age, resident)| Timing {
                target,
                shared,
                max_age,
                expires,
                date,
                age,
                resident,
            },
        )
}

fn is_fresh(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Fresh { .. })
}

fn age_of(verdict: Verdict) -> Duration {
    match verdict {
        Verdict::Fresh { age, .. }
        | Verdict::StaleWhileRevalidate { age, .. }
        | Verdict::StaleIfError { age, .. }
        | Verdict::Stale { age, .. } => age,
        other => unreachable!("no such verdict: {other:?}"),
    }
}

/// How bad a verdict is: it never gets better by waiting.
fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Fresh { .. } => 0,
        Verdict::StaleWhileRevalidate {
            usable_on_error, ..
        } => 1 + u8::from(!usable_on_error),
        Verdict::StaleIfError { .. } => 3,
        _ => 4,
    }
}

const NAMES: [&str; 14] = [
    "no-store",
    "private",
    "no-cache",
    "must-revalidate",
    "proxy-revalidate",
    "public",
    "immutable",
    "must-understand",
    "no-transform",
    "max-age",
    "s-maxage",
    "stale-while-revalidate",
    "stale-if-error",
    "x",
];

/// A well-formed directive, and the same one with a value that it can't have.
fn mutated(targeted: bool) -> impl Strategy<Value = (String, String)> {
    let tails = if targeted {
        vec![
            "=\"60\"", "=60.0", "=-1", "=(60)", "=tok", "=:YQ==:", "=@60", "=\"\"",
        ]
    } else {
        vec![
            "=", "=-1", "=a", "=1 2", " = 60", "=\"", "=\"60", ";=1", "=6\"0", "=60.0",
        ]
    };
    let span = prop::sample::select(vec!["0", "5", "60", "99999999999"]);
    (
        prop::sample::select(NAMES.to_vec()),
        prop::sample::select(tails),
        span,
    )
        .prop_map(|(name, tail, span)| {
            let valued = matches!(
                name,
                "max-age" | "s-maxage" | "stale-while-revalidate" | "stale-if-error"
            );
            let good = if valued {
                format!("{name}={span}")
            } else {
                name.to_owned()
            };
            (good, format!("{name}{tail}"))
        })
}

fn with(field: &'static str, members: &[String], base: &HeaderMap) -> HeaderMap {
    let mut headers = base.clone();
    let value = HeaderValue::from_str(&members.join(", ")).expect("a field value");
    headers.insert(HeaderName::from_static(field), value);
    headers
}

/// The first has the field with one directive well-formed, the second with that one mutated.
fn pair(targeted: bool) -> impl Strategy<Value = (HeaderMap, HeaderMap)> {
    let field = if targeted {
        "cdn-cache-control"
    } else {
        "cache-control"
    };
    let members = prop::collection::vec(mutated(targeted), 1..5);
    (members, any::<prop::sample::Index>(), soup()).prop_map(move |(members, at, base)| {
        let at = at.index(members.len());
        let good: Vec<String> = members.iter().map(|(good, _)| good.clone()).collect();
        let pick =
            |(nth, (good, bad)): (usize, (String, String))| if nth == at { bad } else { good };
        let bad: Vec<String> = members.into_iter().enumerate().map(pick).collect();
        (with(field, &good, &base), with(field, &bad, &base))
    })
}

fn check_not_more(
    rules: &Rules,
    facts: &RequestFacts,
    status: StatusCode,
    (good, bad): (&HeaderMap, &HeaderMap),
) -> Result<(), TestCaseError> {
    let [before, after] = [good, bad].map(|headers| use_of(rules, facts, status, headers));
    prop_assert!(
        after.0 <= before.0 && after.1 <= before.1,
        "{:?} to {:?}",
        before,
        after
    );
    let [before, after] =
        [good, bad].map(|headers| may_store(rules, facts, status, headers, false, received()));
    prop_assert!(
        before.is_ok() || after.is_err(),
        "{:?} to {:?}",
        before,
        after
    );
    Ok(())
}

/// Fields as they come from anywhere, those of one hop among them.
fn fields() -> impl Strategy<Value = HeaderMap> {
    let name = prop::sample::select(vec![
        "x-a",
        "X-B",
        "x-c",
        "etag",
        "content-type",
        "set-cookie",
        "vary",
        "cache-control",
        "connection",
        "te",
        "keep-alive",
        "x-linked",
        "trailer",
        "upgrade",
        "content-length",
    ]);
    let value = prop::collection::vec(
        prop_oneof![Just(b'\t'), 0x20..0x7f_u8, 0x80..=0xff_u8],
        0..12,
    );
    prop::collection::vec((name, value), 0..16).prop_map(|fields| {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let value = match name {
                "connection" => HeaderValue::from_static("close, x-linked"),
                _ => HeaderValue::from_bytes(&value).expect("a field value"),
            };
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).expect("a field name"),
                value,
            );
        }
        headers
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_verdict_is_that_of_the_formula(timing in timing()) {
        let rules = Rules::new(Profile::Rfc).stale_if_error(None);
        let stored = may_store(&rules, &RequestFacts::default(), StatusCode::OK, &timing.response(), false, received());
        let fresh = stored.is_ok_and(|freshness| is_fresh(freshness.judge(seconds(timing.resident))));
        prop_assert_eq!(fresh, timing.is_fresh());
    }

    #[test]
    fn an_entry_only_gets_older_and_staler(
        headers in soup(), rules in rules(), facts in facts(), status in status(),
        moments in prop::collection::vec(prop_oneof![0..200_u64, any::<u64>()], 2..8), fraction in 0..1_000_u64,
    ) {
        let Ok(freshness) = may_store(&rules, &facts, status, &headers, false, received()) else {
            return Ok(());
        };
        let mut moments: Vec<Duration> = moments.into_iter().map(|at| seconds(at).saturating_add(Duration::from_millis(fraction))).collect();
        moments.sort_unstable();
        for pair in moments.windows(2) {
            let [before, after] = [pair[0], pair[1]].map(|at| freshness.judge(at));
            prop_assert!(age_of(before) <= age_of(after));
            prop_assert!(rank(before) <= rank(after), "{:?} to {:?}", before, after);
            prop_assert!(age_of(after) >= pair[1]);
            prop_assert!(!is_fresh(after) || age_of(after) < freshness.lifetime());
        }
    }

    #[test]
    fn making_a_directive_unparsable_never_makes_more_cacheable(
        pair in pair(false), rules in rules(), facts in facts(), status in status(),
    ) {
        check_not_more(&rules, &facts, status, (&pair.0, &pair.1))?;
    }

    #[test]
    fn giving_a_targeted_directive_a_wrong_type_never_makes_more_cacheable(
        pair in pair(true), rules in rules(), facts in facts(), status in status(), targeted in any::<bool>(),
    ) {
        let rules = rules.targets(targeted.then_some(CDN_CACHE_CONTROL));
        check_not_more(&rules, &facts, status, (&pair.0, &pair.1))?;
    }

    #[test]
    fn a_targeted_field_that_does_not_parse_might_as_well_not_be_there(
        pair in pair(true), rules in rules(), facts in facts(), status in status(),
        tail in prop::sample::select(vec![", &", " x", ",", ", X=1", ", a=", ", \u{e9}"]),
    ) {
        let mut broken = pair.0.clone();
        let value = [broken[CDN_CACHE_CONTROL].as_bytes(), tail.as_bytes()].concat();
        broken.insert(CDN_CACHE_CONTROL, HeaderValue::from_bytes(&value).expect("a field value"));
        let mut without = broken.clone();
        without.remove(CDN_CACHE_CONTROL);
        let rules = rules.targets([CDN_CACHE_CONTROL]);
        let [seen, expected] = [broken, without].map(|headers| may_store(&rules, &facts, status, &headers, false, received()));
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn end_to_end_fields_survive_stripping_and_an_unrelated_304(
        stored in fields(), connection in prop::sample::select(vec!["close", "x-a, x-c", "etag"]),
    ) {
        let linked = stored.contains_key("connection");
        let kept: Vec<_> = lines(&stored).into_iter().filter(|(name, _)| {
            let name: HeaderName = name.parse().expect("a field name");
            !(hop::is_hop_by_hop(&name) || linked && name == "x-linked")
        }).collect();
        let mut headers = stored;
        hop::strip(&mut headers);
        prop_assert_eq!(&lines(&headers), &kept);
        let mut unrelated = crate::headers("date: {0}\nage: 7\ncontent-length: 0\ncontent-encoding: br\nte: x");
        unrelated.insert("connection", HeaderValue::from_static(connection));
        update::freshen(&mut headers, &unrelated);
        let mut expected = kept;
        expected.extend(lines(&crate::headers("date: {0}")));
        prop_assert_eq!(lines(&headers), expected);
    }
}
