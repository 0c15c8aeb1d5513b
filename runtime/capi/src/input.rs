//! What a model is asked.

#[cfg(feature = "vision")]
use std::borrow::Cow;
use std::ffi::{c_char, c_void};
use std::mem::offset_of;
use std::path::Path;

use bevel::tensors::{self, Named};
#[cfg(feature = "vision")]
use bevel::vision::{ImageView, decode_image, load_image};
use bevel::{Question, Sample};
use bevel_manifest::Input;

use crate::caller::{self, Growing, numbered};
#[cfg(not(feature = "vision"))]
use crate::status::bevel_status;
use crate::status::{Failure, Result};
use crate::tensor::{self, bevel_tensor};

/// What an input is, and which fields of bevel_input count.
#[repr(i32)]
pub enum bevel_input_kind {
    /// `text`
    BEVEL_INPUT_TEXT = 1,
    /// `question`, and `text` that has the answer
    BEVEL_INPUT_QUESTION = 2,
    /// `data`, `width`, `height`, `stride_bytes` and `pixel_format`
    BEVEL_INPUT_PIXELS = 3,
    /// `data`, which is an array of `count` floats in -1 to 1 of one channel, and `sample_rate_hz`
    BEVEL_INPUT_SOUND = 4,
    /// `tensors`, an array of `count`
    BEVEL_INPUT_TENSORS = 5,
    /// `text`, the path of what the model takes: a picture (JPEG, PNG, WebP, BMP, GIF, TIFF), a recording
    /// (WAV, FLAC, MP3, Ogg Vorbis, AAC, ALAC, AIFF, CAF) or tensors (JSON, NPY, safetensors)
    BEVEL_INPUT_FILE = 6,
    /// `data`, the `count` bytes of such a file
    BEVEL_INPUT_BYTES = 7,
}

numbered! {
    bevel_input_kind:
    BEVEL_INPUT_TEXT,
    BEVEL_INPUT_QUESTION,
    BEVEL_INPUT_PIXELS,
    BEVEL_INPUT_SOUND,
    BEVEL_INPUT_TENSORS,
    BEVEL_INPUT_FILE,
    BEVEL_INPUT_BYTES,
}

/// The order of the bytes of a pixel. Alpha is left out.
#[repr(i32)]
pub enum bevel_pixel_format {
    /// Red, green, blue: as it is needed, so that nothing is copied.
    BEVEL_PIXELS_RGB = 0,
    /// Blue, green, red.
    BEVEL_PIXELS_BGR = 1,
    /// Red, green, blue, alpha.
    BEVEL_PIXELS_RGBA = 2,
    /// Blue, green, red, alpha.
    BEVEL_PIXELS_BGRA = 3,
    /// Grey.
    BEVEL_PIXELS_GRAY = 4,
}

numbered! {
    bevel_pixel_format:
    BEVEL_PIXELS_RGB,
    BEVEL_PIXELS_BGR,
    BEVEL_PIXELS_RGBA,
    BEVEL_PIXELS_BGRA,
    BEVEL_PIXELS_GRAY,
}

/// One thing that a model is asked. What it points to must stay as it is until the call returns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct bevel_input {
    /// Set by BEVEL_INIT; the same for all of an array.
    pub struct_size: usize,
    /// What it is, see bevel_input_kind.
    pub kind: i32,
    /// Order of the bytes of pixels, see bevel_pixel_format.
    pub pixel_format: i32,
    /// A text, or the path of a file.
    pub text: *const c_char,
    /// A question.
    pub question: *const c_char,
    /// Pixels, samples, or the bytes of a file.
    pub data: *const c_void,
    /// Tensors.
    pub tensors: *const bevel_tensor,
    /// How many samples, bytes or tensors.
    pub count: usize,
    /// From the start of a row of pixels to the start of the next; 0 for rows without gaps.
    pub stride_bytes: usize,
    /// Width of the picture in pixels, at most 32768.
    pub width: u32,
    /// Height of the picture in pixels, at most 32768.
    pub height: u32,
    /// Rate of the samples, 1000 to 384000.
    pub sample_rate_hz: u32,
}

// SAFETY: as it asks for; pointers, numbers, and the size first.
unsafe impl Growing for bevel_input {
    const FIRST_SIZE: usize = offset_of!(Self, sample_rate_hz) + size_of::<u32>();
    const NAME: &'static str = "bevel_input";
}

#[cfg(feature = "vision")]
const MAX_SIDE: u32 = 32_768;
/// More inputs of one call than this are a mistake.
const MAX_INPUTS: usize = 65_536;

/// An input as the library may borrow it.
pub(crate) enum Item<'a> {
    Text(&'a str),
    Question(Question<'a>),
    #[cfg(feature = "vision")]
    Picture(Cow<'a, [u8]>, u32, u32),
    Sound(&'a [f32], u32),
    SoundFile(&'a Path),
    SoundBytes(&'a [u8]),
    Tensors(Named),
}

impl Item<'_> {
    pub(crate) fn sample(&self) -> Result<Sample<'_>> {
        Ok(match self {
            Self::Text(text) => Sample::Text(text),
            Self::Question(question) => Sample::Question(*question),
            #[cfg(feature = "vision")]
            Self::Picture(pixels, width, height) => {
                let view = ImageView::from_rgb(pixels, *width, *height);
                Sample::Image(view.map_err(|e| Failure::input(e.to_string()))?)
            }
            Self::Sound(samples, rate) => Sample::Sound(samples, *rate),
            Self::SoundFile(path) => Sample::SoundFile(path),
            Self::SoundBytes(bytes) => Sample::SoundBytes(bytes),
            Self::Tensors(named) => Sample::Tensors(named),
        })
    }
}

/// Reads inputs for a model that takes what `takes` says.
///
/// # Safety
/// `count` inputs are behind `inputs`, and what they point to is there for as long as the items are.
pub(crate) unsafe fn items<'a>(
    inputs: *const bevel_input,
    count: usize,
    takes: &Input,
) -> Result<Vec<Item<'a>>> {
    if count > MAX_INPUTS {
        let what = format!("{count} inputs in one call, at most {MAX_INPUTS}");
        return Err(Failure::input(what));
    }
    // SAFETY: the caller's promise.
    let inputs = unsafe { caller::array(inputs, count) }?;
    let one = |(at, input): (usize, &bevel_input)| {
        // SAFETY: the caller's promise.
        unsafe { item(input, takes) }.map_err(|failure| Failure {
            message: format!("input {at}: {}", failure.message),
            ..failure
        })
    };
    inputs.iter().enumerate().map(one).collect()
}

unsafe fn item<'a>(input: &bevel_input, takes: &Input) -> Result<Item<'a>> {
    use bevel_input_kind::*;

    let (kind, count) = (bevel_input_kind::read(input.kind)?, input.count);
    // SAFETY: the caller's promise, for whichever fields count.
    unsafe {
        Ok(match kind {
            BEVEL_INPUT_TEXT => Item::Text(caller::text(input.text, "text")?),
            BEVEL_INPUT_QUESTION => Item::Question(Question {
                question: caller::text(input.question, "question")?,
                context: caller::text(input.text, "text")?,
            }),
            #[cfg(feature = "vision")]
            BEVEL_INPUT_PIXELS => picture(input)?,
            #[cfg(not(feature = "vision"))]
            BEVEL_INPUT_PIXELS => {
                let what = "this build of libbevel has no pictures";
                return Err(Failure::new(bevel_status::BEVEL_UNSUPPORTED, what));
            }
            BEVEL_INPUT_SOUND => {
                let samples = caller::values(input.data.cast(), count, "samples")?;
                Item::Sound(samples, input.sample_rate_hz)
            }
            BEVEL_INPUT_TENSORS => Item::Tensors(tensor::named(input.tensors, count)?),
            BEVEL_INPUT_FILE => file(caller::path(input.text, "the path in text")?, takes)?,
            BEVEL_INPUT_BYTES => bytes(caller::values(input.data.cast(), count, "bytes")?, takes)?,
        })
    }
}

fn file<'a>(path: &'a Path, takes: &Input) -> Result<Item<'a>> {
    match takes {
        #[cfg(feature = "vision")]
        Input::Image(_) | Input::TextImage(_) => {
            let picture = load_image(path)?;
            let (width, height) = picture.dimensions();
            Ok(Item::Picture(picture.into_raw().into(), width, height))
        }
        Input::Audio(_) => Ok(Item::SoundFile(path)),
        Input::Tensors => Ok(Item::Tensors(tensors::load(path)?)),
        other => Err(no_file(other)),
    }
}

fn bytes<'a>(bytes: &'a [u8], takes: &Input) -> Result<Item<'a>> {
    match takes {
        #[cfg(feature = "vision")]
        Input::Image(_) | Input::TextImage(_) => {
            let picture = decode_image(bytes)?;
            let (width, height) = picture.dimensions();
            Ok(Item::Picture(picture.into_raw().into(), width, height))
        }
        Input::Audio(_) => Ok(Item::SoundBytes(bytes)),
        Input::Tensors => Ok(Item::Tensors(tensors::from_bytes(bytes)?)),
        other => Err(no_file(other)),
    }
}

fn no_file(takes: &Input) -> Failure {
    let kind = takes.kind();
    Failure::input(format!(
        "the model takes {kind}: give it as such, not in a file"
    ))
}

/// # Safety
/// The picture that `input` describes is there.
#[cfg(feature = "vision")]
unsafe fn picture<'a>(input: &bevel_input) -> Result<Item<'a>> {
    let (width, height) = (input.width, input.height);
    if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
        return Err(Failure::input(format!(
            "a picture of {width}×{height} pixels, expected 1 to {MAX_SIDE} a side"
        )));
    }
    // Where red, green and blue are in a pixel, and its size.
    let format = bevel_pixel_format::read(input.pixel_format)?;
    let (order, size) = match format {
        bevel_pixel_format::BEVEL_PIXELS_RGB => ([0, 1, 2], 3),
        bevel_pixel_format::BEVEL_PIXELS_BGR => ([2, 1, 0], 3),
        bevel_pixel_format::BEVEL_PIXELS_RGBA => ([0, 1, 2], 4),
        bevel_pixel_format::BEVEL_PIXELS_BGRA => ([2, 1, 0], 4),
        bevel_pixel_format::BEVEL_PIXELS_GRAY => ([0, 0, 0], 1),
    };
    let row = width as usize * size;
    let stride = match input.stride_bytes {
        0 => row,
        stride if stride >= row => stride,
        short => {
            let what = format!("stride_bytes is {short}, a row has {row}");
            return Err(Failure::input(what));
        }
    };
    let rows = height as usize - 1;
    let all = rows
        .checked_mul(stride)
        .and_then(|bytes| bytes.checked_add(row));
    let all = all.ok_or_else(|| Failure::input(format!("stride_bytes is {stride}")))?;
    // SAFETY: the caller's promise.
    let pixels = unsafe { caller::values(input.data.cast::<u8>(), all, "bytes of pixels") }?;
    if matches!(format, bevel_pixel_format::BEVEL_PIXELS_RGB) && stride == row {
        return Ok(Item::Picture(pixels.into(), width, height));
    }
    let rows = pixels.chunks(stride).map(|chunk| &chunk[..row]);
    let rgb = rows.flat_map(|row| row.chunks_exact(size).flat_map(|p| order.map(|at| p[at])));
    let mut picture = Vec::with_capacity(width as usize * height as usize * 3);
    picture.extend(rgb);
    Ok(Item::Picture(picture.into(), width, height))
}
