//! Answers to questions beside the right ones, as SQuAD 2.0 counts them (Rajpurkar et al. 2018,
//! arXiv:1806.03822; its `evaluate-v2.0.py`).

use std::collections::HashMap;

/// An answer as it is compared: lower case, without ASCII punctuation and the words "a", "an" and "the",
/// one space between words.
pub fn normalize_answer(text: &str) -> String {
    let text: String = text
        .chars()
        .flat_map(char::to_lowercase)
        .filter(|c| !c.is_ascii_punctuation())
        .collect();
    let mut kept = String::new();
    for run in words(&text) {
        match run {
            "a" | "an" | "the" => kept.push(' '),
            run => kept.push_str(run),
        }
    }
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Runs of letters and digits, and of what is between them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let kind = rest.chars().next()?.is_alphanumeric();
        let end = rest.find(|c: char| c.is_alphanumeric() != kind);
        let (run, behind) = rest.split_at(end.unwrap_or(rest.len()));
        rest = behind;
        Some(run)
    })
}

/// Whether an answer is one of the right ones. Without any, the right one is no answer: the empty text.
pub fn exact_match(answer: &str, right: &[String]) -> bool {
    let answer = normalize_answer(answer);
    match right {
        [] => answer.is_empty(),
        right => right.iter().any(|right| normalize_answer(right) == answer),
    }
}

/// F1 of the words of an answer against those of the right one it is closest to, in 0 ..= 1. Where one
/// of both has no words it is 1 if neither has any.
pub fn answer_f1(answer: &str, right: &[String]) -> f64 {
    let answer = normalize_answer(answer);
    let f1 = |right: &str| {
        let right = normalize_answer(right);
        let mut left: HashMap<&str, usize> = HashMap::new();
        for word in right.split(' ').filter(|word| !word.is_empty()) {
            *left.entry(word).or_default() += 1;
        }
        let wanted: usize = left.values().sum();
        let (mut given, mut shared) = (0, 0);
        for word in answer.split(' ').filter(|word| !word.is_empty()) {
            given += 1;
            if let Some(count) = left.get_mut(word).filter(|count| **count > 0) {
                *count -= 1;
                shared += 1;
            }
        }
        match (wanted, given) {
            (0, 0) => 1.0,
            _ => 2.0 * f64::from(shared) / (wanted + given) as f64,
        }
    };
    match right {
        [] => f1(""),
        right => right.iter().map(|right| f1(right)).fold(0.0, f64::max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_string()).collect()
    }

    /// `compute_exact` and `compute_f1` of SQuAD's evaluation, as torchmetrics
    /// 1.9.0 has them, the best over the right answers.
    #[test]
    fn figures_are_those_of_squad() {
        for (answer, right, exact, f1) in [
            ("the Eiffel Tower", &["Eiffel tower"][..], true, 1.0),
            (
                "in Paris, France",
                &["Paris", "the city of Paris"][..],
                false,
                0.5,
            ),
            ("a b b c", &["b b b"][..], false, 0.6666666865348816),
            ("", &[""][..], true, 1.0),
            ("nothing", &[""][..], false, 0.0),
            ("The", &["a"][..], true, 1.0),
            (
                "1,000 men",
                &["1000 people", "1,000 men and women"][..],
                false,
                0.6666666865348816,
            ),
            ("no", &["yes"][..], false, 0.0),
        ] {
            let right = texts(right);
            assert_eq!(exact_match(answer, &right), exact, "{answer}");
            let found = answer_f1(answer, &right);
            // They count in f32.
            assert!((found - f1).abs() < 1e-7, "{answer}: {found}");
        }
        assert!(exact_match("", &[]) && answer_f1("something", &[]) == 0.0);
    }

    #[test]
    fn case_articles_and_punctuation_do_not_count() {
        for (text, expected) in [
            ("The  Eiffel Tower.", "eiffel tower"),
            ("an apple-a-day", "appleaday"),
            ("in a\u{2014}the other", "in \u{2014} other"),
            ("$1,000", "1000"),
            ("The", ""),
        ] {
            assert_eq!(normalize_answer(text), expected);
        }
    }
}
