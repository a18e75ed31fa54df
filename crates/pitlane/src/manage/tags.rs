//! Tags by their names, as far as these are known.

use std::collections::HashMap;

use pitlane_core::{Key, TagId, TagKind, TagSet};

use super::name::{KeyKind, Name, clean};
use super::view::TagView;
use crate::cache::Cache;

/// What an entry's tags are called: those that somebody gave keep their names, and those that
/// follow from the key are found again.
pub(super) struct TagNames(HashMap<TagId, TagView>);

impl TagNames {
    pub(super) fn of(cache: &Cache, name: &Name, tags: &TagSet) -> Self {
        let log = &cache.shared().log;
        let mut names = HashMap::new();
        let mut add = |kind: TagKind, text: &str| {
            names.insert(log.tag_id(kind, text), TagView::new(kind, text));
        };
        add(TagKind::Cache, cache.name());
        if let Some(url) = name.url.as_ref().and_then(super::name::Url::absolute) {
            if let Some(uri) = crate::response::name_of_url(&url) {
                add(TagKind::Uri, &uri);
            }
            if let Some(key) = crate::response::key_of_url(&url) {
                for path in key.ancestors() {
                    add(TagKind::Subtree, path);
                }
            }
        } else if name.kind == KeyKind::Value
            && let Ok(key) = name.base().parse::<Key>()
        {
            for path in key.ancestors() {
                add(TagKind::Subtree, path);
            }
        }
        for tag in tags.names() {
            add(tag.kind(), tag.name());
        }
        Self(names)
    }

    /// One tag; by its number where nobody knows its name.
    pub(super) fn view(&self, tag: TagId) -> TagView {
        self.0.get(&tag).cloned().unwrap_or_else(|| {
            let [a, b, c, d, ..] = tag.to_bytes();
            TagView {
                kind: "unknown".to_owned(),
                name: format!("#{a:02x}{b:02x}{c:02x}{d:02x}"),
            }
        })
    }
}

impl TagView {
    pub(super) fn new(kind: TagKind, name: &str) -> Self {
        Self {
            kind: kind.as_str().to_owned(),
            name: clean(name.as_bytes()),
        }
    }
}
