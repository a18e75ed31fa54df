//! What may become part of a key in Redis.

const MAX_LENGTH: usize = 64;

/// Checks the name of a cache, which is the prefix of its keys unless another is given.
pub(super) fn check_cache(name: &str) -> Result<(), String> {
    check("the name of a cache", name)
}

pub(super) fn check_prefix(prefix: &str) -> Result<(), String> {
    check("the prefix of a cache", prefix)
}

pub(super) fn check_namespace(namespace: &str) -> Result<(), String> {
    check("the namespace", namespace)
}

/// A colon would let one cache's keys lie within another's, a brace would move them to another
/// slot of a Cluster, and a star would match others when a cache is emptied.
fn check(what: &str, name: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=MAX_LENGTH).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    Err(format!(
        "{what} is made of 1 to {MAX_LENGTH} letters, digits and `-`, `_`, `.`; {name:?} is not"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_characters_that_mean_something_in_redis() {
        assert_eq!(check_cache("page-views_2.x"), Ok(()));
        for name in ["", "a:b", "{a}", "a*", "a b", "ä", &"x".repeat(65)] {
            assert!(check_cache(name).is_err(), "{name}");
        }
    }
}
