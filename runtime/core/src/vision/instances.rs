//! Picture to boxes with a mask each.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | the graph's first input | N×3×H×W, or 3×H×W | f32 | normalised pixels |
//! | outputs of boxes | as `[decode] boxes.head` says | | predictions |
//! | `masks` | K×1×M×M | f32 | for the layout `soft`: 0 ..= 1 over each box |
//! | `prototypes` | N×P×h×w | f32 | for the layout `prototypes`: maps that a box's coefficients add up |

use bevel_manifest::{Decode, InstanceSpec, MaskHead, Task as TaskName};
use bevel_prep::image::Fit;
use bevel_prep::score::{Box2d, Paste, Rle};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::registry::Answer;
use crate::vision::boxes::{BoxScratch, Boxes, Detection};
use crate::vision::found::{Find, Found, NotThis, Picture, Thing};
use crate::vision::mask::Mask;
use crate::vision::prototypes::Prototypes;

/// Pictures to labelled boxes with masks.
pub type SegmentInstances = Find<Instance>;

/// What one picture holds.
pub type Instances = Found<Instance>;

/// One thing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Instance {
    /// Where it is and what.
    #[serde(flatten)]
    pub detection: Detection,
    /// Its pixels.
    pub mask: Mask,
}

impl Thing for Instance {
    type Settings = InstanceSpec;

    const TASK: TaskName = TaskName::Segment;

    fn settings(decode: &Decode) -> Result<(usize, InstanceSpec), NotThis> {
        let Decode::Instances(spec) = decode else {
            return Err(NotThis::Kind("instances"));
        };
        match spec.masks {
            MaskHead::Soft => Ok((0, spec.clone())),
            MaskHead::Prototypes { count } => Ok((count, spec.clone())),
            _ => Err(NotThis::Layout("mask head")),
        }
    }

    fn find(
        boxes: &Boxes,
        spec: &InstanceSpec,
        picture: &Picture<'_, '_, '_>,
        scratch: &mut BoxScratch,
    ) -> Result<Vec<Self>> {
        let (found, fit) = boxes.find(picture.outputs, picture.place, scratch)?;
        let detection = |found| boxes.detection(found, &fit, picture.image);
        let detections: Vec<Detection> = found.iter().map(detection).collect();
        let pairs = (found, detections.as_slice());
        let masks = match spec.masks {
            MaskHead::Prototypes { count } => {
                summed(boxes, picture, pairs, &fit, (count, spec.min_mask))?
            }
            _ => soft(picture, pairs, spec.min_mask)?,
        };
        let instances = detections.into_iter().zip(masks);
        let instance = |(detection, rle)| Self {
            detection,
            mask: Mask::new(rle),
        };
        Ok(instances.map(instance).collect())
    }

    fn wrap(found: Instances) -> Answer {
        Answer::Instances(found)
    }
}

/// Boxes as the head gave them, and as the caller gets them.
type Pairs<'a> = (&'a [Box2d], &'a [Detection]);

/// Masks that the graph gives for each box.
fn soft(
    picture: &Picture<'_, '_, '_>,
    (found, detections): Pairs<'_>,
    min_mask: f32,
) -> Result<Vec<Rle>> {
    let masks = picture.outputs.f32("masks")?;
    let [count, side] = squares(masks.shape())?;
    let values = masks.as_slice().unwrap_or_default();
    let soft = |row: usize| values.chunks_exact(side * side).nth(row);
    let size = [picture.image.height(), picture.image.width()];
    let mask = |(found, detection): (&Box2d, &Detection)| {
        let mask = soft(found.prediction as usize);
        let paste = mask.and_then(|mask| Paste::new(mask, detection.xyxy, size));
        let paste = paste.ok_or_else(|| {
            Error::Unsupported(format!(
                "`masks` has {count} masks, fewer than there are boxes"
            ))
        })?;
        Ok(pasted(&paste, size, min_mask))
    };
    found.iter().zip(detections).map(mask).collect()
}

/// K and M of masks K×1×M×M.
fn squares(shape: &[usize]) -> Result<[usize; 2]> {
    match *shape {
        [count, 1, height, width] if height == width && height > 0 => Ok([count, height]),
        _ => Err(Error::Unsupported(format!(
            "`masks` has shape {shape:?}, expected K×1×M×M"
        ))),
    }
}

/// Masks that a box's coefficients make of prototypes.
fn summed(
    boxes: &Boxes,
    picture: &Picture<'_, '_, '_>,
    (found, detections): Pairs<'_>,
    fit: &Fit,
    (count, min_mask): (usize, f32),
) -> Result<Vec<Rle>> {
    let [at, pictures] = picture.place;
    let maps = picture.outputs.f32("prototypes")?;
    let shape = maps.shape().to_vec();
    let maps = maps.into_dimensionality::<ndarray::Ix4>().ok();
    let maps = maps.filter(|maps| maps.dim().0 == pictures && maps.dim().1 == count);
    let Some(maps) = maps else {
        return Err(Error::Unsupported(format!(
            "`prototypes` has shape {shape:?} for {pictures} pictures and {count} coefficients"
        )));
    };
    let maps = maps.index_axis(ndarray::Axis(0), at);
    let prototypes = Prototypes::new(maps, boxes.sides(), fit, min_mask);
    let extras = boxes.extras(picture.outputs, picture.place)?;
    let mask = |(found, detection): (&Box2d, &Detection)| {
        prototypes.mask(extras.of(found), detection.xyxy, picture.image)
    };
    Ok(found.iter().zip(detections).map(mask).collect())
}

/// The pixels of a picture of height and width `size` that a pasted mask has above `min_mask`.
fn pasted(paste: &Paste<'_>, size: [u32; 2], min_mask: f32) -> Rle {
    let [height, width] = size;
    let [left, top, ..] = paste.covered().map(|at| at as u64);
    let mut rle = Rle::new(height, width);
    rle.run(false, left * u64::from(height));
    paste.columns(|_, column| {
        rle.column(top, column.iter().map(|value| *value > min_mask));
    });
    rle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_squares() {
        let cases: [(&[usize], _); 6] = [
            (&[3, 1, 28, 28], Some([3, 28])),
            (&[0, 1, 28, 28], Some([0, 28])),
            // As many numbers as 6×6.
            (&[3, 1, 4, 9], None),
            (&[3, 2, 28, 28], None),
            (&[3, 28, 28], None),
            (&[3, 1, 0, 0], None),
        ];
        for (shape, expected) in cases {
            match (squares(shape), expected) {
                (Ok(found), Some(expected)) => assert_eq!(found, expected, "{shape:?}"),
                (Err(error), None) => {
                    let error = error.to_string();
                    assert!(error.contains(&format!("{shape:?}")), "{error}");
                }
                (found, _) => panic!("{shape:?}: {found:?}"),
            }
        }
    }
}
