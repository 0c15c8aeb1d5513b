//! Words with their times, from tokens and where the decoder looked.

use bevel_prep::audio::align;

use super::search::Decoded;
use crate::error::Result;
use crate::speech::Word;
use crate::speech::tokens::Tokens;

/// Seconds of one place of the encoder's output.
const FRAME_S: f64 = 0.02;
/// Written without spaces: every character may be a word.
const WITHOUT_SPACES: [&str; 6] = ["zh", "ja", "th", "lo", "my", "yue"];
/// Marks that go with the word behind them, and with the word before them.
const OPENING: &str = "\"'“¿([{-";
const CLOSING: &str = "\"'.。,，!！?？:：”)]}、";
/// Where a sentence ends.
const SENTENCE_END: &str = ".。!！?？";
/// A word is not longer than twice the median, and this is the longest median that is believed.
const LONGEST_MEDIAN_S: f64 = 0.7;

/// A run of tokens that is one word: its text with the space before it and the marks around it, and its
/// tokens without those of the marks, which pauses go to.
#[derive(Debug, Clone, PartialEq)]
struct Run {
    text: String,
    tokens: [usize; 2],
}

/// The words of a piece with `heard_s` seconds of sound; none where the model does not tell where it
/// looked.
///
/// # Errors
/// Those of [`Tokens::raw`].
pub(super) fn words(
    decoded: &Decoded,
    tokens: &Tokens,
    language: &str,
    heard_s: f64,
) -> Result<Vec<Word>> {
    let mut words = aligned(decoded, tokens, language, heard_s)?;
    shorten(&mut words);
    Ok(words)
}

/// The same where words may linger in pauses.
///
/// # Errors
/// As [`words`].
pub(super) fn aligned(
    decoded: &Decoded,
    tokens: &Tokens,
    language: &str,
    heard_s: f64,
) -> Result<Vec<Word>> {
    let (count, frames) = (decoded.ids.len(), decoded.frames);
    let heard = (heard_s / FRAME_S) as usize;
    // One row more, of the end; a search that was cut off has none.
    let rows = count + usize::from(decoded.ended);
    let lead = decoded.lead;
    let all = lead + rows + usize::from(decoded.behind);
    let starts = align(&decoded.attention, all, frames, heard, lead..lead + rows);
    if starts.len() != rows || rows == 0 {
        return Ok(Vec::new());
    }
    let at = |token: usize| {
        let seconds = starts.get(token).map(|frame| *frame as f64 * FRAME_S);
        seconds.unwrap_or(heard_s).min(heard_s)
    };
    let apart = !WITHOUT_SPACES.contains(&language);
    let runs = join_marks(runs(&decoded.ids, tokens, apart)?);
    let word = |run: Run| {
        let [start, end] = run.tokens;
        let sum: f32 = decoded.log_probabilities[start..end]
            .iter()
            .map(|p| p.exp())
            .sum();
        Word {
            start: at(start),
            end: at(end).max(at(start)),
            text: run.text.trim().to_owned(),
            score: sum / (end - start).max(1) as f32,
        }
    };
    let words = runs.into_iter().map(word);
    Ok(words.filter(|word| !word.text.is_empty()).collect())
}

/// Tokens that together are characters, and where words are `apart` by spaces, tokens that are a word.
fn runs(ids: &[u32], tokens: &Tokens, apart: bool) -> Result<Vec<Run>> {
    let mut found: Vec<Run> = Vec::new();
    let mut start = 0;
    for end in 1..=ids.len() {
        let text = tokens.raw(&ids[start..end])?;
        // Bytes that are no character yet.
        if text.ends_with('\u{fffd}') && end < ids.len() {
            continue;
        }
        let marks = |text: &str| text.trim().chars().all(|c| c.is_ascii_punctuation());
        match found.last_mut() {
            Some(last) if apart && !text.starts_with(' ') && !marks(&text) => {
                last.text += &text;
                last.tokens[1] = end;
            }
            _ => found.push(Run {
                text,
                tokens: [start, end],
            }),
        }
        start = end;
    }
    Ok(found)
}

/// Puts marks to the words they belong to.
fn join_marks(runs: Vec<Run>) -> Vec<Run> {
    let is = |text: &str, marks: &str| {
        let text = text.trim();
        !text.is_empty() && text.chars().all(|c| marks.contains(c))
    };
    let mut found: Vec<Run> = Vec::with_capacity(runs.len());
    for run in runs {
        match found.last_mut() {
            Some(last) if is(&run.text, CLOSING) && !run.text.starts_with(' ') => {
                last.text += &run.text;
            }
            Some(last) if last.text.starts_with(' ') && is(&last.text, OPENING) => {
                last.text += &run.text;
                last.tokens = run.tokens;
            }
            _ => found.push(run),
        }
    }
    found
}

/// Where a sentence begins or ends the path may linger in a pause: words there are made twice the median
/// long at most.
fn shorten(words: &mut [Word]) {
    let mut lengths: Vec<f64> = words
        .iter()
        .map(|w| w.end - w.start)
        .filter(|l| *l > 0.0)
        .collect();
    lengths.sort_unstable_by(f64::total_cmp);
    let Some(median) = lengths.get(lengths.len() / 2) else {
        return;
    };
    let longest = 2.0 * median.min(LONGEST_MEDIAN_S);
    let mut begins = true;
    for word in words {
        let ends = word.text.ends_with(|c| SENTENCE_END.contains(c));
        if word.end - word.start > longest {
            match (begins, ends) {
                (true, _) => word.start = word.end - longest,
                (false, true) => word.end = word.start + longest,
                _ => {}
            }
        }
        begins = ends;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str, start: usize, end: usize) -> Run {
        Run {
            text: text.into(),
            tokens: [start, end],
        }
    }

    #[test]
    fn marks_go_with_their_words() {
        let found = join_marks(vec![
            run(" \"", 0, 1),
            run("Ask", 1, 2),
            run(" not", 2, 4),
            run(",", 4, 5),
            run(" he", 5, 6),
            run(" said", 6, 7),
            run(".\"", 7, 8),
        ]);
        let texts: Vec<_> = found.iter().map(|r| (r.text.as_str(), r.tokens)).collect();
        assert_eq!(
            texts,
            [
                (" \"Ask", [1, 2]),
                (" not,", [2, 4]),
                (" he", [5, 6]),
                (" said.\"", [6, 7])
            ]
        );
    }

    #[test]
    fn a_word_does_not_linger_where_a_sentence_ends() {
        let word = |start: f64, end: f64, text: &str| Word {
            start,
            end,
            text: text.into(),
            score: 1.0,
        };
        let mut words = [
            word(0.0, 2.0, "It"),
            word(2.0, 2.2, "is"),
            word(2.2, 4.0, "long"),
            word(4.0, 4.2, "but"),
            word(4.2, 6.0, "done."),
            word(6.0, 6.2, "So"),
            word(6.2, 6.4, "be"),
        ];
        shorten(&mut words);
        let times: Vec<_> = words.iter().map(|w| (w.start, w.end)).collect();
        // The median is 0.2 s; a word inside a sentence may be long.
        let expected = [
            (1.6, 2.0),
            (2.0, 2.2),
            (2.2, 4.0),
            (4.0, 4.2),
            (4.2, 4.6),
            (6.0, 6.2),
            (6.2, 6.4),
        ];
        for ((a, b), (c, d)) in times.iter().zip(expected) {
            assert!((a - c).abs() < 1e-9 && (b - d).abs() < 1e-9, "{times:?}");
        }
        shorten(&mut []);
    }
}
