use super::align::align;
use super::ngram::NGrams;
use super::prefix::{NONE, Prefix, ROOT, Tree};
use super::words::Words;
use super::{Alphabet, Token, bounded, log_add, rows};

/// The most tokens that are tried in a frame. Where probabilities sum to 1, fewer than 150 are above
/// the default of [`Search::min_token_log_prob`].
const MAX_TOKENS: usize = 1024;

/// How wide a search is and what it weighs; defaults are those of pyctcdecode 0.5.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Search {
    /// Prefixes that are kept from frame to frame, at least 1.
    pub width: usize,
    /// Tokens less likely than this are not tried, but for the likeliest of a frame.
    pub min_token_log_prob: f32,
    /// Prefixes that are worse than the best by more than this are dropped.
    pub max_gap: f64,
    /// Weight of the n-gram model's log probability.
    pub alpha: f64,
    /// What every word adds, so that fewer and longer ones are not preferred.
    pub beta: f64,
    /// Added to the log10 probability of words that the n-gram model does not know, and to prefixes
    /// that none of its words starts with.
    pub unknown_offset: f64,
    /// What every hot word adds. Its beginning adds as much of it as is there.
    pub hot_word_weight: f64,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            width: 100,
            min_token_log_prob: -5.0,
            max_gap: 10.0,
            alpha: 0.5,
            beta: 1.5,
            unknown_offset: -10.0,
            hot_word_weight: 10.0,
        }
    }
}

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hypothesis {
    /// Tokens with the frames of their likeliest path.
    pub tokens: Vec<Token>,
    /// Log probability of the text: of all its paths that were tried.
    pub log_prob: f64,
    /// The same with n-gram model and hot words.
    pub score: f64,
}

/// Prefix beam search (Hannun et al. 2014, arXiv:1408.2873): paths that read the same so far are one
/// prefix, whose probability is their sum, apart by whether they end with a blank. Prefixes are ranked
/// by that and by what an n-gram model and hot words say of their words, as pyctcdecode does.
///
/// Memory is the width times the tokens that are tried, at most 1,024 a frame, and the prefixes that
/// are still alive.
#[derive(Debug)]
pub struct Beams {
    search: Search,
    classes: usize,
    blank: u32,
    delimiter: Option<u32>,
    words: Words,
    tree: Tree,
    beams: Vec<Beam>,
    candidates: Vec<Candidate>,
    tokens: Vec<(u32, f64)>,
    order: Vec<(f64, u32)>,
}

/// A prefix that is kept, with the log probabilities of its paths.
#[derive(Debug, Clone, Copy)]
struct Beam {
    node: u32,
    /// Of paths that end with a blank.
    blank: f64,
    /// Of paths that end with its last token.
    token: f64,
}

impl Beam {
    fn log_prob(&self) -> f64 {
        log_add(self.blank, self.token)
    }
}

/// A prefix that may be kept.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    beam: Beam,
    /// Where it has no node yet.
    fresh: Option<Prefix>,
    score: f64,
}

impl Beams {
    /// A search over V classes, as many as the alphabet has tokens. Without a delimiter a text is one
    /// word for `hot_words` and the model.
    pub fn new(
        alphabet: &Alphabet,
        search: Search,
        hot_words: &[String],
        model: Option<NGrams>,
    ) -> Self {
        Self {
            search,
            classes: alphabet.tokens.len(),
            blank: alphabet.blank,
            delimiter: alphabet.delimiter,
            words: Words::new(alphabet, search, hot_words, model),
            tree: Tree::default(),
            beams: Vec::new(),
            candidates: Vec::new(),
            tokens: Vec::new(),
            order: Vec::new(),
        }
    }

    /// The best text of T×V log probabilities; rows that are no whole one are left out.
    pub fn decode(&mut self, log_probs: &[f32]) -> Hypothesis {
        let Some(frames) = rows(log_probs, self.classes) else {
            return Hypothesis::default();
        };
        let state = self.words.start();
        self.tree.reset(Prefix {
            parent: ROOT,
            token: self.delimiter.unwrap_or(NONE),
            slot: NONE,
            state,
            bonus: self.words.bonus(state),
        });
        self.beams.clear();
        self.beams.push(Beam {
            node: ROOT,
            blank: 0.0,
            token: f64::NEG_INFINITY,
        });
        for frame in frames {
            self.choose(frame);
            self.extend();
            self.keep();
        }
        let (node, log_prob, score) = self.best();
        let text = self.tree.tokens(node);
        let special = (self.blank, self.delimiter);
        Hypothesis {
            tokens: align(log_probs, self.classes, special, &text),
            log_prob,
            score,
        }
    }

    #[cfg(test)]
    pub(super) fn prefixes(&self) -> usize {
        self.tree.len()
    }

    /// The tokens that are tried in a frame.
    fn choose(&mut self, frame: &[f32]) {
        self.tokens.clear();
        let mut best = (0, f32::NEG_INFINITY);
        for (id, value) in frame.iter().enumerate() {
            let value = bounded(*value);
            if value > best.1 {
                best = (id as u32, value);
            }
            if value >= self.search.min_token_log_prob {
                self.tokens.push((id as u32, f64::from(value)));
            }
        }
        if best.1 < self.search.min_token_log_prob {
            self.tokens.push((best.0, f64::from(best.1)));
        }
        if self.tokens.len() > MAX_TOKENS {
            let order = |a: &(u32, f64), b: &(u32, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
            self.tokens.select_nth_unstable_by(MAX_TOKENS - 1, order);
            self.tokens.truncate(MAX_TOKENS);
        }
    }

    /// All prefixes one frame later.
    fn extend(&mut self) {
        self.candidates.clear();
        for at in 0..self.beams.len() {
            let beam = self.beams[at];
            let prefix = *self.tree.node(beam.node);
            let total = beam.log_prob();
            let starts_word = Some(prefix.token) == self.delimiter;
            for at in 0..self.tokens.len() {
                let (token, log_prob) = self.tokens[at];
                if token == self.blank {
                    let same = self.candidate(beam.node, prefix.parent, token);
                    same.blank = log_add(same.blank, total + log_prob);
                    continue;
                }
                let repeated = token == prefix.token;
                if repeated {
                    // Behind a blank, a second delimiter goes into the first.
                    let mass = if starts_word { total } else { beam.token };
                    if mass > f64::NEG_INFINITY {
                        let same = self.candidate(beam.node, prefix.parent, token);
                        same.token = log_add(same.token, mass + log_prob);
                    }
                }
                let mass = if repeated { beam.blank } else { total };
                if mass > f64::NEG_INFINITY && !(repeated && starts_word) {
                    let child = self.tree.child(beam.node, token);
                    let longer = self.candidate(child, beam.node, token);
                    longer.token = log_add(longer.token, mass + log_prob);
                }
            }
        }
    }

    /// The candidate of a node, or a new one for a token behind `parent` that has none.
    fn candidate(&mut self, node: u32, parent: u32, token: u32) -> &mut Beam {
        let slot = match node {
            NONE => NONE,
            _ => self.tree.node(node).slot,
        };
        let mut slot = slot as usize;
        if slot >= self.candidates.len() {
            slot = self.candidates.len();
            let fresh = match node {
                NONE => Some(self.child(parent, token)),
                _ => {
                    self.tree.node_mut(node).slot = slot as u32;
                    None
                }
            };
            self.candidates.push(Candidate {
                beam: Beam {
                    node,
                    blank: f64::NEG_INFINITY,
                    token: f64::NEG_INFINITY,
                },
                fresh,
                score: 0.0,
            });
        }
        &mut self.candidates[slot].beam
    }

    fn child(&self, parent: u32, token: u32) -> Prefix {
        let before = self.tree.node(parent).state;
        let state = match Some(token) == self.delimiter {
            true => self.words.end_word(before),
            false => self.words.push(before, token),
        };
        Prefix {
            parent,
            token,
            slot: NONE,
            state,
            bonus: self.words.bonus(state),
        }
    }

    /// Makes the best candidates the beams of the next frame.
    fn keep(&mut self) {
        let mut best = f64::NEG_INFINITY;
        for candidate in &mut self.candidates {
            let Candidate { beam, fresh, score } = candidate;
            let bonus = match fresh {
                Some(prefix) => prefix.bonus,
                None => {
                    let prefix = self.tree.node_mut(beam.node);
                    prefix.slot = NONE;
                    prefix.bonus
                }
            };
            *score = beam.log_prob() + bonus;
            best = best.max(*score);
        }
        let least = best - self.search.max_gap;
        self.candidates.retain(|c| c.score >= least);
        let width = self.search.width.max(1);
        if self.candidates.len() > width {
            // Of equal ones those that came about first.
            self.order.clear();
            self.order
                .extend((0..).zip(&self.candidates).map(|(at, c)| (c.score, at)));
            let order = |a: &(f64, u32), b: &(f64, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
            let (_, last, _) = self.order.select_nth_unstable_by(width - 1, order);
            let last = *last;
            let mut at = 0;
            self.candidates.retain(|candidate| {
                at += 1;
                order(&(candidate.score, at - 1), &last).is_le()
            });
        }
        self.beams.clear();
        for candidate in &self.candidates {
            let mut beam = candidate.beam;
            if let Some(prefix) = candidate.fresh {
                beam.node = self.tree.push(prefix);
            }
            self.beams.push(beam);
        }
        if self.tree.is_full() {
            self.tree
                .compact(self.beams.iter_mut().map(|b| &mut b.node));
        }
    }

    /// The best text: its node, log probability and score. A prefix with a delimiter behind its last
    /// word reads as the one without.
    fn best(&mut self) -> (u32, f64, f64) {
        for beam in &mut self.beams {
            let prefix = self.tree.node(beam.node);
            if beam.node != ROOT && Some(prefix.token) == self.delimiter {
                beam.node = prefix.parent;
            }
            beam.blank = beam.log_prob();
        }
        self.beams.sort_by_key(|beam| beam.node);
        self.beams.dedup_by(|beam, into| {
            let same = beam.node == into.node;
            if same {
                into.blank = log_add(into.blank, beam.blank);
            }
            same
        });
        let mut best = (ROOT, f64::NEG_INFINITY, f64::NEG_INFINITY);
        for beam in &self.beams {
            let score = beam.blank + self.words.total(self.tree.node(beam.node).state);
            if score > best.2 {
                best = (beam.node, beam.blank, score);
            }
        }
        best
    }
}
