//! Picture to boxes of any direction.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | the graph's first input | N×3×H×W | f32 | normalised pixels |
//! | the graph's first output | N×(4+C+1)×A | f32 | boxes, scores, and the angle in radians |

use bevel_manifest::{Decode, Task as TaskName};
use bevel_prep::image::Fit;
use bevel_prep::score::{Box2d, OrientedBox, suppress_oriented};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::registry::Answer;
use crate::vision::boxes::{BoxScratch, Boxes, Detection};
use crate::vision::found::{Find, Found, NotThis, Picture, Thing};

/// Pictures to labelled boxes of any direction.
pub type Obb = Find<OrientedDetection>;

/// What one picture holds.
pub type Oriented = Found<OrientedDetection>;

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

impl Thing for OrientedDetection {
    type Settings = ();

    const TASK: TaskName = TaskName::Obb;

    fn settings(decode: &Decode) -> Result<(usize, ()), NotThis> {
        match decode {
            Decode::Obb(_) => Ok((1, ())),
            _ => Err(NotThis::Kind("obb")),
        }
    }

    fn find(
        boxes: &Boxes,
        (): &(),
        picture: &Picture<'_, '_, '_>,
        scratch: &mut BoxScratch,
    ) -> Result<Vec<Self>> {
        let (found, fit) = boxes.candidates(picture.outputs, picture.place, scratch)?;
        let extras = boxes.extras(picture.outputs, picture.place)?;
        let turned = |found: &Box2d| {
            let angle = extras.of(found).next().ok_or_else(|| {
                Error::Unsupported(
                    "predictions have no angle, which oriented boxes need; convert the model again"
                        .into(),
                )
            })?;
            Ok((oriented(found, angle), found.class, found.score))
        };
        let turned: Vec<_> = found.iter().map(turned).collect::<Result<_>>()?;
        let (iou, most) = boxes.limits();
        let kept = suppress_oriented(&turned, iou, most);
        let thing = |index: usize| {
            let oriented = in_picture(turned[index].0, &fit).upright();
            let corners = oriented.corners();
            let axis = |axis: usize| corners.map(|corner| corner[axis]);
            let least = |axis: [f32; 4]| axis.into_iter().fold(f32::INFINITY, f32::min);
            let most = |axis: [f32; 4]| axis.into_iter().fold(f32::NEG_INFINITY, f32::max);
            let around = [least(axis(0)), least(axis(1)), most(axis(0)), most(axis(1))];
            Self {
                detection: boxes.labelled(&found[index], around, picture.image),
                corners,
                angle: oriented.angle,
            }
        };
        Ok(kept.into_iter().map(thing).collect())
    }

    fn wrap(found: Oriented) -> Answer {
        Answer::Obb(found)
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
