use std::fmt;

use http::{HeaderMap, HeaderName};
use pitlane_core::Reason;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const OURS: &str = "pitlane";

/// What Pitlane says of an answer in `Cache-Status` (RFC 9211).
///
/// # Example
///
/// ```
/// use pitlane::testing::CacheStatus;
///
/// let mut headers = http::HeaderMap::new();
/// let told = "cdn; hit, pitlane; fwd=uri-miss; stored; detail=uri-miss";
/// headers.insert("cache-status", told.parse().unwrap());
/// let status = CacheStatus::of(&headers).unwrap();
/// assert!(status.is_miss() && status.is_stored());
/// assert_eq!(status.reason(), Some(pitlane::Reason::UriMiss));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheStatus {
    text: String,
    parameters: Vec<(String, String)>,
}

impl CacheStatus {
    /// What the layer nearest to the client says: the last member that is Pitlane's.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        Self::all(headers).pop()
    }

    /// What all of Pitlane's layers say, the one nearest to the handler first.
    #[must_use]
    pub fn all(headers: &HeaderMap) -> Vec<Self> {
        let lines = headers.get_all(CACHE_STATUS);
        let lines = lines.iter().filter_map(|line| line.to_str().ok());
        let members = lines.flat_map(|line| pieces(line, ','));
        members.filter_map(Self::parse).collect()
    }

    fn parse(member: &str) -> Option<Self> {
        let mut pieces = pieces(member, ';').into_iter();
        if pieces.next() != Some(OURS) {
            return None;
        }
        let parameter = |piece: &str| match piece.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (piece.to_owned(), String::new()),
        };
        Some(Self {
            text: member.to_owned(),
            parameters: pieces.map(parameter).collect(),
        })
    }

    /// From what is stored, fresh or stale.
    #[must_use]
    pub fn is_hit(&self) -> bool {
        self.has("hit")
    }

    /// By the handler, because nothing stored could be used.
    #[must_use]
    pub fn is_miss(&self) -> bool {
        let forward = match self.forward() {
            Some("uri-miss" | "vary-miss" | "miss" | "stale") => true,
            Some("request") => !self.is_for(Reason::RequestNoStore),
            _ => false,
        };
        forward && !self.is_collapsed() && !self.is_stand_in() && !self.is_validated()
    }

    /// By the handler, and the cache had no part in it.
    #[must_use]
    pub fn is_bypass(&self) -> bool {
        match self.forward() {
            Some("bypass" | "method") => !self.is_collapsed(),
            Some("request") => self.is_for(Reason::RequestNoStore),
            _ => false,
        }
    }

    /// By the handler, on behalf of another request that this one waited for.
    #[must_use]
    pub fn is_collapsed(&self) -> bool {
        self.has("collapsed")
    }

    /// Whether the handler's answer was stored.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.has("stored")
    }

    /// For how many seconds the answer stays fresh; negative for how long it has been stale.
    #[must_use]
    pub fn ttl(&self) -> Option<i64> {
        self.parameter("ttl")?.parse().ok()
    }

    /// Why the handler was asked, in the words of RFC 9211.
    #[must_use]
    pub fn forward(&self) -> Option<&str> {
        self.parameter("fwd")
    }

    /// The `detail`: a [`Reason`] as text.
    #[must_use]
    pub fn detail(&self) -> &str {
        self.parameter("detail").unwrap_or_default()
    }

    /// The `detail` as a reason.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        let mut all = Reason::ALL.iter().copied();
        all.find(|reason| self.is_for(*reason))
    }

    /// What it says, in a few words.
    pub(super) fn words(&self) -> &'static str {
        match self {
            _ if self.is_hit() => "a hit",
            _ if self.is_collapsed() => "an answer that another request was waiting for already",
            _ if self.is_stand_in() => "something stale in the place of a failure",
            _ if self.is_validated() => "a stored answer that the handler confirmed",
            _ if self.is_miss() => "a miss",
            _ if self.is_bypass() => "a bypass",
            _ => "neither from the cache nor from the handler",
        }
    }

    fn is_stand_in(&self) -> bool {
        self.is_for(Reason::StaleIfError)
    }

    fn is_validated(&self) -> bool {
        self.is_for(Reason::Validated)
    }

    fn is_for(&self, reason: Reason) -> bool {
        self.detail() == reason.as_str()
    }

    fn has(&self, name: &str) -> bool {
        self.parameter(name).is_some()
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        let mut named = self.parameters.iter();
        let (_, value) = named.find(|(own, _)| own == name)?;
        Some(value)
    }
}

/// As it stands in the header.
impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What lies between separators, of which those in quoted strings are none.
fn pieces(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    let separates = |letter: char| {
        if escaped {
            escaped = false;
        } else {
            escaped = quoted && letter == '\\';
            quoted ^= letter == '"';
        }
        !quoted && letter == separator
    };
    text.split(separates).map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(lines: &[&'static str]) -> Option<CacheStatus> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_STATUS, http::HeaderValue::from_static(line));
        }
        CacheStatus::of(&headers)
    }

    #[track_caller]
    fn check(text: &'static str, words: &str) {
        assert_eq!(status(&[text]).unwrap().words(), words, "{text}");
    }

    #[test]
    fn every_form_that_the_layers_write_is_understood() {
        check("pitlane; hit; ttl=58; detail=fresh", "a hit");
        check("pitlane; hit; ttl=-3; detail=max-stale", "a hit");
        check("pitlane; fwd=uri-miss; stored; detail=uri-miss", "a miss");
        check("pitlane; fwd=vary-miss; detail=set-cookie", "a miss");
        check("pitlane; fwd=stale; stored; detail=expired", "a miss");
        check("pitlane; fwd=request; detail=request-no-cache", "a miss");
        check("pitlane; fwd=request; detail=request-no-store", "a bypass");
        check("pitlane; fwd=bypass; detail=cookie", "a bypass");
        check("pitlane; fwd=method; detail=method", "a bypass");
        let collapsed = "an answer that another request was waiting for already";
        check(
            "pitlane; fwd=uri-miss; collapsed; ttl=60; detail=collapsed",
            collapsed,
        );
        check(
            "pitlane; fwd=stale; fwd-status=502; ttl=-9; detail=stale-if-error",
            "something stale in the place of a failure",
        );
        check(
            "pitlane; fwd=stale; fwd-status=304; stored; detail=validated",
            "a stored answer that the handler confirmed",
        );
        check(
            "pitlane; detail=only-if-cached",
            "neither from the cache nor from the handler",
        );
    }

    #[test]
    fn the_last_member_of_ours_counts_and_others_never_do() {
        let last = |lines: &[&'static str]| status(lines).map(|found| found.text);
        let ours = Some("pitlane; fwd=uri-miss".to_owned());
        assert_eq!(
            last(&["pitlane; hit, pitlane; fwd=uri-miss, cdn; hit"]),
            ours
        );
        assert_eq!(
            last(&["pitlane; hit", "pitlane; fwd=uri-miss", "cdn; hit"]),
            ours
        );
        assert_eq!(last(&["pitlane2; hit", "\"pitlane\"; hit"]), None);
        assert_eq!(last(&[]), None);
    }

    #[test]
    fn what_is_quoted_separates_nothing() {
        let told = r#"pitlane; hit; ttl=1; key="a.org/x,pitlane; fwd=\"stale"; detail=fresh"#;
        let found = status(&[told]).unwrap();
        assert_eq!((found.to_string().as_str(), found.words()), (told, "a hit"));
        assert_eq!((found.detail(), found.ttl()), ("fresh", Some(1)));
        assert_eq!(found.forward(), None);
    }
}
