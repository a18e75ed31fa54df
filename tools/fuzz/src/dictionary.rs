//! Dictionaries as libFuzzer reads them: a quoted word a line.

/// The words of a dictionary.
///
/// Understands what these files use: comments, `\\`, `\"` and `\xAB`.
///
/// # Panics
///
/// Where a line is none of that: libFuzzer would refuse the whole file.
#[must_use]
pub fn words(text: &str) -> Vec<Vec<u8>> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(word).collect()
}

fn word(line: &str) -> Vec<u8> {
    let inside = line
        .strip_prefix('"')
        .and_then(|line| line.strip_suffix('"'));
    let mut rest = inside.expect("a quoted word a line").as_bytes();
    let mut word = Vec::new();
    while let Some((&byte, behind)) = rest.split_first() {
        let (byte, behind) = if byte == b'\\' {
            escaped(behind)
        } else {
            (byte, behind)
        };
        word.push(byte);
        rest = behind;
    }
    assert!(!word.is_empty(), "an empty word: {line}");
    word
}

fn escaped(behind: &[u8]) -> (u8, &[u8]) {
    match behind {
        [one @ (b'\\' | b'"'), rest @ ..] => (*one, rest),
        [b'x', high, low, rest @ ..] => {
            let digits = [*high, *low];
            let digits = str::from_utf8(&digits).expect("two digits");
            (u8::from_str_radix(digits, 16).expect("two digits"), rest)
        }
        _ => panic!("an unknown escape before {behind:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_as_libfuzzer_reads_them() {
        let words = words("# a comment\n\n\"max-age=\"\n  \"\\\"\\\\\\x0a\"\n");
        assert_eq!(words, [&b"max-age="[..], b"\"\\\n"]);
    }

    #[test]
    #[should_panic(expected = "a quoted word a line")]
    fn a_line_without_quotes_is_refused() {
        let _ = words("max-age");
    }
}
