//! What vision tasks have in common: pictures on their way into the graph.

use bevel_manifest::{ImageInput, Resize};
use bevel_prep::image::{Fit, ImageView, Preprocess};

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::Slots;
use crate::session::Session;

/// The picture input of a graph: N×3×H×W, f32, as `[input]` of the bundle says. A graph that takes
/// pictures of any size takes one at a time, 3×H×W.
pub(super) struct Pixels {
    pub spec: ImageInput,
    name: String,
}

impl Pixels {
    /// Reads `[input]`.
    pub fn load(bundle: &Bundle) -> Result<Self> {
        let Some(spec) = bundle.manifest().input.image() else {
            return Err(Error::model(bundle.root(), "[input] is not a picture"));
        };
        Ok(Self {
            spec: spec.clone(),
            name: String::new(),
        })
    }

    /// Learns the name of the graph's only input, which must take such pictures.
    pub fn fit(&mut self, session: &Session) -> Result<()> {
        let [tensor] = session.inputs() else {
            return Err(Error::model(
                session.path(),
                format!(
                    "has {} inputs, a picture task has one",
                    session.inputs().len()
                ),
            ));
        };
        let expected = [1, 3, self.spec.height as usize, self.spec.width as usize];
        let any_size = self.spec.resize == Resize::Keep;
        let fits = match any_size {
            true => tensor.shape == [Some(3), None, None],
            false => shape_fits(&tensor.shape, &expected),
        };
        if tensor.dtype != "float32" || !fits {
            let expected = match any_size {
                true => "[3, ?, ?]".to_owned(),
                false => format!("{expected:?}"),
            };
            return Err(Error::model(
                session.path(),
                format!(
                    "input `{}` is {} {}, [input] asks for float32 {expected}",
                    tensor.name,
                    tensor.dtype,
                    tensor.shape_text()
                ),
            ));
        }
        self.name.clone_from(&tensor.name);
        Ok(())
    }

    /// Width and height of the tensor; those of the largest where pictures keep their size.
    pub fn sides(&self) -> [u32; 2] {
        [self.spec.width, self.spec.height]
    }

    /// Writes the tensor for a batch and says where each picture sits in it.
    pub fn write(
        &self,
        images: &[ImageView<'_>],
        preprocess: &mut Preprocess,
        slots: &mut Slots,
        mut placed: impl FnMut(Fit),
    ) {
        if self.spec.resize == Resize::Keep {
            for image in images {
                let (spec, [height, width]) = self.kept(image);
                let tensor = slots.f32(&self.name, &[3, height, width]);
                placed(preprocess.run(&spec, *image, tensor));
            }
            return;
        }
        let one = [3, self.spec.height as usize, self.spec.width as usize];
        let tensor = slots.f32(&self.name, &[images.len(), one[0], one[1], one[2]]);
        let planes = tensor.chunks_exact_mut(one.iter().product());
        for (image, out) in images.iter().zip(planes) {
            placed(preprocess.run(&self.spec, *image, out));
        }
    }
}

impl Pixels {
    /// For a graph of any size: the picture's own, made to fit where it is above the largest; and height
    /// and width of the tensor.
    fn kept(&self, image: &ImageView<'_>) -> (ImageInput, [usize; 2]) {
        let own = [image.height(), image.width()].map(f64::from);
        let most = [self.spec.height, self.spec.width];
        let scale = (f64::from(most[0]) / own[0]).min(f64::from(most[1]) / own[1]);
        let sides = own.map(|side| (side * scale.min(1.0)).round());
        let [height, width] = [0, 1].map(|i| (sides[i] as u32).clamp(1, most[i]));
        let spec = ImageInput {
            width,
            height,
            ..self.spec.clone()
        };
        (spec, [height as usize, width as usize])
    }
}

/// Whether a shape is the expected one wherever it is fixed.
pub(super) fn shape_fits(shape: &[Option<usize>], expected: &[usize]) -> bool {
    shape.len() == expected.len()
        && shape
            .iter()
            .zip(expected)
            .all(|(s, e)| s.is_none_or(|s| s == *e))
}
