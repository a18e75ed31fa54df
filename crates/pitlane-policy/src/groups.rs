//! Cache groups (RFC 9875): responses that are invalidated together.
//!
//! Groups hold within one origin (scheme, host and port); that is the caller's to see to.
//!
//! # Example
//!
//! ```
//! use http::{HeaderMap, HeaderValue};
//! use pitlane_policy::groups;
//!
//! let mut page = HeaderMap::new();
//! page.insert("cache-groups", HeaderValue::from_static("\"prices\", \"news\""));
//! let mut written = HeaderMap::new();
//! written.insert("cache-group-invalidation", HeaderValue::from_static("\"prices\""));
//!
//! let ended = groups::invalidated(&written);
//! assert!(groups::of(&page)?.iter().any(|group| ended.contains(group)));
//! # Ok::<_, groups::TooManyGroups>(())
//! ```

use crate::structured;
use http::{HeaderMap, HeaderName};
use sfv::visitor::{EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ListVisitor, Never};
use sfv::{BareItemFromInput, Parser};
use std::{error, fmt};

/// How many groups a response may be in. RFC 9875 §2 asks for 32 at least.
pub const MOST_GROUPS: usize = 128;

/// How many characters a group's name may have. RFC 9875 §2 asks for 32 at least.
pub const LONGEST_NAME: usize = 256;

/// How many groups one answer may invalidate: what fits into the largest head that servers let
/// through.
pub const MOST_INVALIDATED: usize = 16_384;

static CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
/// The field that [`invalidated`] reads.
pub static CACHE_GROUP_INVALIDATION: HeaderName =
    HeaderName::from_static("cache-group-invalidation");

/// A response is in more groups than [`MOST_GROUPS`], or one has a longer name than
/// [`LONGEST_NAME`].
///
/// It must not be stored: nobody could invalidate it by the groups that were left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooManyGroups;

impl fmt::Display for TooManyGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Cache-Groups holds more than {MOST_GROUPS} groups, or a name of more than {LONGEST_NAME} characters"
        )
    }
}

impl error::Error for TooManyGroups {}

/// The groups that a response is in, from `Cache-Groups`.
///
/// Names are compared character by character, letter case counts (RFC 9875 §2.1). Parameters
/// are ignored. A field that is no list of strings is ignored whole: that is how structured
/// fields treat what doesn't parse (RFC 9651 §4.2), and a member that is no string breaks the
/// definition of this one just as much. To take what is left of it would put the response into
/// some of its groups, which looks like all of them.
///
/// # Errors
///
/// A field beyond the bounds: the response must not be stored.
pub fn of(headers: &HeaderMap) -> Result<Vec<String>, TooManyGroups> {
    let names = list_of_strings(headers, &CACHE_GROUPS);
    if names.len() > MOST_GROUPS || names.iter().any(|name| name.len() > LONGEST_NAME) {
        return Err(TooManyGroups);
    }
    Ok(names)
}

/// The groups that an answer invalidates, from `Cache-Group-Invalidation`.
///
/// It counts on answers to unsafe methods only (RFC 9875 §3); that is the caller's to see to. A field
/// that is no list of strings is ignored whole, as in [`of`]. Names too long to be stored with a
/// response are left out, since no response is in such a group; so is what stands behind
/// [`MOST_INVALIDATED`] others.
#[must_use]
pub fn invalidated(headers: &HeaderMap) -> Vec<String> {
    let mut names = list_of_strings(headers, &CACHE_GROUP_INVALIDATION);
    names.retain(|name| name.len() <= LONGEST_NAME);
    names.truncate(MOST_INVALIDATED);
    names
}

fn list_of_strings(headers: &HeaderMap, field: &HeaderName) -> Vec<String> {
    let Some(value) = structured::combined(headers, field) else {
        return Vec::new();
    };
    let names = Parser::new(&*value).parse_list_with_visitor(Names::default());
    names.unwrap_or_default()
}

#[derive(Default)]
struct Names(Vec<String>);

#[derive(Debug)]
struct NotAString;

impl fmt::Display for NotAString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member is no string")
    }
}

impl error::Error for NotAString {}

impl<'de> ListVisitor<'de> for Names {
    type Out = Vec<String>;
    type Error = NotAString;

    fn entry(&mut self) -> Result<impl EntryVisitor<'de>, NotAString> {
        Ok(Member(&mut self.0))
    }

    fn finish(self) -> Result<Vec<String>, NotAString> {
        Ok(self.0)
    }
}

struct Member<'a>(&'a mut Vec<String>);

impl<'de> EntryVisitor<'de> for Member<'_> {
    type Error = NotAString;

    fn item(self) -> Result<impl ItemVisitor<'de>, NotAString> {
        Ok(move |item: BareItemFromInput<'de>| {
            let BareItemFromInput::String(name) = item else {
                return Err(NotAString);
            };
            self.0.push(name.as_str().to_owned());
            Ok(Ignored)
        })
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, NotAString> {
        Err::<Never, _>(NotAString)
    }
}
