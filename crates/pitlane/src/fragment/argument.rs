use std::fmt::{self, Write};

/// Longer ones stand in a key by their digest.
const MAX_LENGTH: usize = 200;

/// Something that a fragment is rendered for, as its key says it: numbers plain, texts in quotes,
/// so that no two kinds meet. What is long is told by its digest (BLAKE3, 256 bits).
///
/// # Example
///
/// ```
/// use pitlane::fragment::Argument;
///
/// assert_eq!(Argument::from(42).to_string(), "42");
/// assert_eq!(Argument::from("42").to_string(), r#""42""#);
/// assert_eq!(Argument::from(None::<u64>).to_string(), "none");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Argument(String);

impl Argument {
    /// An argument of a text that no other kind has.
    pub(super) fn of(text: String) -> Self {
        if text.len() <= MAX_LENGTH {
            return Self(text);
        }
        Self(format!("#{}", blake3::hash(text.as_bytes()).to_hex()))
    }

    /// Writes a text between quotes, such that it ends where the second quote is.
    pub(super) fn quote(text: &str, to: &mut String) {
        to.push('"');
        for c in text.chars() {
            if matches!(c, '"' | '\\') {
                to.push('\\');
            }
            to.push(c);
        }
        to.push('"');
    }

    /// Writes a fraction such that no whole number is written like it.
    pub(super) fn fraction(number: f64, to: &mut String) {
        // Writing to a string doesn't fail.
        let _ = write!(to, "{number:?}");
    }
}

impl fmt::Display for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Argument {
    fn from(text: &str) -> Self {
        let mut quoted = String::with_capacity(text.len() + 2);
        Self::quote(text, &mut quoted);
        Self::of(quoted)
    }
}

impl From<String> for Argument {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&String> for Argument {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<bool> for Argument {
    fn from(value: bool) -> Self {
        Self(value.to_string())
    }
}

impl From<f64> for Argument {
    fn from(number: f64) -> Self {
        let mut text = String::new();
        Self::fraction(number, &mut text);
        Self(text)
    }
}

impl<T: Into<Self>> From<Option<T>> for Argument {
    fn from(value: Option<T>) -> Self {
        value.map_or_else(|| Self("none".to_owned()), Into::into)
    }
}

macro_rules! whole_numbers {
    ($($number:ty),*) => {
        $(impl From<$number> for Argument {
            fn from(number: $number) -> Self {
                Self(number.to_string())
            }
        })*
    };
}

whole_numbers!(
    i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize
);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn arguments_of_different_kinds_or_values_differ() {
        let arguments = [
            Argument::from(1),
            Argument::from(-1),
            Argument::from("1"),
            Argument::from(1.0),
            Argument::from(true),
            Argument::from("true"),
            Argument::from(None::<u8>),
            Argument::from("none"),
            Argument::from(""),
            Argument::from("a\",\"b"),
            Argument::from("a\\\",\\\"b"),
            Argument::from("x".repeat(500)),
            Argument::from("x".repeat(501)),
        ];
        let texts: HashSet<String> = arguments.iter().map(Argument::to_string).collect();
        assert_eq!(texts.len(), arguments.len(), "{texts:?}");
        assert!(texts.iter().all(|text| text.len() <= MAX_LENGTH));
    }

    #[test]
    fn the_same_number_of_another_type_is_the_same_argument() {
        assert_eq!(Argument::from(7_u8), Argument::from(7_i64));
        assert_eq!(Argument::from(Some("a")), Argument::from("a".to_owned()));
    }
}
