//! How long a Rust file and its functions are.
//!
//! Comments are blanked and literals made opaque first, so that braces and
//! words inside them count for nothing. That is enough to match braces without
//! a parser; a brace inside a const generic argument of a signature is the one
//! thing that it takes for a body.

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Source {
    /// All lines of the file.
    pub(crate) lines: usize,
    /// Lines of code outside tests.
    pub(crate) code: usize,
    /// Lines of code of tests.
    pub(crate) tests: usize,
    /// The functions with a body that are no tests.
    pub(crate) functions: Vec<Function>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

impl Source {
    pub(crate) fn read(path: &str, text: &str) -> Self {
        let masked = mask(text);
        let tests = if is_for_tests(path) {
            std::iter::once((0, masked.len())).collect()
        } else {
            test_items(&masked)
        };
        let mut source = Self {
            lines: text.lines().count(),
            functions: functions(&masked, &tests),
            ..Self::default()
        };
        let mut start = 0;
        for line in masked.split_inclusive('\n') {
            let part = if is_inside(&tests, start) {
                &mut source.tests
            } else {
                &mut source.code
            };
            *part += usize::from(!line.trim().is_empty());
            start += line.len();
        }
        source
    }
}

/// Test code has a folder, or a file named for it.
fn is_for_tests(path: &str) -> bool {
    let mut parts = path.split('/');
    parts.any(|part| matches!(part, "tests" | "benches" | "tests.rs"))
}

type Range = (usize, usize);

fn is_inside(ranges: &[Range], place: usize) -> bool {
    let mut ranges = ranges.iter();
    ranges.any(|(start, end)| (*start..*end).contains(&place))
}

/// How attributes begin that leave an item to tests, perhaps with more conditions.
const FOR_TESTS: [&str; 2] = ["#[cfg(test)]", "#[cfg(all(test,"];

fn test_items(masked: &str) -> Vec<Range> {
    let attributes = FOR_TESTS.iter().flat_map(|one| masked.match_indices(one));
    let items = attributes.map(|(start, attribute)| {
        let (end, _) = item_end(masked, start + attribute.len());
        (start, end)
    });
    items.collect()
}

fn functions(masked: &str, tests: &[Range]) -> Vec<Function> {
    let mut functions = Vec::new();
    let (mut line, mut counted) = (1, 0);
    for (start, word) in masked.match_indices("fn ") {
        let (before, after) = (masked.get(..start), masked.get(start + word.len()..));
        let Some(name) = after.map(name).filter(|name| !name.is_empty()) else {
            continue;
        };
        if before.is_some_and(|text| text.ends_with(is_word)) || is_inside(tests, start) {
            continue;
        }
        if let (end, true) = item_end(masked, start) {
            line += newlines(masked, counted, start);
            counted = start;
            functions.push(Function {
                name: name.to_owned(),
                line,
                lines: newlines(masked, start, end) + 1,
            });
        }
    }
    functions
}

fn name(after: &str) -> &str {
    let end = after.find(|one| !is_word(one)).unwrap_or(after.len());
    after.get(..end).unwrap_or_default()
}

fn newlines(text: &str, start: usize, end: usize) -> usize {
    let part = text.get(start..end).unwrap_or_default();
    part.matches('\n').count()
}

/// Where the item that begins here ends, and whether it has a body.
fn item_end(masked: &str, start: usize) -> (usize, bool) {
    let (mut brackets, mut braces) = (0_usize, 0_usize);
    for (place, byte) in masked.bytes().enumerate().skip(start) {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets = brackets.saturating_sub(1),
            b';' if brackets == 0 && braces == 0 => return (place + 1, false),
            b'{' => braces += 1,
            b'}' if braces == 1 => return (place + 1, true),
            b'}' => braces = braces.saturating_sub(1),
            _ => {}
        }
    }
    (masked.len(), false)
}

/// The text with comments as spaces and literals as quotes. Lines stay lines.
fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, filling) = token(rest, first);
        let (taken, after) = rest.split_at(length);
        match filling {
            None => masked.push_str(taken),
            Some(filling) => masked.extend(taken.chars().map(|one| match one {
                '\n' => '\n',
                _ => filling,
            })),
        }
        rest = after;
    }
    masked
}

/// How far the token at the beginning of the text goes, and what to put there
/// instead.
fn token(text: &str, first: char) -> (usize, Option<char>) {
    if text.starts_with("//") {
        return (text.find('\n').unwrap_or(text.len()), Some(' '));
    }
    if text.starts_with("/*") {
        return (block_comment(text), Some(' '));
    }
    match first {
        '"' => (quoted(text, '"'), Some('"')),
        '\'' => character(text).map_or((1, None), |length| (length, Some('"'))),
        one if is_word(one) => word(text),
        other => (other.len_utf8(), None),
    }
}

/// A word, or a raw string with its prefix.
fn word(text: &str) -> (usize, Option<char>) {
    let word = name(text);
    let raw = text.get(word.len()..).and_then(raw_string);
    match raw.filter(|_| matches!(word, "r" | "br" | "cr")) {
        Some(length) => (word.len() + length, Some('"')),
        None => (word.len(), None),
    }
}

fn raw_string(text: &str) -> Option<usize> {
    let inner = text.trim_start_matches('#');
    let hashes = text.len() - inner.len();
    let inner = inner.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inner.find(&end).map_or(inner.len(), |at| at + end.len());
    Some(hashes + 1 + length)
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (place, one) in text.char_indices().skip(1) {
        match one {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            one if one == quote => return place + 1,
            _ => {}
        }
    }
    text.len()
}

/// A character literal's length; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let mut inner = text.chars().skip(1);
    let is_literal = inner.next()? == '\\' || inner.next()? == '\'';
    is_literal.then(|| quoted(text, '\''))
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut place = 0;
    while let Some(rest) = text.get(place..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            place += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            place += 2;
        } else {
            place += rest.chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            return place;
        }
    }
    text.len()
}

fn is_word(one: char) -> bool {
    one.is_alphanumeric() || one == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_mask(text: &str, expected: &str) {
        assert_eq!(mask(text), expected);
    }

    #[track_caller]
    fn check_functions(text: &str, expected: &[(&str, usize, usize)]) {
        let source = Source::read("src/lib.rs", text);
        let found = source.functions.iter();
        let found: Vec<_> = found
            .map(|one| (one.name.as_str(), one.line, one.lines))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn comments_become_spaces() {
        check_mask("a // {\nb", "a     \nb");
        check_mask("a /* { /* } */ \n */ b", "a              \n    b");
        check_mask("a /* é", "a     ");
        check_mask("a / b", "a / b");
    }

    #[test]
    fn literals_become_opaque() {
        check_mask(r#"f("{ \" // ");"#, r#"f("""""""""");"#);
        check_mask(
            "f('{', '\\'', '\"', '\\u{7d}')",
            "f(\"\"\", \"\"\"\", \"\"\", \"\"\"\"\"\"\"\")",
        );
        check_mask("f(\"one\ntwo\")", "f(\"\"\"\"\n\"\"\"\")");
        check_mask(r##"r#"{ " "# }"##, r#"""""""""" }"#);
        check_mask("br\"\\\" }", "\"\"\"\"\" }");
    }

    #[test]
    fn lifetimes_and_raw_names_are_code() {
        check_mask("fn f<'a>(r#type: &'a str)", "fn f<'a>(r#type: &'a str)");
        check_mask("attr\"x\"", "attr\"\"\"");
    }

    #[test]
    fn functions_are_measured_from_their_first_line_to_their_brace() {
        check_functions(
            "fn one() {}\n\npub fn two(\n) {\n    a();\n}\n",
            &[("one", 1, 1), ("two", 3, 4)],
        );
        check_functions("fn f(a: [u8; 4]) -> u8 {\n  '}'; \"}\"\n}", &[("f", 1, 3)]);
        check_functions(
            "fn outer() {\n  fn inner() {\n  }\n}",
            &[("outer", 1, 4), ("inner", 2, 2)],
        );
    }

    #[test]
    fn what_has_no_body_or_no_name_is_no_function() {
        check_functions("trait T { fn a(); fn b() {} }", &[("b", 1, 1)]);
        check_functions("type F = fn (u8) -> u8; // fn c() {}\n\"fn d() {}\"", &[]);
        check_functions("macro!(my_fn one {})", &[]);
    }

    #[test]
    fn tests_are_counted_apart() {
        let text = "fn a() {}\n\n// One.\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
        let source = Source::read("src/lib.rs", text);
        assert_eq!((source.lines, source.code, source.tests), (8, 2, 4));
        check_functions(text, &[("a", 1, 1), ("c", 8, 1)]);
        let narrower = text.replace("test)", "all(test, not(loom)))");
        let same = Source::read("src/lib.rs", &narrower);
        assert_eq!(same, source);
        let source = Source::read("tests/main.rs", text);
        assert_eq!(
            (source.code, source.tests, source.functions.len()),
            (0, 6, 0)
        );
    }
}
