//! Numbers as people read them.

/// Bytes with a binary unit.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    #[expect(clippy::cast_precision_loss, reason = "it is rounded for people")]
    let mut value = bytes as f64;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while value >= 1024.0 && units.len() > 0 {
        value /= 1024.0;
        unit = units.next();
    }
    let unit = unit.copied().unwrap_or_default();
    if bytes < 1024 {
        format!("{bytes} {unit}")
    } else {
        format!("{value:.1} {unit}")
    }
}

/// Seconds, in the unit that leaves few digits.
pub(crate) fn span(seconds: f64) -> String {
    let magnitude = seconds.abs();
    if magnitude < 0.001 {
        format!("{:.0} µs", seconds * 1e6)
    } else if magnitude < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else if magnitude < 120.0 {
        format!("{seconds:.1} s")
    } else if magnitude < 7200.0 {
        format!("{:.0} min", seconds / 60.0)
    } else if magnitude < 172_800.0 {
        format!("{:.1} h", seconds / 3600.0)
    } else {
        format!("{:.1} d", seconds / 86_400.0)
    }
}

/// A number of things.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    if number == 1 {
        format!("1 {one}")
    } else {
        format!("{number} {many}")
    }
}

/// Milliseconds from `from` to `to`, as seconds; negative when it goes back.
pub(crate) fn between(from: u64, to: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "it is rounded for people")]
    let millis = (i128::from(to) - i128::from(from)) as f64;
    millis / 1e3
}

/// What somebody else said, without characters that garble a terminal. Lines stay lines.
pub(crate) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        let turns = matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if character == '\n' || !(character.is_control() || turns) {
            out.push(character);
        } else {
            out.extend(character.escape_unicode());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_is_harmless() {
        assert_eq!(
            harmless("a\x1b[2J\nb\r\u{202e}"),
            "a\\u{1b}[2J\nb\\u{d}\\u{202e}"
        );
        assert_eq!(harmless("Zürich"), "Zürich");
    }

    #[test]
    fn sizes_and_spans_have_few_digits() {
        let sizes = [0, 1023, 1024, 1536, 5 << 20, u64::MAX].map(size);
        let expected = [
            "0 B",
            "1023 B",
            "1.0 KiB",
            "1.5 KiB",
            "5.0 MiB",
            "16777216.0 TiB",
        ];
        assert_eq!(sizes, expected);
        let spans = [0.000_05, 0.0123, 1.25, 300.0, 9000.0, 864_000.0, -3.0].map(span);
        let expected = [
            "50 µs", "12.3 ms", "1.2 s", "5 min", "2.5 h", "10.0 d", "-3.0 s",
        ];
        assert_eq!(spans, expected);
    }
}
