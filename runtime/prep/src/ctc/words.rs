use std::collections::HashMap;

use super::ngram::NGrams;
use super::prefix::NONE;
use super::{Alphabet, Search};

/// Characters of a word up to which an unknown one costs the same; from there on by length. This and
/// the formulas here are pyctcdecode's, 0.5.
const LONG_WORD: f64 = 6.0;

/// What a prefix's words are worth, and where its unfinished word stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    /// Of finished words.
    fixed: f64,
    /// State of the n-gram model.
    context: u32,
    /// Place of the unfinished word in the trie; [`NONE`] where no known word starts so.
    place: u32,
    /// Its length in characters.
    length: u32,
}

/// A beginning of words of the n-gram model and of hot words.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The word of the n-gram model that ends here, or [`NONE`].
    word: u32,
    /// Whether a word of the n-gram model starts so.
    known: bool,
    /// Whether a hot word ends here.
    hot: bool,
    /// Length of the shortest hot word that starts so; 0 for none.
    shortest_hot: u32,
}

const NOWHERE: Place = Place {
    word: NONE,
    known: false,
    hot: false,
    shortest_hot: 0,
};

/// Weighs words: by an n-gram model, by hot words, by both, by none.
#[derive(Debug)]
pub(super) struct Words {
    search: Search,
    model: Option<NGrams>,
    places: Vec<Place>,
    next: HashMap<(u32, char), u32>,
    /// Characters of each token.
    tokens: Vec<Box<[char]>>,
}

impl Words {
    pub fn new(
        alphabet: &Alphabet,
        search: Search,
        hot_words: &[String],
        model: Option<NGrams>,
    ) -> Self {
        let tokens = alphabet.tokens.iter();
        let mut words = Self {
            search,
            model: None,
            places: vec![NOWHERE],
            next: HashMap::new(),
            tokens: tokens.map(|t| t.chars().collect()).collect(),
        };
        for hot in hot_words.iter().flat_map(|words| words.split_whitespace()) {
            let length = hot.chars().count() as u32;
            let end = words.enter(hot, |place| {
                place.shortest_hot = match place.shortest_hot {
                    0 => length,
                    other => other.min(length),
                }
            });
            words.places[end].hot = true;
        }
        for (word, id) in model.iter().flat_map(NGrams::words) {
            let end = words.enter(word, |place| place.known = true);
            words.places[end].word = id;
        }
        words.model = model;
        words
    }

    /// Makes the places of a word, and answers the last.
    fn enter(&mut self, word: &str, mut mark: impl FnMut(&mut Place)) -> usize {
        let mut at = 0;
        mark(&mut self.places[at]);
        for character in word.chars() {
            let fresh = self.places.len() as u32;
            let next = *self.next.entry((at as u32, character)).or_insert(fresh);
            if next == fresh {
                self.places.push(NOWHERE);
            }
            at = next as usize;
            mark(&mut self.places[at]);
        }
        at
    }

    pub fn start(&self) -> State {
        State {
            fixed: 0.0,
            context: self.model.as_ref().map_or(0, NGrams::start),
            place: 0,
            length: 0,
        }
    }

    /// The state behind a token within a word.
    pub fn push(&self, mut state: State, token: u32) -> State {
        let token = self.tokens.get(token as usize);
        for character in token.into_iter().flatten() {
            let next = self.next.get(&(state.place, *character));
            state.place = next.copied().unwrap_or(NONE);
            state.length = state.length.saturating_add(1);
        }
        state
    }

    /// The state behind the word that stands there.
    pub fn end_word(&self, state: State) -> State {
        let place = self.place(state);
        let mut fixed = state.fixed;
        let mut context = state.context;
        if let Some(model) = &self.model {
            let known = Some(place.word).filter(|word| *word != NONE);
            let (mut log10, after) = model.score(context, known);
            if known.is_none() {
                log10 += self.search.unknown_offset;
            }
            fixed += self.search.alpha * log10 * std::f64::consts::LN_10 + self.search.beta;
            context = after;
        }
        if place.hot {
            fixed += self.search.hot_word_weight;
        }
        State {
            fixed,
            context,
            place: 0,
            length: 0,
        }
    }

    /// Finished words and what there is of the next one.
    pub fn bonus(&self, state: State) -> f64 {
        if state.length == 0 {
            return state.fixed;
        }
        let (place, length) = (self.place(state), f64::from(state.length));
        let partial = match &self.model {
            _ if place.shortest_hot > 0 => {
                self.search.hot_word_weight * length / f64::from(place.shortest_hot)
            }
            Some(_) if !place.known => self.search.unknown_offset * (length / LONG_WORD).max(1.0),
            _ => 0.0,
        };
        state.fixed + partial
    }

    /// The words of a whole text.
    pub fn total(&self, state: State) -> f64 {
        let state = match state.length {
            0 => state,
            _ => self.end_word(state),
        };
        let end = self.model.as_ref().map_or(0.0, |m| m.end(state.context));
        state.fixed + self.search.alpha * end * std::f64::consts::LN_10
    }

    fn place(&self, state: State) -> Place {
        let place = self.places.get(state.place as usize);
        place.copied().unwrap_or(NOWHERE)
    }
}
