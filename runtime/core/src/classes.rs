//! Labels of any input: what classifying tasks share.

use bevel_manifest::{Activation, ClassifySpec, Decode};
use bevel_prep::score::{sigmoid, softmax, top_k};
use serde::Serialize;

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::{Options, Outputs};

/// What one picture or text is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Classes {
    /// Labels, best first.
    pub labels: Vec<Label>,
}

/// One label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Label {
    /// Name, or the index in decimal where the model has no names.
    pub label: String,
    /// Index of the class.
    pub index: usize,
    /// In 0 ..= 1; what the graph answers where `[decode]` says `none`.
    pub score: f32,
}

/// Logits to labels, as `[decode]` says.
pub(crate) struct Labels {
    spec: ClassifySpec,
    /// Empty where the model has no names.
    names: Vec<String>,
}

impl Labels {
    /// Reads `[decode]` and the file of labels.
    ///
    /// # Errors
    /// [`Error::Model`] when the bundle does not classify, or its labels cannot be read.
    pub fn load(bundle: &Bundle, options: &Options) -> Result<Self> {
        let Decode::Classify(spec) = &bundle.manifest().decode else {
            return Err(Error::model(bundle.root(), "[decode] is not `classify`"));
        };
        let mut spec = spec.clone();
        spec.top_k = options.top_k.unwrap_or(spec.top_k).max(1);
        let names = spec.labels.as_deref().map(|name| bundle.labels(name));
        Ok(Self {
            names: names.transpose()?.unwrap_or_default(),
            spec,
        })
    }

    /// The labels of each item, from the graph's first output `logits`, N×C.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when it has another shape, or the labels are of another number.
    pub fn answers(&self, outputs: &Outputs<'_>, items: usize) -> Result<Vec<Classes>> {
        let logits = outputs.first_f32()?;
        let (&[n, c], Some(values)) = (logits.shape(), logits.as_slice()) else {
            return Err(Error::Unsupported(format!(
                "`logits` has shape {:?}, expected N×C",
                logits.shape()
            )));
        };
        if n != items || c == 0 || !(self.names.is_empty() || self.names.len() == c) {
            return Err(Error::Unsupported(format!(
                "`logits` has shape {:?} for {items} inputs and {} labels",
                logits.shape(),
                self.names.len()
            )));
        }
        let rows = values.chunks_exact(c);
        Ok(rows.map(|row| self.classes(row.to_vec())).collect())
    }

    fn classes(&self, mut scores: Vec<f32>) -> Classes {
        match self.spec.activation {
            Activation::Softmax => softmax(&mut scores),
            Activation::Sigmoid => scores.iter_mut().for_each(|v| *v = sigmoid(*v)),
            Activation::None => {}
        }
        let label = |index: usize| Label {
            label: self
                .names
                .get(index)
                .cloned()
                .unwrap_or_else(|| index.to_string()),
            index,
            score: scores[index],
        };
        Classes {
            labels: top_k(&scores, self.spec.top_k)
                .into_iter()
                .map(label)
                .collect(),
        }
    }
}
