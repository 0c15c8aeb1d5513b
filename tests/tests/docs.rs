//! Documentation quotes code as it is.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bevel_tests::root;

#[test]
fn the_worked_example_is_the_family_it_says() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let guide = read("docs/add-an-architecture.md");
    let family = read("converters/convert/src/arch/deepspeech.rs");
    let blocks = guide.split("```rust\n").skip(1);
    let blocks: Vec<_> = blocks.filter_map(|b| b.split("\n```").next()).collect();
    assert!(blocks.len() >= 3, "{}", blocks.len());
    let lines: usize = blocks.iter().map(|b| b.lines().count()).sum();
    assert!(lines < 100, "{lines} lines");
    for block in blocks {
        assert!(family.contains(block), "no longer in the family:\n{block}");
    }
}
