//! Looks once whether the server may evict the log.

use fred::interfaces::ClientLike;
use fred::types::{ClusterHash, CustomCommand, Value};

use super::follower::PATIENCE;
use super::wire;
use crate::Dedicated;

/// Warns when any key may be evicted, the log's among them: that would cost the whole cache.
///
/// On a connection outside of the circuit, because the user may not be allowed to ask.
pub(super) async fn warn(connection: &Dedicated) {
    let ask = |client: fred::clients::Client| async move {
        let command = CustomCommand::new_static("INFO", ClusterHash::Random, false);
        client.custom::<Value, &str>(command, vec!["memory"]).await
    };
    let Ok(answer) = connection.run(PATIENCE, ask).await else {
        return;
    };
    let info = wire::bytes(answer).unwrap_or_default();
    if let Some(policy) = str::from_utf8(&info).ok().and_then(evicting) {
        tracing::warn!(
            policy,
            "Redis may evict the invalidation log, which makes everything cached unusable; \
             use a maxmemory-policy of volatile-*"
        );
    }
}

/// The policy, if it is one that evicts keys that don't expire.
fn evicting(info: &str) -> Option<&str> {
    let mut lines = info.lines();
    let policy = lines.find_map(|line| line.strip_prefix("maxmemory_policy:"))?;
    policy.starts_with("allkeys-").then_some(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(info: &str, expected: Option<&str>) {
        assert_eq!(evicting(info), expected, "{info:?}");
    }

    #[test]
    fn only_policies_that_evict_what_does_not_expire_are_named() {
        let info = |policy| format!("# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:{policy}\r\n");
        check(&info("allkeys-lru"), Some("allkeys-lru"));
        check(&info("allkeys-random"), Some("allkeys-random"));
        check(&info("volatile-lru"), None);
        check(&info("noeviction"), None);
        check("", None);
        check("what is this", None);
    }
}
