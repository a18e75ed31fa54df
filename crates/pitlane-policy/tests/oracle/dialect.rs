//! Where `http-cache-semantics` 3.0 and this policy differ, and who is right.

use super::case::{Case, Example, directives, name_of};
use super::policy;
use super::rewrite::{
    dates, each, has, is_understood, lifetime_of, lifetimes, may_be_shared, say, says, set_age,
    span, spans, unsay,
};
use crate::received;
use pitlane_policy::{age, date, update};
use std::time::Duration;

/// Who does what the section says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// This policy alone.
    Ours,
    /// Both: the section leaves it open.
    Both,
}

use Right::{Both, Ours};

/// One kind of difference.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) name: &'static str,
    pub(crate) section: &'static str,
    pub(crate) right: Right,
    /// An exchange of this kind, and what each side makes of it as it is.
    pub(crate) example: Example,
    pub(crate) ours: &'static str,
    pub(crate) theirs: &'static str,
    /// Rewrites an exchange into what means to them what it means here.
    pub(crate) translate: fn(&mut Case),
}

const fn answer(says: &'static str, resident: u64) -> Example {
    exchange("accept: text/html", 200, says, resident)
}

const fn exchange(asks: &'static str, code: u16, says: &'static str, resident: u64) -> Example {
    Example {
        asks,
        code,
        says,
        resident,
    }
}

/// In the order in which they are applied: each may rely on those before it.
pub(crate) const DIALECT: &[Difference] = &[
    Difference {
        name: "the names of directives are case-insensitive",
        section: "RFC 9111 5.2",
        right: Ours,
        example: answer("cache-control: MAX-AGE=60", 5),
        ours: "fresh",
        theirs: "stale",
        translate: |case| {
            each(case, |member| {
                let at = name_of(member).len();
                let (name, argument) = member.split_at(at);
                *member = name.to_lowercase() + &argument.to_lowercase();
            })
        },
    },
    Difference {
        name: "a comma inside quotes separates nothing",
        section: "RFC 9110 5.6.4",
        right: Ours,
        example: answer(
            "cache-control: x=\"a, no-store, b\"\ncache-control: max-age=60",
            5,
        ),
        ours: "fresh",
        theirs: "refused",
        translate: |case| {
            each(case, |member| {
                if member.contains(',') {
                    *member = "x-list".to_owned();
                }
            })
        },
    },
    Difference {
        name: "what restricts does so in any form",
        section: "RFC 9111 4.2.1",
        right: Both,
        example: answer("cache-control: no-store;x\ncache-control: max-age=60", 5),
        ours: "refused",
        theirs: "fresh",
        translate: |case| {
            each(case, |member| {
                if matches!(name_of(member), "no-store" | "private") {
                    *member = name_of(member).to_owned();
                }
            })
        },
    },
    Difference {
        name: "public with a value is not public",
        section: "RFC 9111 5.2.2.9",
        right: Both,
        example: exchange(
            "authorization: x",
            200,
            "cache-control: public=x\ncache-control: max-age=60",
            5,
        ),
        ours: "refused",
        theirs: "fresh",
        translate: |case| {
            each(case, |member| {
                if name_of(member) == "public" && member != "public" {
                    *member = "x-public".to_owned();
                }
            })
        },
    },
    Difference {
        name: "an understood must-understand overrides no-store",
        section: "RFC 9111 5.2.2.3",
        right: Ours,
        example: answer(
            "cache-control: no-store\ncache-control: must-understand\ncache-control: max-age=60",
            5,
        ),
        ours: "fresh",
        theirs: "refused",
        translate: |case| {
            if directives(&case.says).any(|member| member == "must-understand")
                && is_understood(case.code)
            {
                unsay(case, "no-store");
            }
        },
    },
    Difference {
        name: "what can't be read permits no sharing of answers to authorized requests",
        section: "RFC 9111 3.5",
        right: Ours,
        example: exchange(
            "authorization: x",
            200,
            "cache-control: must-revalidate=x\ncache-control: max-age=60",
            5,
        ),
        ours: "refused",
        theirs: "fresh",
        translate: |case| {
            if !may_be_shared(case) {
                say(case, "no-store");
            }
        },
    },
    Difference {
        name: "nobody can tell how stale a response with an unreadable lifetime is",
        section: "RFC 9111 4.2.1",
        right: Both,
        example: exchange(
            "cache-control: max-stale",
            200,
            "cache-control: max-age=x\netag: \"a\"",
            5,
        ),
        ours: "stale, if-none-match: \"a\"",
        theirs: "fresh",
        translate: |case| {
            let unreadable = directives(&case.says)
                .filter(|member| matches!(name_of(member), "max-age" | "s-maxage"))
                .any(|member| span(member).is_none());
            if unreadable && may_be_shared(case) {
                say(case, "must-revalidate");
            }
        },
    },
    Difference {
        name: "a lifetime that is no number is zero",
        section: "RFC 9111 4.2.1",
        right: Ours,
        example: answer("cache-control: max-age\nexpires: {60}\netag: \"a\"", 5),
        ours: "stale, if-none-match: \"a\"",
        theirs: "fresh",
        translate: |case| lifetimes(case, |span| span.or(Some(0))),
    },
    Difference {
        name: "a span too large for an integer is as good as endless",
        section: "RFC 9111 1.2.2",
        right: Ours,
        example: answer("cache-control: max-age=99999999999999999999", 5),
        ours: "fresh",
        theirs: "stale",
        translate: |case| lifetimes(case, |span| span.map(|span| span.min(1 << 31))),
    },
    Difference {
        name: "of several lifetimes the shortest counts",
        section: "RFC 9111 4.2.1",
        right: Both,
        example: answer("cache-control: max-age=60\ncache-control: max-age=5", 10),
        ours: "stale",
        theirs: "fresh",
        translate: |case| {
            let least = spans(&case.says, "max-age").min();
            let mut seen = false;
            case.says.retain(|(name, value)| {
                let again = name == "cache-control" && name_of(value) == "max-age" && seen;
                seen |= name == "cache-control" && name_of(value) == "max-age";
                !again
            });
            let least = least.unwrap_or_default();
            lifetime_of(case, "max-age", |_| Some(least));
        },
    },
    Difference {
        name: "proxy-revalidate says nothing of fresh responses",
        section: "RFC 9111 5.2.2.8",
        right: Ours,
        example: answer(
            "cache-control: proxy-revalidate\ncache-control: max-age=60",
            5,
        ),
        ours: "fresh",
        theirs: "stale",
        translate: |case| {
            let there = unsay(case, "proxy-revalidate");
            if there && may_be_shared(case) {
                say(case, "must-revalidate");
            }
        },
    },
    Difference {
        name: "s-maxage and no-cache forbid stale use, whatever the client takes",
        section: "RFC 9111 4.2.4",
        right: Ours,
        example: exchange(
            "cache-control: max-stale",
            200,
            "cache-control: s-maxage=5",
            10,
        ),
        ours: "stale",
        theirs: "fresh",
        translate: |case| {
            let forbids = says(case, "s-maxage") || says(case, "no-cache");
            if forbids && may_be_shared(case) && !says(case, "must-revalidate") {
                say(case, "must-revalidate");
            }
        },
    },
    Difference {
        name: "immutable gives no lifetime",
        section: "RFC 8246 2",
        right: Ours,
        example: answer("cache-control: immutable\nexpires: {5}", 10),
        ours: "stale",
        theirs: "fresh",
        translate: |case| {
            unsay(case, "immutable");
        },
    },
    Difference {
        name: "any final status may be stored with explicit freshness",
        section: "RFC 9111 3",
        right: Ours,
        example: exchange("accept: text/html", 500, "cache-control: max-age=60", 5),
        ours: "fresh",
        theirs: "refused",
        translate: |case| {
            let known = [
                200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501,
            ];
            let storable = case.code >= 200 && !matches!(case.code, 206 | 304 | 429);
            let understood = !says(case, "must-understand") || is_understood(case.code);
            if storable && understood && !known.contains(&case.code) {
                case.code = 302;
            }
        },
    },
    Difference {
        name: "all three formats of dates are read, in any letter case",
        section: "RFC 9110 5.6.7",
        right: Ours,
        example: answer("expires: Fri Jan 15 08:01:00 2027", 5),
        ours: "fresh",
        theirs: "stale",
        translate: |case| {
            dates(case, &["expires", "date", "last-modified"], |text, read| {
                *text = read.map_or_else(|| text.clone(), httpdate::fmt_http_date);
            })
        },
    },
    Difference {
        name: "a date in another zone than GMT is none",
        section: "RFC 9111 4.2",
        right: Ours,
        example: answer("expires: Fri, 15 Jan 2027 08:01:00 +0000\netag: \"a\"", 5),
        ours: "stale, if-none-match: \"a\"",
        theirs: "fresh",
        translate: |case| {
            dates(case, &["expires", "date", "last-modified"], |text, read| {
                if read.is_none() {
                    *text = "0".to_owned();
                }
            })
        },
    },
    Difference {
        name: "an Expires that is repeated is none",
        section: "RFC 9111 4.2.1",
        right: Both,
        example: answer("expires: {60}\nexpires: {60}\netag: \"a\"", 5),
        ours: "stale, if-none-match: \"a\"",
        theirs: "fresh",
        translate: |case| {
            let mut lines = case.says.iter_mut().filter(|(name, _)| name == "expires");
            if let (Some((_, first)), Some(_)) = (lines.next(), lines.next()) {
                *first = "0".to_owned();
            }
        },
    },
    Difference {
        name: "of a list of ages the first counts, and only digits",
        section: "RFC 9111 5.1",
        right: Ours,
        example: answer("cache-control: max-age=60\nage: 58, 1", 5),
        ours: "stale",
        theirs: "fresh",
        translate: |case| {
            let age = age::parse(&case.response());
            set_age(case, age);
        },
    },
    Difference {
        name: "a response is as old as its Date says",
        section: "RFC 9111 4.2.3",
        right: Ours,
        example: answer("cache-control: max-age=60\ndate: {-58}", 5),
        ours: "stale",
        theirs: "fresh",
        translate: |case| {
            let response = case.response();
            let made = response.get("date").and_then(date::parse);
            let apparent = made.and_then(|made| received().duration_since(made).ok());
            set_age(
                case,
                age::parse(&response).max(apparent.filter(|age| !age.is_zero())),
            );
        },
    },
    Difference {
        name: "Pragma counts only without Cache-Control",
        section: "RFC 9111 5.4",
        right: Ours,
        example: exchange(
            "pragma: no-cache\ncache-control: x",
            200,
            "cache-control: max-age=60",
            5,
        ),
        ours: "fresh",
        theirs: "stale",
        translate: |case| {
            if directives(&case.asks).next().is_some() {
                case.asks.retain(|(name, _)| name != "pragma");
            }
        },
    },
    Difference {
        name: "Pragma means nothing in a response",
        section: "RFC 9111 5.4",
        right: Ours,
        example: answer("pragma: no-cache\nexpires: {60}", 5),
        ours: "fresh",
        theirs: "stale",
        translate: |case| case.says.retain(|(name, _)| name != "pragma"),
    },
    Difference {
        name: "a limit of the request that is no number is the strictest",
        section: "RFC 9111 4.2.1",
        right: Both,
        example: exchange(
            "cache-control: max-age=x",
            200,
            "cache-control: max-age=60",
            5,
        ),
        ours: "stale",
        theirs: "fresh",
        translate: |case| {
            for (_, member) in case
                .asks
                .iter_mut()
                .filter(|(name, _)| name == "cache-control")
            {
                let (name, read) = (
                    name_of(member).to_owned(),
                    span(member).map(|span| span.min(1 << 31)),
                );
                match (name.as_str(), read) {
                    ("max-age", read) => *member = format!("max-age={}", read.unwrap_or(0)),
                    ("min-fresh", read) => {
                        *member = format!("min-fresh={}", read.unwrap_or(1 << 31))
                    }
                    ("max-stale", read) if *member != "max-stale" => {
                        *member = format!("max-stale={}", read.unwrap_or(0));
                    }
                    _ => {}
                }
            }
        },
    },
    Difference {
        name: "max-stale includes its last second",
        section: "RFC 9111 5.2.1.2",
        right: Ours,
        example: exchange(
            "cache-control: max-stale=5",
            200,
            "cache-control: max-age=5",
            10,
        ),
        ours: "fresh",
        theirs: "stale",
        translate: |case| {
            for (_, member) in case
                .asks
                .iter_mut()
                .filter(|(name, _)| name == "cache-control")
            {
                if let ("max-stale", Some(limit)) = (name_of(member), span(member)) {
                    *member = format!("max-stale={}", limit + 1);
                }
            }
        },
    },
    Difference {
        name: "what sets a cookie is stored only if it is public",
        section: "RFC 9111 7.3",
        right: Both,
        example: answer("set-cookie: a=b\ncache-control: max-age=60", 5),
        ours: "refused",
        theirs: "stale",
        translate: |case| {
            if has(&case.says, "set-cookie") && !says(case, "public") {
                say(case, "no-store");
            }
        },
    },
    Difference {
        name: "what no request can match is not stored",
        section: "RFC 9111 4.1",
        right: Both,
        example: answer("vary: a b\ncache-control: max-age=60", 5),
        ours: "refused",
        theirs: "fresh",
        translate: |case| {
            let unmatched = |(name, value): &(String, String)| {
                name == "vary" && (value.contains('*') || value.contains("a b"))
            };
            if case.says.iter().any(unmatched) {
                say(case, "no-store");
            }
        },
    },
    Difference {
        name: "what is no tag and no date validates nothing",
        section: "RFC 9110 8.8",
        right: Ours,
        example: answer("cache-control: max-age=5\netag: a", 10),
        ours: "stale",
        theirs: "stale, if-none-match: a",
        translate: |case| {
            for name in ["etag", "last-modified"] {
                let mut alone = case.clone();
                alone.says.retain(|(other, _)| other == name);
                if !update::has_validator(&alone.response()) {
                    case.says.retain(|(other, _)| other != name);
                }
            }
        },
    },
    Difference {
        name: "what says nothing of its freshness is not stored",
        section: "RFC 9111 3",
        right: Both,
        example: answer("etag: \"a\"", 5),
        ours: "refused",
        theirs: "stale, if-none-match: \"a\"",
        translate: |case| {
            let spoken = ["max-age", "s-maxage", "no-cache"]
                .iter()
                .any(|name| says(case, name));
            if !spoken && !has(&case.says, "expires") && !has(&case.says, "last-modified") {
                say(case, "no-store");
            }
        },
    },
    Difference {
        name: "what is never fresh and can't be validated is not stored",
        section: "RFC 9111 3",
        right: Both,
        example: answer("cache-control: max-age=0", 5),
        ours: "refused",
        theirs: "stale",
        translate: |case| {
            let never_fresh = policy(case).0.time_to_live(received()) == Duration::ZERO;
            if never_fresh && !update::has_validator(&case.response()) {
                say(case, "no-store");
            }
        },
    },
];
