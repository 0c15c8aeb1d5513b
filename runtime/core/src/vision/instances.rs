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
    let &[count, 1, height, width] = masks.shape() else {
        return Err(Error::Unsupported(format!(
            "`masks` has shape {:?}, expected K×1×M×M",
            masks.shape()
        )));
    };
    let values = masks.as_slice().unwrap_or_default();
    let soft = |row: usize| values.get(row * height * width..(row + 1) * height * width);
    let size = [picture.image.height(), picture.image.width()];
    let mask = |(found, detection): (&Box2d, &Detection)| {
        let mask = soft(found.prediction as usize);
        let paste = mask.and_then(|mask| Paste::new(mask, detection.xyxy, size));
        let paste = paste.ok_or_else(|| {
            Error::Unsupported(format!(
                "`masks` has {count} of {height}×{width}, expected a square one for each box"
            ))
        })?;
        Ok(pasted(&paste, size, min_mask))
    };
    found.iter().zip(detections).map(mask).collect()
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
    let mask = |(found, detection): (&Box2d, &Detection)| {
        let coefficients = boxes.extra(picture.outputs, picture.place, found)?;
        Ok(prototypes.mask(&coefficients, detection.xyxy, picture.image))
    };
    found.iter().zip(detections).map(mask).collect()
}

/// The pixels of a picture of height and width `size` that a pasted mask has above `min_mask`.
fn pasted(paste: &Paste<'_>, size: [u32; 2], min_mask: f32) -> Rle {
    let [height, width] = size;
    let [left, top, _, bottom] = paste.covered().map(|at| at as u64);
    let mut rle = Rle::new(height, width);
    rle.run(false, left * u64::from(height));
    paste.columns(|_, column| {
        rle.run(false, top);
        for value in column {
            rle.run(*value > min_mask, 1);
        }
        rle.run(false, u64::from(height) - bottom);
    });
    rle
}
