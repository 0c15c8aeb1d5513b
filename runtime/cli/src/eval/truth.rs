//! What an answer should have been.

use bevel::Answer;
use bevel::text::Entities;
use bevel::vision::{Detection, Instance, OrientedDetection, Posed, Regions};
use hotcoco::{Annotation, Segmentation};
use std::path::PathBuf;

/// Another model's boxes at or above this score count as the truth: weaker ones are there for the
/// curve of precision over recall, not because the model stands by them.
pub const AGREED_SCORE: f32 = 0.3;

/// What the answer to a sample should have been.
#[derive(Debug, Clone)]
pub enum Truth {
    /// Nobody has said: the sample is good for agreement with another model, and no more.
    Unknown,
    /// It is of a class.
    Class(Class),
    /// A picture shows these things.
    Things(Vec<Thing>),
    /// Each pixel of a picture is of a class, as a file says.
    Map(PathBuf),
    /// Each pixel of a picture is of a class, as another model says.
    Regions(Regions),
    /// The vector that another model answers.
    Vector(Vec<f32>),
    /// How alike people found two texts.
    Similarity(f64),
    /// What is said in a recording.
    Speech(String),
    /// The tokens with which another model goes on.
    Tokens(Vec<u32>),
    /// A text holds these entities.
    Entities(Vec<Entity>),
    /// The right answers to a question; none where there is no answer.
    Answers(Vec<String>),
    /// The sample itself, which a model should find likely.
    Itself,
}

/// A class of the model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class {
    pub index: usize,
    pub label: String,
}

/// Words that are one thing together, from character `start` to before `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    pub label: String,
    pub start: usize,
    pub end: usize,
}

/// Something in a picture.
#[derive(Debug, Clone)]
pub struct Thing {
    pub label: String,
    /// Its `category_id` is the index of the class.
    pub annotation: Annotation,
}

impl Truth {
    /// Another model's answer as the truth; `None` where agreement has no meaning.
    pub fn of(answer: &Answer) -> Option<Self> {
        Some(match answer {
            Answer::Classify(found) => {
                let best = found.labels.first()?;
                Self::Class(Class {
                    index: best.index,
                    label: best.label.clone(),
                })
            }
            Answer::Embed(found) => Self::Vector(found.embedding.clone()),
            Answer::Transcribe(found) => Self::Speech(found.text.clone()),
            Answer::Generate(found) => Self::Tokens(found.ids.clone()),
            Answer::Tag(found) => Self::Entities(entities(found)),
            Answer::Answer(found) => Self::Answers(vec![found.answer.clone()]),
            Answer::Regions(found) => Self::Regions(found.clone()),
            _ => {
                let sure = |thing: &Thing| {
                    let score = thing.annotation.score;
                    score.is_some_and(|score| score >= f64::from(AGREED_SCORE))
                };
                Self::Things(things(answer)?.into_iter().filter(sure).collect())
            }
        })
    }

    /// What kind it is, for messages.
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Unknown => "nothing",
            Self::Class(_) => "a class",
            Self::Things(_) => "things in a picture",
            Self::Map(_) | Self::Regions(_) => "classes of pixels",
            Self::Vector(_) => "a vector",
            Self::Similarity(_) => "a similarity",
            Self::Speech(_) => "a transcript",
            Self::Tokens(_) => "tokens",
            Self::Entities(_) => "entities in a text",
            Self::Answers(_) => "answers to a question",
            Self::Itself => "a text",
        }
    }
}

/// The entities that a model has found.
pub fn entities(found: &Entities) -> Vec<Entity> {
    let entities = found.entities.iter().map(|entity| Entity {
        label: entity.label.clone(),
        start: entity.start,
        end: entity.end,
    });
    entities.collect()
}

/// What a model has found in a picture, as COCO's annotations; `None` where it answers no boxes.
pub fn things(answer: &Answer) -> Option<Vec<Thing>> {
    Some(match answer {
        Answer::Detect(found) => found.boxes.iter().map(boxed).collect(),
        Answer::Instances(found) => found.boxes.iter().map(masked).collect(),
        Answer::Pose(found) => found.boxes.iter().map(posed).collect(),
        Answer::Obb(found) => found.boxes.iter().map(oriented).collect(),
        _ => return None,
    })
}

fn boxed(found: &Detection) -> Thing {
    let [x1, y1, x2, y2] = found.xyxy.map(f64::from);
    Thing {
        label: found.label.clone(),
        annotation: Annotation {
            category_id: found.index as u64,
            bbox: Some([x1, y1, x2 - x1, y2 - y1]),
            area: Some((x2 - x1) * (y2 - y1)),
            score: Some(f64::from(found.score)),
            ..Annotation::default()
        },
    }
}

fn masked(found: &Instance) -> Thing {
    let mut thing = boxed(&found.detection);
    // As COCO has it, the size of a thing with a mask is that of the mask.
    thing.annotation.area = Some(found.mask.area() as f64);
    thing.annotation.segmentation = Some(Segmentation::CompressedRle {
        size: found.mask.size(),
        counts: found.mask.counts(),
    });
    thing
}

fn posed(found: &Posed) -> Thing {
    let mut thing = boxed(&found.detection);
    // The third number says of a true point whether it is seen, and is not looked at in an answer; 2 keeps
    // the answer usable as a truth.
    let points = found.keypoints.iter();
    let points = points.flat_map(|[x, y, _]| [f64::from(*x), f64::from(*y), 2.0]);
    thing.annotation.keypoints = Some(points.collect());
    thing
}

fn oriented(found: &OrientedDetection) -> Thing {
    let mut thing = boxed(&found.detection);
    let turned = turned(found.corners.map(|corner| corner.map(f64::from)));
    thing.annotation.area = Some(turned[2] * turned[3]);
    thing.annotation.obb = Some(Box::new(turned));
    thing
}

/// A box of any direction, `[cx, cy, width, height, radians]`, from its corners in turn.
pub fn turned(corners: [[f64; 2]; 4]) -> [f64; 5] {
    let [a, b, c, _] = corners;
    let mean = |axis: usize| corners.iter().map(|corner| corner[axis]).sum::<f64>() / 4.0;
    let side = |from: [f64; 2], to: [f64; 2]| (to[0] - from[0]).hypot(to[1] - from[1]);
    let angle = (b[1] - a[1]).atan2(b[0] - a[0]);
    [mean(0), mean(1), side(a, b), side(b, c), angle]
}
