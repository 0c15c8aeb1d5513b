//! What vision tasks have in common: pictures on their way into the graph.

use bevel_manifest::ImageInput;
use bevel_prep::image::{Fit, ImageView, Preprocess};

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::Slots;
use crate::session::Session;

/// The picture input of a graph: N×3×H×W, f32, as `[input]` of the bundle says.
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
        if tensor.dtype != "float32" || !shape_fits(&tensor.shape, &expected) {
            return Err(Error::model(
                session.path(),
                format!(
                    "input `{}` is {} {}, [input] asks for float32 {expected:?}",
                    tensor.name,
                    tensor.dtype,
                    tensor.shape_text()
                ),
            ));
        }
        self.name.clone_from(&tensor.name);
        Ok(())
    }

    /// Writes the tensor for a batch and says where each picture sits in it.
    pub fn write(
        &self,
        images: &[ImageView<'_>],
        preprocess: &mut Preprocess,
        slots: &mut Slots,
        mut placed: impl FnMut(Fit),
    ) {
        let one = [3, self.spec.height as usize, self.spec.width as usize];
        let tensor = slots.f32(&self.name, &[images.len(), one[0], one[1], one[2]]);
        let planes = tensor.chunks_exact_mut(one.iter().product());
        for (image, out) in images.iter().zip(planes) {
            placed(preprocess.run(&self.spec, *image, out));
        }
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
