//! Picture to boxes with a mask each.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | the graph's first input | N×3×H×W, or 3×H×W | f32 | normalised pixels |
//! | outputs of boxes | as `[decode] boxes.head` says | | predictions |
//! | `masks` | K×1×M×M | f32 | for the layout `soft`: 0 ..= 1 over each box |

use bevel_manifest::{Decode, InstanceSpec, MaskHead, Task as TaskName};
use bevel_prep::image::ImageView;
use bevel_prep::score::{Paste, Rle};
use serde::Serialize;

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::{Options, Outputs, Slots, Task};
use crate::registry::{Answer, Sample};
use crate::session::Session;
use crate::vision::boxes::{BoxScratch, Boxes, Detection};
use crate::vision::mask::Mask;

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
        if spec.masks != MaskHead::Soft {
            return Err(Error::Unsupported(
                "this mask head is not known here".into(),
            ));
        }
        Ok(Self {
            boxes: Boxes::load(bundle, &spec.detect, 0, options)?,
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
        let masks = outputs.f32("masks")?;
        let &[count, 1, height, width] = masks.shape() else {
            return Err(Error::Unsupported(format!(
                "`masks` has shape {:?}, expected K×1×M×M",
                masks.shape()
            )));
        };
        let values = masks.as_slice().unwrap_or_default();
        let soft = |row: usize| values.get(row * height * width..(row + 1) * height * width);
        let answer = |(at, image): (usize, &ImageView<'_>)| {
            let (found, fit) = self.boxes.find(outputs, [at, images.len()], scratch)?;
            let instance = |found| {
                let detection = self.boxes.detection(found, &fit, image);
                let size = [image.height(), image.width()];
                let mask = soft(found.prediction as usize);
                let paste = mask.and_then(|mask| Paste::new(mask, detection.xyxy, size));
                let paste = paste.ok_or_else(|| {
                    Error::Unsupported(format!(
                        "`masks` has {count} of {height}×{width}, expected a square one for each box"
                    ))
                })?;
                Ok(Instance {
                    mask: Mask::new(pasted(&paste, size, self.spec.min_mask)),
                    detection,
                })
            };
            Ok(Instances {
                width: image.width(),
                height: image.height(),
                boxes: found.iter().map(instance).collect::<Result<_>>()?,
            })
        };
        images.iter().enumerate().map(answer).collect()
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
