//! What `#[cached]` refuses, and how it says so. What it accepts is run by the tests of `pitlane`.

#[test]
fn what_is_wrong_does_not_compile_and_says_why() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/refused/*.rs");
}
