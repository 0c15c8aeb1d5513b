/// Which words of a growing utterance are settled: those that two hypotheses in a row begin with
/// (local agreement, Liu et al. 2020, arXiv 2005.11185, with two of them).
///
/// The last word of a hypothesis is never settled: it may be half a word, and models end what they hear
/// with a full stop. What is settled stays as it is, whatever later hypotheses say.
#[derive(Debug, Clone, Default)]
pub(super) struct Agreement {
    agreed: String,
    /// How many words are settled.
    count: usize,
    previous: String,
}

impl Agreement {
    /// Takes the next hypothesis; answers what is settled, and the rest of the hypothesis.
    pub(super) fn update(&mut self, text: &str) -> (String, String) {
        let words = words(text);
        let before = self::words(&self.previous);
        let pairs = words.iter().zip(&before);
        let common = pairs.take_while(|(a, b)| same(a, b)).count();
        let settled = common.min(words.len().saturating_sub(1));
        if settled > self.count {
            self.agreed
                .extend(words[self.count..settled].iter().copied());
            self.count = settled;
        }
        let rest = words.get(self.count..).unwrap_or_default().concat();
        self.previous = text.to_owned();
        (self.agreed.clone(), rest)
    }
}

/// Words with the space before them. Of scripts without spaces each character is one.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut inside, mut alone) = (0, false, false);
    for (at, c) in text.char_indices() {
        let ends = inside && (c.is_whitespace() || alone || stands_alone(c));
        if ends {
            words.push(&text[start..at]);
            start = at;
            inside = false;
        }
        if !c.is_whitespace() {
            inside = true;
            alone = stands_alone(c);
        }
    }
    if inside {
        words.push(&text[start..]);
    }
    words
}

/// Thai, Lao, kana and Chinese characters.
fn stands_alone(c: char) -> bool {
    matches!(c, '\u{0e00}'..='\u{0eff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// The same word, whatever its case and punctuation.
fn same(a: &str, b: &str) -> bool {
    let letters = |word: &str| -> String {
        let letters = word.chars().filter(|c| c.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect()
    };
    let (x, y) = (letters(a), letters(b));
    // Of what is punctuation alone nothing is left to compare.
    x == y && (!x.is_empty() || a.trim() == b.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hypotheses_settle_what_they_share() {
        struct Case {
            name: &'static str,
            hypotheses: &'static [&'static str],
            expected: &'static [(&'static str, &'static str)],
        }
        let cases = [
            Case {
                name: "a growing utterance",
                hypotheses: &[
                    "The child.",
                    "The child almost hurt.",
                    "The child almost hurt the small",
                ],
                expected: &[
                    ("", "The child."),
                    ("The child", " almost hurt."),
                    ("The child almost hurt", " the small"),
                ],
            },
            Case {
                name: "case and punctuation do not matter",
                hypotheses: &["and so my", "And, so, my fellow"],
                expected: &[("", "and so my"), ("And, so, my", " fellow")],
            },
            Case {
                name: "what is settled stays",
                hypotheses: &["drop the two", "drop the two when", "stop then", ""],
                expected: &[
                    ("", "drop the two"),
                    ("drop the two", " when"),
                    ("drop the two", ""),
                    ("drop the two", ""),
                ],
            },
            Case {
                name: "no two agree",
                hypotheses: &["a b", "c d", "e f"],
                expected: &[("", "a b"), ("", "c d"), ("", "e f")],
            },
            Case {
                name: "without spaces",
                hypotheses: &["今日は", "今日は雨"],
                expected: &[("", "今日は"), ("今日は", "雨")],
            },
        ];
        for case in cases {
            let mut agreement = Agreement::default();
            let found = case.hypotheses.iter().map(|h| agreement.update(h));
            let found: Vec<_> = found.collect();
            let found: Vec<_> = found.iter().map(|(a, r)| (&**a, &**r)).collect();
            assert_eq!(found, case.expected, "{}", case.name);
        }
    }

    #[test]
    fn words_are_the_whole_text() {
        for text in ["", " ", "a", " a  b", "a 今日b c. …"] {
            let trimmed = text.trim_end();
            assert_eq!(words(text).concat(), trimmed, "{text:?}");
        }
    }
}
