//! The reference of all reasons, made from the code.

use std::{fs, path::Path};

use pitlane_core::Reason;

/// Behind this line nothing is written by hand.
const MARK: &str = "<!-- From here on `cargo test -p pitlane --features explain --lib reasons_page` \
                    compares every line with the code. -->\n";

#[test]
fn the_reasons_page_says_what_the_code_tells() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/reasons.md");
    let page = fs::read_to_string(&path).unwrap();
    let (by_hand, made) = page.split_once(MARK).expect("the mark");
    let expected = reference();
    if std::env::var_os("WRITE_REFERENCE").is_some() {
        fs::write(&path, format!("{by_hand}{MARK}{expected}")).unwrap();
        return;
    }
    let lines = made.lines().zip(expected.lines());
    let differing = lines.filter(|(said, is)| said != is).collect::<Vec<_>>();
    assert!(
        made == expected,
        "not so in docs/reference/reasons.md: {differing:#?}; WRITE_REFERENCE=1 writes it"
    );
}

fn reference() -> String {
    let mut page = String::new();
    for reason in Reason::ALL {
        page += &format!("\n## `{reason}`\n\n{}\n", reason.explain());
        if let Some(advice) = reason.advice() {
            page += &format!("\n*What to change*: {advice}\n");
        }
    }
    page
}
