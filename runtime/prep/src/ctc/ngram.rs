use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::io::BufRead;

use super::arpa::{self, ArpaError};

/// The state without a word before.
const ROOT: u32 = 0;

/// Log10 of a word that the model does not know, where it has no `<unk>`; that of KenLM.
const MISSING: f64 = -100.0;

/// Words that are none: start, end, and what is not known.
const MARKS: [&str; 4] = ["<s>", "</s>", "<unk>", "<UNK>"];

/// An n-gram model of words with back-off (Katz 1987): the log10 probability of a word behind others.
///
/// A state is the longest n-gram that the words before end with. Where it has no arc for a word, the
/// answer is its back-off weight and that of the n-gram without its first word.
pub struct NGrams {
    words: HashMap<Box<str>, u32>,
    /// From a state with a word to the n-gram that is both.
    arcs: HashMap<(u32, u32), u32>,
    grams: Vec<Gram>,
    order: usize,
    start: u32,
    end: u32,
    unknown: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Gram {
    log10: f32,
    back_off: f32,
    /// The longest n-gram that it ends with.
    shorter: u32,
}

impl NGrams {
    /// Reads a model in ARPA format, as SRILM, KenLM and others write it: UTF-8, up to 16-grams.
    ///
    /// # Errors
    /// [`ArpaError`] with the line for what is no such file, is cut off, or belies its own counts.
    pub fn read(reader: impl BufRead) -> Result<Self, ArpaError> {
        arpa::read(reader)
    }

    pub(super) fn new(order: usize) -> Self {
        let root = Gram {
            log10: 0.0,
            back_off: 0.0,
            shorter: ROOT,
        };
        Self {
            words: HashMap::new(),
            arcs: HashMap::new(),
            grams: vec![root],
            order,
            start: ROOT,
            end: 0,
            unknown: None,
        }
    }

    /// Words of the longest n-gram.
    pub fn order(&self) -> usize {
        self.order
    }

    /// All words that may be said, in no order.
    pub fn words(&self) -> impl Iterator<Item = (&str, u32)> {
        let words = self.words.iter().map(|(word, id)| (&**word, *id));
        words.filter(|(word, _)| !MARKS.contains(word))
    }

    /// The id of a word that the model knows.
    pub fn word(&self, word: &str) -> Option<u32> {
        self.words.get(word).copied()
    }

    /// The state at the start of a text.
    pub fn start(&self) -> u32 {
        self.start
    }

    /// Log10 probability of a word, `None` for one that is not known, and the state behind it.
    pub fn score(&self, state: u32, word: Option<u32>) -> (f64, u32) {
        let Some(word) = word.or(self.unknown) else {
            return (self.back_off(state) + MISSING, ROOT);
        };
        let (mut state, mut weight) = (state, 0.0);
        loop {
            if let Some(gram) = self.arcs.get(&(state, word)) {
                let log10 = f64::from(self.grams[*gram as usize].log10);
                return (weight + log10, *gram);
            }
            let Some(gram) = self.grams.get(state as usize).filter(|_| state != ROOT) else {
                return (weight + MISSING, ROOT);
            };
            weight += f64::from(gram.back_off);
            state = gram.shorter;
        }
    }

    /// Log10 probability that the text ends here.
    pub fn end(&self, state: u32) -> f64 {
        self.score(state, Some(self.end)).0
    }

    /// All back-off weights from a state to the root.
    fn back_off(&self, mut state: u32) -> f64 {
        let mut weight = 0.0;
        while let Some(gram) = self.grams.get(state as usize).filter(|_| state != ROOT) {
            weight += f64::from(gram.back_off);
            state = gram.shorter;
        }
        weight
    }

    /// A new word; `None` for one that is there.
    pub(super) fn add_word(&mut self, word: &str) -> Option<u32> {
        let id = self.words.len() as u32;
        match self.words.entry(word.into()) {
            Entry::Vacant(free) => Some(*free.insert(id)),
            Entry::Occupied(_) => None,
        }
    }

    /// Looks for the words that are none; the first that has to be there and is not.
    pub(super) fn mark(&mut self) -> Result<(), &'static str> {
        let [start, end, unknown, loud] = MARKS.map(|mark| self.word(mark).ok_or(mark));
        self.start = self.state(&[start?]).unwrap_or(ROOT);
        self.end = end?;
        self.unknown = unknown.or(loud).ok();
        Ok(())
    }

    /// The state of these words and no others.
    pub(super) fn state(&self, words: &[u32]) -> Option<u32> {
        let step = |state, word: &u32| self.arcs.get(&(state, *word)).copied();
        words.iter().try_fold(ROOT, step)
    }

    /// The n-gram of a state and a word; all shorter ones have to be there. `false` when it is there.
    pub(super) fn add(&mut self, state: u32, word: u32, log10: f32, back_off: f32) -> bool {
        let mut shorter = ROOT;
        let mut at = state;
        while at != ROOT && shorter == ROOT {
            at = self.grams[at as usize].shorter;
            shorter = self.arcs.get(&(at, word)).copied().unwrap_or(ROOT);
        }
        let id = self.grams.len() as u32;
        if self.arcs.contains_key(&(state, word)) {
            return false;
        }
        self.arcs.insert((state, word), id);
        self.grams.push(Gram {
            log10,
            back_off,
            shorter,
        });
        true
    }
}

impl fmt::Debug for NGrams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NGrams")
            .field("order", &self.order)
            .field("words", &self.words.len())
            .field("grams", &(self.grams.len() - 1))
            .finish()
    }
}
