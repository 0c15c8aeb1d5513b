//! `x·W + b` as a float product or as one of dynamic int8.

use super::beside;
use crate::passes::View;
use crate::proto::NodeProto;
use crate::{DType, Tensor};

/// A product of x N×T×D and a constant, plus a constant.
pub(super) struct Projection<'v> {
    input: Input<'v>,
    weight: &'v Tensor,
    bias: Option<&'v Tensor>,
}

/// What is multiplied with the weight.
#[derive(PartialEq)]
enum Input<'v> {
    Float(&'v str),
    /// Codes, scale and zero point of `DynamicQuantizeLinear`, and one scale for each column of the
    /// weight.
    Codes([&'v str; 3], Scales<'v>),
}

/// Scales differ from projection to projection: they are no part of what must be equal.
struct Scales<'v>(&'v Tensor);

impl PartialEq for Scales<'_> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Several projections of one input side by side.
pub(super) struct Merged {
    /// The names of what the operator reads, in its order; the mask is missing.
    inputs: Vec<String>,
    quantized: bool,
    pub constants: Vec<Tensor>,
}

impl<'v> Projection<'v> {
    /// The projection that a value is; nobody else may read what is on the way.
    pub fn read(value: &str, view: &'v View<'_>) -> Option<Self> {
        if view.readers_of(value) != 1 {
            return None;
        }
        let (product, bias) = match view.sole(value, "Add") {
            None => (value, None),
            Some(sum) => {
                let [a, b] = sum.input.as_slice() else {
                    return None;
                };
                let sides = [(a, b), (b, a)];
                let (product, bias) = sides
                    .into_iter()
                    .find_map(|(product, bias)| Some((product, view.constant(bias)?)))?;
                (product.as_str(), Some(bias))
            }
        };
        let (input, weight) = match view.sole(product, "MatMul") {
            Some(product) => {
                let x = product.input_at(0)?;
                if view.facts.rank(x)? != 3 || view.facts.dtype(x)? != DType::F32 {
                    return None;
                }
                (Input::Float(x), view.constant_at(product, 1)?)
            }
            None => codes(view.sole(product, "Mul")?, view)?,
        };
        let [_, columns] = weight.dims[..] else {
            return None;
        };
        // Layers that share their weights would each have a copy.
        if view.readers_of(&weight.name) != 1 {
            return None;
        }
        let fits = bias.is_none_or(|b| b.dims == [columns] && b.dtype == DType::F32);
        let kind = match &input {
            Input::Float(_) => DType::F32,
            Input::Codes(..) => DType::I8,
        };
        (fits && weight.dtype == kind).then_some(Self {
            input,
            weight,
            bias,
        })
    }

    /// Columns of the weight.
    pub fn width(&self) -> Option<usize> {
        self.weight.dims.last().copied()
    }

    /// All three as one; `None` where they differ in more than their numbers.
    pub fn merge(parts: [Self; 3], view: &View<'_>) -> Option<Merged> {
        let [first, rest @ ..] = &parts;
        let alike =
            |part: &Self| part.input == first.input && part.weight.dims == first.weight.dims;
        if !rest.iter().all(alike) {
            return None;
        }
        let width = first.width()?;
        let name = |of: &Tensor| view.fresh(&format!("{}.merged", of.name));
        let weights: Vec<&Tensor> = parts.iter().map(|part| part.weight).collect();
        let weight = beside(name(first.weight), &weights)?;
        // The operator always has a bias.
        let none = Tensor::f32("bias", &[width], vec![0.0; width]);
        let biases: Vec<&Tensor> = parts
            .iter()
            .map(|part| part.bias.unwrap_or(&none))
            .collect();
        let bias = beside(name(biases[0]), &biases)?;
        let mut constants = vec![weight, bias];
        let names = |constants: &[Tensor]| constants.iter().map(|t| t.name.clone()).collect();
        let mut inputs: Vec<String> = names(&constants);
        let quantized = match &first.input {
            Input::Float(x) => {
                inputs.insert(0, (*x).to_owned());
                false
            }
            Input::Codes([codes, scale, zero], _) => {
                let scales: Vec<&Tensor> = parts.iter().filter_map(Self::scales).collect();
                let scales = beside(name(scales.first()?), &scales)?;
                inputs.insert(0, (*codes).to_owned());
                inputs.extend([(*scale).to_owned(), scales.name.clone()]);
                inputs.push((*zero).to_owned());
                // Optional, but ONNX Runtime 1.28 aborts without one of its own where it makes
                // weights u8 (`session.x64quantprecision`).
                let zeros = Tensor::i8(view.fresh("zeros"), &scales.dims, vec![0; scales.len()]);
                inputs.push(zeros.name.clone());
                constants.extend([scales, zeros]);
                true
            }
        };
        Some(Merged {
            inputs,
            quantized,
            constants,
        })
    }

    fn scales(&self) -> Option<&'v Tensor> {
        match &self.input {
            Input::Float(_) => None,
            Input::Codes(_, scales) => Some(scales.0),
        }
    }
}

impl Merged {
    /// The operator and what it reads.
    pub fn operator(&self, mask: &str) -> (&'static str, Vec<String>) {
        let mut inputs = self.inputs.clone();
        match self.quantized {
            false => {
                if !mask.is_empty() {
                    inputs.push(mask.to_owned());
                }
                ("Attention", inputs)
            }
            true => {
                // Behind the scales, before the zero point.
                inputs.insert(5, mask.to_owned());
                ("QAttention", inputs)
            }
        }
    }
}

/// `Mul(Cast(MatMulInteger(codes, W, zero)), Mul(scale, scales))`, as the quantiser writes it.
fn codes<'v>(node: &NodeProto, view: &'v View<'_>) -> Option<(Input<'v>, &'v Tensor)> {
    let [a, b] = node.input.as_slice() else {
        return None;
    };
    let (cast, scale) = [(a, b), (b, a)]
        .into_iter()
        .find_map(|(cast, scale)| Some((view.sole(cast, "Cast")?, view.sole(scale, "Mul")?)))?;
    let product = view.sole(cast.input_at(0)?, "MatMulInteger")?;
    let (codes, zero) = (product.input_at(0)?, product.input_at(2)?);
    let source = view
        .producer(codes)
        .filter(|n| n.is("DynamicQuantizeLinear"))?;
    let [own_codes, own_scale, own_zero] = source.output.as_slice() else {
        return None;
    };
    let [a, b] = scale.input.as_slice() else {
        return None;
    };
    let scales = match (a == own_scale, b == own_scale) {
        (true, false) => view.constant(b)?,
        (false, true) => view.constant(a)?,
        _ => return None,
    };
    let weight = view.constant_at(product, 1)?;
    let symmetric = product.input_at(3).is_none();
    let [_, columns] = weight.dims[..] else {
        return None;
    };
    let fits = own_codes == codes
        && own_zero == zero
        && symmetric
        && scales.dims == [columns]
        && scales.dtype == DType::F32
        && view.facts.rank(source.input_at(0)?)? == 3;
    fits.then_some((
        Input::Codes([codes, own_scale, zero], Scales(scales)),
        weight,
    ))
}
