//! Picture to boxes.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | the graph's first input | 1×3×H×W | f32 | normalised pixels |
//! | the graph's first output | 1×A×(5+C) | f32 | predictions, laid out as `[decode] head` says |

use bevel_manifest::{BoxHead, Decode, DetectSpec, ImageInput, Task as TaskName};
use bevel_prep::image::{Fit, ImageView, Preprocess};
use bevel_prep::score::{Box2d, Nms};
use serde::Serialize;

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::{Options, Outputs, Slots, Task};
use crate::registry::{Answer, Sample};
use crate::session::Session;
use crate::vision::pixels::{Pixels, shape_fits};

/// Pictures to labelled boxes.
pub struct Detect {
    pixels: Pixels,
    spec: DetectSpec,
    labels: Vec<String>,
    /// Per prediction: column and row of its cell, and the cell's size in pixels.
    cells: Vec<[f32; 3]>,
}

/// What one picture holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Detections {
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// Boxes, best first.
    pub boxes: Vec<Detection>,
}

/// One box.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Detection {
    /// Name of the class.
    pub label: String,
    /// Index of the class.
    pub index: usize,
    /// In 0 ..= 1.
    pub score: f32,
    /// `[x1, y1, x2, y2]` in pixels of the picture, within it.
    #[serde(rename = "box")]
    pub xyxy: [f32; 4],
}

/// Buffers kept from picture to picture.
#[derive(Debug, Default)]
pub struct DetectScratch {
    preprocess: Preprocess,
    fits: Vec<Fit>,
    candidates: Vec<Box2d>,
    nms: Nms,
}

impl Task for Detect {
    type Item<'a> = ImageView<'a>;
    type Answer = Detections;
    type Scratch = DetectScratch;

    const NAME: TaskName = TaskName::Detect;

    fn item<'a>(sample: Sample<'a>) -> Option<ImageView<'a>> {
        sample.image()
    }

    fn wrap(answer: Detections) -> Answer {
        Answer::Detect(answer)
    }

    fn load(bundle: &Bundle, options: &Options) -> Result<Self> {
        let Decode::Detect(spec) = &bundle.manifest().decode else {
            return Err(Error::model(bundle.root(), "[decode] is not `detect`"));
        };
        let pixels = Pixels::load(bundle)?;
        let mut spec = spec.clone();
        spec.min_score = fraction("min_score", options.min_score.unwrap_or(spec.min_score))?;
        spec.iou = fraction("iou", options.iou.unwrap_or(spec.iou))?;
        spec.max_boxes = options.max_boxes.unwrap_or(spec.max_boxes);
        let labels = bundle.labels(&spec.labels)?;
        let cells = match &spec.head {
            BoxHead::YoloxGrid { strides } => grid(&pixels.spec, strides),
            _ => return Err(Error::Unsupported("this box head is not known here".into())),
        };
        Ok(Self {
            pixels,
            spec,
            labels,
            cells,
        })
    }

    fn fit(&mut self, session: &Session) -> Result<()> {
        self.pixels.fit(session)?;
        let expected = [1, self.cells.len(), 5 + self.labels.len()];
        match session.outputs().first() {
            Some(output) if shape_fits(&output.shape, &expected) => Ok(()),
            Some(output) => Err(Error::model(
                session.path(),
                format!(
                    "output `{}` has shape {}, the head of [decode] with {} labels asks for \
                     {expected:?}",
                    output.name,
                    output.shape_text(),
                    self.labels.len()
                ),
            )),
            None => Err(Error::model(session.path(), "has no outputs")),
        }
    }

    fn preprocess(
        &self,
        images: &[ImageView<'_>],
        scratch: &mut DetectScratch,
        slots: &mut Slots,
    ) -> Result<()> {
        let DetectScratch {
            preprocess, fits, ..
        } = scratch;
        fits.clear();
        self.pixels
            .write(images, preprocess, slots, |fit| fits.push(fit));
        Ok(())
    }

    fn postprocess(
        &self,
        images: &[ImageView<'_>],
        scratch: &mut DetectScratch,
        _: &Slots,
        outputs: &Outputs<'_>,
    ) -> Result<Vec<Detections>> {
        let predictions = outputs.first_f32()?;
        let values = predictions.as_slice().unwrap_or_default();
        let row = 5 + self.labels.len();
        let per_image = self.cells.len() * row;
        if values.len() != images.len() * per_image {
            return Err(Error::Unsupported(format!(
                "predictions have shape {:?}, expected {}×{}×{row}",
                predictions.shape(),
                images.len(),
                self.cells.len()
            )));
        }
        let mut answers = Vec::with_capacity(images.len());
        for ((image, values), fit) in images
            .iter()
            .zip(values.chunks_exact(per_image))
            .zip(&scratch.fits)
        {
            candidates(
                values,
                row,
                &self.cells,
                self.spec.min_score,
                &mut scratch.candidates,
            );
            let kept = scratch
                .nms
                .run(&scratch.candidates, self.spec.iou, self.spec.max_boxes);
            answers.push(Detections {
                width: image.width(),
                height: image.height(),
                boxes: kept.iter().map(|b| self.detection(b, fit, image)).collect(),
            });
        }
        Ok(answers)
    }
}

impl Detect {
    fn detection(&self, found: &Box2d, fit: &Fit, image: &ImageView<'_>) -> Detection {
        let size = [image.width() as f32, image.height() as f32];
        let xyxy = fit.to_picture(found.xyxy);
        let index = found.class as usize;
        Detection {
            label: self
                .labels
                .get(index)
                .cloned()
                .unwrap_or_else(|| index.to_string()),
            index,
            score: found.score,
            xyxy: [0, 1, 2, 3].map(|i| xyxy[i].clamp(0.0, size[i % 2])),
        }
    }
}

fn fraction(name: &str, value: f32) -> Result<f32> {
    if (0.0..=1.0).contains(&value) {
        return Ok(value);
    }
    Err(Error::Input(format!(
        "{name} is {value}, expected a number in 0 ..= 1"
    )))
}

/// The cells of all strides in the order of the predictions: row by row, finest first as listed.
fn grid(input: &ImageInput, strides: &[u32]) -> Vec<[f32; 3]> {
    let mut cells = Vec::new();
    for &stride in strides {
        for y in 0..input.height / stride {
            cells.extend((0..input.width / stride).map(|x| [x, y, stride].map(|v| v as f32)));
        }
    }
    cells
}

/// Predictions as boxes in pixels of the tensor: one for every class at or above `min_score`, as the
/// makers' evaluation has it (the best class alone costs 0.009 mAP on coco-mini).
fn candidates(
    values: &[f32],
    row: usize,
    cells: &[[f32; 3]],
    min_score: f32,
    out: &mut Vec<Box2d>,
) {
    out.clear();
    for (prediction, [column, line, stride]) in values.chunks_exact(row).zip(cells) {
        let [dx, dy, w, h, objectness, ref classes @ ..] = *prediction else {
            continue;
        };
        // No class can lift the score above the objectness.
        if objectness < min_score {
            continue;
        }
        let center = [(dx + column) * stride, (dy + line) * stride];
        let half = [w.exp() * stride / 2.0, h.exp() * stride / 2.0];
        let [[x1, x2], [y1, y2]] = [0, 1].map(|i| [center[i] - half[i], center[i] + half[i]]);
        for (class, probability) in classes.iter().enumerate() {
            let score = objectness * probability;
            if score >= min_score {
                out.push(Box2d {
                    xyxy: [x1, y1, x2, y2],
                    class: class as u32,
                    score,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prediction_becomes_the_box_it_stands_for() {
        // Cell (2, 1) of stride 8, centre at its middle, 16 wide and 8 high, class 1.
        let prediction = [0.5, 0.5, 2.0f32.ln(), 0.0, 0.8, 0.1, 0.5];
        let mut out = Vec::new();
        candidates(&prediction, 7, &[[2.0, 1.0, 8.0]], 0.3, &mut out);
        let [found] = out[..] else { panic!("{out:?}") };
        assert_eq!((found.class, found.score), (1, 0.4));
        for (got, expected) in found.xyxy.iter().zip([12.0, 8.0, 28.0, 16.0]) {
            assert!((got - expected).abs() < 1e-4, "{:?}", found.xyxy);
        }
        candidates(&prediction, 7, &[[2.0, 1.0, 8.0]], 0.41, &mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn nan_predictions_are_no_boxes() {
        let mut out = Vec::new();
        candidates(&[f32::NAN; 7], 7, &[[0.0, 0.0, 8.0]], 0.0, &mut out);
        assert!(out.is_empty());
    }
}
