//! Pictures: read for a pipeline, and written with what was found in them.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bevel::vision::{ImageView, decode_image, load_image};
use bevel::{Answer, Sample};
use bevel_manifest::ErrorKind;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

use crate::failure::fail;
use crate::{draw, whole};

/// Pixels.
pub type Picture = RgbImage;

/// The picture in a file.
pub fn load(path: &Path) -> anyhow::Result<Picture> {
    Ok(load_image(path)?)
}

/// The picture that bytes of a file hold.
pub fn decode(bytes: &[u8]) -> anyhow::Result<Picture> {
    Ok(decode_image(bytes)?)
}

/// One to measure with: 640×480.
pub fn pattern() -> anyhow::Result<Picture> {
    let pixel = |x: u32, y: u32| Rgb([x as u8, y as u8, (x ^ y) as u8]);
    Ok(RgbImage::from_fn(640, 480, pixel))
}

/// The picture as a pipeline takes it.
pub fn sample(picture: &Picture) -> anyhow::Result<Sample<'_>> {
    let (width, height) = picture.dimensions();
    let view = ImageView::from_rgb(picture.as_raw(), width, height);
    let view = view.map_err(|e| fail(ErrorKind::Input, e.to_string()))?;
    Ok(Sample::Image(view))
}

/// Writes the picture of that name with what was found in it; for classes of pixels the map of them,
/// too, which the answer then names. `free` gives the file for an ending.
pub fn keep(
    picture: &Picture,
    name: &str,
    answer: &mut Answer,
    free: &mut dyn FnMut(&str) -> PathBuf,
) -> anyhow::Result<()> {
    if let Some(drawn) = draw::answer(picture, answer) {
        let ending = ending(name);
        write(&free(ending), ending, drawn)?;
    }
    if let Answer::Regions(found) = answer {
        let path = free("mask.png");
        write(&path, "png", draw::map(found))?;
        found.mask = Some(path.display().to_string());
    }
    Ok(())
}

/// Writes PNG or, for every other ending, JPEG. By name, because a choice at run time brings the encoders
/// of all formats into the program.
fn write(path: &Path, ending: &str, picture: impl Into<DynamicImage>) -> anyhow::Result<()> {
    let picture = picture.into();
    let mut bytes = Vec::new();
    let encoded = match ending {
        "png" => picture.write_with_encoder(PngEncoder::new(&mut bytes)),
        _ => picture.write_with_encoder(JpegEncoder::new(&mut bytes)),
    };
    let written = encoded.map_err(anyhow::Error::from);
    let written = written.and_then(|()| Ok(whole::write(path, &bytes)?));
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// That of the picture; PNG where it is of a format that is not written.
fn ending(name: &str) -> &str {
    match ImageFormat::from_path(name) {
        Ok(ImageFormat::Jpeg) => Path::new(name)
            .extension()
            .and_then(|ending| ending.to_str())
            .unwrap_or("jpg"),
        _ => "png",
    }
}
