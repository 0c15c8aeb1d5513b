/// A borrowed picture of 8-bit RGB pixels, rows without gaps, checked once when it is made.
#[derive(Debug, Clone, Copy)]
pub struct ImageView<'a> {
    pixels: &'a [u8],
    width: u32,
    height: u32,
}

/// Why pixels are not a picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A side is zero.
    #[error("picture of {width}×{height} pixels has no area")]
    Empty {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The buffer has another size.
    #[error("{got} bytes for a picture of {width}×{height} RGB pixels, expected {expected}")]
    Size {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Bytes that were given.
        got: usize,
        /// Bytes that such a picture has.
        expected: usize,
    },
}

impl<'a> ImageView<'a> {
    /// A view over `width · height · 3` bytes, red first.
    ///
    /// # Errors
    /// [`ImageError`] when a side is zero or the buffer has another size.
    pub fn from_rgb(pixels: &'a [u8], width: u32, height: u32) -> Result<Self, ImageError> {
        if width == 0 || height == 0 {
            return Err(ImageError::Empty { width, height });
        }
        // Sides that no memory holds must not come out as a small number.
        let expected = (width as usize).saturating_mul(height as usize);
        let expected = expected.saturating_mul(3);
        if pixels.len() != expected {
            return Err(ImageError::Size {
                width,
                height,
                got: pixels.len(),
                expected,
            });
        }
        Ok(Self {
            pixels,
            width,
            height,
        })
    }

    /// The bytes, red first, row by row.
    pub fn pixels(&self) -> &'a [u8] {
        self.pixels
    }

    /// Width in pixels, at least 1.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, at least 1.
    pub fn height(&self) -> u32 {
        self.height
    }
}
