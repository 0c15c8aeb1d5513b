//! Answers and tables for people.

use std::fmt::Write;

use bevel::speech::Segment;
use bevel::text::Entity;
use bevel::vision::{Detection, Instance, OrientedDetection, Posed, Region};
use bevel::{Answer, Tensor, TensorData};
use bevel_manifest::Measured;

/// An answer as text, ending in a line break. Vectors say nothing to a person, so each is compared
/// with that of the `first` input.
pub fn answer(name: &str, answer: &Answer, first: Option<&[f32]>) -> String {
    match answer {
        Answer::Embed(found) => {
            let head: Vec<_> = found
                .embedding
                .iter()
                .take(4)
                .map(|v| format!("{v:+.4}"))
                .collect();
            let alike = first.map_or(String::new(), |first| {
                format!(
                    ", cosine to the first {:.3}",
                    cosine(first, &found.embedding)
                )
            });
            format!(
                "{name}\n  {} values: {} …{alike}\n",
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
        Answer::Tag(found) => {
            let row = |e: &Entity| {
                let place = format!("{}–{}", e.start, e.end);
                vec![
                    format!("{:.3}", e.score),
                    e.label.clone(),
                    place,
                    e.text.clone(),
                ]
            };
            let rows: Vec<_> = found.entities.iter().map(row).collect();
            format!("{name}\n{}{}", nothing(&rows), table(&rows))
        }
        Answer::Answer(found) => {
            let place = format!("{}–{}", found.start, found.end);
            let row = vec![format!("{:.3}", found.score), place, found.answer.clone()];
            format!("{name}\n{}", table(&[row]))
        }
        Answer::Generate(found) => format!("{name}\n{}\n", found.text),
        Answer::Detect(found) => {
            let rows = found.boxes.iter().map(detection).collect();
            picture(name, [found.width, found.height], rows)
        }
        Answer::Instances(found) => {
            let row = |b: &Instance| {
                let area = format!("{} pixels", b.mask.area());
                detection(&b.detection).into_iter().chain([area]).collect()
            };
            let rows = found.boxes.iter().map(row).collect();
            picture(name, [found.width, found.height], rows)
        }
        Answer::Pose(found) => {
            let row = |b: &Posed| {
                let seen = b.keypoints.iter().filter(|k| k[2] >= 0.5).count();
                let points = format!("{seen} of {} points", b.keypoints.len());
                detection(&b.detection)
                    .into_iter()
                    .chain([points])
                    .collect()
            };
            let rows = found.boxes.iter().map(row).collect();
            picture(name, [found.width, found.height], rows)
        }
        Answer::Obb(found) => {
            let row = |b: &OrientedDetection| {
                let angle = format!("{:.0}°", b.angle.to_degrees());
                detection(&b.detection).into_iter().chain([angle]).collect()
            };
            let rows = found.boxes.iter().map(row).collect();
            picture(name, [found.width, found.height], rows)
        }
        Answer::Regions(found) => {
            let row = |r: &Region| vec![format!("{:.3}", r.share), r.label.clone()];
            let rows = found.classes.iter().map(row).collect();
            picture(name, [found.width, found.height], rows)
        }
        Answer::Transcribe(found) => {
            let mut text = format!("{name} {:.1} s\n", found.duration);
            if found.segments.is_empty() {
                text.push_str("  no speech\n");
            }
            text.extend(found.segments.iter().map(segment));
            text
        }
        Answer::Tensors(found) => {
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
            format!("{name}\n{}", table(&rows))
        }
        _ => format!("{name}\n  {answer:?}\n"),
    }
}

/// A segment's line, with its times in seconds.
pub fn segment(segment: &Segment) -> String {
    let Segment {
        start, end, text, ..
    } = segment;
    format!("  {start:>8.2} {end:>8.2}  {text}\n")
}

/// A picture and what is in it.
fn picture(name: &str, [width, height]: [u32; 2], rows: Vec<Vec<String>>) -> String {
    let none = nothing(&rows);
    format!("{name} {width}×{height}\n{none}{}", table(&rows))
}

/// What is said of an empty table.
fn nothing(rows: &[Vec<String>]) -> &'static str {
    match rows.is_empty() {
        true => "  nothing found\n",
        false => "",
    }
}

fn detection(found: &Detection) -> Vec<String> {
    let [x1, y1, x2, y2] = found.xyxy.map(|v| format!("{v:.0}"));
    vec![
        format!("{:.3}", found.score),
        found.label.clone(),
        x1,
        y1,
        x2,
        y2,
    ]
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
    fn cosine_of_known_vectors() {
        assert_eq!(cosine(&[1.0, 0.0], &[2.0, 0.0]), 1.0);
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 3.0]), 0.0);
        assert!(cosine(&[0.0, 0.0], &[1.0, 0.0]).is_nan());
        assert!(cosine(&[1.0], &[1.0, 0.0]).is_nan());
    }

    #[test]
    fn columns_line_up_whatever_they_hold() {
        let rows = [
            vec!["a".to_string(), "1.5".into()],
            vec!["äöü".into(), "10".into(), "x".into()],
        ];
        assert_eq!(table(&rows), "  a    1.5\n  äöü   10  x\n");
    }
}
