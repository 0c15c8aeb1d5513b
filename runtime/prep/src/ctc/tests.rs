use std::collections::HashMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::score::log_softmax;

const WIDE: Search = Search {
    width: 1_000_000,
    min_token_log_prob: f32::NEG_INFINITY,
    max_gap: f64::INFINITY,
    alpha: 0.5,
    beta: 1.5,
    unknown_offset: -10.0,
    hot_word_weight: 10.0,
};

/// What pyctcdecode, KenLM and transformers say; `make.py` beside it says how.
#[derive(Deserialize)]
struct Golden {
    labels: Vec<String>,
    grams: Vec<Grams>,
    greedy: Vec<Greedy>,
    beams: Vec<Beam>,
}

#[derive(Deserialize)]
struct Grams {
    words: Vec<String>,
    scores: Vec<f64>,
}

#[derive(Deserialize)]
struct Greedy {
    name: String,
    logits: Vec<Vec<f32>>,
    text: String,
    words: Vec<(String, u32, u32)>,
}

#[derive(Deserialize)]
struct Beam {
    name: String,
    exact: bool,
    model: bool,
    hot_words: Vec<String>,
    logits: Vec<Vec<f32>>,
    text: String,
    log_prob: f64,
    score: f64,
}

fn golden(name: &str) -> Vec<u8> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read(root.join("../../tests/golden/ctc").join(name)).unwrap()
}

fn cases() -> Golden {
    serde_json::from_slice(&golden("cases.json")).unwrap()
}

fn model() -> NGrams {
    NGrams::read(golden("model.arpa").as_slice()).unwrap()
}

fn alphabet(labels: &[String]) -> Alphabet {
    Alphabet {
        tokens: labels.to_vec(),
        blank: 0,
        delimiter: Some(1),
    }
}

fn log_probs(logits: &[Vec<f32>]) -> Vec<f32> {
    let mut rows = logits.to_vec();
    rows.iter_mut().for_each(|row| log_softmax(row));
    rows.concat()
}

/// Words with their frames.
fn words(tokens: &[Token], labels: &[String]) -> Vec<(String, u32, u32)> {
    let spans = tokens
        .split(|token| token.id == 1)
        .filter(|w| !w.is_empty());
    let text = |word: &[Token]| {
        word.iter()
            .map(|t| labels[t.id as usize].as_str())
            .collect()
    };
    spans
        .map(|word| (text(word), word[0].start, word[word.len() - 1].end))
        .collect()
}

fn text(words: &[(String, u32, u32)]) -> String {
    let words: Vec<_> = words.iter().map(|w| w.0.as_str()).collect();
    words.join(" ")
}

#[test]
fn words_score_as_in_kenlm() {
    let model = model();
    assert_eq!(model.order(), 3);
    for case in cases().grams {
        let mut state = model.start();
        let mut found = Vec::new();
        for word in &case.words {
            let (score, after) = model.score(state, model.word(word));
            found.push(score);
            state = after;
        }
        found.push(model.end(state));
        assert_eq!(found.len(), case.scores.len());
        for (found, expected) in found.iter().zip(&case.scores) {
            // KenLM answers f32.
            assert!(
                (found - expected).abs() <= 1e-5,
                "{:?}: {found} {expected}",
                case.words
            );
        }
    }
}

#[test]
fn the_likeliest_path_is_that_of_transformers() {
    let golden = cases();
    for case in &golden.greedy {
        let log_probs = log_probs(&case.logits);
        let found = words(&greedy(&log_probs, 8, 0), &golden.labels);
        assert_eq!(found, case.words, "{}", case.name);
        let expected: Vec<_> = case.text.split_whitespace().collect();
        assert_eq!(text(&found), expected.join(" "), "{}", case.name);
    }
}

#[test]
fn the_best_hypothesis_is_that_of_pyctcdecode() {
    let golden = cases();
    let alphabet = alphabet(&golden.labels);
    for case in &golden.beams {
        let long = Search {
            width: 1_000,
            max_gap: 25.0,
            ..Search::default()
        };
        let search = if case.exact { WIDE } else { long };
        let model = case.model.then(model);
        let mut beams = Beams::new(&alphabet, search, &case.hot_words, model);
        let found = beams.decode(&log_probs(&case.logits));
        let heard = words(&found.tokens, &golden.labels);
        assert_eq!(text(&heard), case.text, "{}", case.name);
        for (what, found, expected) in [
            ("log_prob", found.log_prob, case.log_prob),
            ("score", found.score, case.score),
        ] {
            let close = (found - expected).abs() <= 1e-4 + 1e-4 * expected.abs();
            assert!(close, "{} {what}: {found}, expected {expected}", case.name);
        }
    }
}

/// The log probabilities of all texts and of the best path of each, by trying every path.
fn every_text(frames: &[Vec<f32>], delimiter: Option<u32>) -> HashMap<Vec<u32>, (f64, f64)> {
    let mut paths: Vec<(Vec<u32>, f64)> = vec![(Vec::new(), 0.0)];
    for frame in frames {
        let mut longer = Vec::new();
        for (path, log_prob) in &paths {
            for (id, value) in frame.iter().enumerate() {
                let mut path = path.clone();
                path.push(id as u32);
                longer.push((path, log_prob + f64::from(bounded(*value))));
            }
        }
        paths = longer;
    }
    let mut texts = HashMap::new();
    for (mut path, log_prob) in paths {
        path.dedup();
        path.retain(|id| *id != 0);
        if delimiter.is_some() {
            let words = path
                .split(|id| Some(*id) == delimiter)
                .filter(|w| !w.is_empty());
            path = words
                .collect::<Vec<_>>()
                .join(&delimiter.unwrap_or_default());
        }
        let text = texts
            .entry(path)
            .or_insert((f64::NEG_INFINITY, f64::NEG_INFINITY));
        *text = (log_add(text.0, log_prob), text.1.max(log_prob));
    }
    texts
}

/// A row of probabilities of that many classes.
fn frame(classes: usize) -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(-4.0..4.0_f32, classes).prop_map(|row| {
        let sum: f32 = row.iter().map(|v| v.exp()).sum();
        row.iter().map(|v| v - sum.ln()).collect()
    })
}

fn frames() -> impl Strategy<Value = Vec<Vec<f32>>> {
    (2..=4_usize, 0..=6_usize).prop_flat_map(|(v, t)| prop::collection::vec(frame(v), t))
}

proptest! {
    #[test]
    fn sums_over_all_paths_are_found(frames in frames(), parted in any::<bool>()) {
        let classes = frames.first().map_or(3, Vec::len);
        let delimiter = parted.then_some(1);
        let alphabet = Alphabet { tokens: vec!["x".into(); classes], blank: 0, delimiter };
        let log_probs = frames.concat();
        let found = Beams::new(&alphabet, WIDE, &[], None).decode(&log_probs);
        let texts = every_text(&frames, delimiter);
        let ids: Vec<u32> = found.tokens.iter().map(|t| t.id).collect();
        let (sum, best_path) = texts[&ids];
        let best = texts.values().map(|t| t.0).fold(f64::NEG_INFINITY, f64::max);
        prop_assert!((best - sum).abs() < 1e-6, "{best} {sum}");
        prop_assert!((found.log_prob - sum).abs() < 1e-6, "{} {sum}", found.log_prob);

        // The frames of tokens are those of the likeliest path that reads so.
        let mut path = 0.0;
        for (at, frame) in frames.iter().enumerate() {
            let at = at as u32;
            let token = found.tokens.iter().position(|t| (t.start..t.end).contains(&at));
            let beside = |at: Option<usize>| {
                at.and_then(|at| found.tokens.get(at)).is_none_or(|t| Some(t.id) == delimiter)
            };
            let next = found.tokens.iter().position(|t| t.start > at).unwrap_or(ids.len());
            path += f64::from(match token {
                Some(token) => frame[ids[token] as usize],
                None if parted && (beside(next.checked_sub(1)) || beside(Some(next))) =>
                    frame[0].max(frame[1]),
                None => frame[0],
            });
        }
        prop_assert!((path - best_path).abs() < 1e-4, "{path} {best_path}");
        for token in &found.tokens {
            let rows = &frames[token.start as usize..token.end as usize];
            let sum: f32 = rows.iter().map(|row| row[token.id as usize].exp()).sum();
            prop_assert!((token.probability - sum / rows.len() as f32).abs() < 1e-5);
        }
    }

    #[test]
    fn anything_is_answered(
        bits in prop::collection::vec(any::<u32>(), 0..200),
        classes in 0..9_usize,
        blank in 0..10_u32,
        delimiter in prop::option::of(0..10_u32),
        width in 0..5_usize,
    ) {
        let log_probs: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        let tokens = ["", "|", "a", "b", "ab", "é", "", "c", "d"];
        let tokens = tokens[..classes].iter().map(|t| t.to_string()).collect();
        let alphabet = Alphabet { tokens, blank, delimiter };
        let search = Search { width, ..Search::default() };
        let hot_words = ["ab".to_string()];
        let mut beams = Beams::new(&alphabet, search, &hot_words, Some(model()));
        let found = beams.decode(&log_probs);
        prop_assert!(!found.log_prob.is_nan() && !found.score.is_nan());
        for tokens in [found.tokens, greedy(&log_probs, classes, blank)] {
            let mut end = 0;
            for token in tokens {
                prop_assert!(token.start >= end && token.end > token.start);
                prop_assert!((0.0..=1.0).contains(&token.probability));
                end = token.end;
            }
        }
    }
}

/// So many frames that the tree of prefixes is cleared out several times.
#[test]
fn prefixes_that_died_are_forgotten() {
    let labels = &cases().labels;
    let mut seed = 1_u32;
    let mut log_probs = Vec::new();
    for _ in 0..3_000 {
        let mut row = [0.0_f32; 8];
        for value in &mut row {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *value = (seed >> 16) as f32 / 32_768.0;
        }
        let sum: f32 = row.iter().map(|v| v.exp()).sum();
        log_probs.extend(row.map(|v| v - sum.ln()));
    }
    let mut beams = Beams::new(&alphabet(labels), Search::default(), &[], None);
    let found = beams.decode(&log_probs);
    assert!(found.tokens.len() > 500, "{}", found.tokens.len());
    assert!(beams.prefixes() < 3_000 * 100 / 2, "{}", beams.prefixes());
    assert_eq!(beams.decode(&log_probs), found);
}

#[test]
fn damaged_models_name_their_line() {
    struct Case {
        name: &'static str,
        file: &'static [u8],
        says: &'static str,
    }
    let cases = [
        Case {
            name: "empty",
            file: b"",
            says: "line 0: no `\\data\\`: not an ARPA file",
        },
        Case {
            name: "something else",
            file: b"once\nupon\n",
            says: "line 2: no `\\data\\`",
        },
        Case {
            name: "binary",
            file: b"mmap lm \xff\xfe\n",
            says: "line 1: not UTF-8 at byte 8; an ARPA file is text",
        },
        Case {
            name: "not UTF-8",
            file: b"\\data\\\nngram 1=1\n\n\\1-grams:\n-1\tcaf\xe9\n",
            says: "line 5: not UTF-8 at byte 6",
        },
        Case {
            name: "no counts",
            file: b"\\data\\\n\\1-grams:\n",
            says: "line 2: `\\1-grams:`, expected `ngram 1=COUNT`",
        },
        Case {
            name: "counts out of order",
            file: b"\\data\\\nngram 2=1\n",
            says: "line 2: `ngram 2=1`, expected `ngram 1=COUNT`",
        },
        Case {
            name: "counts beyond all bounds",
            file: b"\\data\\\nngram 1=18446744073709551615\nngram 2=18446744073709551615\n",
            says: "line 2: 18446744073709551615 n-grams, at most",
        },
        Case {
            name: "no number",
            file: b"\\data\\\nngram 1=1\n\\1-grams:\nnan\ta\n",
            says: "line 4: `nan\ta`: `nan` is not a log10 probability",
        },
        Case {
            name: "more than certain",
            file: b"\\data\\\nngram 1=1\n\\1-grams:\n0.5\ta\n",
            says: "line 4: `0.5\ta`: the log10 probability 0.5 is above 0",
        },
        Case {
            name: "twice",
            file: b"\\data\\\nngram 1=2\n\\1-grams:\n-1\ta\n-1\ta\n",
            says: "line 5: `-1\ta`: the word is there already",
        },
        Case {
            name: "no start",
            file: b"\\data\\\nngram 1=1\n\\1-grams:\n-1\t</s>\n\\end\\\n",
            says: "`<s>` is not among the 1-grams",
        },
        Case {
            name: "an unknown word",
            file: b"\\data\\\nngram 1=2\nngram 2=1\n\\1-grams:\n-1\t<s>\n-1\t</s>\n\\2-grams:\n-1\t<s> a\n",
            says: "line 8: `-1\t<s> a`: `a` is not among the 1-grams",
        },
        Case {
            name: "too few words",
            file: b"\\data\\\nngram 1=2\nngram 2=1\n\\1-grams:\n-1\t<s>\n-1\t</s>\n\\2-grams:\n-1\t<s>\n",
            says: "line 8: `-1\t<s>`: 1 words, expected 2",
        },
        Case {
            name: "a triple without its pair",
            file: b"\\data\\\nngram 1=2\nngram 2=0\nngram 3=1\n\\1-grams:\n-1\t<s>\n-1\t</s>\n\\2-grams:\n\
                    \\3-grams:\n-1\t<s> <s> </s>\n",
            says: "line 10: `-1\t<s> <s> </s>`: its first 2 words are not among the 2-grams",
        },
        Case {
            name: "fewer than counted",
            file: b"\\data\\\nngram 1=3\n\\1-grams:\n-1\t<s>\n-1\t</s>\n\\end\\\n",
            says: "line 6: `\\end\\` behind 2 1-grams, but `\\data\\` says 3",
        },
        Case {
            name: "more than counted",
            file: b"\\data\\\nngram 1=2\n\\1-grams:\n-1\t<s>\n-1\t</s>\n-1\ta\n\\end\\\n",
            says: "line 6: `-1\ta`, expected `\\end\\` behind 2 1-grams",
        },
        Case {
            name: "cut off",
            file: b"\\data\\\nngram 1=2\n\\1-grams:\n-1\t<s>\n-1\t</s>\n",
            says: "line 5: the file ends before `\\end\\`; it is cut off",
        },
    ];
    for case in cases {
        let error = NGrams::read(case.file).unwrap_err().to_string();
        assert!(error.contains(case.says), "{}: {error}", case.name);
    }
    let long = [b"\\data\\\n".as_slice(), &[b'x'; 1 << 17]].concat();
    let error = NGrams::read(long.as_slice()).unwrap_err().to_string();
    assert!(error.starts_with("line 2: 65536 bytes and more"), "{error}");
}
