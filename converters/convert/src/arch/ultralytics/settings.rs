//! What the checkpoint says besides its layers: names of classes, the size of pictures.

use bevel_manifest::{Anchor, ChannelOrder, ImageInput, Interpolation, Resize};
use bevel_weights::pickle::Value;

use super::NAME;
use super::module::Module;
use crate::arch::BundleFile;
use crate::source::Source;
use crate::{Error, Options, labels};

/// What ultralytics trains with unless told otherwise: boxes, classes.
const SIZES: [usize; 2] = [640, 224];

/// Height and width are multiples of the coarsest stride, or feature maps do not meet.
const LEAST_STRIDE: usize = 32;

/// Grey of the borders.
const FILL: u8 = 114;

/// Height and width of the pictures: what the user set, or the size of the training.
pub(super) fn image_size(
    source: &Source,
    model: &Module<'_>,
    classifier: bool,
) -> Result<[usize; 2], Error> {
    let step = match classifier {
        true => 1,
        false => coarsest(model),
    };
    if let Some(size) = source.set.sides("image_size", step)? {
        return Ok(size);
    }
    let trained = trained_size(source, model).unwrap_or([SIZES[usize::from(classifier)]; 2]);
    // As ultralytics does.
    Ok(trained.map(|side| side.div_ceil(step) * step))
}

fn trained_size(source: &Source, model: &Module<'_>) -> Option<[usize; 2]> {
    let settings = source.checkpoint.object().and_then(|o| o.get("train_args"));
    let value = settings.and_then(|settings| settings.get("imgsz"));
    let value = value.or_else(|| {
        let arguments = model.attribute("args")?;
        arguments
            .get("imgsz")
            .or_else(|| arguments.attribute("imgsz"))
    })?;
    let side = |value: Value<'_>| usize::try_from(value.int()?).ok().filter(|n| *n > 0);
    let both = match value {
        Value::List(list) | Value::Tuple(list) if list.len() == 2 => {
            let part = |i: usize| list.get(i).and_then(side);
            part(0).zip(part(1)).map(|(h, w)| [h, w])
        }
        value => side(value).map(|n| [n; 2]),
    };
    both.filter(|size| size.iter().all(|n| *n <= crate::set::MAX_SIDE))
}

/// The largest of the model's strides in pixels.
fn coarsest(model: &Module<'_>) -> usize {
    let strides = model.attribute("stride").and_then(Value::tensor);
    let bytes = strides.and_then(|strides| strides.f32());
    let bytes = bytes.unwrap_or_default();
    let (strides, _) = bytes.as_chunks();
    let strides = strides.iter().map(|e| f32::from_le_bytes(*e) as usize);
    strides.max().unwrap_or(0).clamp(LEAST_STRIDE, 1 << 10)
}

/// Colours of a picture.
pub(super) fn channels(model: &Module<'_>) -> usize {
    let yaml = model.attribute("yaml");
    let given = yaml.and_then(|yaml| yaml.get("channels").or_else(|| yaml.get("ch"))?.int());
    given.and_then(|n| usize::try_from(n).ok()).unwrap_or(3)
}

/// Names of classes: from the user, or those that the model was trained with.
pub(super) fn labels(
    model: &Module<'_>,
    classes: usize,
    options: &Options,
) -> Result<BundleFile, Error> {
    let file = options.labels_name();
    if let Some(path) = options.labels_path()? {
        return labels::from_file(&path, file, classes);
    }
    let name = |index: usize, value: Value<'_>| match value {
        Value::Text(name) => name.to_owned(),
        Value::Int(name) => name.to_string(),
        _ => index.to_string(),
    };
    let mut names: Vec<(i64, String)> = match model.attribute("names") {
        Some(Value::Dict(dict)) => dict
            .iter()
            .enumerate()
            .map(|(i, (key, value))| (key.int().unwrap_or(i as i64), name(i, value)))
            .collect(),
        Some(Value::List(list) | Value::Tuple(list)) => list
            .iter()
            .enumerate()
            .map(|(i, value)| (i as i64, name(i, value)))
            .collect(),
        _ => return labels::numbers(classes, file),
    };
    names.sort();
    let names: Vec<String> = names.into_iter().map(|(_, name)| name).collect();
    if names.len() != classes {
        return Err(Error::Request(format!(
            "{NAME}: the model names {} classes, but its head has {classes}; give --labels",
            names.len()
        )));
    }
    labels::from_names(&names, file)
}

/// How `predict` prepares pictures for boxes.
pub(in crate::arch) fn letterboxed(size: [usize; 2]) -> ImageInput {
    let resize = Resize::Letterbox {
        anchor: Anchor::Center,
        fill: FILL,
    };
    prepared(size, resize, Interpolation::Bilinear)
}

/// How it does for a classifier (`classify_transforms`).
pub(in crate::arch) fn cropped(size: [usize; 2]) -> ImageInput {
    let resize = match size {
        [h, w] if h == w => Resize::CenterCrop {
            shorter_side: h as u32,
        },
        _ => Resize::Stretch,
    };
    prepared(size, resize, Interpolation::BilinearAntialias)
}

fn prepared([h, w]: [usize; 2], resize: Resize, interpolation: Interpolation) -> ImageInput {
    ImageInput {
        width: w as u32,
        height: h as u32,
        resize,
        interpolation,
        channels: ChannelOrder::Rgb,
        scale: 1.0 / 255.0,
        mean: [0.0; 3],
        std: [1.0; 3],
    }
}
