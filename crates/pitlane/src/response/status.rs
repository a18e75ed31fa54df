use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use pitlane_core::{Outcome, Reason};

use super::key::{Host, site_of};

pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// A longer key isn't told.
const MAX_KEY: usize = 1024;

/// Writes short header values without formatting machinery.
#[derive(Debug)]
struct Text {
    bytes: [u8; 160],
    length: usize,
}

impl Text {
    const fn new() -> Self {
        Self {
            bytes: [0; 160],
            length: 0,
        }
    }

    fn push(&mut self, text: &str) {
        let end = self.length + text.len();
        if let Some(space) = self.bytes.get_mut(self.length..end) {
            space.copy_from_slice(text.as_bytes());
            self.length = end;
        }
    }

    fn push_number(&mut self, number: u64) {
        self.push(itoa::Buffer::new().format(number));
    }

    fn value(&self) -> Option<HeaderValue> {
        HeaderValue::from_bytes(self.bytes.get(..self.length)?).ok()
    }
}

/// What Cache-Status (RFC 9211) says of one answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Telling {
    /// From the cache, with the remaining life in seconds; negative when stale.
    Hit { ttl: i64, detail: Reason },
    /// From the inner service.
    Forward {
        why: Reason,
        stored: bool,
        detail: Reason,
        /// The inner service's status, where the client may get another one.
        status: Option<StatusCode>,
    },
    /// Made here: nothing was stored, and nobody was asked.
    Made { detail: Reason },
    /// From the cache, in the place of a failure: of an answer with this status, or of none.
    StandIn {
        status: Option<StatusCode>,
        ttl: i64,
    },
    /// From the cache, after the inner service had confirmed it.
    Validated { why: Reason },
    /// From somebody else's request to the inner service.
    Collapsed { why: Reason, ttl: i64 },
}

impl Telling {
    /// Adds this cache's member behind those of caches nearer to the origin.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        if let Some(value) = self.value() {
            headers.append(CACHE_STATUS, value);
        }
    }

    /// Whether the answer was fresh when it was given. Its last second may count as stale.
    pub(crate) const fn is_fresh(self) -> bool {
        match self {
            // What has just become stale has been so for zero seconds.
            Self::Hit { detail, .. } => matches!(detail, Reason::Fresh),
            Self::Collapsed { ttl, .. } => ttl > 0,
            Self::StandIn { .. } => false,
            Self::Forward { .. } | Self::Validated { .. } | Self::Made { .. } => true,
        }
    }

    pub(crate) fn value(self) -> Option<HeaderValue> {
        match self {
            Self::Forward {
                why,
                stored: false,
                detail,
                status: None,
            } if why == detail => BYPASSES.get(why as usize).cloned(),
            Self::Forward {
                why: Reason::HitForMiss,
                stored: false,
                detail,
                status: None,
            } => PASSES.get(detail as usize).cloned(),
            _ => self.compose(),
        }
    }

    fn compose(self) -> Option<HeaderValue> {
        let mut text = Text::new();
        match self {
            Self::Hit { ttl, detail } => {
                text.push("pitlane; hit; ttl=");
                push_ttl(&mut text, ttl);
                push_detail(&mut text, detail);
            }
            Self::Forward {
                why,
                stored,
                detail,
                status,
            } => {
                text.push("pitlane; fwd=");
                text.push(forward(why));
                push_status(&mut text, status);
                if stored {
                    text.push("; stored");
                }
                push_detail(&mut text, detail);
            }
            Self::Made { detail } => {
                text.push("pitlane");
                push_detail(&mut text, detail);
            }
            Self::StandIn { status, ttl } => {
                text.push("pitlane; fwd=stale");
                push_status(&mut text, status);
                text.push("; ttl=");
                push_ttl(&mut text, ttl);
                push_detail(&mut text, Reason::StaleIfError);
            }
            Self::Validated { why } => {
                text.push("pitlane; fwd=");
                text.push(forward(why));
                text.push("; fwd-status=304; stored");
                push_detail(&mut text, Reason::Validated);
            }
            Self::Collapsed { why, ttl } => {
                text.push("pitlane; fwd=");
                text.push(forward(why));
                text.push("; collapsed; ttl=");
                push_ttl(&mut text, ttl);
                push_detail(&mut text, Reason::Collapsed);
            }
        }
        text.value()
    }
}

/// What a request is stored under, as a parameter of Cache-Status; `None` where it can't be told.
pub(crate) fn key_parameter(uri: &Uri, host: Host<'_>) -> Option<String> {
    let mut text = site_of(uri, host)?;
    text.extend_from_slice(uri.path_and_query()?.as_str().as_bytes());
    let text = String::from_utf8(text).ok()?;
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    (plain && text.len() <= MAX_KEY).then(|| format!("; key=\"{escaped}\""))
}

/// Adds it to this cache's own member, which is the last.
pub(crate) fn add_key(headers: &mut HeaderMap, key: Option<String>) {
    let Some(key) = key else { return };
    let mut members: Vec<_> = headers.get_all(CACHE_STATUS).iter().cloned().collect();
    let Some(own) = members.last_mut() else {
        return;
    };
    let value = [own.as_bytes(), key.as_bytes()].concat();
    let Ok(value) = HeaderValue::from_bytes(&value) else {
        return;
    };
    *own = value;
    headers.remove(CACHE_STATUS);
    for member in members {
        headers.append(CACHE_STATUS, member);
    }
}

/// The values of answers that the cache has no part in, by reason. There are few, and they live
/// as long as the process, so that a copy costs nothing.
static BYPASSES: LazyLock<Vec<HeaderValue>> = LazyLock::new(|| constants(|why| why));

/// The values of answers that could not be stored once more, by reason.
static PASSES: LazyLock<Vec<HeaderValue>> = LazyLock::new(|| constants(|_| Reason::HitForMiss));

fn constants(why: impl Fn(Reason) -> Reason) -> Vec<HeaderValue> {
    let value = |detail: &Reason| {
        let text = format!("pitlane; fwd={}; detail={detail}", forward(why(*detail)));
        HeaderValue::from_static(String::leak(text))
    };
    Reason::ALL.iter().map(value).collect()
}

fn push_status(text: &mut Text, status: Option<StatusCode>) {
    if let Some(status) = status {
        text.push("; fwd-status=");
        text.push(status.as_str());
    }
}

fn push_ttl(text: &mut Text, ttl: i64) {
    if ttl < 0 {
        text.push("-");
    }
    text.push_number(ttl.unsigned_abs());
}

fn push_detail(text: &mut Text, detail: Reason) {
    text.push("; detail=");
    text.push(detail.as_str());
}

/// The `fwd` parameter (RFC 9211 §2.2) for a reason.
const fn forward(why: Reason) -> &'static str {
    match why {
        // What was invalidated counts as gone, not as stale: it may not be served at all.
        Reason::UriMiss
        | Reason::HeadMiss
        | Reason::Invalidated
        | Reason::Incarnation
        | Reason::Horizon => "uri-miss",
        Reason::VaryMiss => "vary-miss",
        Reason::Expired | Reason::SoftInvalidated | Reason::ValidationMismatch => "stale",
        Reason::Method | Reason::MethodOverride => "method",
        Reason::RequestNoCache | Reason::RequestNoStore | Reason::OnlyIfCached => "request",
        _ => "bypass",
    }
}

/// A number of seconds as a header value.
pub(crate) fn seconds(seconds: u64) -> HeaderValue {
    // `HeaderValue::from(u64)` allocates twice.
    let mut text = Text::new();
    text.push_number(seconds);
    text.value().unwrap_or(HeaderValue::from_static("0"))
}

/// The outcome that goes with a reason for asking the inner service.
pub(crate) const fn outcome(why: Reason) -> Outcome {
    match why {
        Reason::UriMiss
        | Reason::VaryMiss
        | Reason::HeadMiss
        | Reason::Expired
        | Reason::Invalidated
        | Reason::SoftInvalidated
        | Reason::Incarnation
        | Reason::Horizon
        | Reason::HitForMiss
        | Reason::RequestNoCache
        | Reason::ValidationMismatch => Outcome::Miss,
        _ => Outcome::Bypass,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(telling: Telling, expected: &str) {
        assert_eq!(telling.value().unwrap(), expected);
    }

    #[test]
    fn members_are_as_rfc_9211_writes_them() {
        let fresh = Telling::Hit {
            ttl: 58,
            detail: Reason::Fresh,
        };
        check(fresh, "pitlane; hit; ttl=58; detail=fresh");
        let stale = Telling::Hit {
            ttl: -3,
            detail: Reason::StaleWhileRevalidate,
        };
        check(stale, "pitlane; hit; ttl=-3; detail=stale-while-revalidate");
        let why = Reason::UriMiss;
        let miss = Telling::Forward {
            why,
            stored: true,
            detail: why,
            status: None,
        };
        check(miss, "pitlane; fwd=uri-miss; stored; detail=uri-miss");
        let refused = Telling::Forward {
            why,
            stored: false,
            detail: Reason::SetCookie,
            status: None,
        };
        check(refused, "pitlane; fwd=uri-miss; detail=set-cookie");
        let seen = Telling::Forward {
            why,
            stored: true,
            detail: why,
            status: Some(StatusCode::OK),
        };
        let told = "pitlane; fwd=uri-miss; fwd-status=200; stored; detail=uri-miss";
        check(seen, told);
        let detail = Reason::OnlyIfCached;
        check(Telling::Made { detail }, "pitlane; detail=only-if-cached");
        let stood_in = Telling::StandIn {
            status: Some(StatusCode::BAD_GATEWAY),
            ttl: -9,
        };
        let told = "pitlane; fwd=stale; fwd-status=502; ttl=-9; detail=stale-if-error";
        check(stood_in, told);
        check(
            Telling::Validated {
                why: Reason::Expired,
            },
            "pitlane; fwd=stale; fwd-status=304; stored; detail=validated",
        );
        check(
            Telling::Collapsed {
                why: Reason::Expired,
                ttl: 60,
            },
            "pitlane; fwd=stale; collapsed; ttl=60; detail=collapsed",
        );
    }

    #[test]
    fn every_reason_fits_and_an_earlier_caches_member_stays_first() {
        for detail in Reason::ALL.iter().copied() {
            let telling = Telling::Collapsed {
                why: detail,
                ttl: i64::MIN,
            };
            assert!(
                telling
                    .value()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .ends_with("detail=collapsed")
            );
            let bypass = Telling::Forward {
                why: detail,
                stored: false,
                detail,
                status: None,
            };
            assert_eq!(bypass.value(), bypass.compose());
            let why = Reason::HitForMiss;
            let pass = Telling::Forward {
                why,
                stored: false,
                detail,
                status: None,
            };
            assert_eq!(pass.value(), pass.compose());
            let telling = Telling::Forward {
                why: detail,
                stored: true,
                detail,
                status: Some(StatusCode::NOT_FOUND),
            };
            assert!(
                telling
                    .value()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .ends_with(detail.as_str())
            );
        }
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_STATUS, HeaderValue::from_static("origin; hit"));
        Telling::Hit {
            ttl: 1,
            detail: Reason::Fresh,
        }
        .write(&mut headers);
        let all: Vec<_> = headers.get_all(CACHE_STATUS).iter().collect();
        assert_eq!(all, ["origin; hit", "pitlane; hit; ttl=1; detail=fresh"]);
    }
}
