//! What answers consist of: labels, boxes, entities, classes of pixels, segments of speech. One struct of
//! numbers for all of them, so that a loop over boxes needs no JSON.

use std::ffi::c_char;

use bevel::Answer;
#[cfg(feature = "vision")]
use bevel::vision::{Detection, Mask};

use crate::answer::{bevel_answer, has_no};
use crate::caller::{self, Buffer};
use crate::guard::guard;
use crate::handles;
use crate::status::{Failure, Result, bevel_status};

/// One part of an answer. What its task does not have is 0. This struct never grows.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct bevel_part {
    /// Left edge of the box in pixels of the picture.
    pub x1: f32,
    /// Its upper edge.
    pub y1: f32,
    /// Its right edge.
    pub x2: f32,
    /// Its lower edge.
    pub y2: f32,
    /// How sure the model is, in 0 to 1; for classes of pixels their share of the picture.
    pub score: f32,
    /// Index of the label; UINT32_MAX where it has none.
    pub label: u32,
    /// Start in seconds of speech, or in characters of text.
    pub start: f64,
    /// End, in the same unit.
    pub end: f64,
}

fn labelled(index: usize, score: f32) -> bevel_part {
    bevel_part {
        score,
        label: u32::try_from(index).unwrap_or(u32::MAX),
        ..bevel_part::default()
    }
}

#[cfg(feature = "vision")]
fn boxed(found: &Detection) -> bevel_part {
    let [x1, y1, x2, y2] = found.xyxy;
    let part = labelled(found.index, found.score);
    bevel_part {
        x1,
        y1,
        x2,
        y2,
        ..part
    }
}

fn spanned(start: f64, end: f64, score: f32) -> bevel_part {
    let part = labelled(usize::MAX, score);
    bevel_part { start, end, ..part }
}

/// The parts of an answer.
fn parts(answer: &Answer) -> Result<Vec<bevel_part>> {
    Ok(match answer {
        #[cfg(any(feature = "text", feature = "vision"))]
        Answer::Classify(found) => {
            let labels = found.labels.iter();
            labels
                .map(|found| labelled(found.index, found.score))
                .collect()
        }
        #[cfg(feature = "vision")]
        Answer::Detect(found) => found.boxes.iter().map(boxed).collect(),
        #[cfg(feature = "vision")]
        Answer::Instances(found) => found.boxes.iter().map(|b| boxed(&b.detection)).collect(),
        #[cfg(feature = "vision")]
        Answer::Pose(found) => found.boxes.iter().map(|b| boxed(&b.detection)).collect(),
        #[cfg(feature = "vision")]
        Answer::Obb(found) => found.boxes.iter().map(|b| boxed(&b.detection)).collect(),
        #[cfg(feature = "vision")]
        Answer::Regions(found) => {
            let classes = found.classes.iter();
            classes
                .map(|class| labelled(class.index, class.share))
                .collect()
        }
        #[cfg(feature = "text")]
        Answer::Tag(found) => {
            let entities = found.entities.iter();
            entities
                .map(|e| spanned(e.start as f64, e.end as f64, e.score))
                .collect()
        }
        #[cfg(feature = "text")]
        Answer::Answer(found) => {
            vec![spanned(found.start as f64, found.end as f64, found.score)]
        }
        #[cfg(feature = "speech")]
        Answer::Transcribe(found) => {
            let segments = found.segments.iter();
            segments.map(|s| spanned(s.start, s.end, 0.0)).collect()
        }
        _ => return Err(has_no("parts")),
    })
}

/// Which part of which item, for messages.
fn nth<T>(parts: &[T], index: usize) -> Result<&T> {
    let what = || Failure::input(format!("no part {index}, there are {}", parts.len()));
    parts.get(index).ok_or_else(what)
}

/// The label of a part.
fn label(answer: &Answer, at: usize) -> Result<&str> {
    Ok(match answer {
        #[cfg(any(feature = "text", feature = "vision"))]
        Answer::Classify(found) => &nth(&found.labels, at)?.label,
        #[cfg(feature = "vision")]
        Answer::Detect(found) => &nth(&found.boxes, at)?.label,
        #[cfg(feature = "vision")]
        Answer::Instances(found) => &nth(&found.boxes, at)?.detection.label,
        #[cfg(feature = "vision")]
        Answer::Pose(found) => &nth(&found.boxes, at)?.detection.label,
        #[cfg(feature = "vision")]
        Answer::Obb(found) => &nth(&found.boxes, at)?.detection.label,
        #[cfg(feature = "vision")]
        Answer::Regions(found) => &nth(&found.classes, at)?.label,
        #[cfg(feature = "text")]
        Answer::Tag(found) => &nth(&found.entities, at)?.label,
        _ => return Err(has_no("labels")),
    })
}

/// The text of a part.
fn text(answer: &Answer, at: usize) -> Result<&str> {
    Ok(match answer {
        #[cfg(feature = "text")]
        Answer::Tag(found) => &nth(&found.entities, at)?.text,
        #[cfg(feature = "speech")]
        Answer::Transcribe(found) => &nth(&found.segments, at)?.text,
        #[cfg(feature = "text")]
        Answer::Answer(found) => &nth(std::slice::from_ref(found), at)?.answer,
        _ => return Err(has_no("texts")),
    })
}

/// The points of a part as x, y and score, one behind the other.
fn points(answer: &Answer, at: usize) -> Result<Vec<f32>> {
    match answer {
        #[cfg(feature = "vision")]
        Answer::Pose(found) => Ok(nth(&found.boxes, at)?.keypoints.concat()),
        #[cfg(feature = "vision")]
        Answer::Obb(found) => {
            let found = nth(&found.boxes, at)?;
            let corners = found.corners.iter();
            Ok(corners
                .flat_map(|[x, y]| [*x, *y, found.detection.score])
                .collect())
        }
        _ => Err(has_no("points")),
    }
}

/// The mask of a part: row by row, 255 where it is and 0 elsewhere.
fn mask(answer: &Answer, at: usize) -> Result<Vec<u8>> {
    match answer {
        #[cfg(feature = "vision")]
        Answer::Instances(found) => Ok(pixels(&nth(&found.boxes, at)?.mask)),
        #[cfg(feature = "vision")]
        Answer::Regions(found) => Ok(pixels(&nth(&found.classes, at)?.mask)),
        _ => Err(has_no("masks")),
    }
}

#[cfg(feature = "vision")]
fn pixels(mask: &Mask) -> Vec<u8> {
    let [height, width] = mask.size().map(|side| side as usize);
    let mut pixels = vec![0; height * width];
    for (start, length) in mask.runs() {
        // Runs go down the columns.
        for at in start as usize..(start + length) as usize {
            pixels[at % height * width + at / height] = 255;
        }
    }
    pixels
}

/// Width and height of the picture of an answer.
fn size(answer: &Answer) -> Result<[u32; 2]> {
    Ok(match answer {
        #[cfg(feature = "vision")]
        Answer::Detect(found) => [found.width, found.height],
        #[cfg(feature = "vision")]
        Answer::Instances(found) => [found.width, found.height],
        #[cfg(feature = "vision")]
        Answer::Pose(found) => [found.width, found.height],
        #[cfg(feature = "vision")]
        Answer::Obb(found) => [found.width, found.height],
        #[cfg(feature = "vision")]
        Answer::Regions(found) => [found.width, found.height],
        _ => return Err(has_no("picture")),
    })
}

/// The parts of the answer for an input, best first: labels (classify), boxes (detect, segment, pose, obb),
/// classes of pixels (segment), and in their order entities (tag), the answer (answer) and segments
/// (transcribe). See the rules of buffers.
///
/// Thread-safe. Errors: BEVEL_BAD_INPUT, also where the task has no parts; BEVEL_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_answer_parts(
    answer: *const bevel_answer,
    item: usize,
    buffer: *mut bevel_part,
    capacity: usize,
    needed: *mut usize,
) -> bevel_status {
    guard(|| {
        let found = parts(handles::find(answer)?.item(item)?)?;
        // SAFETY: the caller's promise.
        unsafe { Buffer::new(buffer, capacity, needed).fill(&found) }
    })
}

/// The name of the label of a part: of a label, a box, a class of pixels or an entity. See the rules of
/// buffers.
///
/// Thread-safe. Errors: BEVEL_BAD_INPUT, BEVEL_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_answer_part_label(
    answer: *const bevel_answer,
    item: usize,
    part: usize,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> bevel_status {
    guard(|| {
        let found = handles::find(answer)?;
        let label = label(found.item(item)?, part)?;
        // SAFETY: the caller's promise.
        unsafe { Buffer::new(buffer, capacity, needed).fill_text(label) }
    })
}

/// The text of a part: of an entity, an answer or a segment. See the rules of buffers.
///
/// Thread-safe. Errors: BEVEL_BAD_INPUT, BEVEL_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_answer_part_text(
    answer: *const bevel_answer,
    item: usize,
    part: usize,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> bevel_status {
    guard(|| {
        let found = handles::find(answer)?;
        let text = text(found.item(item)?, part)?;
        // SAFETY: the caller's promise.
        unsafe { Buffer::new(buffer, capacity, needed).fill_text(text) }
    })
}

/// The points of a box, three floats each: x and y in pixels of the picture, and a score in 0 to 1. Its
/// keypoints (pose), or its four corners in turn with the score of the box (obb). See the rules of buffers.
///
/// Thread-safe. Errors: BEVEL_BAD_INPUT, BEVEL_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_answer_part_points(
    answer: *const bevel_answer,
    item: usize,
    part: usize,
    buffer: *mut f32,
    capacity: usize,
    needed: *mut usize,
) -> bevel_status {
    guard(|| {
        let found = points(handles::find(answer)?.item(item)?, part)?;
        // SAFETY: the caller's promise.
        unsafe { Buffer::new(buffer, capacity, needed).fill(&found) }
    })
}

/// The mask of a box or of a class of pixels: a byte for each pixel of the picture, row by row, 255 where
/// the mask is and 0 elsewhere. bevel_answer_picture tells width and height. See the rules of buffers.
///
/// Thread-safe. Errors: BEVEL_BAD_INPUT, BEVEL_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_answer_part_mask(
    answer: *const bevel_answer,
    item: usize,
    part: usize,
    buffer: *mut u8,
    capacity: usize,
    needed: *mut usize,
) -> bevel_status {
    guard(|| {
        let found = handles::find(answer)?;
        let found = mask(found.item(item)?, part)?;
        // SAFETY: the caller's promise.
        unsafe { Buffer::new(buffer, capacity, needed).fill(&found) }
    })
}

/// Width and height in pixels of the picture that an answer is about, for tasks that find boxes or masks.
///
/// Thread-safe. Errors: BEVEL_BAD_INPUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_answer_picture(
    answer: *const bevel_answer,
    item: usize,
    width: *mut u32,
    height: *mut u32,
) -> bevel_status {
    guard(|| {
        let [w, h] = size(handles::find(answer)?.item(item)?)?;
        // SAFETY: the caller's promise.
        unsafe {
            caller::put(width, w, "width")?;
            caller::put(height, h, "height")
        }
    })
}
