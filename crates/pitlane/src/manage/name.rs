//! What stored keys are called by people.
//!
//! Keys hold what clients sent: rendering is total and bounded, and nothing of it can garble a
//! terminal or a page.

mod answer;
mod selected;

use std::fmt::Write as _;

use answer::response;
use selected::selected;

/// A longer name is cut, and ends with a digest of the whole key instead.
const MAX_CHARS: usize = 512;

/// The family of answers; its four low bits say what is in the key.
const RESPONSE: u8 = 0x10;
const BODY: u8 = 1;
const SAID: u8 = 2;
const SWAPS: u8 = 4;
const TRIAL: u8 = 8;

/// What a key in a cache leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KeyKind {
    /// An HTTP response.
    Response,
    /// Which request headers select the variants of a URL.
    Variants,
    /// That answers for a URL can't be stored just now.
    Pass,
    /// A value of the data API.
    Value,
    /// The answer to a gRPC call.
    Call,
    /// A record of a store, such as a session.
    Record,
    /// Something that this version doesn't know.
    Unknown,
}

impl KeyKind {
    /// The name used in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::Variants => "variants",
            Self::Pass => "pass",
            Self::Value => "value",
            Self::Call => "call",
            Self::Record => "record",
            Self::Unknown => "unknown",
        }
    }
}

/// A key as people read it, and by what else they may call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) kind: KeyKind,
    /// All that tells it from others: `GET //host/path?query [accept-language: de]`.
    pub(crate) text: String,
    /// The same without what selects a variant.
    base: String,
    /// Host, path and query, as clients sent them.
    pub(crate) url: Option<Url>,
}

/// What of a URL is in a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    host: Vec<u8>,
    target: Vec<u8>,
}

impl Url {
    /// As an absolute URL; names of invalidations have no scheme, so any will do.
    pub(crate) fn absolute(&self) -> Option<String> {
        let bytes = [b"http://", &*self.host, &self.target].concat();
        String::from_utf8(bytes).ok()
    }
}

impl Name {
    /// The name of a key without the number and version of its cache, which differ between nodes.
    pub(crate) fn of(key: &[u8]) -> Self {
        let named = match key.split_first() {
            Some((family, rest)) if family & 0xf0 == RESPONSE => {
                Some(response(family & 0x0f, rest, key))
            }
            Some((b'v', rest)) => Some(value(rest, 0)),
            Some((b'c', rest)) => data(rest, 8),
            Some((b'f', rest)) => data(rest, 16),
            Some((b'g', rest)) => call(rest, key),
            _ => None,
        };
        named
            .unwrap_or_else(|| Self::plain(KeyKind::Unknown, clean(key)))
            .bounded(key)
    }

    pub(crate) fn plain(kind: KeyKind, text: String) -> Self {
        Self {
            kind,
            base: text.clone(),
            text,
            url: None,
        }
    }

    /// Without what selects a variant or a version.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Whether somebody who says `wanted` may mean this key.
    pub(crate) fn answers_to(&self, wanted: &str) -> bool {
        self.text == wanted || self.base == wanted || self.url_is(wanted)
    }

    fn url_is(&self, wanted: &str) -> bool {
        let Some(url) = &self.url else {
            return false;
        };
        if wanted.starts_with('/') && !wanted.starts_with("//") {
            return url.target == wanted.as_bytes();
        }
        let absolute = match wanted.strip_prefix("//") {
            Some(rest) => format!("http://{rest}"),
            None => wanted.to_owned(),
        };
        let said = crate::response::name_of_url(&absolute);
        let own = url
            .absolute()
            .and_then(|own| crate::response::name_of_url(&own));
        said.is_some() && said == own
    }

    /// Whether the key begins like this: as it is written, from its host on, from its path on, or
    /// as a URL.
    pub(crate) fn begins_with(&self, prefix: &str) -> bool {
        let from_host = self.base.split_once(' ').map_or("", |(_, rest)| rest);
        let url = prefix
            .strip_prefix("http:")
            .or_else(|| prefix.strip_prefix("https:"));
        let from_path = self.url.as_ref().is_some_and(|url| {
            prefix.starts_with('/') && url.target.starts_with(prefix.as_bytes())
        });
        self.text.starts_with(prefix)
            || from_path
            || from_host.starts_with(prefix) && prefix.starts_with("//")
            || url.is_some_and(|url| from_host.starts_with(url))
    }

    fn bounded(mut self, key: &[u8]) -> Self {
        for text in [&mut self.text, &mut self.base] {
            if let Some((at, _)) = text.char_indices().nth(MAX_CHARS) {
                text.truncate(at);
                text.push('…');
                text.push_str(&digest(key));
            }
        }
        self
    }
}

/// Text that can be shown anywhere: control characters, those that turn or hide text, and bytes
/// that are no text are written as escapes, and so is the backslash.
#[must_use]
pub fn printable(text: &str) -> String {
    clean(text.as_bytes())
}

/// The same of bytes.
pub(crate) fn clean(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    // What is cut off in the end need not be written first: an escape has at most 10 characters.
    let bytes = bytes.get(..4 * MAX_CHARS).unwrap_or(bytes);
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => out.push_str("\\\\"),
                _ if is_plain(character) => out.push(character),
                _ if character.is_ascii() => {
                    let _ = write!(out, "\\x{:02x}", character as u32);
                }
                _ => {
                    let _ = write!(out, "\\u{{{:x}}}", character as u32);
                }
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Whether a character shows as itself, in its place.
const fn is_plain(character: char) -> bool {
    !matches!(character,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The first digits of a key's digest.
pub(crate) fn digest(key: &[u8]) -> String {
    let hash = blake3::hash(key).to_hex();
    format!("#{}", hash.get(..8).unwrap_or_default())
}

/// A value that stands behind a name, in the form of one that selects a variant or as it is.
fn shown(name: &[u8], value: &[u8]) -> String {
    if is_secret(name) {
        digest(value)
    } else {
        selected(value).unwrap_or_else(|| clean(value))
    }
}

/// Whether a header's name says that its value is nobody else's business.
pub(crate) fn is_secret(name: &[u8]) -> bool {
    const WORDS: [&str; 9] = [
        "auth",
        "cookie",
        "token",
        "secret",
        "session",
        "password",
        "api-key",
        "apikey",
        "signature",
    ];
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    WORDS.iter().any(|word| name.contains(word)) && name != "www-authenticate"
}

fn after_scheme(origin: &[u8]) -> &[u8] {
    let at = origin.windows(3).position(|three| three == b"://");
    at.and_then(|at| origin.get(at + 3..)).unwrap_or(origin)
}

/// A value of the data API, or a fragment: where it is at home, its version, its key.
fn data(rest: &[u8], home: usize) -> Option<Name> {
    let (_, rest) = rest.split_at_checked(home)?;
    let (version, key) = rest.split_first_chunk::<4>()?;
    Some(value(key, u32::from_be_bytes(*version)))
}

fn value(key: &[u8], version: u32) -> Name {
    let mut name = Name::plain(KeyKind::Value, clean(key));
    if version != 0 {
        let _ = write!(name.text, " [version {version}]");
    }
    name
}

/// A gRPC call: its path, and a digest of all that it was asked with.
fn call(mut rest: &[u8], key: &[u8]) -> Option<Name> {
    let path = clean(part(&mut rest)?);
    let mut name = Name::plain(KeyKind::Call, format!("gRPC {path}"));
    let _ = write!(name.text, " [{}]", digest(key));
    Some(name)
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::from("#");
    for byte in bytes.iter().take(4) {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// Parts have their length before them. The last one may be cut where only the beginning of a key
/// is at hand.
fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(u32::from_be_bytes(take(rest)?)).ok()?;
    let (part, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(part)
}

/// The one part that has its length behind it. No host has a zero in it.
fn origin<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|byte| *byte == 0)?;
    let (origin, mut tail) = rest.split_at_checked(end)?;
    let length = u32::from_be_bytes(take(&mut tail)?);
    *rest = tail;
    (usize::try_from(length) == Ok(end)).then_some(origin)
}

fn option<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let [is_there] = take(rest)?;
    let part = part(rest)?;
    Some((is_there != 0).then_some(part))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*taken)
}

#[cfg(test)]
mod tests;
