use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

/// The words of a table of word vectors: one a line, in the order of the rows. An empty line is a row
/// without a word.
///
/// ```
/// use bevel_prep::text::Vocabulary;
///
/// let vocabulary = Vocabulary::new("the\nedge\ndevice\n".into()).unwrap();
/// let rows: Vec<_> = vocabulary.rows("The edge-device, the DEVICE!").collect();
/// assert_eq!(rows, [0, 0, 2]);
/// ```
pub struct Vocabulary {
    text: String,
    /// Where each line ends, its line break excluded.
    ends: Vec<u32>,
    /// Rows by their word.
    by_word: HashTable<u32>,
    hasher: RandomState,
}

impl Vocabulary {
    /// Finds the words of a text; of a repeated word the first row counts. `None` for more than
    /// 4 GiB.
    pub fn new(text: String) -> Option<Self> {
        u32::try_from(text.len()).ok()?;
        let breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
        let mut ends: Vec<u32> = breaks.map(|(at, _)| at as u32).collect();
        if !text.is_empty() && !text.ends_with('\n') {
            ends.push(text.len() as u32);
        }
        let mut vocabulary = Self {
            by_word: HashTable::with_capacity(ends.len()),
            hasher: RandomState::new(),
            text,
            ends,
        };
        for row in 0..vocabulary.ends.len() as u32 {
            vocabulary.insert(row);
        }
        Some(vocabulary)
    }

    fn insert(&mut self, row: u32) {
        let Self {
            text,
            ends,
            by_word,
            hasher,
        } = self;
        let word = line(text, ends, row);
        if !word.is_empty() {
            by_word
                .entry(
                    hasher.hash_one(word),
                    |other| line(text, ends, *other) == word,
                    |other| hasher.hash_one(line(text, ends, *other)),
                )
                .or_insert(row);
        }
    }

    /// How many rows there are, with those that have no word.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no row at all.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The row of exactly this word.
    pub fn row(&self, word: &str) -> Option<u32> {
        let found = self.by_word.find(self.hasher.hash_one(word), |row| {
            line(&self.text, &self.ends, *row) == word
        });
        found.copied()
    }

    /// The rows of a text's words, in order. Words are what stands between white space; the row is
    /// that of the first known among the word as it is, without the punctuation around it, and that
    /// in lower case. Unknown words have none.
    ///
    /// Reference: sentence-transformers 6.2 `WhitespaceTokenizer` without stop words, which takes
    /// off ASCII punctuation alone; here it is all that is neither letter nor digit.
    pub fn rows<'a>(&'a self, text: &'a str) -> impl Iterator<Item = u32> + 'a {
        text.split_whitespace().filter_map(|word| {
            self.row(word).or_else(|| {
                let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
                self.row(bare).or_else(|| self.row(&bare.to_lowercase()))
            })
        })
    }
}

fn line<'t>(text: &'t str, ends: &[u32], row: u32) -> &'t str {
    let end = |row: u32| ends.get(row as usize).map(|end| *end as usize);
    let start = match row.checked_sub(1) {
        Some(before) => end(before).map_or(0, |end| end + 1),
        None => 0,
    };
    let end = end(row).unwrap_or(start);
    text.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `WhitespaceTokenizer(vocab, stop_words=[])` of sentence-transformers answers; the last
    /// case is where it would find nothing.
    #[test]
    fn words_are_found() {
        let words = [
            "the", "U.S.", "us", "don't", "don", ",", "straße", "Σ", "", "it's", "the", "10",
        ];
        let vocabulary = Vocabulary::new(words.join("\n")).unwrap();
        assert_eq!(vocabulary.len(), 12);
        struct Case {
            name: &'static str,
            text: &'static str,
            rows: &'static [u32],
        }
        let cases = [
            Case {
                name: "white space of all kinds",
                text: " the\tthe\n\u{2003}the ",
                rows: &[0, 0, 0],
            },
            Case {
                name: "as it is goes before all else",
                text: "U.S. US (U.S. us.",
                rows: &[1, 2, 2],
            },
            Case {
                name: "apostrophes inside stay",
                text: "'Don't' don' It's",
                rows: &[3, 4, 9],
            },
            Case {
                name: "punctuation may be a word",
                text: "the , ; !",
                rows: &[0, 5],
            },
            Case {
                name: "lower case beyond ASCII",
                text: "STRAßE, Σ.",
                rows: &[6, 7],
            },
            Case {
                name: "unknown words and an empty line",
                text: "nothing of it - 10 10%",
                rows: &[11, 11],
            },
            Case {
                name: "quotation marks beyond ASCII",
                text: "“The”",
                rows: &[0],
            },
        ];
        for case in cases {
            let rows: Vec<_> = vocabulary.rows(case.text).collect();
            assert_eq!(rows, case.rows, "{}", case.name);
        }
    }

    #[test]
    fn line_breaks_at_the_end_are_not_rows() {
        for (text, rows) in [("", 0), ("\n", 1), ("a", 1), ("a\n", 1), ("a\n\n", 2)] {
            let vocabulary = Vocabulary::new(text.into()).unwrap();
            assert_eq!(vocabulary.len(), rows, "{text:?}");
            assert_eq!(vocabulary.row(""), None, "{text:?}");
        }
    }
}
