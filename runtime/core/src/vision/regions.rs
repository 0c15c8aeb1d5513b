//! Picture to a class for each pixel.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | the graph's first input | N×3×H×W | f32 | normalised pixels |
//! | the graph's first output | N×C×h×w | f32 | logits over the tensor |
//!
//! Logits are brought to the size of the picture by two taps along each axis (PyTorch's `interpolate`,
//! bilinear without `align_corners`), then each pixel gets its class.

use std::ops::Range;

use bevel_manifest::{Activation, Decode, SemanticSpec, Task as TaskName};
use bevel_prep::image::{Fit, ImageView, Preprocess};
use bevel_prep::score::{Rle, logit};
use serde::Serialize;

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::{Options, Outputs, Slots, Task};
use crate::registry::{Answer, Sample};
use crate::session::Session;
use crate::vision::mask::Mask;
use crate::vision::pixels::Pixels;

/// Pictures to regions of classes.
pub struct SegmentRegions {
    pixels: Pixels,
    spec: SemanticSpec,
    labels: Vec<String>,
}

/// What one picture shows where.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Regions {
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// Classes that have pixels, the largest first. Where classes stand alone they may share some.
    pub classes: Vec<Region>,
    /// Whether each pixel has one class and no more.
    #[serde(skip)]
    pub one_is_right: bool,
    /// Where the classes of all pixels were written as a picture, if they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask: Option<String>,
}

/// The pixels of one class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Region {
    /// Name of the class, or the index in decimal where the model has no names.
    pub label: String,
    /// Index of the class.
    pub index: usize,
    /// Share of the picture, 0 ..= 1.
    pub share: f32,
    /// Its pixels.
    pub mask: Mask,
}

/// Buffers kept from picture to picture.
#[derive(Debug, Default)]
pub struct RegionScratch {
    preprocess: Preprocess,
    fits: Vec<Fit>,
}

impl Task for SegmentRegions {
    type Item<'a> = ImageView<'a>;
    type Answer = Regions;
    type Scratch = RegionScratch;

    const NAME: TaskName = TaskName::Segment;

    fn item<'a>(sample: Sample<'a>) -> Option<ImageView<'a>> {
        sample.image()
    }

    fn wrap(answer: Regions) -> Answer {
        Answer::Regions(answer)
    }

    fn load(bundle: &Bundle, _: &Options) -> Result<Self> {
        let Decode::Semantic(spec) = &bundle.manifest().decode else {
            return Err(Error::model(bundle.root(), "[decode] is not `semantic`"));
        };
        let labels = spec.labels.as_deref().map(|name| bundle.labels(name));
        Ok(Self {
            pixels: Pixels::load(bundle)?,
            labels: labels.transpose()?.unwrap_or_default(),
            spec: spec.clone(),
        })
    }

    fn fit(&mut self, session: &Session) -> Result<()> {
        self.pixels.fit(session)
    }

    fn preprocess(
        &self,
        images: &[ImageView<'_>],
        scratch: &mut RegionScratch,
        slots: &mut Slots,
    ) -> Result<()> {
        let RegionScratch { preprocess, fits } = scratch;
        fits.clear();
        self.pixels
            .write(images, preprocess, slots, |fit| fits.push(fit));
        Ok(())
    }

    fn postprocess(
        &self,
        images: &[ImageView<'_>],
        scratch: &mut RegionScratch,
        _: &Slots,
        outputs: &Outputs<'_>,
    ) -> Result<Vec<Regions>> {
        let logits = outputs.first_f32()?;
        let shape = logits.shape();
        let (&[n, classes, height, width], Some(values)) = (shape, logits.as_slice()) else {
            return Err(Error::Unsupported(format!(
                "`logits` has shape {shape:?}, expected N×C×H×W"
            )));
        };
        let named = self.labels.is_empty() || self.labels.len() == classes;
        if n != images.len() || shape.contains(&0) || !named {
            return Err(Error::Unsupported(format!(
                "`logits` has shape {shape:?} for {} pictures and {} labels",
                images.len(),
                self.labels.len()
            )));
        }
        let sides = self.pixels.sides();
        let pictures = values.chunks_exact(classes * height * width);
        let answers = images.iter().zip(pictures).zip(&scratch.fits);
        Ok(answers
            .map(|((image, logits), fit)| {
                // Maps may be coarser than the tensor.
                let fit = fit.in_cells([width, height], sides);
                let maps = Maps {
                    values: logits,
                    classes,
                    size: [height, width],
                };
                self.regions(&maps, &fit, [image.height(), image.width()])
            })
            .collect())
    }
}

/// Logits of one picture, C×h×w.
struct Maps<'a> {
    values: &'a [f32],
    classes: usize,
    size: [usize; 2],
}

/// Two cells and how much of the second there is.
pub(super) type Taps = (usize, usize, f32);

/// Where the middle of each pixel lies among the cells from `low` to `high`.
pub(super) fn taps(
    pixels: Range<u32>,
    [low, high]: [f32; 2],
    scale: f32,
    offset: f32,
) -> Vec<Taps> {
    let tap = |pixel: u32| {
        let exact = (pixel as f32 + 0.5) * scale + offset - 0.5;
        let exact = exact.max(low).min(high);
        let first = exact as usize;
        let second = (first + 1).min(high.ceil() as usize);
        (first, second, exact - first as f32)
    };
    pixels.map(tap).collect()
}

impl Maps<'_> {
    /// The pixels of each class in a picture of height and width `size`, which sits among the cells as
    /// `fit` says: each pixel has the class of its largest logit, or every class
    /// whose logit is above `least`.
    /// Column by column, as masks are written.
    fn masks(&self, fit: &Fit, [height, width]: [u32; 2], least: Option<f32>) -> Vec<Rle> {
        let [rows, columns] = self.size;
        let [right, bottom] = [columns, rows].map(|cells| [0.0, (cells - 1) as f32]);
        let across = taps(0..width, right, fit.scale[0], fit.offset[0]);
        let down = taps(0..height, bottom, fit.scale[1], fit.offset[1]);
        let mut masks = vec![Rle::new(height, width); self.classes];
        let mut best = vec![(0usize, f32::NEG_INFINITY); down.len()];
        let mut blended = vec![0.0; rows];
        let mut from = 0;
        for (left, right, share) in across {
            best.fill((0, f32::NEG_INFINITY));
            let planes = self.values.chunks_exact(rows * columns);
            for ((class, plane), mask) in planes.enumerate().zip(&mut masks) {
                for (out, line) in blended.iter_mut().zip(plane.chunks_exact(columns)) {
                    *out = line[left] * (1.0 - share) + line[right] * share;
                }
                let logits = down.iter().map(|(above, below, share)| {
                    blended[*above] * (1.0 - share) + blended[*below] * share
                });
                if let Some(least) = least {
                    mask.column(0, logits.map(|logit| logit > least));
                    continue;
                }
                for (best, logit) in best.iter_mut().zip(logits) {
                    if logit > best.1 {
                        *best = (class, logit);
                    }
                }
            }
            if least.is_some() {
                continue;
            }
            for run in best.chunk_by(|a, b| a.0 == b.0) {
                let pixels = run.len() as u64;
                masks[run[0].0].mark(from, pixels);
                from += pixels;
            }
        }
        masks
    }
}

impl SegmentRegions {
    fn regions(&self, maps: &Maps<'_>, fit: &Fit, [height, width]: [u32; 2]) -> Regions {
        let one_is_right = self.spec.activation == Activation::Softmax;
        // Logits are compared, so that no score has to be computed.
        let least = match self.spec.activation {
            Activation::Softmax => None,
            Activation::None => Some(self.spec.min_mask),
            _ => Some(logit(self.spec.min_mask)),
        };
        let masks = maps.masks(fit, [height, width], least);
        let pixels = (f64::from(height) * f64::from(width)).max(1.0);
        let region = |(index, rle): (usize, Rle)| {
            if rle.area() == 0 {
                return None;
            }
            let mask = Mask::new(rle);
            let label = self.labels.get(index).cloned();
            Some(Region {
                label: label.unwrap_or_else(|| index.to_string()),
                index,
                share: (mask.area() as f64 / pixels) as f32,
                mask,
            })
        };
        let mut classes: Vec<Region> = masks.into_iter().enumerate().filter_map(region).collect();
        classes.sort_by(|a, b| b.share.total_cmp(&a.share));
        Regions {
            width,
            height,
            classes,
            one_is_right,
            mask: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_have_the_best_class_or_all_above_a_limit() {
        // 2×3 cells, a pixel each.
        let values = [
            [3.0, 0.0, 0.0, 3.0, 3.0, -1.0],
            [1.0, 5.0, 5.0, 1.0, 1.0, -1.0],
            [-1.0; 6],
            [0.0, 0.0, 0.0, 0.0, 4.0, 7.0],
        ];
        let maps = Maps {
            values: &values.concat(),
            classes: 4,
            size: [2, 3],
        };
        let fit = Fit {
            scale: [1.0; 2],
            offset: [0.0; 2],
        };
        // Runs down the columns.
        type Runs = &'static [(u64, u64)];
        let cases: [(Option<f32>, [Runs; 4]); 2] = [
            (None, [&[(0, 2)], &[(2, 1), (4, 1)], &[], &[(3, 1), (5, 1)]]),
            (
                Some(0.5),
                [&[(0, 2), (3, 1)], &[(0, 5)], &[], &[(3, 1), (5, 1)]],
            ),
        ];
        for (least, expected) in cases {
            let masks = maps.masks(&fit, [2, 3], least);
            for (class, (mask, expected)) in masks.iter().zip(expected).enumerate() {
                let runs: Vec<_> = mask.inside().collect();
                assert_eq!(runs, expected, "class {class}, {least:?}");
            }
        }
    }
}
