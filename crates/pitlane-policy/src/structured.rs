//! What structured fields (RFC 9651) need beside their parser.

use crate::syntax;
use http::{HeaderMap, HeaderName};
use std::borrow::Cow;

/// All lines of a field as one value, separated by commas (RFC 9651 §4.2); None without any.
pub(crate) fn combined<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
    let mut lines = headers.get_all(name).into_iter();
    let mut value = Cow::Borrowed(syntax::trim(lines.next()?.as_bytes()));
    for line in lines {
        let whole = value.to_mut();
        whole.extend_from_slice(b", ");
        whole.extend_from_slice(syntax::trim(line.as_bytes()));
    }
    Some(value)
}
