use std::ops::AddAssign;

/// Edits between a reference and what was recognised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Edits {
    /// Units that differ.
    pub substitutions: usize,
    /// Units of the reference that are missing.
    pub deletions: usize,
    /// Units that the reference does not have.
    pub insertions: usize,
    /// Units of the reference.
    pub reference: usize,
}

impl Edits {
    /// Edits per unit of the reference; above 1 where more was invented than said. An empty
    /// reference counts as one unit, so that nothing for nothing is 0.
    pub fn rate(&self) -> f64 {
        self.total() as f64 / self.reference.max(1) as f64
    }

    /// All edits.
    pub fn total(&self) -> usize {
        self.substitutions + self.deletions + self.insertions
    }
}

/// Adds up a corpus, whose rate is that of the sums and not the mean of rates.
impl AddAssign for Edits {
    fn add_assign(&mut self, other: Self) {
        self.substitutions += other.substitutions;
        self.deletions += other.deletions;
        self.insertions += other.insertions;
        self.reference += other.reference;
    }
}

/// Text as it is compared: lower case, without characters other than letters, digits, `_`, `'` and
/// spaces, one space between words. "Well-known!" becomes "wellknown".
pub fn normalize_words(text: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || c.is_whitespace() || matches!(c, '_' | '\'');
    let text: String = text
        .chars()
        .flat_map(char::to_lowercase)
        .filter(kept)
        .collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Word errors (WER is their [`rate`](Edits::rate)) between texts as they are: see
/// [`normalize_words`]. Reference: jiwer 4.0.0 `process_words`.
pub fn word_errors(reference: &str, hypothesis: &str) -> Edits {
    let reference: Vec<_> = reference.split_whitespace().collect();
    let hypothesis: Vec<_> = hypothesis.split_whitespace().collect();
    edits(&reference, &hypothesis)
}

/// Character errors (CER is their [`rate`](Edits::rate)), spaces included. Reference: jiwer 4.0.0
/// `process_characters`.
pub fn char_errors(reference: &str, hypothesis: &str) -> Edits {
    let reference: Vec<_> = reference.trim().chars().collect();
    let hypothesis: Vec<_> = hypothesis.trim().chars().collect();
    edits(&reference, &hypothesis)
}

/// Levenshtein alignment in one row. Which of several shortest alignments is counted may differ from
/// other tools; their number of edits does not.
fn edits<T: PartialEq>(reference: &[T], hypothesis: &[T]) -> Edits {
    let insert = |mut e: Edits| {
        e.insertions += 1;
        e
    };
    // `row[j]`: from the units of the reference so far to the first `j` of the hypothesis.
    let mut row: Vec<Edits> = vec![Edits::default()];
    for _ in hypothesis {
        row.push(insert(row[row.len() - 1]));
    }
    for unit in reference {
        let mut diagonal = row[0];
        row[0].deletions += 1;
        for (j, other) in hypothesis.iter().enumerate() {
            let mut best = diagonal;
            best.substitutions += usize::from(unit != other);
            let mut deleted = row[j + 1];
            deleted.deletions += 1;
            for other in [deleted, insert(row[j])] {
                if other.total() < best.total() {
                    best = other;
                }
            }
            diagonal = std::mem::replace(&mut row[j + 1], best);
        }
    }
    Edits {
        reference: reference.len(),
        ..row[hypothesis.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures of jiwer 4.0.0: `wer` and `cer`.
    #[test]
    fn figures_are_those_of_jiwer() {
        let cases = [
            (
                "the child almost hurt the small dog",
                "the child almost hurt the small dog",
                0.0,
                0.0,
            ),
            (
                "unless a system is established for the frequent formal review of activities thereunder in this regard",
                "unless a system is established for the frequent formal review of activities there under in this regard",
                0.125,
                0.009900990099009901,
            ),
            (
                "one two three",
                "two three four five",
                1.0,
                1.0769230769230769,
            ),
            (
                "a thin stripe runs down the middle",
                "the thin strip ran down middle",
                0.5714285714285714,
                0.29411764705882354,
            ),
            (
                "the air is pure",
                "at that high level the air is pure",
                1.0,
                1.2666666666666666,
            ),
            (
                "drop the two when you add the figures",
                "you",
                0.875,
                0.918918918918919,
            ),
            ("größe zählt", "grösse zählt nicht", 1.0, 0.7272727272727273),
        ];
        for (reference, hypothesis, wer, cer) in cases {
            let found = word_errors(reference, hypothesis).rate();
            assert!(
                (found - wer).abs() < 1e-9,
                "{hypothesis}: WER {found}, expected {wer}"
            );
            let found = char_errors(reference, hypothesis).rate();
            assert!(
                (found - cer).abs() < 1e-9,
                "{hypothesis}: CER {found}, expected {cer}"
            );
        }
    }

    #[test]
    fn kinds_of_edits_are_told_apart() {
        let edits = word_errors("a b c d", "a x c d e");
        assert_eq!(
            (edits.substitutions, edits.deletions, edits.insertions),
            (1, 0, 1)
        );
        let edits = word_errors("a b c", "a c");
        assert_eq!(
            (edits.substitutions, edits.deletions, edits.insertions),
            (0, 1, 0)
        );
        assert_eq!(word_errors("", "").rate(), 0.0);
        assert_eq!(word_errors("", "you").rate(), 1.0);
        assert_eq!(word_errors("one two", "").rate(), 1.0);
    }

    #[test]
    fn a_corpus_is_added_up() {
        let mut all = word_errors("a b c d", "a b c d");
        all += word_errors("a", "b");
        assert_eq!(all.rate(), 0.2);
    }

    #[test]
    fn case_and_punctuation_do_not_count() {
        for (text, expected) in [
            ("Ask NOT, what—your  country.", "ask not whatyour country"),
            ("It's a well-known fact!", "it's a wellknown fact"),
            ("Äpfel, 42 Stück\n", "äpfel 42 stück"),
            ("...", ""),
        ] {
            assert_eq!(normalize_words(text), expected);
        }
    }
}
