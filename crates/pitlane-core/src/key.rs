use std::{fmt, str::FromStr, sync::Arc};

/// The longest key, in bytes of its text form.
const MAX_LENGTH: usize = 4096;

/// A hierarchical, versioned key, such as `club:42:members`.
///
/// Its text form is readable and injective: segments are joined by `:`, a version follows `@`,
/// and whatever could be mistaken for either (`:`, `@`, `%`, white space, control characters) is
/// percent-encoded inside a segment. Two keys are equal exactly when their segments and versions
/// are.
///
/// # Example
///
/// ```
/// use pitlane_core::Key;
///
/// let key = Key::new("club").child(42).child("members");
/// assert_eq!(key.as_str(), "club:42:members");
/// assert_eq!(key.ancestors().collect::<Vec<_>>(), ["club", "club:42", "club:42:members"]);
/// assert_eq!(Key::new("a:b").child("c").as_str(), "a%3Ab:c");
/// # Ok::<(), pitlane_core::KeyError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    text: Arc<str>,
    /// Where the path ends and the version begins; the text's length without a version.
    path: usize,
}

impl Key {
    /// A key of one segment.
    #[must_use]
    pub fn new(segment: impl fmt::Display) -> Self {
        let mut text = String::with_capacity(SEGMENT);
        push_segment(&mut text, segment);
        Self::of_path(text)
    }

    /// The key one level below this one. A version stays with the key it was given to: give it
    /// last.
    #[must_use]
    pub fn child(&self, segment: impl fmt::Display) -> Self {
        let mut text = String::with_capacity(self.path().len() + 1 + SEGMENT);
        text.push_str(self.path());
        text.push(':');
        push_segment(&mut text, segment);
        Self::of_path(text)
    }

    /// The same key in another generation: old and new code live side by side.
    #[must_use]
    pub fn version(&self, version: u32) -> Self {
        let path = self.path();
        Self {
            text: format!("{path}@{version}").into(),
            path: path.len(),
        }
    }

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text form without the version: what an invalidation names.
    #[must_use]
    pub fn path(&self) -> &str {
        self.text.get(..self.path).unwrap_or(&self.text)
    }

    /// Every subtree the key lies in, from its first segment down to its own path.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        let path = self.path();
        let ends = path
            .match_indices(':')
            .map(|(at, _)| at)
            .chain([path.len()]);
        ends.filter_map(move |end| path.get(..end))
    }

    fn of_path(text: String) -> Self {
        let path = text.len();
        Self {
            text: text.into(),
            path,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.text)
    }
}

impl FromStr for Key {
    type Err = KeyError;

    /// Reads the text form.
    ///
    /// # Errors
    ///
    /// When the text is empty, longer than 4096 bytes, holds a character that a segment must
    /// encode, or has a version that isn't a number.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let error = |kind, at| Err(KeyError { kind, at });
        if text.is_empty() {
            return error(KeyErrorKind::Empty, 0);
        }
        if text.len() > MAX_LENGTH {
            return error(KeyErrorKind::TooLong, MAX_LENGTH);
        }
        let path = text.find('@').unwrap_or(text.len());
        let (segments, version) = text.split_at(path);
        if let Some(at) = first_unescaped(segments) {
            return error(KeyErrorKind::Unescaped, at);
        }
        let Some(digits) = version.strip_prefix('@') else {
            return Ok(Self {
                text: text.into(),
                path,
            });
        };
        match digits.parse::<u32>() {
            // One spelling for each number, or two texts would be the same key.
            Ok(number) if number.to_string() == digits => Ok(Self {
                text: text.into(),
                path,
            }),
            _ => error(KeyErrorKind::Version, path + 1),
        }
    }
}

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {at}")]
pub struct KeyError {
    kind: KeyErrorKind,
    at: usize,
}

impl KeyError {
    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> KeyErrorKind {
        self.kind
    }

    /// Where, in bytes from the start of the text.
    #[must_use]
    pub const fn at(&self) -> usize {
        self.at
    }
}

/// What is wrong with a text that should be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyErrorKind {
    /// Nothing is there.
    #[error("an empty key")]
    Empty,
    /// More than 4096 bytes.
    #[error("a key longer than 4096 bytes")]
    TooLong,
    /// A character that must be percent-encoded, or a bad percent-encoding.
    #[error("a character that must be percent-encoded in a key")]
    Unescaped,
    /// What follows `@` is not a number.
    #[error("a key version that is not a plain number")]
    Version,
}

/// Room for a segment of the usual length.
const SEGMENT: usize = 24;

/// Writes a segment as it is formatted, without a copy of it.
fn push_segment(text: &mut String, segment: impl fmt::Display) {
    struct Escaping<'a>(&'a mut String);
    impl fmt::Write for Escaping<'_> {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            escape(part, self.0);
            Ok(())
        }
    }
    // Half a segment would be another key.
    fmt::write(&mut Escaping(text), format_args!("{segment}")).expect("a Display that can't fail");
}

/// What a segment must hide: the separators, and whatever would garble a terminal or a log.
const fn must_hide(c: char) -> bool {
    matches!(c, ':' | '@' | '%' | ' ' | '\u{7f}'..='\u{9f}') || c <= '\u{1f}'
}

fn escape(segment: &str, text: &mut String) {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    let hex = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or('0');
    for part in segment.split_inclusive(must_hide) {
        let hidden = part.chars().next_back().filter(|c| must_hide(*c));
        let plain = hidden.and_then(|c| part.strip_suffix(c));
        text.push_str(plain.unwrap_or(part));
        if let Some(c) = hidden {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                text.extend(['%', hex(byte >> 4), hex(byte & 15)]);
            }
        }
    }
}

/// Where a path holds something that `escape` would have written differently.
fn first_unescaped(path: &str) -> Option<usize> {
    let mut start = 0;
    for segment in path.split(':') {
        let plain = unescape(segment);
        let mut again = String::new();
        escape(&plain, &mut again);
        if again != segment {
            let same = again
                .bytes()
                .zip(segment.bytes())
                .take_while(|(a, b)| a == b)
                .count();
            return Some(start + same);
        }
        start += segment.len() + 1;
    }
    None
}

/// The segment that a piece of text stands for; broken encodings are kept as they are, so that
/// escaping again shows the difference.
fn unescape(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let code = match (first, tail) {
            (b'%', [high, low, ..]) => {
                let digit = |b: u8| {
                    char::from(b)
                        .to_digit(16)
                        .and_then(|d| u8::try_from(d).ok())
                };
                digit(*high)
                    .zip(digit(*low))
                    .map(|(high, low)| high << 4 | low)
            }
            _ => None,
        };
        if code.is_some() {
            rest = tail.get(2..).unwrap_or_default();
        }
        bytes.push(code.unwrap_or(*first));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(segments: &[String], version: Option<u32>) -> Key {
        let mut segments = segments.iter();
        let first = Key::new(segments.next().unwrap());
        let path = segments.fold(first, |key, segment| key.child(segment));
        version.map_or(path.clone(), |version| path.version(version))
    }

    #[track_caller]
    fn check_error(text: &str, kind: KeyErrorKind, at: usize) {
        assert_eq!(text.parse::<Key>(), Err(KeyError { kind, at }), "{text:?}");
    }

    #[test]
    fn bad_texts_say_what_and_where() {
        check_error("", KeyErrorKind::Empty, 0);
        check_error("club:4 2", KeyErrorKind::Unescaped, 6);
        check_error("club:a%zz", KeyErrorKind::Unescaped, 7);
        check_error("club:a%3a", KeyErrorKind::Unescaped, 8);
        check_error("club:%FF", KeyErrorKind::Unescaped, 5);
        check_error("club@two", KeyErrorKind::Version, 5);
        check_error("club@02", KeyErrorKind::Version, 5);
        check_error(&"x".repeat(5000), KeyErrorKind::TooLong, 4096);
    }

    #[test]
    fn a_version_is_no_part_of_what_is_invalidated() {
        let key = Key::new("club").child(42).version(3);
        assert_eq!(key.as_str(), "club:42@3");
        assert_eq!(key.ancestors().collect::<Vec<_>>(), ["club", "club:42"]);
        assert_eq!(key.child("x").as_str(), "club:42:x");
    }

    #[test]
    fn a_subtree_holds_whole_segments_only() {
        let ancestors: Vec<_> = Key::new("club")
            .child(421)
            .ancestors()
            .map(String::from)
            .collect();
        assert!(!ancestors.contains(&String::from("club:42")));
    }

    fn hostile() -> impl Strategy<Value = String> {
        prop_oneof![
            prop::collection::vec(
                prop::sample::select(vec![
                    ":", "@", "%", "%3A", "3", "a", "|", "{", "}", "*", "\n", "\0", " ", "é",
                    "\u{85}",
                ]),
                0..6
            )
            .prop_map(|parts| parts.concat()),
            any::<String>(),
        ]
    }

    proptest! {
        #[test]
        fn keys_are_equal_only_when_their_segments_are(
            a in prop::collection::vec(hostile(), 1..4), va in prop::option::of(0_u32..3),
            b in prop::collection::vec(hostile(), 1..4), vb in prop::option::of(0_u32..3),
        ) {
            prop_assert_eq!(key(&a, va) == key(&b, vb), a == b && va == vb);
            prop_assert_eq!(key(&a, va).as_str() == key(&b, vb).as_str(), a == b && va == vb);
        }

        #[test]
        fn the_text_form_reads_back(
            segments in prop::collection::vec(hostile(), 1..4),
            version in prop::option::of(any::<u32>()),
        ) {
            let key = key(&segments, version);
            if !key.as_str().is_empty() && key.as_str().len() <= MAX_LENGTH {
                prop_assert_eq!(key.as_str().parse::<Key>(), Ok(key.clone()));
            }
            prop_assert!(!key.as_str().chars().any(char::is_control));
        }

        #[test]
        fn any_text_parses_or_says_where(text in any::<String>()) {
            match text.parse::<Key>() {
                Ok(key) => prop_assert_eq!(key.as_str(), text),
                Err(error) => prop_assert!(error.at() <= text.len()),
            }
        }
    }
}
