//! Log probabilities of frames to text with times.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use bevel_prep::ctc::{Alphabet, ArpaError, Beams, NGrams, Search, Token, greedy};

use crate::error::{Error, Result};
use crate::speech::tokens::characters::Characters;
use crate::speech::{Segment, SpeechOptions, Timestamps, Word};

/// The most candidates of a search; ten times what gains nothing any more.
const MAX_BEAMS: usize = 1024;

/// The least part of a language model's words that the model has characters for. Below it the two
/// were made for different spellings.
const MIN_SPELT: f64 = 0.1;

/// How frames become text: by the likeliest path, or by a search.
pub(super) struct Decoder {
    characters: Characters,
    blank: u32,
    beams: Option<Box<Beams>>,
    words: bool,
}

impl Decoder {
    /// # Errors
    /// [`Error::Unsupported`] for an option that CTC cannot follow; [`Error::Input`] for one that is out of
    /// range, words that the model has no characters for, and a file that is no language model.
    pub(super) fn new(characters: Characters, blank: u32, options: &SpeechOptions) -> Result<Self> {
        Ok(Self {
            beams: search(&characters, blank, options)?.map(Box::new),
            words: options.timestamps == Timestamps::Words,
            characters,
            blank,
        })
    }

    /// V.
    pub(super) fn classes(&self) -> usize {
        self.characters.tokens().len()
    }

    /// The piece as one segment, `None` where nothing is said: T×V log probabilities of frames that are
    /// `frame_s` apart, in a sound of `duration` seconds.
    pub(super) fn segment(
        &mut self,
        log_probs: &[f32],
        max_tokens: usize,
        (frame_s, duration): (f64, f64),
    ) -> Option<Segment> {
        let mut tokens = match &mut self.beams {
            Some(beams) => beams.decode(log_probs).tokens,
            None => greedy(log_probs, self.classes(), self.blank),
        };
        tokens.truncate(max_tokens);
        let text = self.text(&tokens);
        let time = |frame: u32| (f64::from(frame) * frame_s).min(duration);
        let word = |tokens: &[Token]| {
            let (first, last) = (tokens.first()?, tokens.last()?);
            let sum: f32 = tokens.iter().map(|token| token.probability).sum();
            let text = self.text(tokens);
            (!text.is_empty()).then(|| Word {
                start: time(first.start),
                end: time(last.end),
                score: sum / tokens.len() as f32,
                text,
            })
        };
        let words = match self.characters.word_delimiter_id() {
            _ if !self.words => Vec::new(),
            Some(id) => tokens.split(|t| t.id == id).filter_map(word).collect(),
            None => tokens.chunks(1).filter_map(word).collect(),
        };
        (!text.is_empty()).then_some(Segment {
            start: 0.0,
            end: duration,
            text,
            words,
        })
    }

    fn text(&self, tokens: &[Token]) -> String {
        let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
        self.characters.text(&ids)
    }
}

/// The search that the options ask for; `None` for the likeliest path.
fn search(characters: &Characters, blank: u32, options: &SpeechOptions) -> Result<Option<Beams>> {
    let refused = |what: &str| Err(Error::Unsupported(what.into()));
    if options.translate {
        return refused(
            "a CTC model writes down what it hears; a Whisper model of many languages translates",
        );
    }
    if options.prompt.is_some() {
        return refused("a CTC model takes no prompt; give names and terms as hot words");
    }
    let width = options.beams;
    if let Some(width) = width.filter(|width| !(1..=MAX_BEAMS).contains(width)) {
        let what = format!("{width} beams, expected 1 ..= {MAX_BEAMS}");
        return Err(Error::Input(what));
    }
    let asks_words = !options.hot_words.is_empty() || options.language_model.is_some();
    if !asks_words && width.is_none_or(|width| width == 1) {
        return Ok(None);
    }
    let delimiter = characters.word_delimiter_id();
    if asks_words && delimiter.is_none() {
        return refused(
            "this model writes no spaces, so it has no words for hot words or a language model; \
             leave them out",
        );
    }
    let alphabet = Alphabet {
        tokens: characters.tokens().to_vec(),
        blank,
        delimiter,
    };
    let spelling = Spelling::new(&alphabet);
    let hot_words = options.hot_words.iter().map(|words| spelling.fit(words));
    let hot_words: Vec<String> = hot_words.collect::<Result<_>>()?;
    let model = options.language_model.as_deref();
    let model = model.map(|path| language_model(path, &spelling));
    let search = Search {
        width: width.unwrap_or(Search::default().width),
        ..Search::default()
    };
    Ok(Some(Beams::new(
        &alphabet,
        search,
        &hot_words,
        model.transpose()?,
    )))
}

/// The characters that a model can write.
struct Spelling(Vec<char>);

impl Spelling {
    fn new(alphabet: &Alphabet) -> Self {
        let tokens = (0..).zip(&alphabet.tokens);
        let special = [Some(alphabet.blank), alphabet.delimiter];
        let tokens = tokens.filter(|(id, _)| !special.contains(&Some(*id)));
        let mut known: Vec<char> = tokens
            .filter_map(|(_, token)| {
                let mut characters = token.chars();
                characters.next().filter(|_| characters.next().is_none())
            })
            .collect();
        known.sort_unstable();
        Self(known)
    }

    fn unknown(&self, text: &str) -> Option<char> {
        let mut characters = text.chars().filter(|c| !c.is_whitespace());
        characters.find(|c| self.0.binary_search(c).is_err())
    }

    /// Words as the model writes them: as they are, or in upper or lower case.
    fn fit(&self, words: &str) -> Result<String> {
        let ways = [words.to_owned(), words.to_uppercase(), words.to_lowercase()];
        let fits = |way: &String| self.unknown(way).is_none();
        if let Some(way) = ways.into_iter().find(fits) {
            return Ok(way);
        }
        let character = self.unknown(words).unwrap_or_default();
        let some: String = self.0.iter().take(64).collect();
        Err(Error::Input(format!(
            "hot word `{words}` has `{character}`, which this model cannot write; it knows {some}"
        )))
    }
}

fn language_model(path: &Path, spelling: &Spelling) -> Result<NGrams> {
    let unreadable = |source| Error::InputFile {
        path: path.to_path_buf(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let model = NGrams::read(BufReader::new(file)).map_err(|error| match error {
        ArpaError::Read(source) => unreadable(source),
        error => Error::Input(format!("{}: {error}", path.display())),
    })?;
    let spelt = model.words().filter(|(w, _)| spelling.unknown(w).is_none());
    let (spelt, all) = (spelt.count(), model.words().count());
    if (spelt as f64) < MIN_SPELT * all as f64 || all == 0 {
        let some: String = spelling.0.iter().take(64).collect();
        return Err(Error::Input(format!(
            "{}: this model can write {spelt} of its {all} words with {some}; give a language model of \
             the same language, in the same case",
            path.display()
        )));
    }
    Ok(model)
}

#[cfg(test)]
mod tests;
