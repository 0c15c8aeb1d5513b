//! What vision tasks ask of their graph.

use bevel_manifest::ImageInput;

use crate::error::{Error, Result};
use crate::session::Session;

/// The name of the graph's only input, once it takes N×3×H×W pixels as `[input]` says.
pub(super) fn picture_input(session: &Session, input: &ImageInput) -> Result<String> {
    let [tensor] = session.inputs() else {
        return Err(Error::model(
            session.path(),
            format!(
                "has {} inputs, a picture task has one",
                session.inputs().len()
            ),
        ));
    };
    let expected = [1, 3, input.height as usize, input.width as usize];
    if tensor.dtype == "float32" && shape_fits(&tensor.shape, &expected) {
        return Ok(tensor.name.clone());
    }
    Err(Error::model(
        session.path(),
        format!(
            "input `{}` is {} {}, [input] asks for float32 {expected:?}",
            tensor.name,
            tensor.dtype,
            tensor.shape_text()
        ),
    ))
}

/// Whether a shape is the expected one wherever it is fixed.
pub(super) fn shape_fits(shape: &[Option<usize>], expected: &[usize]) -> bool {
    shape.len() == expected.len()
        && shape
            .iter()
            .zip(expected)
            .all(|(s, e)| s.is_none_or(|s| s == *e))
}
