use serde::{Deserialize, Serialize};

use crate::Error;

/// How caller data becomes input tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Input {
    /// Text through a tokenizer.
    Text(TextInput),
    /// A picture, resized and normalised.
    Image(ImageInput),
    /// Text or a picture, each through a graph of its own: `text` and `vision`.
    TextImage(TextImageInput),
    /// Sound at a fixed rate.
    Audio(AudioInput),
    /// Named tensors as they are.
    Tensors,
}

/// Text to `input_ids`, `attention_mask` and, where the graph has it, `token_type_ids` (N×T, i64).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextInput {
    /// `tokenizer.json` of Hugging Face tokenizers.
    pub tokenizer: String,
    /// Longest sequence, special tokens included; longer text is cut at the end.
    pub max_tokens: usize,
    /// The id that fills a row up to the longest of its batch.
    pub pad_id: u32,
}

/// Both inputs of a model with two towers, which answer vectors of one space.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextImageInput {
    /// For the graph `text`.
    pub text: TextInput,
    /// For the graph `vision`.
    pub image: ImageInput,
}

/// Picture to one f32 tensor N×3×H×W: `value = (pixel · scale − mean) / std` per channel, pixels in
/// 0 ..= 255.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageInput {
    /// Width of the tensor in pixels.
    pub width: u32,
    /// Height of the tensor in pixels.
    pub height: u32,
    /// How the picture is made to fit.
    pub resize: Resize,
    /// The resampling filter.
    #[serde(default)]
    pub interpolation: Interpolation,
    /// Order of the three channels in the tensor.
    #[serde(default)]
    pub channels: ChannelOrder,
    /// Factor on each pixel before the mean; 1/255 for models trained on 0 ..= 1.
    #[serde(default = "one")]
    pub scale: f32,
    /// Subtracted per channel of the tensor, after `scale`.
    #[serde(default)]
    pub mean: [f32; 3],
    /// Divided by per channel of the tensor, after `mean`.
    #[serde(default = "ones")]
    pub std: [f32; 3],
}

impl ImageInput {
    fn check(&self) -> Result<(), Error> {
        let invalid = |what: &str| Err(Error::Invalid(format!("[input] {what}")));
        match self {
            Self { width, .. } if !(1..=16384).contains(width) => {
                invalid("width must be in 1 ..= 16384")
            }
            Self { height, .. } if !(1..=16384).contains(height) => {
                invalid("height must be in 1 ..= 16384")
            }
            Self { std, .. } if std.iter().any(|s| !s.is_normal()) => {
                invalid("std must be finite and not zero")
            }
            _ => Ok(()),
        }
    }
}

fn one() -> f32 {
    1.0
}

fn ones() -> [f32; 3] {
    [1.0; 3]
}

/// How a picture is made to fit the tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Resize {
    /// Both sides scaled on their own; the aspect ratio changes.
    Stretch,
    /// Scaled by one factor to fit inside, the rest filled.
    Letterbox {
        /// Where the picture sits.
        anchor: Anchor,
        /// Value of the filled pixels, 0 ..= 255.
        fill: u8,
    },
    /// The shorter side scaled to `shorter_side`, then the middle cut out.
    CenterCrop {
        /// Length of the shorter side before the cut, in pixels.
        shorter_side: u32,
    },
}

/// Where a letterboxed picture sits in its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Anchor {
    /// In the top left corner (YOLOX).
    TopLeft,
    /// In the middle (Ultralytics).
    Center,
}

/// The resampling filter, named after the library the model was trained with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    /// Two taps a side whatever the factor, as OpenCV's `INTER_LINEAR`.
    #[default]
    Bilinear,
    /// Triangle filter widened when shrinking, as Pillow's `BILINEAR`.
    BilinearAntialias,
    /// Cubic filter (a = −0.5) widened when shrinking, as Pillow's `BICUBIC`.
    BicubicAntialias,
}

/// Order of the channels in the tensor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelOrder {
    /// Red first.
    #[default]
    Rgb,
    /// Blue first, as OpenCV reads pictures.
    Bgr,
}

/// Sound to one f32 tensor N×T of samples in −1 ..= 1, one channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AudioInput {
    /// Rate the model was trained at; other rates are resampled to it.
    pub sample_rate_hz: u32,
    /// Longest piece that goes through the model at once, in seconds; longer sound is split.
    pub max_piece_s: f32,
    /// Where to split: the pauses that this voice activity detector finds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vad: Option<VadSpec>,
}

/// A Silero voice activity detector (16 kHz, 512 samples a window, 64 samples of context). Both
/// graphs of the package are known: `silero_vad_16k_sequence.onnx` and `silero_vad.onnx`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VadSpec {
    /// The graph file.
    pub graph: String,
    /// Speech starts at this probability, in 0 ..= 1.
    pub threshold: f32,
    /// A pause shorter than this does not end speech, in milliseconds.
    pub min_silence_ms: u32,
    /// Sound kept before and after speech, in milliseconds.
    pub pad_ms: u32,
}

impl VadSpec {
    fn check(&self) -> Result<(), Error> {
        let invalid = |what: &str| Err(Error::Invalid(format!("[input] vad.{what}")));
        match self {
            Self { threshold, .. } if !(0.0..=1.0).contains(threshold) => {
                invalid("threshold must be in 0 ..= 1")
            }
            Self { min_silence_ms, .. } if *min_silence_ms > 10_000 => {
                invalid("min_silence_ms must be at most 10000")
            }
            // The pad is part of a piece, and the shortest piece is a second.
            Self { pad_ms, .. } if *pad_ms > 400 => invalid("pad_ms must be at most 400"),
            _ => Ok(()),
        }
    }
}

impl Input {
    /// The kind as it stands in `bundle.toml`: `text`, `image`, `text-image`, `audio` or `tensors`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Image(_) => "image",
            Self::TextImage(_) => "text-image",
            Self::Audio(_) => "audio",
            Self::Tensors => "tensors",
        }
    }

    /// How text is prepared, where the model takes text.
    pub fn text(&self) -> Option<&TextInput> {
        match self {
            Self::Text(text) | Self::TextImage(TextImageInput { text, .. }) => Some(text),
            _ => None,
        }
    }

    /// How pictures are prepared, where the model takes pictures.
    pub fn image(&self) -> Option<&ImageInput> {
        match self {
            Self::Image(image) | Self::TextImage(TextImageInput { image, .. }) => Some(image),
            _ => None,
        }
    }

    /// The files this section names.
    pub(crate) fn files(&self) -> Vec<&str> {
        let tokenizer = self.text().map(|text| text.tokenizer.as_str());
        let vad = match self {
            Self::Audio(audio) => audio.vad.as_ref().map(|vad| vad.graph.as_str()),
            _ => None,
        };
        tokenizer.into_iter().chain(vad).collect()
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let invalid = |what: &str| Err(Error::Invalid(format!("[input] {what}")));
        if self.text().is_some_and(|text| text.max_tokens < 3) {
            return invalid("max_tokens must be at least 3");
        }
        if let Some(image) = self.image() {
            image.check()?;
        }
        match self {
            Self::Audio(audio) if !(1000..=768_000).contains(&audio.sample_rate_hz) => {
                invalid("sample_rate_hz must be in 1000 ..= 768000")
            }
            Self::Audio(audio) if !(1.0..=3600.0).contains(&audio.max_piece_s) => {
                invalid("max_piece_s must be in 1 ..= 3600")
            }
            Self::Audio(AudioInput { vad: Some(vad), .. }) => vad.check(),
            _ => Ok(()),
        }
    }
}
