//! Picture to boxes of any direction.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | the graph's first input | N×3×H×W | f32 | normalised pixels |
//! | the graph's first output | N×(4+C+1)×A | f32 | boxes, scores, and the angle in radians |

use bevel_manifest::{Decode, Task as TaskName};
use bevel_prep::image::{Fit, ImageView};
use bevel_prep::score::{Box2d, OrientedBox, suppress_oriented};
use serde::Serialize;

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::{Options, Outputs, Slots, Task};
use crate::registry::{Answer, Sample};
use crate::session::Session;
use crate::vision::boxes::{BoxScratch, Boxes, Detection};

/// Pictures to labelled boxes of any direction.
pub struct Obb {
    boxes: Boxes,
}

/// What one picture holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Oriented {
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// Boxes, best first.
    pub boxes: Vec<OrientedDetection>,
}

/// One thing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OrientedDetection {
    /// What it is; `box` is the upright one around its corners, within the picture.
    #[serde(flatten)]
    pub detection: Detection,
    /// Its corners in turn, in pixels of the picture and possibly outside of it.
    pub corners: [[f32; 2]; 4],
    /// From the x axis towards the y axis, in radians: at least 0 and less than π/2.
    pub angle: f32,
}

impl Task for Obb {
    type Item<'a> = ImageView<'a>;
    type Answer = Oriented;
    type Scratch = BoxScratch;

    const NAME: TaskName = TaskName::Obb;

    fn item<'a>(sample: Sample<'a>) -> Option<ImageView<'a>> {
        sample.image()
    }

    fn wrap(answer: Oriented) -> Answer {
        Answer::Obb(answer)
    }

    fn load(bundle: &Bundle, options: &Options) -> Result<Self> {
        let Decode::Obb(spec) = &bundle.manifest().decode else {
            return Err(Error::model(bundle.root(), "[decode] is not `obb`"));
        };
        Ok(Self {
            boxes: Boxes::load(bundle, spec, 1, options)?,
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
    ) -> Result<Vec<Oriented>> {
        let answer = |(at, image): (usize, &ImageView<'_>)| {
            let picture = [at, images.len()];
            let (found, fit) = self.boxes.candidates(outputs, picture, scratch)?;
            let turned = |found: &Box2d| {
                let angle = self.boxes.extra(outputs, picture, found)?;
                let angle = angle.first().copied().unwrap_or(0.0);
                Ok((oriented(found, angle), found.class, found.score))
            };
            let turned: Vec<_> = found.iter().map(turned).collect::<Result<_>>()?;
            let (iou, most) = self.boxes.limits();
            let kept = suppress_oriented(&turned, iou, most);
            let boxes = kept.into_iter().map(|index| {
                let oriented = in_picture(turned[index].0, &fit).upright();
                let corners = oriented.corners();
                let axis = |axis: usize| corners.map(|corner| corner[axis]);
                let least = |axis: [f32; 4]| axis.into_iter().fold(f32::INFINITY, f32::min);
                let most = |axis: [f32; 4]| axis.into_iter().fold(f32::NEG_INFINITY, f32::max);
                let around = [least(axis(0)), least(axis(1)), most(axis(0)), most(axis(1))];
                OrientedDetection {
                    detection: self.boxes.labelled(&found[index], around, image),
                    corners,
                    angle: oriented.angle,
                }
            });
            Ok(Oriented {
                width: image.width(),
                height: image.height(),
                boxes: boxes.collect(),
            })
        };
        images.iter().enumerate().map(answer).collect()
    }
}

fn oriented(found: &Box2d, angle: f32) -> OrientedBox {
    let [x1, y1, x2, y2] = found.xyxy;
    OrientedBox {
        center: [(x1 + x2) / 2.0, (y1 + y2) / 2.0],
        size: [x2 - x1, y2 - y1],
        angle,
    }
}

/// From the tensor to the picture, which a letterbox scales alike along both axes.
fn in_picture(found: OrientedBox, fit: &Fit) -> OrientedBox {
    let [x, y] = found.center;
    let [x, y, ..] = fit.to_picture([x, y, x, y]);
    OrientedBox {
        center: [x, y],
        size: [0, 1].map(|i| found.size[i] / fit.scale[i]),
        ..found
    }
}
