//! Targeted fields such as `CDN-Cache-Control` (RFC 9213): dictionaries of cache directives.

use super::ResponseDirectives;
use super::tokenizer::Argument;
use crate::{seconds, structured};
use http::{HeaderMap, HeaderName};
use sfv::visitor::{DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor};
use sfv::{BareItemFromInput, KeyRef, Parser};
use std::convert::Infallible;
use std::time::Duration;

/// The directives of a targeted field; None where it is absent, empty or no dictionary.
pub(super) fn read(headers: &HeaderMap, field: &HeaderName) -> Option<ResponseDirectives> {
    let value = structured::combined(headers, field)?;
    let directives = Parser::new(&*value).parse_dictionary_with_visitor(Reader::default());
    directives.ok()?
}

#[derive(Default)]
struct Reader(Option<ResponseDirectives>);

impl<'de> DictionaryVisitor<'de> for Reader {
    type Out = Option<ResponseDirectives>;
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        Ok(Member {
            directives: self.0.get_or_insert_with(ResponseDirectives::targeted),
            name: key.as_str().as_bytes(),
        })
    }

    fn finish(self) -> Result<Self::Out, Infallible> {
        Ok(self.0)
    }
}

struct Member<'a, 'de> {
    directives: &'a mut ResponseDirectives,
    name: &'de [u8],
}

impl<'de> EntryVisitor<'de> for Member<'_, 'de> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Infallible> {
        Ok(move |item: BareItemFromInput<'de>| {
            self.directives.add(self.name, argument(&item));
            // Parameters mean nothing unless a directive says what (RFC 9213 §2.1).
            Ok::<_, Infallible>(Ignored)
        })
    }

    /// No directive that we know takes a list, so it has a value of a wrong type.
    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Infallible> {
        self.directives.add(self.name, Argument::Malformed);
        Ok(Ignored)
    }
}

/// The types to which RFC 9213 §2.1 maps the forms of `Cache-Control`; any other is malformed.
fn argument(item: &BareItemFromInput<'_>) -> Argument<'static> {
    match item {
        BareItemFromInput::Boolean(true) => Argument::Absent,
        BareItemFromInput::Boolean(false) => Argument::Denied,
        BareItemFromInput::Integer(number) => u64::try_from(i64::from(*number))
            .map_or(Argument::Malformed, |number| {
                Argument::Seconds(Duration::from_secs(number).min(seconds::MAX))
            }),
        _ => Argument::Malformed,
    }
}
