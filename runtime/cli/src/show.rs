//! Answers and tables for people.

use std::fmt::Write;

use bevel::Answer;

/// An answer as text, ending in a line break.
pub fn answer(name: &str, answer: &Answer) -> String {
    match answer {
        Answer::Embed(found) => {
            let head: Vec<_> = found
                .embedding
                .iter()
                .take(4)
                .map(|v| format!("{v:+.4}"))
                .collect();
            format!(
                "{name}\n  {} values: {} …\n",
                found.embedding.len(),
                head.join(" ")
            )
        }
        Answer::Classify(found) => {
            let rows = found
                .labels
                .iter()
                .map(|l| vec![format!("{:.3}", l.score), l.label.clone()])
                .collect::<Vec<_>>();
            format!("{name}\n{}", table(&rows))
        }
        Answer::Detect(found) => {
            let rows = found
                .boxes
                .iter()
                .map(|b| {
                    let [x1, y1, x2, y2] = b.xyxy.map(|v| format!("{v:.0}"));
                    vec![format!("{:.3}", b.score), b.label.clone(), x1, y1, x2, y2]
                })
                .collect::<Vec<_>>();
            let none = if rows.is_empty() {
                "  nothing found\n"
            } else {
                ""
            };
            format!(
                "{name} {}×{}\n{none}{}",
                found.width,
                found.height,
                table(&rows)
            )
        }
        Answer::Transcribe(found) => {
            let mut text = format!("{name} {:.1} s\n", found.duration);
            if found.segments.is_empty() {
                text.push_str("  no speech\n");
            }
            for segment in &found.segments {
                let _ = writeln!(
                    text,
                    "  {:>8.2} {:>8.2}  {}",
                    segment.start, segment.end, segment.text
                );
            }
            text
        }
        _ => format!("{name}\n  {answer:?}\n"),
    }
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
