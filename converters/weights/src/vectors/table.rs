use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufWriter, Write};

use bytes::Bytes;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::Words;
use crate::map;

/// Rows on their way: words in memory, numbers in an unnamed file that nobody else sees and that
/// goes with its last user.
pub(super) struct Table {
    numbers: BufWriter<File>,
    words: Words,
    /// Rows by their word.
    rows: HashTable<u32>,
    hasher: RandomState,
}

impl Table {
    pub fn new() -> io::Result<Self> {
        const BUFFER: usize = 1 << 20;
        Ok(Self {
            numbers: BufWriter::with_capacity(BUFFER, tempfile::tempfile()?),
            words: Words::default(),
            rows: HashTable::new(),
            hasher: RandomState::new(),
        })
    }

    /// Takes a row, unless its word is there already.
    pub fn add(&mut self, word: &[u8], vector: &[u8]) -> io::Result<()> {
        let Self { words, hasher, .. } = self;
        let of = |row: &u32| words.get(*row as usize).unwrap_or_default();
        let entry = self.rows.entry(
            hasher.hash_one(word),
            |row| of(row) == word,
            |row| hasher.hash_one(of(row)),
        );
        let Entry::Vacant(vacant) = entry else {
            self.words.count_repeated();
            return Ok(());
        };
        let row = u32::try_from(words.len())
            .map_err(|_| io::Error::other("more than 4294967295 different words"))?;
        vacant.insert(row);
        self.words.push(word);
        self.numbers.write_all(vector)
    }

    /// The words and the map of the numbers.
    pub fn finish(self) -> io::Result<(Words, Bytes)> {
        let file = self.numbers.into_inner()?;
        let numbers = match self.words.is_empty() {
            // Nothing cannot be mapped.
            true => Bytes::new(),
            false => map::map_file(&file)?,
        };
        Ok((self.words, numbers))
    }
}
