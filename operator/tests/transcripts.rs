//! What is typed and what is answered, as in a terminal 80 columns wide.

#[test]
fn transcripts() {
    trycmd::TestCases::new().env("COLUMNS", "80").case("tests/cmd/*.trycmd");
}
