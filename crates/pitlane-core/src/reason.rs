use std::fmt;

/// How a request was answered: a partition of all requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// From the cache, fresh.
    Hit,
    /// From the cache, stale and allowed to be.
    Stale,
    /// By the one computation that somebody else had begun.
    Collapsed,
    /// From the cache, after the origin confirmed it.
    Revalidated,
    /// By the inner service; the answer may have been stored.
    Miss,
    /// By the inner service; the cache had no part in it.
    Bypass,
}

impl Outcome {
    /// All outcomes, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Hit,
        Self::Stale,
        Self::Collapsed,
        Self::Revalidated,
        Self::Miss,
        Self::Bypass,
    ];

    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Collapsed => "collapsed",
            Self::Revalidated => "revalidated",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal $(=> $advice:literal)?,)+) => {
        /// Why the cache did what it did: one enum behind Cache-Status, metric labels, logs and
        /// `explain`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Reason { $($(#[doc = $doc])+ $name,)+ }

        impl Reason {
            /// All reasons, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The metric label and the detail in Cache-Status.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// One sentence for people.
            #[must_use]
            pub const fn explain(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc,)+).trim_ascii(),)+ }
            }

            /// What to change so that more is answered from the cache; `None` where nothing is
            /// wrong.
            #[must_use]
            pub const fn advice(self) -> Option<&'static str> {
                match self { $(Self::$name => advice!($($advice)?),)+ }
            }
        }
    };
}

macro_rules! advice {
    () => {
        None
    };
    ($advice:literal) => {
        Some($advice)
    };
}

impl Reason {
    /// The reason with this [label](Self::as_str).
    #[must_use]
    pub fn from_label(label: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|reason| reason.as_str() == label)
    }
}

impl Outcome {
    /// The outcome with this [label](Self::as_str).
    #[must_use]
    pub fn from_label(label: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|outcome| outcome.as_str() == label)
    }
}

reasons! {
    /// A fresh entry was found.
    Fresh = "fresh",
    /// A stale entry was served while it is refreshed in the background.
    StaleWhileRevalidate = "stale-while-revalidate",
    /// A stale entry was served because the inner service failed.
    StaleIfError = "stale-if-error"
        => "Find out why the inner service fails; the answer is as old as its last success.",
    /// Another request was computing the same answer, and this one waited for it.
    Collapsed = "collapsed",
    /// A fresh entry was found in Redis, where another request or another node had put it.
    Remote = "remote",
    /// A stale entry was found, and the inner service said that it is still right.
    Validated = "validated",
    /// A stale entry was served because the request says that it takes it (max-stale).
    MaxStale = "max-stale",
    /// The answer was stored.
    Stored = "stored",

    /// Nothing is stored for this URI.
    UriMiss = "uri-miss",
    /// The URI is stored, but not for these request headers.
    VaryMiss = "vary-miss"
        => "If most requests end so, name fewer request headers in `Vary`, or bring their values into few forms outside of the cache.",
    /// The entry's lifetime was over.
    Expired = "expired"
        => "If most requests end so, send a longer `max-age`, raise the layer's `.ttl(…)`, or open a window with `.stale_while_revalidate(…)`.",
    /// The entry, its key or one of its tags was invalidated.
    Invalidated = "invalidated"
        => "If the data had not changed, name narrower tags where it is invalidated.",
    /// The entry was invalidated softly, and nothing allowed a stale answer.
    SoftInvalidated = "soft-invalidated"
        => "Open a window with `.stale_while_revalidate(…)` if clients may get the old answer while a new one is computed.",
    /// The entry was made under another life of the invalidation log.
    Incarnation = "incarnation"
        => "Nothing, if Redis was restarted, emptied or failed over just now. If it goes on, find out why Redis loses its data.",
    /// The invalidation log was out of reach for longer than memory may be served without it.
    Degraded = "degraded"
        => "Bring Redis back within reach; `pitlane test` says what is wrong.",
    /// The entry is older than what this node remembers of the log.
    Horizon = "horizon"
        => "Nothing, if it is rare: it costs one computation. If it goes on, invalidate fewer distinct tags.",
    /// An earlier answer for this key could not be stored, so requests for it do not wait for one another.
    HitForMiss = "hit-for-miss"
        => "Look at the reason of the answer that could not be stored; it is remembered for as long as `.hit_for_miss(…)` says.",
    /// The cache is strict, and the invalidation log did not confirm what is stored.
    Unconfirmed = "unconfirmed"
        => "Bring Redis back within reach, or give the cache `coherence = \"bounded\"` if its hits may lag.",
    /// A HEAD request found nothing stored; its answer has no body to store.
    HeadMiss = "head-miss"
        => "Ask with GET first: HEAD is answered from what a GET has stored.",

    /// The response is in more cache groups than are kept, or in one whose name is too long.
    TooManyGroups = "too-many-groups"
        => "Name at most 128 groups of at most 256 bytes each in `Cache-Groups`.",
    /// The inner service answered 304 to the cache's own condition, and meant something else than what is stored.
    ValidationMismatch = "validation-mismatch"
        => "Have the handler answer 304 only where its `ETag` or `Last-Modified` is the one that it was asked about.",

    /// The layer is switched off.
    Disabled = "disabled"
        => "Switch the layer on with `.enabled(true)`.",
    /// Only GET and HEAD are cached; others where the layer keys on their bodies.
    Method = "method"
        => "Ask with GET where nothing is changed. Answers to QUERY and to POSTs that only ask are cached by `.key_body(…)`.",
    /// The request asks for another protocol.
    Upgrade = "upgrade"
        => "Send no `Upgrade` where an ordinary answer is wanted.",
    /// The request's Connection header names fields that are no connection's own.
    Connection = "connection"
        => "Name no end-to-end fields in `Connection`.",
    /// A GET or HEAD request has a body, or the body of another is too long to be a part of the key.
    RequestBody = "request-body"
        => "Send GET and HEAD without a body, or raise the limit of `.key_body(…)`.",
    /// The request asks for a part of the content.
    Range = "range"
        => "Ask once without `Range`: parts are cut from a whole answer that is stored.",
    /// The request carries If-Match or If-Unmodified-Since, which the inner service alone can judge.
    Precondition = "precondition"
        => "Ask with `If-None-Match` or `If-Modified-Since`, which the cache can judge.",
    /// The request carries an Authorization header.
    Authorization = "authorization"
        => "Key entries by user with `.per_user(…)`, or leave `Authorization` off requests for what is everybody's. In `Profile::Rfc`, answer with `public`, `s-maxage` or `must-revalidate`.",
    /// The request carries another header that says who somebody is, or what they may do.
    Credential = "credential"
        => "Key entries by the header with `.key_header(…)` or by user with `.per_user(…)`, or take the header off requests for what is everybody's.",
    /// The request carries a cookie that is not listed as harmless.
    Cookie = "cookie"
        => "Name the cookie with `.add_harmless_cookie(…)` if the answer does not depend on it, or key entries by user with `.per_user(…)`.",
    /// The request carries a header that overrides its URI.
    UriOverride = "uri-override"
        => "Send the URI that is meant, or take the header off requests outside of the cache.",
    /// The request carries a header or a parameter that overrides its method.
    MethodOverride = "method-override"
        => "Send the method that is meant, or take the header or parameter off requests outside of the cache.",
    /// The call carries metadata that is neither part of the key nor known to be harmless.
    Metadata = "metadata"
        => "Key on it with `.add_metadata(…)` if the answer depends on it, or name it with `.add_harmless_metadata(…)` if not.",
    /// The call is of a method that is not named to be cached.
    NotNamed = "not-named"
        => "Name the method with `.method(…)` if it only reads.",
    /// The call is not exactly one message of a size that is keyed.
    RequestMessage = "request-message"
        => "Raise `.max_message(…)`, or don't name methods whose requests are streams.",
    /// The call or its answer is not gRPC over HTTP/2 as the other side can read it.
    NotGrpc = "not-grpc"
        => "Call over HTTP/2 with the content type `application/grpc`, and answer in a coding that the client takes.",
    /// The request has no usable host.
    Host = "host"
        => "Send exactly one `Host` that is a host.",
    /// The request's URI or key headers are too long to be a key.
    KeyTooLong = "key-too-long"
        => "Shorten the URI, or key on fewer or shorter headers.",
    /// The route is cached per user and the request has no user.
    NoUser = "no-user"
        => "Put what finds the user outside of the layer, or routes without users under another layer.",
    /// The route is cached per tenant and the request has no tenant.
    NoTenant = "no-tenant"
        => "Put what finds the tenant outside of the layer, or routes without tenants under another layer.",
    /// The layer only tries out what it would do: the answer would have come from the cache.
    DryRun = "dry-run"
        => "Take `.dry_run()` off the layer once its decisions are the right ones.",
    /// The request says no-store.
    RequestNoStore = "request-no-store"
        => "Ask without `no-store`; `Profile::Application` does not heed it.",
    /// The request says no-cache or asks for less than is stored.
    RequestNoCache = "request-no-cache"
        => "Ask without `no-cache` and for no less than is stored; `Profile::Application` does not heed it.",
    /// The request says only-if-cached and nothing usable is stored.
    OnlyIfCached = "only-if-cached"
        => "Ask without `only-if-cached`, or warm the cache first.",

    /// The response says no-store.
    NoStore = "no-store"
        => "Take `no-store` out of the response's `Cache-Control` if it may be stored.",
    /// The response says private.
    Private = "private"
        => "Take `private` out of the response's `Cache-Control` if everybody may see it, or key entries by user with `.per_user(…)`.",
    /// The response may only be reused after validation.
    NeedsValidation = "needs-validation"
        => "Send a `max-age` instead of `no-cache`, or, in `Profile::Rfc`, an `ETag` to validate by.",
    /// The response sets a cookie.
    SetCookie = "set-cookie"
        => "Set cookies on a route that is not cached, or only where they change.",
    /// The response's status is not one that is stored.
    Status = "status"
        => "Name the status with `.add_status(…)` if such answers may be repeated.",
    /// The response says must-understand and its status code is not understood.
    UnknownStatus = "unknown-status"
        => "Take `must-understand` out of the response's `Cache-Control`, or answer with a standard status.",
    /// The response is informational, not final.
    Informational = "informational"
        => "Answer with a final status.",
    /// The response is a part of the content.
    PartialContent = "partial-content"
        => "Answer with the whole content: the cache cuts parts from it.",
    /// The response is a 304, which has no content to store.
    NotModified = "not-modified"
        => "Answer 304 only to a condition that the request brought.",
    /// The response is a redirect, which is not stored unless asked for.
    Redirect = "redirect"
        => "Turn on `.store_redirects()` if the target repeats nothing that the client sent.",
    /// The response is empty, which is not stored unless asked for.
    EmptyBody = "empty-body"
        => "Turn on `.store_empty()` if the route is meant to answer so.",
    /// The response varies on everything.
    VaryAny = "vary-any"
        => "Name in `Vary` the request headers that the response depends on, instead of `*`.",
    /// The URI has more variants than are kept.
    VaryLimit = "vary-limit"
        => "Vary on fewer headers, or bring their values into few forms outside of the cache: 16 headers and 32 variants of a URI are kept.",
    /// The response repeats the request's Origin without varying on it.
    ReflectedOrigin = "reflected-origin"
        => "Add `Vary: Origin`, or answer `Access-Control-Allow-Origin: *`.",
    /// The response carries a nonce that must not be used twice.
    CspNonce = "csp-nonce"
        => "Allow scripts by their hash instead, or have the nonce replaced on each hit with `.replace_on_hit(…)`.",
    /// A response header holds a control character.
    ControlCharacter = "control-character"
        => "Encode what the handler puts into its headers.",
    /// The response says nothing about freshness and the layer has no lifetime for it.
    NoFreshness = "no-freshness"
        => "Send `Cache-Control: max-age=…`, or give the layer or its cache a TTL.",
    /// The response was stale when it arrived.
    ExpiredOnArrival = "expired-on-arrival"
        => "Send a `max-age` above the response's `Age`, or an `Expires` after its `Date`.",
    /// The request's own data say that the answer is for one person.
    Personal = "personal"
        => "Have the handler leave the person's data alone on this route, or narrow what `.personal(…)` calls personal.",
    /// The handler's hint says not to store.
    Hint = "hint"
        => "Take `no_store` out of the handler's `CacheHint` if the answer may be stored.",
    /// The response is made of a stale value.
    StaleDependency = "stale-dependency"
        => "Nothing: the next answer is made of the renewed value.",
    /// The response is larger than the limit.
    TooLarge = "too-large"
        => "Raise `max_body` of the registry, or answer with less.",
    /// The body failed before its end.
    BodyError = "body-error"
        => "Find out why the body fails.",
    /// The body's length is not the declared one.
    LengthMismatch = "length-mismatch"
        => "Leave `Content-Length` to the server, or send exactly as much as it says.",
    /// The call did not end with status 0.
    GrpcStatus = "grpc-status"
        => "Nothing: errors are never stored.",
    /// The answer to the call is not exactly one message.
    NotUnary = "not-unary"
        => "Don't name methods whose answers are streams.",
    /// The response is an event stream, which has no end to wait for.
    EventStream = "event-stream"
        => "Put event streams on a route without the layer.",
    /// The body took longer than others may be made to wait for it.
    SlowBody = "slow-body"
        => "Send the body faster, or raise `.patience(…)`.",
    /// The body ends with trailers.
    Trailers = "trailers"
        => "Say in the response's head what its trailers say.",
    /// The client left before the body's end.
    Abandoned = "abandoned",
    /// The inner service failed.
    Failed = "failed"
        => "Find out why the inner service fails; `.stale_if_error(…)` bridges it with the last good answer.",
    /// The policy refused for a reason that this version has no name for.
    Policy = "policy"
        => "Use one version of Pitlane's crates.",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_trouble_needs_no_advice_and_all_else_has_some() {
        let fine = |reason: &&Reason| reason.advice().is_none();
        let fine: Vec<_> = Reason::ALL
            .iter()
            .filter(fine)
            .map(|r| r.as_str())
            .collect();
        let expected = [
            "fresh",
            "stale-while-revalidate",
            "collapsed",
            "remote",
            "validated",
            "max-stale",
            "stored",
            "uri-miss",
            "abandoned",
        ];
        assert_eq!(fine, expected);
    }

    #[test]
    fn labels_are_distinct_tokens_and_numbers_follow_the_order() {
        let labels: std::collections::HashSet<_> = Reason::ALL.iter().map(|r| r.as_str()).collect();
        assert_eq!(labels.len(), Reason::ALL.len());
        for (number, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, number);
            assert!(
                reason
                    .as_str()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'-')
            );
            assert!(reason.explain().ends_with('.') && !reason.explain().starts_with(' '));
            assert_eq!(Reason::from_label(reason.as_str()), Some(*reason));
            if let Some(advice) = reason.advice() {
                assert!(advice.ends_with('.') && advice.len() < 220, "{advice}");
                assert_ne!(advice, reason.explain());
            }
        }
        for (number, outcome) in Outcome::ALL.iter().enumerate() {
            assert_eq!(*outcome as usize, number);
            assert_eq!(Outcome::from_label(outcome.as_str()), Some(*outcome));
        }
        assert_eq!(Reason::from_label("fre"), None);
        assert_eq!(Outcome::from_label(""), None);
    }
}
