//! The judge of a conversion: runs every variant beside fp32 on this machine.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use bevel::text::Tokenize;
use bevel::{
    Answer, AnyPipeline, Bundle, Devices, Options, Runtime, Sample, Session, Slots, Tensor,
    TensorData,
};
use bevel_convert::{BoxError, Judge};
use bevel_manifest::{Decode, ErrorKind, Input, Manifest, Measured};

use crate::show::cosine;

/// Sentences of many lengths and subjects, written for this purpose.
const SENTENCES: &str = include_str!("../assets/sentences.txt");

/// Interleaved runs of each variant; the medians are compared.
const TIMED_RUNS: usize = 25;

/// Compares variants side by side.
#[derive(Debug, Default)]
pub struct Side;

impl Judge for Side {
    fn judge(
        &mut self,
        folder: &Path,
        manifest: &Manifest,
    ) -> Result<Vec<(String, Measured)>, BoxError> {
        let others = manifest.variants.iter().filter(|v| v.name != "fp32");
        // Only text has a built-in sample; other inputs come with calibration data. Decoders are not
        // compared yet.
        let known = matches!(manifest.input, Input::Text(_) | Input::Words(_))
            && !matches!(manifest.decode, Decode::Generate(_));
        // What came quantised has nothing to be compared with.
        let reference = manifest.variant(Some("fp32")).is_ok();
        if !known || !reference || others.clone().next().is_none() {
            return Ok(Vec::new());
        }
        let bundle = Bundle::load(folder)?;
        let mut reference = Runner::load(&bundle, "fp32")?;
        let mut results = Vec::new();
        for variant in others {
            let mut candidate = Runner::load(&bundle, &variant.name)?;
            if let Some(measured) = measure(&mut reference, &mut candidate)? {
                results.push((variant.name.clone(), measured));
            }
        }
        Ok(results)
    }
}

/// One variant, ready to answer sentences.
enum Runner {
    /// Pooled sentence vectors, compared by cosine.
    Vectors(Box<dyn AnyPipeline>),
    /// Logits, compared by which is the largest at each token or text.
    Logits {
        session: Session,
        tokenize: Box<Tokenize>,
    },
}

impl Runner {
    fn load(bundle: &Bundle, variant: &str) -> bevel::Result<Self> {
        let mut options = Options::default();
        options.variant = Some(variant.into());
        if matches!(bundle.manifest().decode, Decode::Embed(_)) {
            return Ok(Self::Vectors(bevel::open(bundle, &options)?));
        }
        let session = Session::load(bundle.graph(Some(variant), "model")?, &Devices::default())?;
        let mut tokenize = Box::new(Tokenize::load(bundle, &options)?);
        tokenize.set_type_ids(session.has_input("token_type_ids"));
        Ok(Self::Logits { session, tokenize })
    }

    /// What the variant says about a sentence, and how long the graph ran.
    fn answer(&mut self, sentence: &str) -> bevel::Result<(Vec<f32>, Duration)> {
        match self {
            Self::Vectors(pipeline) => {
                let answer = pipeline.run(&[Sample::Text(sentence)])?.pop();
                let vector = match answer {
                    Some(Answer::Embed(answer)) => answer.embedding,
                    _ => Vec::new(),
                };
                Ok((vector, pipeline.timing().run))
            }
            Self::Logits { session, tokenize } => {
                let mut slots = Slots::default();
                let shape = tokenize.write(&[sentence], &mut slots)?;
                let inputs = session.inputs().iter().filter_map(|input| {
                    let values = slots.view_i64(&input.name)?.to_vec();
                    Some((
                        input.name.clone(),
                        Tensor::new(shape.to_vec(), TensorData::I64(values)),
                    ))
                });
                let inputs: BTreeMap<_, _> = inputs
                    .map(|(n, t)| t.map(|t| (n, t)))
                    .collect::<bevel::Result<_>>()?;
                let start = Instant::now();
                let outputs = session.run_tensors(&inputs)?;
                let time = start.elapsed();
                Ok((outputs.values().flat_map(winners).collect(), time))
            }
        }
    }

    fn compare(&self, reference: &[f32], candidate: &[f32]) -> f64 {
        match self {
            Self::Vectors(_) => cosine(reference, candidate),
            Self::Logits { .. } => {
                let same = reference
                    .iter()
                    .zip(candidate)
                    .filter(|(a, b)| a == b)
                    .count();
                same as f64 / reference.len().max(1) as f64
            }
        }
    }

    fn metric(&self) -> &'static str {
        match self {
            Self::Vectors(_) => "cosine",
            Self::Logits { .. } => "top1-agreement",
        }
    }
}

/// Index of the largest value along the last axis, as numbers to compare.
fn winners(tensor: &Tensor) -> Vec<f32> {
    let width = tensor.shape.last().copied().unwrap_or(1).max(1);
    let values = tensor.data.to_f64();
    let best = |row: &[f64]| {
        let largest = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        largest.map_or(-1.0, |(index, _)| index as f32)
    };
    values.chunks(width).map(best).collect()
}

/// `None` when the model has no answer to any of the sentences, as a small vocabulary may not.
fn measure(reference: &mut Runner, candidate: &mut Runner) -> bevel::Result<Option<Measured>> {
    let mut scores = Vec::new();
    let mut answered = Vec::new();
    for sentence in SENTENCES.lines() {
        let expected = match reference.answer(sentence) {
            Err(error) if error.kind() == ErrorKind::Input => continue,
            other => other?.0,
        };
        let (found, _) = candidate.answer(sentence)?;
        scores.push(candidate.compare(&expected, &found));
        answered.push(sentence);
    }
    // One sentence of middling length, both in turn, so that a busy machine slows both alike.
    let Some(sentence) = answered.get(2).or(answered.first()) else {
        return Ok(None);
    };
    let (mut reference_times, mut candidate_times) = (Vec::new(), Vec::new());
    for _ in 0..TIMED_RUNS {
        reference_times.push(reference.answer(sentence)?.1);
        candidate_times.push(candidate.answer(sentence)?.1);
    }
    let (reference_ms, candidate_ms) = (median_ms(reference_times), median_ms(candidate_times));
    Ok(Some(Measured {
        metric: candidate.metric().into(),
        value: scores.iter().sum::<f64>() / scores.len() as f64,
        worst: scores.iter().copied().fold(f64::INFINITY, f64::min),
        samples: scores.len(),
        latency_ratio: candidate_ms / reference_ms,
        latency_ms: candidate_ms,
        machine: format!(
            "{}, {} threads",
            bevel::cpu::model_name(),
            Runtime::get()?.threads()
        ),
    }))
}

fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times
        .get(times.len() / 2)
        .map_or(f64::NAN, |t| t.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn winners_are_per_row() {
        let tensor = Tensor::new(
            vec![2, 3],
            TensorData::F32(vec![0.0, 2.0, 1.0, 5.0, 4.0, 3.0]),
        );
        assert_eq!(winners(&tensor.unwrap()), [1.0, 0.0]);
    }
}
