//! Picture to boxes.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | the graph's first input | N×3×H×W | f32 | normalised pixels |
//! | the graph's first output | as `[decode] head` says | f32 | predictions |

use bevel_manifest::{Decode, Task as TaskName};

use crate::error::Result;
use crate::registry::Answer;
use crate::vision::boxes::{BoxScratch, Boxes, Detection};
use crate::vision::found::{Find, Found, NotThis, Picture, Thing};

/// Pictures to labelled boxes.
pub type Detect = Find<Detection>;

/// What one picture holds.
pub type Detections = Found<Detection>;

impl Thing for Detection {
    type Settings = ();

    const TASK: TaskName = TaskName::Detect;

    fn settings(decode: &Decode) -> Result<(usize, ()), NotThis> {
        match decode {
            Decode::Detect(_) => Ok((0, ())),
            _ => Err(NotThis::Kind("detect")),
        }
    }

    fn find(
        boxes: &Boxes,
        (): &(),
        picture: &Picture<'_, '_, '_>,
        scratch: &mut BoxScratch,
    ) -> Result<Vec<Self>> {
        let (found, fit) = boxes.find(picture.outputs, picture.place, scratch)?;
        let detection = |found| boxes.detection(found, &fit, picture.image);
        Ok(found.iter().map(detection).collect())
    }

    fn wrap(found: Detections) -> Answer {
        Answer::Detect(found)
    }
}
