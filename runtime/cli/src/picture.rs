//! Pictures: read for a pipeline, and written with what was found in them.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bevel::vision::{ImageView, decode_image, load_image};
use bevel::{Answer, Sample};
use bevel_manifest::ErrorKind;
use image::{ImageFormat, Rgb, RgbImage};

use crate::draw;
use crate::failure::fail;

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
    let cannot = |path: &Path| format!("cannot write {}", path.display());
    if let Some(drawn) = draw::answer(picture, answer) {
        let path = free(ending(name));
        drawn.save(&path).with_context(|| cannot(&path))?;
    }
    if let Answer::Regions(found) = answer {
        let path = free("mask.png");
        let map = draw::map(found);
        map.save(&path).with_context(|| cannot(&path))?;
        found.mask = Some(path.display().to_string());
    }
    Ok(())
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
