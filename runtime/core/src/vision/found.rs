//! What all tasks share that find things in pictures: boxes from a head, and something more for each.

use bevel_manifest::{Decode, Task as TaskName};
use bevel_prep::image::ImageView;
use serde::Serialize;

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::{Options, Outputs, Slots, Task};
use crate::registry::{Answer, Sample};
use crate::session::Session;
use crate::vision::boxes::{BoxScratch, Boxes};

/// Pictures to the things in them.
pub struct Find<T: Thing> {
    boxes: Boxes,
    settings: T::Settings,
}

/// What one picture holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found<T> {
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// Boxes, best first.
    pub boxes: Vec<T>,
}

/// A thing that is found: a box, and what a task knows about it besides.
pub trait Thing: Sized {
    /// What of `[decode]` is needed besides the boxes.
    type Settings: Send;

    /// The task.
    const TASK: TaskName;

    /// How many numbers each prediction has behind its scores, and the rest of `[decode]`.
    ///
    /// # Errors
    /// Where `decode` is of another kind, or has a layout that is not known here.
    fn settings(decode: &Decode) -> Result<(usize, Self::Settings), NotThis>;

    /// The things in one picture.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the outputs are not what `[decode]` says.
    fn find(
        boxes: &Boxes,
        settings: &Self::Settings,
        picture: &Picture<'_, '_, '_>,
        scratch: &mut BoxScratch,
    ) -> Result<Vec<Self>>;

    /// As any task answers.
    fn wrap(found: Found<Self>) -> Answer;
}

/// Why `[decode]` does not fit a task.
pub enum NotThis {
    /// It is not of this kind.
    Kind(&'static str),
    /// It has a layout that is not known here.
    Layout(&'static str),
}

/// One picture of a batch, and what the graph answered for all of them.
pub struct Picture<'a, 'o, 'p> {
    /// Of the whole batch.
    pub outputs: &'a Outputs<'o>,
    /// Its place in the batch, and how many there are.
    pub place: [usize; 2],
    /// Its pixels.
    pub image: &'a ImageView<'p>,
}

impl<T: Thing> Task for Find<T> {
    type Item<'a> = ImageView<'a>;
    type Answer = Found<T>;
    type Scratch = BoxScratch;

    const NAME: TaskName = T::TASK;

    fn item<'a>(sample: Sample<'a>) -> Option<ImageView<'a>> {
        sample.image()
    }

    fn wrap(answer: Found<T>) -> Answer {
        T::wrap(answer)
    }

    fn load(bundle: &Bundle, options: &Options) -> Result<Self> {
        let decode = &bundle.manifest().decode;
        let (extra, settings) = T::settings(decode).map_err(|why| match why {
            NotThis::Kind(kind) => Error::model(bundle.root(), format!("[decode] is not `{kind}`")),
            NotThis::Layout(what) => Error::Unsupported(format!("this {what} is not known here")),
        })?;
        let spec = decode
            .detect()
            .ok_or_else(|| Error::model(bundle.root(), "[decode] says nothing about boxes"))?;
        Ok(Self {
            boxes: Boxes::load(bundle, spec, extra, options)?,
            settings,
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
    ) -> Result<Vec<Found<T>>> {
        let mut answers = Vec::with_capacity(images.len());
        for (at, image) in images.iter().enumerate() {
            let picture = Picture {
                outputs,
                place: [at, images.len()],
                image,
            };
            answers.push(Found {
                width: image.width(),
                height: image.height(),
                boxes: T::find(&self.boxes, &self.settings, &picture, scratch)?,
            });
        }
        Ok(answers)
    }
}
