//! Scale and shift of each channel go into the weights of what is before them.
//!
//! | before | after |
//! |---|---|
//! | `BatchNormalization(Conv(x, W, b))` | `Conv(x, s·W, s·b + t)` |
//! | `Mul`, `Div`, `Add`, `Sub` of a `Conv` and a constant, one number or one a channel | the same |
//! | the same behind `ConvTranspose` and `Gemm` | the same |
//!
//! s = γ / √(σ² + ε) and t = β − μ·s (Ioffe and Szegedy 2015, arXiv:1502.03167). Weights keep their
//! type; the product is calculated in f64.

use super::{Rewrite, View};
use crate::Tensor;
use crate::eval::numbers::Numbers;
use crate::proto::NodeProto;

/// y = scale · x + shift, for each of C channels.
struct Affine {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

pub(super) fn rule(node: &NodeProto, view: &View<'_>) -> Option<Rewrite> {
    if !node.is_standard() || !node.has_one_result() {
        return None;
    }
    let kinds = ["Conv", "ConvTranspose", "Gemm"];
    let before = |value: &str| kinds.iter().find_map(|op| view.sole(value, op));
    let (linear, weights, affine) = match node.op_type() {
        "BatchNormalization" => {
            let linear = before(node.input_at(0)?)?;
            let weights = Weights::of(linear, view)?;
            let affine = normalization(node, view, weights.channels)?;
            (linear, weights, affine)
        }
        "Mul" | "Add" | "Sub" | "Div" => {
            let [a, b] = node.input.as_slice() else {
                return None;
            };
            let sides = [(a, b, false), (b, a, true)];
            let (linear, constant, turned) = sides
                .into_iter()
                .find_map(|(x, c, turned)| Some((before(x)?, view.constant(c)?, turned)))?;
            let weights = Weights::of(linear, view)?;
            let values = per_channel(constant, &weights)?;
            let affine = arithmetic(node.op_type(), values, turned)?;
            (linear, weights, affine)
        }
        _ => return None,
    };
    let (weight, bias) = weights.fold(linear, &affine, view)?;
    let mut folded = linear.clone();
    folded.output.clone_from(&node.output);
    folded.input = vec![
        linear.input_at(0)?.to_owned(),
        weight.name.clone(),
        bias.name.clone(),
    ];
    if linear.is("Gemm") {
        folded.unset("beta");
    }
    Some(Rewrite::Replace(vec![folded], vec![weight, bias]))
}

fn doubles(tensor: &Tensor) -> Option<Vec<f64>> {
    match Numbers::read(tensor)? {
        Numbers::Single(values) => Some(values.into_iter().map(f64::from).collect()),
        Numbers::Double(values) => Some(values),
        Numbers::Int(_) => None,
    }
}

fn normalization(node: &NodeProto, view: &View<'_>, channels: usize) -> Option<Affine> {
    if node.int("training_mode").unwrap_or(0) != 0 {
        return None;
    }
    let at = |place: usize| {
        let values = doubles(view.constant_at(node, place)?)?;
        (values.len() == channels).then_some(values)
    };
    let (gamma, beta, mean, variance) = (at(1)?, at(2)?, at(3)?, at(4)?);
    let epsilon = f64::from(node.float("epsilon").unwrap_or(1e-5));
    let scales = gamma.iter().zip(&variance);
    let scale: Vec<f64> = scales.map(|(g, v)| g / (v + epsilon).sqrt()).collect();
    let shift = (0..channels)
        .map(|c| beta[c] - mean[c] * scale[c])
        .collect();
    Some(Affine { scale, shift })
}

/// A constant as one number a channel; `None` when it differs along another axis, or makes the result
/// larger.
fn per_channel(constant: &Tensor, weights: &Weights<'_>) -> Option<Vec<f64>> {
    let (rank, channels) = (weights.rank, weights.channels);
    let lead = rank.checked_sub(constant.dims.len())?;
    let fits = constant.dims.iter().enumerate().all(|(i, size)| {
        let along = i + lead == 1;
        *size == 1 || along && *size == channels
    });
    if !fits || constant.dtype != weights.weight.dtype {
        return None;
    }
    let mut values = doubles(constant)?;
    if values.len() == 1 {
        values.resize(channels, values[0]);
    }
    (values.len() == channels).then_some(values)
}

fn arithmetic(op: &str, values: Vec<f64>, turned: bool) -> Option<Affine> {
    let count = values.len();
    let negated = || values.iter().map(|v| -v).collect();
    let (scale, shift) = match (op, turned) {
        ("Mul", _) => (values, vec![0.0; count]),
        ("Div", false) => (values.iter().map(|v| 1.0 / v).collect(), vec![0.0; count]),
        ("Add", _) => (vec![1.0; count], values),
        ("Sub", false) => (vec![1.0; count], negated()),
        // c − x
        ("Sub", true) => (vec![-1.0; count], values),
        _ => return None,
    };
    let finite = |values: &Vec<f64>| values.iter().all(|v| v.is_finite());
    (finite(&scale) && finite(&shift)).then_some(Affine { scale, shift })
}

/// The constants of a linear operator.
struct Weights<'a> {
    weight: &'a Tensor,
    bias: Option<&'a Tensor>,
    channels: usize,
    /// Number of dimensions of the result.
    rank: usize,
}

impl<'a> Weights<'a> {
    fn of(node: &NodeProto, view: &'a View<'_>) -> Option<Self> {
        let weight = view.constant_at(node, 1)?;
        let bias = match node.input_at(2) {
            Some(name) => Some(view.constant(name)?),
            None => None,
        };
        let dims = weight.dims.as_slice();
        let channels = match node.op_type() {
            "Conv" => *dims.first()?,
            "ConvTranspose" => {
                let group = usize::try_from(node.int("group").unwrap_or(1)).ok()?;
                dims.get(1)?.checked_mul(group)?
            }
            _ => *dims.get(usize::from(node.int("transB").unwrap_or(0) == 0))?,
        };
        Some(Self {
            weight,
            bias,
            channels,
            rank: dims.len(),
        })
    }

    /// The channel that an element of the weight belongs to.
    fn channel(&self, node: &NodeProto) -> Option<impl Fn(usize) -> usize + use<>> {
        let dims = self.weight.dims.clone();
        let count = self.weight.len();
        let first = *dims.first()?;
        // Elements of one step along the first axis.
        let step = count.checked_div(first)?.max(1);
        let kind = node.op_type().to_owned();
        let turned = node.int("transB").unwrap_or(0) != 0;
        let second = dims.get(1).copied().unwrap_or(1).max(1);
        let group = usize::try_from(node.int("group").unwrap_or(1)).ok()?.max(1);
        let inputs = first.checked_div(group)?.max(1);
        Some(move |i: usize| match kind.as_str() {
            "Conv" => i / step,
            "ConvTranspose" => i / step / inputs * second + i % step / (step / second).max(1),
            _ if turned => i / step,
            _ => i % second,
        })
    }

    /// The weight and bias that calculate `affine` as well.
    fn fold(&self, node: &NodeProto, affine: &Affine, view: &View<'_>) -> Option<(Tensor, Tensor)> {
        let dtype = self.weight.dtype;
        let channel = self.channel(node)?;
        let weight = doubles(self.weight)?.into_iter().enumerate();
        let weight: Vec<f64> = weight
            .map(|(i, w)| Some(w * affine.scale.get(channel(i))?))
            .collect::<Option<_>>()?;
        let beta = match node.op_type() {
            "Gemm" => f64::from(node.float("beta").unwrap_or(1.0)),
            _ => 1.0,
        };
        let mut bias = match self.bias {
            None => vec![0.0; self.channels],
            Some(bias) => {
                let one = matches!(bias.dims.as_slice(), [] | [_] | [1, _]);
                doubles(bias).filter(|_| one)?
            }
        };
        if bias.len() == 1 {
            bias.resize(self.channels, bias[0]);
        }
        if bias.len() != self.channels {
            return None;
        }
        let bias = (0..self.channels).map(|c| bias[c] * beta * affine.scale[c] + affine.shift[c]);
        let name = |of: &str| view.fresh(of);
        let tensor = |of: &str, values: Vec<f64>, dims: &[usize]| {
            let tensor = Numbers::Double(values).write(dtype, dims)?;
            Some(Tensor {
                name: name(of),
                ..tensor
            })
        };
        let bias_name = match self.bias {
            Some(bias) => bias.name.clone(),
            None => format!("{}.bias", self.weight.name),
        };
        Some((
            tensor(&self.weight.name, weight, &self.weight.dims)?,
            tensor(&bias_name, bias.collect(), &[self.channels])?,
        ))
    }
}
