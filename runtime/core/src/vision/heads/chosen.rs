//! Boxes that the graph has chosen itself, of one picture.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | `boxes` | K×4 | f32 | `[x1, y1, x2, y2]` in pixels of the tensor |
//! | `labels` | K | i64 | class |
//! | `scores` | K | f32 | 0 ..= 1, best first |

use bevel_prep::score::Box2d;

use crate::error::{Error, Result};
use crate::pipeline::Outputs;
use crate::session::Session;

const BOXES: &str = "boxes";
const LABELS: &str = "labels";
const SCORES: &str = "scores";

/// Rows of the three outputs.
pub(in crate::vision) struct Rows {
    classes: usize,
}

impl Rows {
    pub fn new(classes: usize) -> Self {
        Self { classes }
    }

    pub fn fit(&self, session: &Session) -> Result<()> {
        let asked = [
            (BOXES, "float32", 2, Some(4)),
            (LABELS, "int64", 1, None),
            (SCORES, "float32", 1, None),
        ];
        for (name, dtype, rank, last) in asked {
            let mut outputs = session.outputs().iter();
            let found = outputs.find(|output| output.name == name);
            let fits = found.is_some_and(|output| {
                let same =
                    |size: Option<usize>| last.is_none() || size.is_none_or(|s| Some(s) == last);
                let shape = &output.shape;
                output.dtype == dtype
                    && shape.len() == rank
                    && same(shape.last().copied().flatten())
            });
            if !fits {
                let found = found.map_or("missing".into(), |output| {
                    format!("{} {}", output.dtype, output.shape_text())
                });
                return Err(Error::model(
                    session.path(),
                    format!("output `{name}` is {found}, [decode] asks for {dtype} of {rank} axes"),
                ));
            }
        }
        Ok(())
    }

    /// Rows at or above `min_score`, each with its number.
    pub fn candidates(
        &self,
        outputs: &Outputs<'_>,
        pictures: usize,
        min_score: f32,
        out: &mut Vec<Box2d>,
    ) -> Result<()> {
        let (boxes, labels) = (outputs.f32(BOXES)?, outputs.i64(LABELS)?);
        let scores = outputs.f32(SCORES)?;
        let count = scores.len();
        let whole = boxes.shape() == [count, 4] && labels.shape() == [count];
        let (Some(boxes), Some(labels), Some(scores), true) = (
            boxes.as_slice(),
            labels.as_slice(),
            scores.as_slice(),
            whole && pictures == 1,
        ) else {
            return Err(Error::Unsupported(format!(
                "`boxes` {:?}, `labels` {:?} and `scores` {:?} for {pictures} pictures, expected \
                 K×4, K and K for one",
                boxes.shape(),
                labels.shape(),
                scores.shape()
            )));
        };
        let (boxes, _) = boxes.as_chunks();
        let rows = boxes.iter().zip(labels).zip(scores).enumerate();
        for (row, ((xyxy, label), score)) in rows {
            let class = usize::try_from(*label).ok().filter(|c| *c < self.classes);
            let Some(class) = class else {
                return Err(Error::Unsupported(format!(
                    "label {label} of {} classes; the labels are those of another model",
                    self.classes
                )));
            };
            if *score >= min_score {
                out.push(Box2d {
                    xyxy: *xyxy,
                    class: class as u32,
                    score: *score,
                    prediction: row as u32,
                });
            }
        }
        Ok(())
    }
}
