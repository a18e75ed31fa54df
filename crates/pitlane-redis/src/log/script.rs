use std::sync::Arc;

use fred::util::sha1_hash;
use pitlane_core::Incarnation;

/// The one script that touches the log.
const TEMPLATE: &str = include_str!("script.lua");
/// An append must not fail because memory is full: it is what makes old entries unusable.
const FLAGS: &str = "#!lua flags=allow-oom\n";

/// The script of one incarnation.
///
/// Its text contains the incarnation. It runs by its digest, and only the one who begins an
/// incarnation ever sends the text: a server that was restarted or promoted has the data, but not
/// the script.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) incarnation: Incarnation,
    pub(super) digest: Arc<str>,
}

impl Script {
    pub(super) fn of(incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            digest: sha1_hash(&text(incarnation)).into(),
        }
    }
}

/// The text, for the one who begins the incarnation.
pub(super) fn text(incarnation: Incarnation) -> String {
    let name = name(incarnation);
    let body = TEMPLATE.replacen("= 'INCARNATION'", &format!("= '{name}'"), 1);
    format!("{FLAGS}{body}")
}

/// An incarnation as Redis keeps it.
pub(super) fn name(incarnation: Incarnation) -> String {
    format!("{:016x}", incarnation.as_u64())
}

/// Reads an incarnation's name. What comes from Redis becomes part of a script, so nothing but 16
/// hexadecimal digits is one.
pub(super) fn parse_name(text: &[u8]) -> Option<Incarnation> {
    let digits = text
        .iter()
        .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte));
    let text = str::from_utf8(text)
        .ok()
        .filter(|text| digits && text.len() == 16)?;
    u64::from_str_radix(text, 16)
        .ok()
        .map(Incarnation::from_u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_incarnation_has_a_script_of_its_own() {
        let one = Incarnation::from_random(0xabc);
        assert!(text(one).contains("local I = '0000000000000abc'"));
        assert!(!text(one).contains("'INCARNATION'"));
        assert!(text(one).starts_with("#!lua flags=allow-oom\n"));
        assert_ne!(
            Script::of(one).digest,
            Script::of(Incarnation::from_random(1)).digest
        );
    }

    #[test]
    fn only_hexadecimal_digits_name_an_incarnation() {
        let one = Incarnation::from_random(0xabc);
        assert_eq!(parse_name(name(one).as_bytes()), Some(one));
        for text in [
            "",
            "abc",
            "0000000000000ABC",
            "'..os.exit()--000",
            "+000000000000abc",
        ] {
            assert_eq!(parse_name(text.as_bytes()), None, "{text}");
        }
    }
}
