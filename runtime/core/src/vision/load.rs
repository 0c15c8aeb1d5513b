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
    if bytes.starts_with(&JPEG_START) && !jpeg_is_whole(bytes) {
        let what = format!(
            "the JPEG is cut off after {} bytes; copy it again",
            bytes.len()
        );
        return Err(Error::Input(what));
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

const JPEG_START: [u8; 3] = [0xff, 0xd8, 0xff];

/// Whether a JPEG goes on to its end marker. Decoders fill what is missing with grey and say
/// nothing, so a detector would answer for half a picture.
///
/// Walks the segments (ITU T.81, annex B): those of a stated length are skipped, compressed data is
/// searched for the next marker that is neither stuffing nor a restart.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[0xff, marker]) = bytes.get(at..at + 2) {
        match marker {
            0xd9 => return true,
            // Fill bytes before a marker.
            0xff => at += 1,
            // Markers without a length.
            0x01 | 0xd0..=0xd8 => at += 2,
            _ => {
                let Some(&[high, low]) = bytes.get(at + 2..at + 4) else {
                    return false;
                };
                at += 2 + usize::from(u16::from_be_bytes([high, low]));
                if marker == 0xda {
                    let Some(data) = bytes.get(at..) else {
                        return false;
                    };
                    let next = data
                        .windows(2)
                        .position(|w| w[0] == 0xff && !matches!(w[1], 0x00 | 0xff | 0xd0..=0xd7));
                    let Some(next) = next else { return false };
                    at += next;
                }
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jpeg_is_whole_only_to_its_last_byte() {
        let picture = RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8 * 6, y as u8 * 8, 7]));
        let mut bytes = Vec::new();
        picture
            .write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Jpeg)
            .unwrap();
        assert_eq!(decode_image(&bytes).unwrap().dimensions(), (40, 30));
        for keep in 0..bytes.len() {
            let error = decode_image(&bytes[..keep]).unwrap_err();
            assert_eq!(
                error.kind(),
                bevel_manifest::ErrorKind::Input,
                "{keep} bytes"
            );
        }
        bytes.extend(b"what some cameras append");
        assert!(decode_image(&bytes).is_ok());
    }

    #[test]
    fn a_decompression_bomb_meets_the_limit() {
        // A PNG header that claims 60,000 × 60,000 pixels.
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        png.extend([0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60, 8, 2, 0, 0, 0]);
        png.extend([0; 100]);
        assert!(decode_image(&png).is_err());
    }
}
