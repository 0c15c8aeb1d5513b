use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage};

use crate::error::{Error, Result};

/// The most pixels on a side, and the most memory a picture may take while it is decoded.
const MAX_SIDE: u32 = 32_768;
const MAX_BYTES: u64 = 512 << 20;

/// Reads a picture file (JPEG, PNG, WebP, BMP, GIF, TIFF) as RGB, turned as its EXIF orientation
/// says.
///
/// # Errors
/// [`Error::InputFile`] when it cannot be read, [`Error::Input`] when it is no picture, cut off, or
/// larger than 32,768 pixels a side or 512 MiB decoded.
pub fn load_image(path: &Path) -> Result<RgbImage> {
    let bytes = std::fs::read(path).map_err(|source| Error::InputFile {
        path: path.to_path_buf(),
        source,
    })?;
    decode_image(&bytes).map_err(|e| match e {
        Error::Input(what) => Error::Input(format!("{}: {what}", path.display())),
        other => other,
    })
}

/// The same from bytes in memory.
///
/// # Errors
/// [`Error::Input`] as [`load_image`].
pub fn decode_image(bytes: &[u8]) -> Result<RgbImage> {
    if bytes.is_empty() {
        return Err(Error::Input("the file is empty, expected a picture".into()));
    }
    let read = || -> image::ImageResult<RgbImage> {
        let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
        let mut limits = Limits::default();
        limits.max_image_width = Some(MAX_SIDE);
        limits.max_image_height = Some(MAX_SIDE);
        limits.max_alloc = Some(MAX_BYTES);
        reader.limits(limits);
        let mut decoder = reader.into_decoder()?;
        let orientation = decoder.orientation()?;
        let mut image = DynamicImage::from_decoder(decoder)?;
        image.apply_orientation(orientation);
        Ok(image.into_rgb8())
    };
    read().map_err(|e| {
        Error::Input(format!(
            "not a picture that can be decoded: {e} (JPEG, PNG, WebP, BMP, GIF and TIFF are)"
        ))
    })
}
