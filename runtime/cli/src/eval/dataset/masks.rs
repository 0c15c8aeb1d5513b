//! Pictures with a class for each pixel: `images/` and `masks/`, a mask as PNG whose values are classes.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::Context;
use bevel_manifest::ErrorKind;
use png::{BitDepth, ColorType, Decoder, Transformations};

use super::files::{self, PICTURES};
use super::pictures::is_bare;
use super::{Opening, Sample, unknown};
use crate::eval::truth::Truth;
use crate::failure::fail;

const KNOWN: &str = "a folder with images/ and masks/, where masks/NAME.png holds the class of each pixel of \
                     images/NAME.jpg, and 255 for those that do not count";

/// The value of pixels that do not count.
const IGNORED: u8 = 255;

/// What a mask says about a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pixel {
    Class(u8),
    /// Where classes stand alone: none of them.
    Nothing,
    /// It does not count.
    Ignored,
}

/// The most pixels of a mask.
const MOST_PIXELS: usize = 1 << 28;

/// All pixels, row by row.
pub struct Map {
    pub width: u32,
    pub height: u32,
    pub pixels: Vec<Pixel>,
}

impl Opening<'_> {
    /// Pictures with their maps.
    pub fn maps(&self) -> anyhow::Result<Vec<Sample>> {
        let [images, masks] = ["images", "masks"].map(|name| self.path.join(name));
        if self.path.is_dir() && is_bare(self.path)? {
            return self.bare_pictures(self.path);
        }
        if !images.is_dir() || !masks.is_dir() {
            return Err(unknown(self.path, KNOWN));
        }
        let samples = files::with_endings(&images, &PICTURES)?
            .into_iter()
            .map(|picture| {
                let beside = picture.strip_prefix(&images).unwrap_or(&picture);
                let mask = masks.join(beside).with_extension("png");
                if !mask.is_file() {
                    return Err(unknown(&picture, &format!("its mask {}", mask.display())));
                }
                let group = self.folder_group(&picture, 0)?;
                let mut sample = Sample::picture(picture, Truth::Map(mask));
                sample.group = group;
                Ok(sample)
            });
        samples.collect()
    }
}

/// Reads a mask: grey values or places of a palette. Where classes stand alone 0 is none of them, and 1 the first.
///
/// # Errors
/// Where it cannot be read, or has colours.
pub fn read(path: &Path, alone: bool) -> anyhow::Result<Map> {
    let bad = |what: &str| fail(ErrorKind::Input, format!("{}: {what}", path.display()));
    let unreadable = || bad("cannot be read as PNG");
    let file = File::open(path).with_context(unreadable)?;
    let mut decoder = Decoder::new(BufReader::new(file));
    // Places of a palette, not its colours.
    decoder.set_transformations(Transformations::IDENTITY);
    let mut reader = decoder.read_info().with_context(unreadable)?;
    let info = reader.info();
    let (width, height, depth) = (info.width, info.height, info.bit_depth);
    if !matches!(info.color_type, ColorType::Grayscale | ColorType::Indexed)
        || depth == BitDepth::Sixteen
    {
        return Err(bad(
            "has colours, expected one value of at most 8 bits a pixel: its class",
        ));
    }
    if width as usize * height as usize > MOST_PIXELS {
        return Err(bad(&format!(
            "{width} × {height} pixels are too many for a mask"
        )));
    }
    let size = reader.output_buffer_size().ok_or_else(unreadable)?;
    let mut bytes = vec![0; size];
    let frame = reader.next_frame(&mut bytes).with_context(unreadable)?;
    let rows = bytes
        .chunks_exact(frame.line_size.max(1))
        .take(height as usize);
    let pixels =
        rows.flat_map(|row| (0..width as usize).map(move |x| class(value(row, x, depth), alone)));
    Ok(Map {
        width,
        height,
        pixels: pixels.collect(),
    })
}

/// The value of a pixel, of which several share a byte where it has fewer bits, the first in the highest.
fn value(row: &[u8], x: usize, depth: BitDepth) -> u8 {
    let bits = (depth as usize).min(8);
    let at = x * bits;
    let shift = 8 - bits - at % 8;
    row.get(at / 8)
        .map_or(IGNORED, |byte| (byte >> shift) & (0xff_u8 >> (8 - bits)))
}

fn class(value: u8, alone: bool) -> Pixel {
    match value {
        IGNORED => Pixel::Ignored,
        0 if alone => Pixel::Nothing,
        value => Pixel::Class(value - u8::from(alone)),
    }
}
