//! wav2vec 2.0 (Baevski et al. 2020, arXiv:2006.11477) and HuBERT (Hsu et al. 2021, arXiv:2106.07447),
//! as `modeling_wav2vec2.py` and `modeling_hubert.py` of transformers 5.23 compute them.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | in `input_values` | N×S | f32 | samples, of mean 0 and variance 1 where the feature extractor normalises |
//! | in `attention_mask` | N×S | i64 | 1 for samples, 0 for padding behind them; see below |
//! | out `logits` | N×T×V | f32 | of characters and the CTC blank; one frame is 20 ms in the published models |
//! | out `logits` | N×C, N×T×C | f32 | sequence and frame classification |
//! | out `last_hidden_state` | N×T×D | f32 | without a head |
//!
//! `attention_mask` is there where the feature extractor says `return_attention_mask`: models with
//! layer norms in the convolutions were trained with it. Those with a group norm were not, and take
//! zeros for padding, which changes their answers a little.

mod config;
mod encoder;

use bevel_manifest::Task;
use bevel_onnx::{DType, Dim};

use super::layers::Net;
use super::speech;
use crate::arch::{Built, Family, model};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options};
use config::Config;
use encoder::{Encoded, encode};

pub(super) const WAV2VEC2: Family = Family {
    name: "wav2vec2",
    marks: &[
        "feature_extractor.conv_layers.",
        "feature_projection.",
        "pos_conv_embed.conv.",
        "wav2vec2.",
    ],
    recognises: |source| source.model_type() == Some("wav2vec2"),
    build: |source, options| build("wav2vec2", source, options),
};

pub(super) const HUBERT: Family = Family {
    name: "hubert",
    marks: &[
        "feature_extractor.conv_layers.",
        "feature_projection.",
        "pos_conv_embed.conv.",
        "hubert.",
    ],
    recognises: |source| source.model_type() == Some("hubert"),
    build: |source, options| build("hubert", source, options),
};

/// What stands on the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    /// Hidden states.
    None,
    /// Characters.
    Ctc,
    /// One answer for all of the sound.
    Sequence,
    /// One answer a frame.
    Frames,
}

/// Classes that `architectures` in `config.json` names, without `Wav2Vec2` or `Hubert`.
const HEADS: [(&str, Head); 5] = [
    ("Model", Head::None),
    ("ForPreTraining", Head::None),
    ("ForCTC", Head::Ctc),
    ("ForSequenceClassification", Head::Sequence),
    ("ForAudioFrameClassification", Head::Frames),
];

/// Weights that only training needs.
const TRAINING: [&str; 3] = ["quantizer.", "project_hid.", "project_q."];

fn build(family: &'static str, source: &Source, options: &Options) -> Result<Built, Error> {
    let config = Config::read(family, source)?;
    let head = head(&config)?;
    let known = match head {
        Head::Ctc => "transcribe, tensors",
        _ => "tensors",
    };
    let asked = options.wanted_task();
    match asked {
        None | Some(Task::Tensors) => {}
        Some(Task::Transcribe) if head == Head::Ctc => {}
        Some(task) => {
            return Err(Error::Task {
                family,
                task,
                known: known.into(),
            });
        }
    }

    let weights = Weights::new(&source.checkpoint, family);
    let mut net = Net::new(family, &weights);
    let masked = speech::wants_mask(source)?;
    let encoded = encode(&mut net, &config, masked)?;
    let classes = finish(&mut net, &config, head, &encoded)?;
    let graph = net.graph;
    let mask = format!("{}masked_spec_embed", config.prefix);
    let unused = weights.finish(|name| {
        let training = TRAINING.iter().any(|prefix| name.starts_with(prefix));
        training || name == mask || name.ends_with("batch_norm.num_batches_tracked")
    })?;
    let mut built = Built::tensors(model(graph), unused);
    if head != Head::Ctc || asked == Some(Task::Tensors) {
        return Ok(built);
    }
    match speech::vocabulary(source, classes, config.pad_id, config.frame_samples()?)? {
        Some((spec, file)) => {
            let input = speech::input(source, speech::PIECE_S)?;
            built = built.transcribes((input, spec, file));
        }
        None if asked == Some(Task::Transcribe) => {
            return Err(speech::vocabulary_missing(source));
        }
        None => built.notes.push(speech::without_vocabulary()),
    }
    Ok(built)
}

/// The head that `architectures` names; without it, that whose weights are there.
fn head(config: &Config<'_>) -> Result<Head, Error> {
    let settings = &config.settings;
    let Some(name) = settings.architecture() else {
        return Ok(match config.has_ctc_head {
            true => Head::Ctc,
            false => Head::None,
        });
    };
    let of = ["Wav2Vec2", "Hubert"];
    let class = of.iter().find_map(|prefix| name.strip_prefix(prefix));
    let row = HEADS.iter().find(|(known, _)| Some(*known) == class);
    row.map(|(_, head)| *head).ok_or_else(|| {
        let known: Vec<_> = HEADS.iter().map(|(name, _)| *name).collect();
        let what = format!("architecture `{name}` of config.json");
        settings.unsupported(what, format!("known: {}", known.join(", ")))
    })
}

/// Adds head and output. Answers how many classes the output tells apart.
fn finish(
    net: &mut Net<'_>,
    config: &Config<'_>,
    head: Head,
    encoded: &Encoded,
) -> Result<usize, Error> {
    let [batch, frames] = ["batch", "frames"].map(Dim::named);
    let hidden = config.hidden;
    let per_frame = |size: usize| vec![batch.clone(), frames.clone(), Dim::Fixed(size)];
    net.graph.set_scope("");
    let states = &encoded.states;
    let (output, name, dims, classes) = match head {
        Head::None => (
            states.clone(),
            "last_hidden_state",
            per_frame(hidden),
            hidden,
        ),
        Head::Ctc => {
            let classes = net.rows("lm_head.weight");
            let logits = net.linear(states, "lm_head", [hidden, classes])?;
            (logits, "logits", per_frame(classes), classes)
        }
        Head::Frames => {
            let classes = net.rows("classifier.weight");
            let logits = net.linear(states, "classifier", [hidden, classes])?;
            (logits, "logits", per_frame(classes), classes)
        }
        Head::Sequence => {
            let inner = net.rows("projector.weight");
            let x = net.linear(states, "projector", [hidden, inner])?;
            let x = encoded.mean(net, &x);
            let classes = net.rows("classifier.weight");
            let logits = net.linear(&x, "classifier", [inner, classes])?;
            let dims = vec![batch.clone(), Dim::Fixed(classes)];
            (logits, "logits", dims, classes)
        }
    };
    net.graph.output(&output, name, DType::F32, dims);
    Ok(classes)
}
