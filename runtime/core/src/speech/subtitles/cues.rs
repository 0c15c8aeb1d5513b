use crate::speech::{Segment, Word};

/// A cue of more is hard to follow: about 12 characters a second, two lines of 42.
const MAX_MS: u64 = 7_000;
const MAX_CHARACTERS: usize = 84;
/// A gap between words that a reader takes for a break.
const PAUSE_MS: u64 = 300;

/// What is shown at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// When it appears.
    pub start_ms: u64,
    /// When it goes: later than it appears.
    pub end_ms: u64,
    /// What it says.
    pub text: String,
}

/// The cues of segments, in order of their start. A segment that is too long is divided between
/// words: at the end of sentences first, then of clauses and at pauses, into pieces of like length.
pub fn cues(segments: &[Segment]) -> impl Iterator<Item = Cue> {
    let mut earliest = 0;
    segments.iter().flat_map(divided).map(move |mut cue| {
        // Players drop cues that do not last, or that go back in time.
        cue.start_ms = cue.start_ms.max(earliest);
        cue.end_ms = cue.end_ms.max(cue.start_ms + 1);
        earliest = cue.start_ms;
        cue
    })
}

/// Whole milliseconds.
pub(super) fn ms(seconds: f64) -> u64 {
    // Casting maps what is negative or no number to 0.
    (seconds * 1000.0).round() as u64
}

fn divided(segment: &Segment) -> Vec<Cue> {
    let whole = Cue {
        start_ms: ms(segment.start),
        end_ms: ms(segment.end),
        text: segment.text.clone(),
    };
    let length = whole.end_ms.saturating_sub(whole.start_ms);
    if length <= MAX_MS && whole.text.chars().count() <= MAX_CHARACTERS {
        return vec![whole];
    }
    let words = &segment.words;
    let Some(places) = places(segment) else {
        return vec![whole];
    };
    let breaks = breaks(words, &segment.text, &places);
    let cue = |pair: &[usize]| {
        let (first, last) = (pair[0], pair[1] - 1);
        // What stands before the first word and behind the last belongs to them.
        let from = if first == 0 { 0 } else { places[first].0 };
        let to = places.get(pair[1]).map_or(segment.text.len(), |p| p.0);
        Cue {
            start_ms: match first {
                0 => whole.start_ms,
                _ => ms(words[first].start),
            },
            end_ms: match pair[1] == words.len() {
                true => whole.end_ms,
                false => ms(words[last].end).min(ms(words[pair[1]].start)),
            },
            text: segment.text[from..to].trim().to_owned(),
        }
    };
    breaks.windows(2).map(cue).collect()
}

/// Where each word stands in the text of its segment; none where they do not fit together. Words are
/// not joined by spaces instead: many languages have none.
fn places(segment: &Segment) -> Option<Vec<(usize, usize)>> {
    let mut at = 0;
    let place = |word: &Word| {
        let start = at + segment.text.get(at..)?.find(word.text.trim())?;
        at = start + word.text.trim().len();
        Some((start, at))
    };
    let places: Option<Vec<_>> = segment.words.iter().map(place).collect();
    places.filter(|p| p.len() > 1)
}

/// Where cues begin, and the number of words: the cheapest way through them. A cue costs 2 and the square
/// of how full it is, a break between sentences nothing, at a pause or clause 1, elsewhere 3.
fn breaks(words: &[Word], text: &str, places: &[(usize, usize)]) -> Vec<usize> {
    let count = words.len();
    // For the words before each place: the least cost, and where the last cue of them begins.
    let mut best = vec![(0.0, 0); count + 1];
    for end in 1..=count {
        let after = match end == count {
            true => 0.0,
            false => break_cost(&words[end - 1], &words[end]),
        };
        best[end].0 = f64::INFINITY;
        for start in (0..end).rev() {
            let characters = text[places[start].0..places[end - 1].1].chars().count();
            let length = ms(words[end - 1].end).saturating_sub(ms(words[start].start));
            if start + 1 < end && (characters > MAX_CHARACTERS || length > MAX_MS) {
                break;
            }
            let full = (characters as f64 / MAX_CHARACTERS as f64)
                .max(length as f64 / MAX_MS as f64)
                .min(1.0);
            let cost = best[start].0 + 2.0 + full * full + after;
            if cost < best[end].0 {
                best[end] = (cost, start);
            }
        }
    }
    let mut breaks = vec![count];
    let mut at = count;
    while at > 0 {
        at = best[at].1;
        breaks.push(at);
    }
    breaks.reverse();
    breaks
}

fn break_cost(before: &Word, after: &Word) -> f64 {
    // A quotation mark or bracket may stand behind the mark that ends a sentence.
    let closing = |c: char| matches!(c, '"' | '\'' | '”' | '’' | '»' | ')' | ']' | '」');
    let last = before.text.trim_end_matches(closing).chars().last();
    let gap = ms(after.start).saturating_sub(ms(before.end));
    match last {
        Some('.' | '!' | '?' | '…' | '。' | '！' | '？' | '؟' | '।') => 0.0,
        Some(',' | ';' | ':' | '、' | '，' | '；' | '：' | '،') => 1.0,
        _ if gap >= PAUSE_MS => 1.0,
        _ => 3.0,
    }
}
