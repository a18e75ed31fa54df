//! The little of TOML that our own manifests use, read line by line.

/// The value of a key in a table, as it is written: `"0.1.0"` keeps its quotes.
/// `edition.workspace` is one key, named in full.
pub(crate) fn value<'a>(manifest: &'a str, table: &str, key: &str) -> Option<&'a str> {
    let mut here = "";
    for line in manifest.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            here = name.trim_end_matches(']');
        } else if let Some((name, value)) = line.split_once('=')
            && here == table
            && name.trim() == key
        {
            return Some(value.trim());
        }
    }
    None
}

/// Whether a key is taken from the workspace.
pub(crate) fn is_inherited(manifest: &str, table: &str, key: &str) -> bool {
    value(manifest, table, &format!("{key}.workspace")) == Some("true")
        || value(manifest, table, key) == Some("{ workspace = true }")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[package]\nname = \"a\"\nedition.workspace = true\n\
        license = { workspace = true }\n\n[lints]\nworkspace = true\n\
        [dependencies]\nname = \"other\"\n";

    #[test]
    fn a_value_is_found_in_its_own_table_only() {
        assert_eq!(value(MANIFEST, "package", "name"), Some("\"a\""));
        assert_eq!(value(MANIFEST, "lints", "workspace"), Some("true"));
        assert_eq!(value(MANIFEST, "lints", "name"), None);
        assert_eq!(value(MANIFEST, "package", "workspace"), None);
    }

    #[test]
    fn both_ways_to_inherit_count() {
        assert!(is_inherited(MANIFEST, "package", "edition"));
        assert!(is_inherited(MANIFEST, "package", "license"));
        assert!(!is_inherited(MANIFEST, "package", "name"));
        assert!(!is_inherited(MANIFEST, "package", "version"));
    }
}
