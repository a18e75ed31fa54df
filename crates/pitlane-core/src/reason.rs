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
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
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
        }
    };
}

reasons! {
    /// A fresh entry was found.
    Fresh = "fresh",
    /// A stale entry was served while it is refreshed in the background.
    StaleWhileRevalidate = "stale-while-revalidate",
    /// A stale entry was served because the inner service failed.
    StaleIfError = "stale-if-error",
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
    VaryMiss = "vary-miss",
    /// The entry's lifetime was over.
    Expired = "expired",
    /// The entry, its key or one of its tags was invalidated.
    Invalidated = "invalidated",
    /// The entry was invalidated softly, and nothing allowed a stale answer.
    SoftInvalidated = "soft-invalidated",
    /// The entry was made under another life of the invalidation log.
    Incarnation = "incarnation",
    /// The invalidation log was out of reach for longer than memory may be served without it.
    Degraded = "degraded",
    /// The entry is older than what this node remembers of the log.
    Horizon = "horizon",
    /// An earlier answer for this key could not be stored, so requests for it do not wait for one another.
    HitForMiss = "hit-for-miss",
    /// The cache is strict, and the invalidation log did not confirm what is stored.
    Unconfirmed = "unconfirmed",
    /// A HEAD request found nothing stored; its answer has no body to store.
    HeadMiss = "head-miss",

    /// The response is in more cache groups than are kept, or in one whose name is too long.
    TooManyGroups = "too-many-groups",
    /// The inner service answered 304 to the cache's own condition, and meant something else than what is stored.
    ValidationMismatch = "validation-mismatch",

    /// The layer is switched off.
    Disabled = "disabled",
    /// Only GET and HEAD are cached; others where the layer keys on their bodies.
    Method = "method",
    /// The request asks for another protocol.
    Upgrade = "upgrade",
    /// The request's Connection header names fields that are no connection's own.
    Connection = "connection",
    /// A GET or HEAD request has a body, or the body of another is too long to be a part of the key.
    RequestBody = "request-body",
    /// The request asks for a part of the content.
    Range = "range",
    /// The request carries If-Match or If-Unmodified-Since, which the inner service alone can judge.
    Precondition = "precondition",
    /// The request carries an Authorization header.
    Authorization = "authorization",
    /// The request carries another header that says who somebody is, or what they may do.
    Credential = "credential",
    /// The request carries a cookie that is not listed as harmless.
    Cookie = "cookie",
    /// The request carries a header that overrides its URI.
    UriOverride = "uri-override",
    /// The request carries a header or a parameter that overrides its method.
    MethodOverride = "method-override",
    /// The call carries metadata that is neither part of the key nor known to be harmless.
    Metadata = "metadata",
    /// The call is of a method that is not named to be cached.
    NotNamed = "not-named",
    /// The call is not exactly one message of a size that is keyed.
    RequestMessage = "request-message",
    /// The call or its answer is not gRPC over HTTP/2 as the other side can read it.
    NotGrpc = "not-grpc",
    /// The request has no usable host.
    Host = "host",
    /// The request's URI or key headers are too long to be a key.
    KeyTooLong = "key-too-long",
    /// The route is cached per user and the request has no user.
    NoUser = "no-user",
    /// The route is cached per tenant and the request has no tenant.
    NoTenant = "no-tenant",
    /// The layer only tries out what it would do: the answer would have come from the cache.
    DryRun = "dry-run",
    /// The request says no-store.
    RequestNoStore = "request-no-store",
    /// The request says no-cache or asks for less than is stored.
    RequestNoCache = "request-no-cache",
    /// The request says only-if-cached and nothing usable is stored.
    OnlyIfCached = "only-if-cached",

    /// The response says no-store.
    NoStore = "no-store",
    /// The response says private.
    Private = "private",
    /// The response may only be reused after validation.
    NeedsValidation = "needs-validation",
    /// The response sets a cookie.
    SetCookie = "set-cookie",
    /// The response's status is not one that is stored.
    Status = "status",
    /// The response says must-understand and its status code is not understood.
    UnknownStatus = "unknown-status",
    /// The response is informational, not final.
    Informational = "informational",
    /// The response is a part of the content.
    PartialContent = "partial-content",
    /// The response is a 304, which has no content to store.
    NotModified = "not-modified",
    /// The response is a redirect, which is not stored unless asked for.
    Redirect = "redirect",
    /// The response is empty, which is not stored unless asked for.
    EmptyBody = "empty-body",
    /// The response varies on everything.
    VaryAny = "vary-any",
    /// The URI has more variants than are kept.
    VaryLimit = "vary-limit",
    /// The response repeats the request's Origin without varying on it.
    ReflectedOrigin = "reflected-origin",
    /// The response carries a nonce that must not be used twice.
    CspNonce = "csp-nonce",
    /// A response header holds a control character.
    ControlCharacter = "control-character",
    /// The response says nothing about freshness and the layer has no lifetime for it.
    NoFreshness = "no-freshness",
    /// The response was stale when it arrived.
    ExpiredOnArrival = "expired-on-arrival",
    /// The request's own data say that the answer is for one person.
    Personal = "personal",
    /// The handler's hint says not to store.
    Hint = "hint",
    /// The response is made of a stale value.
    StaleDependency = "stale-dependency",
    /// The response is larger than the limit.
    TooLarge = "too-large",
    /// The body failed before its end.
    BodyError = "body-error",
    /// The body's length is not the declared one.
    LengthMismatch = "length-mismatch",
    /// The call did not end with status 0.
    GrpcStatus = "grpc-status",
    /// The answer to the call is not exactly one message.
    NotUnary = "not-unary",
    /// The response is an event stream, which has no end to wait for.
    EventStream = "event-stream",
    /// The body took longer than others may be made to wait for it.
    SlowBody = "slow-body",
    /// The body ends with trailers.
    Trailers = "trailers",
    /// The client left before the body's end.
    Abandoned = "abandoned",
    /// The inner service failed.
    Failed = "failed",
    /// The policy refused for a reason that this version has no name for.
    Policy = "policy",
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
        }
        for (number, outcome) in Outcome::ALL.iter().enumerate() {
            assert_eq!(*outcome as usize, number);
        }
    }
}
