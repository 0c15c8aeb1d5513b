//! What a caller may choose when a model is opened.

use std::ffi::{c_char, c_void};
use std::mem::offset_of;
use std::ptr;

use bevel::Options;
#[cfg(feature = "speech")]
use bevel::speech::{SpeechOptions, Timestamps};

use crate::caller::{self, Growing, numbered};
use crate::guard::guard;
use crate::status::{Failure, Result, bevel_status};

/// Which times a transcript has.
#[repr(i32)]
pub enum bevel_timestamps {
    /// Those of pauses: a segment is what is said between two.
    BEVEL_TIMESTAMPS_PAUSES = 0,
    /// Those that the model writes: a segment is about a sentence.
    BEVEL_TIMESTAMPS_SEGMENTS = 1,
    /// Those of words, too; they are in the JSON of the answer.
    BEVEL_TIMESTAMPS_WORDS = 2,
}

numbered! {
    bevel_timestamps:
    BEVEL_TIMESTAMPS_PAUSES,
    BEVEL_TIMESTAMPS_SEGMENTS,
    BEVEL_TIMESTAMPS_WORDS,
}

/// What may be chosen when a model is opened. Zero and null are the model's own, for every field. What it
/// points to need not outlive the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct bevel_model_options {
    /// Set by BEVEL_INIT.
    pub struct_size: usize,
    /// For a plain model, which is no bundle: the file that describes it.
    pub recipe: *const c_char,
    /// Where it runs, such as "cuda:0" or "cuda,cpu": the first that can be had, else an error. The CPU
    /// when not given.
    pub device: *const c_char,
    /// Which precision of the bundle runs, such as "int8".
    pub variant: *const c_char,
    /// Boxes below this score are dropped, in 0 to 1.
    pub min_score: f32,
    /// IoU above which the weaker of two boxes of a class is dropped, in 0 to 1.
    pub iou: f32,
    /// How many boxes are answered for a picture.
    pub max_boxes: u32,
    /// How many labels are answered.
    pub top_k: u32,
    /// Longest text in tokens; where text is generated, the tokens behind the prompt.
    pub max_tokens: u32,
    /// Which times a transcript has, see bevel_timestamps.
    pub timestamps: i32,
    /// Language to hear, ISO 639-1 such as "en".
    pub language: *const c_char,
    /// Text that a speech model takes for what came before.
    pub prompt: *const c_char,
    /// Words that are likely to be said, such as names: an array of hot_word_count texts.
    pub hot_words: *const *const c_char,
    /// How many.
    pub hot_word_count: usize,
    /// An n-gram language model in ARPA format for a beam search.
    pub language_model: *const c_char,
    /// Whether what is heard is written down in English, 0 or 1.
    pub translate: i32,
    /// Whether Whisper always hears its whole window of 30 s, 0 or 1.
    pub full_window: i32,
    /// How many pieces of a recording Whisper hears together.
    pub batch: u32,
    /// How many candidates a beam search keeps.
    pub beams: u32,
}

// SAFETY: as it asks for; pointers, numbers, and the size first.
unsafe impl Growing for bevel_model_options {
    const FIRST_SIZE: usize = offset_of!(Self, beams) + size_of::<u32>();
    const NAME: &'static str = "bevel_model_options";
}

/// What is beyond any use: more is a mistake.
const MAX_COUNT: u32 = 1 << 24;
const MAX_HOT_WORDS: usize = 1 << 16;

impl bevel_model_options {
    /// The same as the library has it.
    ///
    /// # Safety
    /// What it points to are texts with a zero at their end.
    pub(crate) unsafe fn options(&self) -> Result<Options> {
        // SAFETY: the caller's promise, for each text.
        let text = |pointer, name: &str| unsafe { caller::text_or_none(pointer, name) };
        let mut options = Options::default();
        if let Some(device) = text(self.device, "device")? {
            options.devices = device.parse()?;
        }
        options.variant = text(self.variant, "variant")?.map(Into::into);
        options.min_score = fraction(self.min_score, "min_score")?;
        options.iou = fraction(self.iou, "iou")?;
        options.max_boxes = count(self.max_boxes, "max_boxes")?;
        options.top_k = count(self.top_k, "top_k")?;
        options.max_tokens = count(self.max_tokens, "max_tokens")?;
        options.language = text(self.language, "language")?.map(Into::into);
        #[cfg(feature = "speech")]
        // SAFETY: the caller's promise.
        unsafe {
            self.set_speech(&mut options.speech)?;
        }
        Ok(options)
    }

    /// What only speech knows.
    ///
    /// # Safety
    /// As [`options`](Self::options).
    #[cfg(feature = "speech")]
    unsafe fn set_speech(&self, speech: &mut SpeechOptions) -> Result {
        speech.timestamps = match bevel_timestamps::read(self.timestamps)? {
            bevel_timestamps::BEVEL_TIMESTAMPS_PAUSES => Timestamps::Pauses,
            bevel_timestamps::BEVEL_TIMESTAMPS_SEGMENTS => Timestamps::Segments,
            bevel_timestamps::BEVEL_TIMESTAMPS_WORDS => Timestamps::Words,
        };
        speech.translate = flag(self.translate, "translate")?;
        speech.full_window = flag(self.full_window, "full_window")?;
        // SAFETY: the caller's promise.
        let prompt = unsafe { caller::text_or_none(self.prompt, "prompt") }?;
        speech.prompt = prompt.map(Into::into);
        speech.batch = count(self.batch, "batch")?;
        speech.beams = count(self.beams, "beams")?;
        if self.hot_word_count > MAX_HOT_WORDS {
            let what = format!("{} hot words, at most {MAX_HOT_WORDS}", self.hot_word_count);
            return Err(Failure::input(what));
        }
        // SAFETY: the caller's promise.
        let words = unsafe { caller::values(self.hot_words, self.hot_word_count, "hot_words") }?;
        for word in words {
            // SAFETY: the caller's promise.
            let word = unsafe { caller::text(*word, "a hot word") }?;
            speech.hot_words.push(word.into());
        }
        if !self.language_model.is_null() {
            // SAFETY: the caller's promise.
            let path = unsafe { caller::path(self.language_model, "language_model") }?;
            speech.language_model = Some(path.into());
        }
        Ok(())
    }
}

/// Zero is the model's own.
fn fraction(value: f32, name: &str) -> Result<Option<f32>> {
    match value {
        0.0 => Ok(None),
        value if (0.0..=1.0).contains(&value) => Ok(Some(value)),
        _ => Err(Failure::input(format!(
            "{name} is {value}, expected 0 to 1"
        ))),
    }
}

fn count(value: u32, name: &str) -> Result<Option<usize>> {
    match value {
        0 => Ok(None),
        value if value <= MAX_COUNT => Ok(Some(value as usize)),
        _ => Err(Failure::input(format!(
            "{name} is {value}, expected at most {MAX_COUNT}"
        ))),
    }
}

pub(crate) fn flag(value: i32, name: &str) -> Result<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Failure::input(format!(
            "{name} is {value}, expected 0 or 1"
        ))),
    }
}

/// Makes a struct of this header ready: all zero, and its first field its size. The macro BEVEL_INIT calls
/// it with the right size.
///
/// Errors: BEVEL_BAD_INPUT for null and for a size that no struct here has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_init(any_struct: *mut c_void, struct_size: usize) -> bevel_status {
    guard(|| {
        let known = size_of::<usize>()..=caller::MAX_STRUCT_BYTES;
        if any_struct.is_null() || !known.contains(&struct_size) {
            return Err(Failure::input("no struct of bevel.h; use BEVEL_INIT"));
        }
        // SAFETY: the caller promises that so many bytes can be written.
        unsafe {
            ptr::write_bytes(any_struct.cast::<u8>(), 0, struct_size);
            any_struct.cast::<usize>().write_unaligned(struct_size);
        }
        Ok(())
    })
}
