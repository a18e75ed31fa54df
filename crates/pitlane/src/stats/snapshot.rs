//! What a node tells the others, as bytes.

use pitlane_core::Outcome;
use serde::{Deserialize, Serialize};

use super::{
    gather::TOP,
    view::{NodeStats, Series, UnreadableNode},
};

/// The format. Another one is another version's, and is not read.
const FORMAT: u32 = 1;
/// A longer snapshot is neither written nor read.
pub(super) const MAX_LENGTH: usize = 256 << 10;
/// More caches of one node are not looked at.
const MAX_CACHES: usize = 256;
/// The same for outcomes and reasons, and what else has names that don't grow with the traffic.
const MAX_NAMES: usize = 512;
/// The same for routes, of which nodes name about half as many.
const MAX_ROUTES: usize = 1024;

#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    version: &'a str,
    numbers: &'a NodeStats,
}

/// What every format begins with.
#[derive(Deserialize)]
struct Head {
    format: u32,
    version: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    numbers: NodeStats,
}

/// What can be left out of numbers that are too many, the least needed first.
const LESS: [fn(&mut NodeStats); 5] = [
    |node| {
        node.caches
            .iter_mut()
            .for_each(|cache| cache.routes.truncate(64))
    },
    |node| {
        node.caches
            .iter_mut()
            .for_each(|cache| cache.routes.clear())
    },
    |node| {
        for cache in &mut node.caches {
            cache.top_by_hits.clear();
            cache.top_by_cost.clear();
        }
    },
    |node| {
        for latency in node
            .caches
            .iter_mut()
            .flat_map(|cache| &mut cache.latencies)
        {
            latency.histogram.buckets.clear();
        }
    },
    |node| node.caches.clear(),
];

/// Writes the numbers, and less of them where they are too many.
pub(super) fn encode(mut node: NodeStats) -> Vec<u8> {
    // What is for charts and lists stays at home.
    node.decisions.clear();
    for cache in &mut node.caches {
        cache.series = Series::default();
    }
    let mut bytes = write(&node);
    for less in LESS {
        if bytes.len() <= MAX_LENGTH {
            break;
        }
        less(&mut node);
        node.truncated = true;
        bytes = write(&node);
    }
    bytes
}

fn write(node: &NodeStats) -> Vec<u8> {
    let written = Written {
        format: FORMAT,
        version: &node.version,
        numbers: node,
    };
    // Numbers, texts and lists of them can always be written.
    serde_json::to_vec(&written).unwrap_or_default()
}

/// Reads what is said to be the numbers of the node `id`. They come from outside: whatever they
/// are, this ends, and takes no more memory than they do.
pub(super) fn decode(id: &str, bytes: &[u8]) -> Result<NodeStats, UnreadableNode> {
    let unreadable = |version: Option<String>, why: String| UnreadableNode {
        node: printable(id),
        version: version.map(|version| printable(&version)),
        why: printable(&why),
    };
    if bytes.len() > MAX_LENGTH {
        let why = format!("its numbers are {} bytes long", bytes.len());
        return Err(unreadable(None, why));
    }
    let head: Head = serde_json::from_slice(bytes)
        .map_err(|error| unreadable(None, format!("its numbers are damaged: {error}")))?;
    let version = head.version;
    if head.format != FORMAT {
        let why = format!("its numbers have the format {}, not {FORMAT}", head.format);
        return Err(unreadable(version, why));
    }
    match serde_json::from_slice::<Body>(bytes) {
        Ok(body) if body.numbers.node == id => Ok(bounded(body.numbers)),
        Ok(_) => Err(unreadable(
            version,
            "its numbers are another node's".to_owned(),
        )),
        Err(error) => Err(unreadable(
            version,
            format!("its numbers are damaged: {error}"),
        )),
    }
}

/// A node whose numbers were not read because the others' are too many.
pub(super) fn too_much(id: &str) -> UnreadableNode {
    UnreadableNode {
        node: printable(id),
        version: None,
        why: "the others' numbers are too many to read its own as well".to_owned(),
    }
}

/// No list is longer than nodes write it.
fn bounded(mut node: NodeStats) -> NodeStats {
    // What nodes don't tell each other.
    node.decisions.clear();
    let mut cut = shorten(&mut node.caches, MAX_CACHES);
    cut |= shorten(&mut node.invalidations, MAX_NAMES);
    cut |= shorten(&mut node.totals.memory.evictions, MAX_NAMES);
    for cache in &mut node.caches {
        cache.series = Series::default();
        cut |= shorten(&mut cache.reasons, MAX_NAMES);
        cut |= shorten(&mut cache.routes, MAX_ROUTES);
        cut |= shorten(&mut cache.lookups, MAX_NAMES);
        for tallies in [
            &mut cache.fills,
            &mut cache.revalidations,
            &mut cache.errors,
            &mut cache.memory.evictions,
        ] {
            cut |= shorten(tallies, MAX_NAMES);
        }
        cut |= shorten(&mut cache.latencies, Outcome::ALL.len());
        cut |= shorten(&mut cache.top_by_hits, TOP);
        cut |= shorten(&mut cache.top_by_cost, TOP);
    }
    node.truncated |= cut;
    node
}

fn shorten<T>(list: &mut Vec<T>, most: usize) -> bool {
    let long = list.len() > most;
    list.truncate(most);
    long
}

/// No more than a line, without control characters.
fn printable(text: &str) -> String {
    crate::manage::printable(text).chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::view::{CacheStats, RouteStats, Tally, TopKey};

    fn node() -> NodeStats {
        NodeStats {
            node: "00ff".to_owned(),
            version: "0.1.0".to_owned(),
            caches: vec![CacheStats {
                name: "pages".to_owned(),
                ..CacheStats::default()
            }],
            ..NodeStats::default()
        }
    }

    #[track_caller]
    fn check(bytes: &[u8], why: &str) {
        let error = decode("00ff", bytes).expect_err("it is none");
        assert!(error.why.contains(why), "{error:?}");
        assert_eq!(error.node, "00ff");
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(decode("00ff", &encode(node())), Ok(node()));
    }

    #[test]
    fn what_is_for_charts_stays_at_home() {
        let mut full = node();
        full.decisions.push(Default::default());
        full.caches[0].series.last_hour.push(Default::default());
        assert_eq!(decode("00ff", &encode(full)), Ok(node()));
    }

    #[test]
    fn another_version_is_named() {
        let bytes = br#"{"format":2,"version":"9.9.9","numbers":[1,2,3]}"#;
        let error = decode("00ff", bytes).expect_err("it is another's");
        assert_eq!(error.version.as_deref(), Some("9.9.9"));
        check(bytes, "format 2");
    }

    #[test]
    fn fields_of_a_newer_version_are_left_out() {
        let text = String::from_utf8(encode(node())).expect("it is JSON");
        let newer = text.replacen("\"node\":", "\"colour\":{\"a\":[1]},\"node\":", 1);
        assert_ne!(newer, text);
        assert_eq!(decode("00ff", newer.as_bytes()), Ok(node()));
    }

    #[test]
    fn whatever_else_is_there_is_no_snapshot() {
        check(b"", "damaged");
        check(b"\xff\xfe", "damaged");
        check(b"{}", "damaged");
        check(b"{\"format\":1}", "damaged");
        check(b"{\"format\":-1}", "damaged");
        check(b"{\"format\":1,\"numbers\":{}}", "damaged");
        check(&[b'['; 100_000], "damaged");
        check(&vec![b' '; MAX_LENGTH + 1], "bytes long");
        let bytes = encode(node());
        for end in 0..bytes.len() {
            check(&bytes[..end], "damaged");
        }
    }

    #[test]
    fn nobody_speaks_for_another_node() {
        let error = decode("other", &encode(node())).expect_err("it is another's");
        assert_eq!(error.why, "its numbers are another node's");
    }

    #[test]
    fn numbers_that_are_too_many_lose_what_is_least_needed() {
        let mut many = node();
        let long = |number: u64| format!("{number:0400}");
        many.caches[0].routes = (0..2_000)
            .map(|number| RouteStats {
                route: long(number),
                ..RouteStats::default()
            })
            .collect();
        many.caches[0].top_by_hits = (0..20)
            .map(|number| TopKey {
                name: long(number),
                ..TopKey::default()
            })
            .collect();
        let bytes = encode(many.clone());
        assert!(bytes.len() <= MAX_LENGTH);
        let read = decode("00ff", &bytes).expect("it is one");
        assert!(read.truncated);
        assert_eq!(read.caches[0].routes.len(), 64);
        assert_eq!(read.caches[0].top_by_hits.len(), 20);
        // Nothing is left that could be too many.
        many.caches = vec![many.caches.remove(0); 50];
        assert!(encode(many).len() <= MAX_LENGTH);
    }

    #[test]
    fn lists_that_no_node_writes_are_cut() {
        let mut many = node();
        let short = |number: usize| Tally {
            name: number.to_string(),
            count: 1,
        };
        many.caches[0].fills = (0..=MAX_NAMES).map(short).collect();
        let read = decode("00ff", &write(&many)).expect("it is one");
        assert!(read.truncated);
        assert_eq!(read.caches[0].fills, many.caches[0].fills[..MAX_NAMES]);
        many.caches[0].fills.pop();
        assert_eq!(decode("00ff", &write(&many)), Ok(many));
    }

    #[test]
    fn what_comes_from_outside_is_shown_harmlessly() {
        let error = decode("a\x1b[31m\nb", b"{").expect_err("it is none");
        assert!(!error.node.contains(char::is_control), "{error:?}");
    }
}
