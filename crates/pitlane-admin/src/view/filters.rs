//! What templates do with values: numbers, sizes, times, and text that nobody should trust.

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, HtmlEscape, State};
use pitlane::{Outcome, Reason};

use super::moment;

/// What stands for a number that is not there.
const NONE: &str = "–";
/// The longest text that is shown in full unless the template says otherwise, in characters.
const LONG: usize = 200;

pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("count", |value: &Value| {
        number(value).map_or_else(none, count)
    });
    environment.add_filter("size", |value: &Value| {
        number(value).map_or_else(none, size)
    });
    environment.add_filter("span", |value: &Value| {
        number(value).map_or_else(none, span)
    });
    environment.add_filter("share", |value: &Value| {
        number(value).map_or_else(none, share)
    });
    environment.add_filter("rate", |value: &Value| {
        number(value).map_or_else(none, rate)
    });
    environment.add_filter("shown", |text: &str, most: Option<usize>| {
        shown(text, most.unwrap_or(LONG))
    });
    environment.add_filter("requests", requests);
    environment.add_filter("ago", ago);
    environment.add_filter("why", why);
    environment.add_filter("coded", |text: &str| Value::from_safe_string(coded(text)));
    environment.add_filter("sentence", sentence);
}

fn number(value: &Value) -> Option<f64> {
    match value.kind() {
        ValueKind::Number => f64::try_from(value.clone())
            .ok()
            .filter(|number| number.is_finite()),
        _ => None,
    }
}

/// The sum of all outcomes.
fn requests(counts: &Value) -> f64 {
    let counts = Outcome::ALL
        .iter()
        .map(|outcome| counts.get_attr(outcome.as_str()).ok());
    counts.flatten().filter_map(|count| number(&count)).sum()
}

fn none() -> String {
    NONE.to_owned()
}

/// `1234567` is `1,234,567`.
fn count(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    match number < 0.0 {
        true => format!("−{text}"),
        false => text,
    }
}

/// Bytes in binary units.
fn size(bytes: f64) -> String {
    let mut rest = bytes;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if rest < 1024.0 {
            return format!("{}\u{a0}{unit}", significant(rest));
        }
        rest /= 1024.0;
    }
    format!("{}\u{a0}TiB", significant(rest))
}

/// Seconds in the unit that fits.
pub(super) fn span(seconds: f64) -> String {
    let (sign, seconds) = if seconds < 0.0 {
        ("−", -seconds)
    } else {
        ("", seconds)
    };
    let (number, unit) = match seconds {
        0.0 => (0.0, "s"),
        s if s < 1e-6 => (s * 1e9, "ns"),
        s if s < 1e-3 => (s * 1e6, "µs"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s if s < 120.0 => (s, "s"),
        s if s < 7200.0 => (s / 60.0, "min"),
        s if s < 172_800.0 => (s / 3600.0, "h"),
        s => (s / 86_400.0, "days"),
    };
    format!("{sign}{}\u{a0}{unit}", significant(number))
}

/// A ratio as a percentage. What is not all is never shown as 100 %, nor what is not nothing as 0.
pub(super) fn share(ratio: f64) -> String {
    let percent = 100.0 * ratio;
    match percent {
        p if p > 99.9 && p < 100.0 => ">\u{2009}99.9\u{a0}%".to_owned(),
        p if p > 0.0 && p < 0.1 => "<\u{2009}0.1\u{a0}%".to_owned(),
        p if p == 0.0 || p == 100.0 => format!("{p:.0}\u{a0}%"),
        p => format!("{p:.1}\u{a0}%"),
    }
}

/// How many a second.
fn rate(number: f64) -> String {
    match number {
        n if n >= 1000.0 => count(n),
        n => significant(n),
    }
}

/// Three digits that matter, at most.
fn significant(number: f64) -> String {
    match number {
        n if n == n.trunc() || n >= 100.0 => format!("{n:.0}"),
        n if n >= 10.0 => format!("{n:.1}"),
        n => format!("{n:.2}"),
    }
}

/// Text from outside, with everything spelt out that is not seen or that turns the text around
/// it: control characters, marks of direction, invisible ones.
pub(crate) fn shown(text: &str, most: usize) -> String {
    let mut out = String::new();
    for (at, character) in text.chars().enumerate() {
        if at == most {
            out.push('…');
            break;
        }
        match character {
            c if c.is_control() || is_format(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// Text as HTML, with what stands between two backticks as code.
fn coded(text: &str) -> String {
    let mut out = String::new();
    let mut parts = text.split('`').peekable();
    let mut is_code = false;
    while let Some(part) = parts.next() {
        let escaped = HtmlEscape(part);
        match (is_code, parts.peek()) {
            (true, Some(_)) => out.push_str(&format!("<code class=\"code\">{escaped}</code>")),
            // The last backtick has no other.
            (true, None) => out.push_str(&format!("`{escaped}")),
            (false, _) => out.push_str(&escaped.to_string()),
        }
        is_code = !is_code;
    }
    out
}

/// A message as a sentence of its own.
fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().into_iter().flat_map(char::to_uppercase);
    let mut sentence: String = first.chain(rest).collect();
    if !sentence.ends_with(['.', '!', '?', '…']) {
        sentence.push('.');
    }
    sentence
}

const fn is_format(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// A moment in milliseconds, as how long ago it was; the title has it in full.
fn ago(state: &State, value: &Value) -> Value {
    let now = state.lookup("now_ms").as_ref().and_then(number);
    let (Some(millis), Some(now)) = (number(value), now) else {
        return Value::from(NONE);
    };
    let (millis, now) = (whole(millis), whole(now));
    let (utc, relative) = (moment::utc(millis), moment::relative(millis, now));
    let machine = utc.replace(' ', "T");
    Value::from_safe_string(format!(
        "<time datetime=\"{machine}Z\" title=\"{utc} UTC\">{relative}</time>"
    ))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float saturates, and a moment is no fraction of a millisecond"
)]
fn whole(number: f64) -> u64 {
    number as u64
}

/// What a reason's label means, in a sentence; empty for what is no reason of this version.
fn why(label: &str) -> &'static str {
    let found = Reason::ALL.iter().find(|reason| reason.as_str() == label);
    found.map_or("", |reason| reason.explain())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(count(0.0), "0");
        assert_eq!(count(999.0), "999");
        assert_eq!(count(1_234_567.0), "1,234,567");
        assert_eq!(count(-1234.0), "−1,234");
        assert_eq!(size(512.0), "512\u{a0}B");
        assert_eq!(size(1536.0), "1.50\u{a0}KiB");
        assert_eq!(size(268_435_456.0), "256\u{a0}MiB");
        assert_eq!(span(0.0), "0\u{a0}s");
        assert_eq!(span(0.000_012_3), "12.3\u{a0}µs");
        assert_eq!(span(0.25), "250\u{a0}ms");
        assert_eq!(span(-5.0), "−5\u{a0}s");
        assert_eq!(span(5400.0), "90\u{a0}min");
        assert_eq!(rate(1234.5), "1,234");
    }

    #[test]
    fn a_share_rounds_to_neither_all_nor_nothing() {
        assert_eq!(share(1.0), "100\u{a0}%");
        assert_eq!(share(0.9999), ">\u{2009}99.9\u{a0}%");
        assert_eq!(share(0.00001), "<\u{2009}0.1\u{a0}%");
        assert_eq!(share(0.0), "0\u{a0}%");
        assert_eq!(share(0.973), "97.3\u{a0}%");
    }

    #[test]
    fn what_is_not_seen_is_spelt_out() {
        assert_eq!(shown("\x1b[31mred", 99), "\\u{1b}[31mred");
        assert_eq!(shown("a\u{202e}b", 99), "a\\u{202e}b");
        assert_eq!(shown("a\r\nb\0", 99), "a\\r\\nb\\u{0}");
        assert_eq!(shown("zero\u{200b}width", 99), "zero\\u{200b}width");
        assert_eq!(shown("Zürich – 東京", 99), "Zürich – 東京");
        assert_eq!(shown("abcdef", 3), "abc…");
        assert_eq!(shown("abc", 3), "abc");
    }

    #[test]
    fn what_stands_between_backticks_is_code_and_nothing_is_markup() {
        assert_eq!(
            coded("not `a<b`, and `c`"),
            "not <code class=\"code\">a&lt;b</code>, and <code class=\"code\">c</code>"
        );
        assert_eq!(coded("<b>`<i>"), "&lt;b&gt;`&lt;i&gt;");
        assert_eq!(coded("``"), "<code class=\"code\"></code>");
        assert_eq!(coded(""), "");
    }

    #[test]
    fn a_message_is_a_sentence() {
        assert_eq!(sentence("there is nothing here"), "There is nothing here.");
        assert_eq!(sentence("Already one."), "Already one.");
        assert_eq!(sentence(""), ".");
    }

    #[test]
    fn a_reason_has_its_sentence() {
        assert_eq!(why("set-cookie"), "The response sets a cookie.");
        assert_eq!(why("<script>"), "");
    }
}
