use std::fmt;

/// Defines each reason once: its variant, its label, and the sentence that helps.
macro_rules! refusals {
    ($($variant:ident $label:literal $sentence:literal)*) => {
        /// Why a response was not stored.
        ///
        /// [`as_str`](Self::as_str) is the metric label and the `Cache-Status` detail;
        /// `Display` says what to change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Refusal {
            $(#[doc = concat!("`", $label, "`: ", $sentence, ".")] $variant,)*
        }

        impl Refusal {
            /// Every reason, each once.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// A short name in kebab-case, fit for a metric label.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)*
                }
            }

            const fn sentence(self) -> &'static str {
                match self {
                    $(Self::$variant => $sentence,)*
                }
            }
        }
    };
}

refusals! {
    NoStore "no-store"
        "the response says `no-store`; remove that directive if it may be stored"
    Private "private"
        "the response says `private`; key the cache by user, or remove that directive if everybody may see it"
    NeedsValidation "needs-validation"
        "the response says `no-cache` but can't be validated before each use; give it a `max-age`, or an ETag and a cache that validates"
    SetCookie "set-cookie"
        "the response sets a cookie, which belongs to one visitor; set cookies on a route that isn't cached"
    Authorization "authorization"
        "the request carries `Authorization`; say `public`, `s-maxage` or `must-revalidate` if the response is for everybody, or key the cache by user"
    Status "status"
        "responses with this status code aren't stored; add it to the storable statuses"
    UnknownStatus "unknown-status"
        "the response says `must-understand` and its status code isn't understood; remove that directive or use a standard status code"
    Informational "informational"
        "informational (1xx) responses are never stored; only final responses are"
    PartialContent "partial-content"
        "partial responses (206) aren't stored; answer without ranges and let the cache cut them"
    NotModified "not-modified"
        "a 304 has no body to store; answer requests that the cache makes with the full response"
    Redirect "redirect"
        "redirects aren't stored unless that is turned on, because their target often repeats the request"
    EmptyBody "empty-body"
        "the body is empty; turn on storing empty bodies if this route is meant to answer so"
    VaryAny "vary-any"
        "`Vary` contains `*` or something that is no field name; name the request fields that the response depends on"
    ReflectedOrigin "reflected-origin"
        "`Access-Control-Allow-Origin` names one origin without `Vary: Origin`; add that, or allow `*`"
    CspNonce "csp-nonce"
        "the Content-Security-Policy carries a nonce, which must differ in every response; use hashes, or replace the nonce on each hit"
    ControlCharacter "control-character"
        "a field value contains a control character; encode what the handler puts into its headers"
    NoFreshness "no-freshness"
        "nothing says for how long the response is fresh; send `max-age`, or configure a TTL"
    ExpiredOnArrival "expired-on-arrival"
        "the response is already stale and has no stale window; send a `max-age` above its `Age`"
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn labels_are_distinct_and_kebab_case() {
        let labels: HashSet<_> = Refusal::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(labels.len(), Refusal::ALL.len());
        for label in labels {
            assert!(
                label
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "{label}"
            );
        }
    }

    #[test]
    fn every_sentence_is_displayed_and_fits_a_line_of_a_log() {
        for reason in Refusal::ALL {
            let sentence = reason.to_string();
            assert!((20..200).contains(&sentence.len()), "{sentence}");
            assert!(!sentence.ends_with('.'), "{sentence}");
        }
    }
}
