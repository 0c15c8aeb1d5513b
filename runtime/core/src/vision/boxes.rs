//! Boxes in pictures: what detection, masks of instances, keypoints and oriented boxes share.

use bevel_manifest::DetectSpec;
use bevel_prep::image::{Fit, ImageView, Preprocess};
use bevel_prep::score::{Box2d, Nms};
use serde::Serialize;

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::{Options, Outputs, Slots};
use crate::session::Session;
use crate::vision::heads::{Extras, Head};
use crate::vision::pixels::Pixels;

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

/// Pictures in, boxes of each out, as `[input]` and the boxes of `[decode]` say.
pub struct Boxes {
    pixels: Pixels,
    spec: DetectSpec,
    labels: Vec<String>,
    head: Head,
}

/// Buffers kept from picture to picture.
#[derive(Debug, Default)]
pub struct BoxScratch {
    preprocess: Preprocess,
    fits: Vec<Fit>,
    candidates: Vec<Box2d>,
    nms: Nms,
}

impl Boxes {
    /// `spec` as the user wants it; each prediction has `extra` numbers besides its box and scores.
    pub fn load(
        bundle: &Bundle,
        spec: &DetectSpec,
        extra: usize,
        options: &Options,
    ) -> Result<Self> {
        let pixels = Pixels::load(bundle)?;
        let mut spec = spec.clone();
        spec.min_score = fraction("min_score", options.min_score.unwrap_or(spec.min_score))?;
        spec.iou = fraction("iou", options.iou.unwrap_or(spec.iou))?;
        spec.max_boxes = options.max_boxes.unwrap_or(spec.max_boxes);
        let labels = bundle.labels(&spec.labels)?;
        let head = Head::new(&spec.head, &pixels.spec, labels.len(), extra)?;
        Ok(Self {
            pixels,
            spec,
            labels,
            head,
        })
    }

    /// Checks the graph and learns the name of its input.
    pub fn fit(&mut self, session: &Session) -> Result<()> {
        self.pixels.fit(session)?;
        self.head.fit(session)
    }

    /// Writes the tensor for a batch.
    pub fn write(&self, images: &[ImageView<'_>], scratch: &mut BoxScratch, slots: &mut Slots) {
        let BoxScratch {
            preprocess, fits, ..
        } = scratch;
        fits.clear();
        self.pixels
            .write(images, preprocess, slots, |fit| fits.push(fit));
    }

    /// The boxes of picture `at` of `pictures`, best first, in pixels of the tensor; and where the
    /// picture sits in that.
    pub fn find<'s>(
        &self,
        outputs: &Outputs<'_>,
        picture: [usize; 2],
        scratch: &'s mut BoxScratch,
    ) -> Result<(&'s [Box2d], Fit)> {
        let (_, fit) = self.candidates(outputs, picture, scratch)?;
        let BoxScratch {
            candidates, nms, ..
        } = scratch;
        let DetectSpec { iou, max_boxes, .. } = self.spec;
        Ok((nms.run(candidates, iou, max_boxes), fit))
    }

    /// The same boxes before any is suppressed, in the order of the predictions.
    pub fn candidates<'s>(
        &self,
        outputs: &Outputs<'_>,
        [at, pictures]: [usize; 2],
        scratch: &'s mut BoxScratch,
    ) -> Result<(&'s [Box2d], Fit)> {
        let BoxScratch {
            fits, candidates, ..
        } = scratch;
        let Some(fit) = fits.get(at) else {
            return Err(Error::Internal(format!("picture {at} was not prepared")));
        };
        let min_score = self.spec.min_score;
        self.head
            .candidates(outputs, [at, pictures], min_score, candidates)?;
        Ok((candidates, *fit))
    }

    /// The overlap above which the weaker of two boxes goes, and how many boxes are answered.
    pub fn limits(&self) -> (f32, usize) {
        (self.spec.iou, self.spec.max_boxes)
    }

    /// What the predictions of picture `at` of `pictures` have for the task.
    pub(super) fn extras<'a>(
        &self,
        outputs: &'a Outputs<'_>,
        picture: [usize; 2],
    ) -> Result<Extras<'a>> {
        self.head.extras(outputs, picture)
    }

    /// Width and height of the tensor.
    pub fn sides(&self) -> [u32; 2] {
        self.pixels.sides()
    }

    /// A box as the caller gets it.
    pub fn detection(&self, found: &Box2d, fit: &Fit, image: &ImageView<'_>) -> Detection {
        self.labelled(found, fit.to_picture(found.xyxy), image)
    }

    /// The same where `xyxy` in pixels of the picture is its box.
    pub fn labelled(&self, found: &Box2d, xyxy: [f32; 4], image: &ImageView<'_>) -> Detection {
        let size = [image.width() as f32, image.height() as f32];
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
