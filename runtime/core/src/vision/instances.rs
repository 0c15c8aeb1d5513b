//! Picture to boxes with a mask each.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | the graph's first input | N×3×H×W, or 3×H×W | f32 | normalised pixels |
//! | outputs of boxes | as `[decode] boxes.head` says | | predictions |
//! | `masks` | K×1×M×M | f32 | for the layout `soft`: 0 ..= 1 over each box |
//! | `prototypes` | N×P×h×w | f32 | for the layout `prototypes`: maps that a box's coefficients add up |

use bevel_manifest::{Decode, InstanceSpec, MaskHead, Task as TaskName};
use bevel_prep::image::{Fit, ImageView};
use bevel_prep::score::{Box2d, Paste, Rle};
use serde::Serialize;

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::{Options, Outputs, Slots, Task};
use crate::registry::{Answer, Sample};
use crate::session::Session;
use crate::vision::boxes::{BoxScratch, Boxes, Detection};
use crate::vision::mask::Mask;
use crate::vision::prototypes::Prototypes;

/// Pictures to labelled boxes with masks.
pub struct SegmentInstances {
    boxes: Boxes,
    spec: InstanceSpec,
}

/// What one picture holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Instances {
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// Boxes, best first.
    pub boxes: Vec<Instance>,
}

/// One thing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Instance {
    /// Where it is and what.
    #[serde(flatten)]
    pub detection: Detection,
    /// Its pixels.
    pub mask: Mask,
}

impl Task for SegmentInstances {
    type Item<'a> = ImageView<'a>;
    type Answer = Instances;
    type Scratch = BoxScratch;

    const NAME: TaskName = TaskName::Segment;

    fn item<'a>(sample: Sample<'a>) -> Option<ImageView<'a>> {
        sample.image()
    }

    fn wrap(answer: Instances) -> Answer {
        Answer::Instances(answer)
    }

    fn load(bundle: &Bundle, options: &Options) -> Result<Self> {
        let Decode::Instances(spec) = &bundle.manifest().decode else {
            return Err(Error::model(bundle.root(), "[decode] is not `instances`"));
        };
        let extra = match spec.masks {
            MaskHead::Soft => 0,
            MaskHead::Prototypes { count } => count,
            _ => {
                let what = "this mask head is not known here";
                return Err(Error::Unsupported(what.into()));
            }
        };
        Ok(Self {
            boxes: Boxes::load(bundle, &spec.detect, extra, options)?,
            spec: spec.clone(),
        })
    }

    fn fit(&mut self, session: &Session) -> Result<()> {
        self.boxes.fit(session)
    }

    fn preprocess(
        &self,
        images: &[ImageView<'_>],
        scratch: &mut BoxScratch,
        slots: &mut Slots,
    ) -> Result<()> {
        self.boxes.write(images, scratch, slots);
        Ok(())
    }

    fn postprocess(
        &self,
        images: &[ImageView<'_>],
        scratch: &mut BoxScratch,
        _: &Slots,
        outputs: &Outputs<'_>,
    ) -> Result<Vec<Instances>> {
        let answer = |(at, image): (usize, &ImageView<'_>)| {
            let picture = [at, images.len()];
            let (found, fit) = self.boxes.find(outputs, picture, scratch)?;
            let detections: Vec<Detection> = found
                .iter()
                .map(|found| self.boxes.detection(found, &fit, image))
                .collect();
            let masks = match self.spec.masks {
                MaskHead::Prototypes { .. } => {
                    self.summed(outputs, picture, (found, &detections), &fit, image)?
                }
                _ => self.soft(outputs, (found, &detections), image)?,
            };
            let instances = detections.into_iter().zip(masks);
            Ok(Instances {
                width: image.width(),
                height: image.height(),
                boxes: instances
                    .map(|(detection, rle)| Instance {
                        detection,
                        mask: Mask::new(rle),
                    })
                    .collect(),
            })
        };
        images.iter().enumerate().map(answer).collect()
    }
}

/// Boxes as the head gave them, and as the caller gets them.
type Found<'a> = (&'a [Box2d], &'a [Detection]);

impl SegmentInstances {
    /// Masks that the graph gives for each box.
    fn soft(
        &self,
        outputs: &Outputs<'_>,
        (found, detections): Found<'_>,
        image: &ImageView<'_>,
    ) -> Result<Vec<Rle>> {
        let masks = outputs.f32("masks")?;
        let &[count, 1, height, width] = masks.shape() else {
            return Err(Error::Unsupported(format!(
                "`masks` has shape {:?}, expected K×1×M×M",
                masks.shape()
            )));
        };
        let values = masks.as_slice().unwrap_or_default();
        let soft = |row: usize| values.get(row * height * width..(row + 1) * height * width);
        let size = [image.height(), image.width()];
        let mask = |(found, detection): (&Box2d, &Detection)| {
            let mask = soft(found.prediction as usize);
            let paste = mask.and_then(|mask| Paste::new(mask, detection.xyxy, size));
            let paste = paste.ok_or_else(|| {
                Error::Unsupported(format!(
                    "`masks` has {count} of {height}×{width}, expected a square one for each box"
                ))
            })?;
            Ok(pasted(&paste, size, self.spec.min_mask))
        };
        found.iter().zip(detections).map(mask).collect()
    }

    /// Masks that a box's coefficients make of prototypes.
    fn summed(
        &self,
        outputs: &Outputs<'_>,
        [at, pictures]: [usize; 2],
        (found, detections): Found<'_>,
        fit: &Fit,
        image: &ImageView<'_>,
    ) -> Result<Vec<Rle>> {
        let maps = outputs.f32("prototypes")?;
        let shape = maps.shape().to_vec();
        let MaskHead::Prototypes { count } = self.spec.masks else {
            return Err(Error::Internal("no prototypes are asked for".into()));
        };
        let maps = maps.into_dimensionality::<ndarray::Ix4>().ok();
        let maps = maps.filter(|maps| maps.dim().0 == pictures && maps.dim().1 == count);
        let Some(maps) = maps else {
            return Err(Error::Unsupported(format!(
                "`prototypes` has shape {shape:?} for {pictures} pictures and {count} coefficients"
            )));
        };
        let maps = maps.index_axis(ndarray::Axis(0), at);
        let prototypes = Prototypes::new(maps, self.boxes.sides(), fit, self.spec.min_mask);
        let mask = |(found, detection): (&Box2d, &Detection)| {
            let coefficients = self.boxes.extra(outputs, [at, pictures], found)?;
            Ok(prototypes.mask(&coefficients, detection.xyxy, image))
        };
        found.iter().zip(detections).map(mask).collect()
    }
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
