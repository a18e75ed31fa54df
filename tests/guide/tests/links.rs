//! Links between the pages of the book lead somewhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// All pages of the guide, and the one that lists them.
fn pages() -> BTreeMap<PathBuf, String> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let docs = docs.canonicalize().unwrap();
    let guide = fs::read_dir(docs.join("guide")).unwrap();
    let guide = guide.map(|page| page.unwrap().path());
    let pages = guide.chain([docs.join("SUMMARY.md")]);
    pages
        .map(|page| (page.clone(), fs::read_to_string(page).unwrap()))
        .collect()
}

/// What follows `](` up to the closing bracket.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let rest = text.split("](").skip(1);
    rest.filter_map(|rest| Some(rest.split_once(')')?.0))
}

/// The anchors that headings have, as mdBook and others make them.
fn anchors(text: &str) -> impl Iterator<Item = String> + '_ {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let headings = headings.map(|line| line.trim_start_matches('#'));
    headings.filter_map(|heading| {
        let heading = heading.strip_prefix(' ')?.to_lowercase();
        let kept = heading.chars().filter_map(|one| match one {
            ' ' => Some('-'),
            '-' | '_' => Some(one),
            _ => one.is_alphanumeric().then_some(one),
        });
        Some(kept.collect())
    })
}

#[test]
fn every_link_of_the_guide_leads_somewhere() {
    let pages = pages();
    let mut checked = 0;
    for (page, text) in &pages {
        for link in links(text).filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let file = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            let Ok(file) = file.canonicalize() else {
                panic!("{}: there is no {link}", page.display());
            };
            if !anchor.is_empty() {
                let there = pages
                    .get(&file)
                    .is_some_and(|text| anchors(text).any(|known| known == anchor));
                assert!(there, "{}: nothing is called {link}", page.display());
            }
            checked += 1;
        }
    }
    assert!(checked > 30, "only {checked} links were found");
}

#[test]
fn every_page_is_listed() {
    let pages = pages();
    let (summary, pages): (Vec<_>, Vec<_>) = pages
        .iter()
        .partition(|(page, _)| page.ends_with("SUMMARY.md"));
    for (page, _) in pages {
        let name = page.file_name().unwrap().to_string_lossy();
        let listed = summary
            .iter()
            .any(|(_, text)| text.contains(&format!("(guide/{name})")));
        assert!(listed, "{name} is not in the summary");
    }
}
