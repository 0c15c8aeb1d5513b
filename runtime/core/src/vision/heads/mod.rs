//! Layouts of box predictions, one file each.

mod chosen;
mod yolo;
mod yolox;

use bevel_manifest::{BoxHead, ImageInput};
use bevel_prep::score::Box2d;

use crate::error::{Error, Result};
use crate::pipeline::Outputs;
use crate::session::Session;
pub(super) use yolo::Extras;

/// How predictions are read.
pub(super) enum Head {
    YoloxGrid(yolox::Grid),
    Yolo(yolo::Columns),
    Chosen(chosen::Rows),
}

impl Head {
    /// The head that `[decode]` names, for pictures as `[input]` has them. `extra` numbers of each
    /// prediction are for the task, besides its box and `classes` scores.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a layout that is not known, or that says nothing extra.
    pub fn new(head: &BoxHead, input: &ImageInput, classes: usize, extra: usize) -> Result<Self> {
        match head {
            BoxHead::YoloxGrid { strides } if extra == 0 => {
                Ok(Self::YoloxGrid(yolox::Grid::new(input, strides, classes)))
            }
            BoxHead::Yolo => Ok(Self::Yolo(yolo::Columns::new(classes, extra))),
            BoxHead::Boxes if extra == 0 => Ok(Self::Chosen(chosen::Rows::new(classes))),
            _ => Err(Error::Unsupported("this box head is not known here".into())),
        }
    }

    /// Checks the outputs of the graph.
    ///
    /// # Errors
    /// [`Error::Model`] for those of another layout.
    pub fn fit(&self, session: &Session) -> Result<()> {
        let Some(output) = session.outputs().first() else {
            return Err(Error::model(session.path(), "has no outputs"));
        };
        let (fits, expected) = match self {
            Self::Chosen(rows) => return rows.fit(session),
            Self::YoloxGrid(grid) => grid.fits(&output.shape),
            Self::Yolo(columns) => columns.fits(&output.shape),
        };
        if fits {
            return Ok(());
        }
        Err(Error::model(
            session.path(),
            format!(
                "output `{}` has shape {}, the head and the labels of [decode] ask for {expected}",
                output.name,
                output.shape_text()
            ),
        ))
    }

    /// The boxes of picture `at` of `pictures` with a score of at least `min_score`, in pixels of the
    /// tensor, in place of what `out` holds.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the output has another shape than was promised.
    pub fn candidates(
        &self,
        outputs: &Outputs<'_>,
        [at, pictures]: [usize; 2],
        min_score: f32,
        out: &mut Vec<Box2d>,
    ) -> Result<()> {
        out.clear();
        if let Self::Chosen(rows) = self {
            return rows.candidates(outputs, pictures, min_score, out);
        }
        let predictions = outputs.first_f32()?;
        let values = predictions.as_slice().unwrap_or_default();
        let picture = share(values, [at, pictures]);
        let shape = predictions.shape();
        let whole = shape.first() == Some(&pictures)
            && match self {
                Self::YoloxGrid(grid) => grid.candidates(picture, shape, min_score, out),
                Self::Yolo(columns) => columns.candidates(picture, shape, min_score, out),
                Self::Chosen(_) => false,
            };
        match whole {
            true => Ok(()),
            false => Err(Error::Unsupported(format!(
                "predictions have shape {shape:?} for {pictures} pictures, another than the graph \
                 promised"
            ))),
        }
    }

    /// What the predictions of picture `at` of `pictures` have for the task; nothing in layouts that say
    /// nothing extra.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the output is not f32.
    pub fn extras<'a>(&self, outputs: &'a Outputs<'_>, picture: [usize; 2]) -> Result<Extras<'a>> {
        let Self::Yolo(columns) = self else {
            return Ok(Extras::default());
        };
        let values = outputs.first_f32()?.to_slice().unwrap_or_default();
        Ok(columns.extras(share(values, picture)))
    }
}

/// The values of picture `at` of `pictures`.
fn share(values: &[f32], [at, pictures]: [usize; 2]) -> &[f32] {
    let one = values.len().checked_div(pictures).unwrap_or(0);
    values.get(at * one..(at + 1) * one).unwrap_or_default()
}

/// `[cx, cy, w, h]` as `[x1, y1, x2, y2]`.
fn corners([x, y, width, height]: [f32; 4]) -> [f32; 4] {
    let half = [width / 2.0, height / 2.0];
    [x - half[0], y - half[1], x + half[0], y + half[1]]
}
