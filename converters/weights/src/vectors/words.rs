use std::fmt;

/// The words of a file of word vectors, row by row: one after another in a single block of memory.
#[derive(Clone, Default)]
pub struct Words {
    bytes: Vec<u8>,
    /// Where each word ends.
    ends: Vec<u64>,
    repeated: u64,
}

impl Words {
    /// How many words there are, as many as rows in the tensor `vectors`.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none; not so for an opened checkpoint.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The word of a row. UTF-8 in most files; some that the original word2vec wrote are cut within
    /// a character.
    pub fn get(&self, row: usize) -> Option<&[u8]> {
        let end = *self.ends.get(row)?;
        let start = match row {
            0 => 0,
            _ => *self.ends.get(row - 1)?,
        };
        self.bytes.get(start as usize..end as usize)
    }

    /// The words in the order of their rows.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|row| self.get(row))
    }

    /// How many rows of the file were left out because an earlier one has their word.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    pub(super) fn push(&mut self, word: &[u8]) {
        self.bytes.extend_from_slice(word);
        self.ends.push(self.bytes.len() as u64);
    }

    pub(super) fn count_repeated(&mut self) {
        self.repeated += 1;
    }
}

/// Millions of words help nobody.
impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Words")
            .field("len", &self.len())
            .field("repeated", &self.repeated)
            .finish_non_exhaustive()
    }
}
