//! Answers and tables for people.

#[cfg(any(feature = "text", feature = "vision"))]
pub mod item;
#[cfg(feature = "speech")]
pub mod speech;
#[cfg(feature = "text")]
mod text;
#[cfg(feature = "vision")]
mod vision;

use std::fmt::Write;

use bevel::{Answer, Tensor, TensorData};
use bevel_manifest::Measured;

/// Shows one answer after another.
#[derive(Default)]
pub struct Show {
    /// Vectors say nothing to a person, so each is compared with the first.
    #[cfg(any(feature = "text", feature = "vision"))]
    first_vector: Option<Vec<f32>>,
}

/// The answer as text, ending in a line break; `None` where it is of another kind.
type Part = fn(&mut Show, &str, &Answer) -> Option<String>;

const PARTS: &[Part] = &[
    #[cfg(any(feature = "text", feature = "vision"))]
    item::answer,
    #[cfg(feature = "text")]
    text::answer,
    #[cfg(feature = "vision")]
    vision::answer,
    #[cfg(feature = "speech")]
    speech::answer,
    tensors,
];

impl Show {
    /// An answer as text, ending in a line break.
    pub fn answer(&mut self, name: &str, answer: &Answer) -> String {
        let found = PARTS.iter().find_map(|part| part(self, name, answer));
        found.unwrap_or_else(|| format!("{name}\n  {answer:?}\n"))
    }
}

fn tensors(_: &mut Show, name: &str, answer: &Answer) -> Option<String> {
    let Answer::Tensors(found) = answer else {
        return None;
    };
    let row = |(name, tensor): (&String, &Tensor)| {
        let shape = format!("{:?}", tensor.shape);
        vec![
            name.clone(),
            tensor.data.dtype().into(),
            shape,
            head(&tensor.data),
        ]
    };
    let rows: Vec<_> = found.outputs.iter().map(row).collect();
    Some(format!("{name}\n{}", table(&rows)))
}

/// The first values of a tensor.
fn head(data: &TensorData) -> String {
    const SHOWN: usize = 6;
    let number = |x: &f64| match data {
        TensorData::F32(_) | TensorData::F64(_) => format!("{x:.4}"),
        _ => x.to_string(),
    };
    let values = data.to_f64();
    let shown: Vec<_> = values.iter().take(SHOWN).map(number).collect();
    let more = match values.len() > SHOWN {
        true => " …",
        false => "",
    };
    shown.join(" ") + more
}

/// Rows in aligned columns: numbers to the right, the rest to the left, two spaces before each.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| {
        rows.iter()
            .filter_map(|r| r.get(c))
            .map(|v| v.chars().count())
            .max()
    };
    let widths: Vec<_> = (0..columns).map(|c| width(c).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (value, width) in row.iter().zip(&widths) {
            let number = value.parse::<f64>().is_ok();
            let _ = match number {
                true => write!(line, "  {value:>width$}"),
                false => write!(line, "  {value:<width$}"),
            };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// What was measured of a variant's answers.
pub fn quality(measured: &Measured) -> String {
    let Measured { metric, value, .. } = measured;
    match measured.worst {
        Some(worst) => format!("{metric} {value:.4}, worst {worst:.4}"),
        None => format!("{metric} {value:.4} of {:.4}", measured.reference),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_they_hold() {
        let rows = [
            vec!["a".to_string(), "1.5".into()],
            vec!["äöü".into(), "10".into(), "x".into()],
        ];
        assert_eq!(table(&rows), "  a    1.5\n  äöü   10  x\n");
    }
}
