//! Answers about a whole text or picture.

use bevel::Answer;

use super::{Show, table};

pub(super) fn answer(show: &mut Show, name: &str, answer: &Answer) -> Option<String> {
    Some(match answer {
        Answer::Embed(found) => {
            let head: Vec<_> = found
                .embedding
                .iter()
                .take(4)
                .map(|v| format!("{v:+.4}"))
                .collect();
            let vector = &found.embedding;
            let alike = match &show.first_vector {
                Some(first) => format!(", cosine to the first {:.3}", cosine(first, vector)),
                None => String::new(),
            };
            show.first_vector.get_or_insert_with(|| vector.clone());
            let head = head.join(" ");
            format!("{name}\n  {} values: {head} …{alike}\n", vector.len())
        }
        Answer::Classify(found) => {
            let rows = found
                .labels
                .iter()
                .map(|l| vec![format!("{:.3}", l.score), l.label.clone()])
                .collect::<Vec<_>>();
            format!("{name}\n{}", table(&rows))
        }
        _ => return None,
    })
}

/// What is said of an empty table.
pub(super) fn nothing(rows: &[Vec<String>]) -> &'static str {
    match rows.is_empty() {
        true => "  nothing found\n",
        false => "",
    }
}

/// Cosine of two vectors, in −1 ..= 1; not a number when they differ in length or one is all zeros.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    if a.len() != b.len() {
        return f64::NAN;
    }
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_of_known_vectors() {
        assert_eq!(cosine(&[1.0, 0.0], &[2.0, 0.0]), 1.0);
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 3.0]), 0.0);
        assert!(cosine(&[0.0, 0.0], &[1.0, 0.0]).is_nan());
        assert!(cosine(&[1.0], &[1.0, 0.0]).is_nan());
    }
}
