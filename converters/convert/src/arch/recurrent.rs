//! Recurrent layers of PyTorch, `nn.RNN`, `nn.LSTM` and `nn.GRU`, as ONNX has them.
//!
//! | weight of layer k | PyTorch | ONNX |
//! |---|---|---|
//! | `weight_ih_l{k}` | G·H×I | `W` D×G·H×I |
//! | `weight_hh_l{k}` | G·H×H | `R` D×G·H×H |
//! | `bias_ih_l{k}`, `bias_hh_l{k}` | G·H | `B` D×2·G·H, one behind the other |
//! | `weight_hr_l{k}`, LSTM with `proj_size` | P×H | none |
//!
//! D counts directions; the weights of the backward one end in `_reverse`. G counts gates, which have
//! another order in ONNX: LSTM i, f, g, o become i, o, f, g; GRU r, z, n become z, r, n, and its reset
//! gate works on `R·h + b`.
//!
//! ONNX knows no projection (Sak et al. 2014, arXiv:1402.1128): the state that goes round is
//! `r = P·h` there. `R·r` is `(R·P)·h`, so with `R·P` in place of R the cell needs none, and what comes
//! out is projected behind it.

use bevel_onnx::{Attribute, Tensor};

use super::layers::Net;
use crate::Error;
use crate::weights::Weights;

/// `R·P` has 4·H×H elements, which a small file could make as many as it likes.
const MAX_PROJECTED: usize = 1 << 12;

/// What one step computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    /// By the operator of its non-linearity: `Tanh` or `Relu`.
    Rnn(&'static str),
    Lstm,
    Gru,
}

impl Cell {
    /// Gates of ONNX, each by its place in PyTorch.
    fn gates(self) -> &'static [usize] {
        match self {
            Self::Rnn(_) => &[0],
            Self::Lstm => &[0, 3, 1, 2],
            Self::Gru => &[1, 0, 2],
        }
    }
}

/// Endings of the weights of each direction.
pub(super) const FORWARD: &[&str] = &[""];
pub(super) const BACKWARD: &[&str] = &["_reverse"];
pub(super) const BOTH: &[&str] = &["", "_reverse"];

/// What the layers of a module have in common. A module is named with the dot behind it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recurrence {
    pub cell: Cell,
    /// [`FORWARD`], [`BOTH`], or [`BACKWARD`] for a sequence that was turned round or has one step.
    pub directions: &'static [&'static str],
    pub bias: bool,
    /// H.
    pub hidden: usize,
    /// P, where the state is projected.
    pub projection: Option<usize>,
}

impl Recurrence {
    /// The module of this name by its first layer; `None` where the weights are of no such module.
    pub fn read(weights: &Weights<'_>, module: &str) -> Option<Self> {
        let of = |part: &str| weights.shape(&format!("{module}{part}_l0"));
        let projection = of("weight_hr");
        let &[rows, state] = of("weight_hh")? else {
            return None;
        };
        let hidden = projection.map_or(Some(state), |p| p.get(1).copied())?;
        let cell = match (rows.checked_div(hidden)?, rows.checked_rem(hidden)?) {
            _ if state == 0 => return None,
            (1, 0) => Cell::Rnn("Tanh"),
            (3, 0) => Cell::Gru,
            (4, 0) => Cell::Lstm,
            _ => return None,
        };
        Some(Self {
            cell,
            directions: match weights.contains(&format!("{module}weight_ih_l0_reverse")) {
                true => BOTH,
                false => FORWARD,
            },
            bias: of("bias_ih").is_some(),
            hidden,
            projection: projection.map(|_| state),
        })
    }

    /// What comes out of one direction at each step.
    pub fn state(&self) -> usize {
        self.projection.unwrap_or(self.hidden)
    }
}

impl Net<'_> {
    /// Layer `k` of a module over x T×N×I: `h` of every step T×D×N×H, and of the last step of each
    /// direction D×N×H. Projections are left to [`projection`](Self::projection).
    pub fn recurrence(
        &mut self,
        x: &str,
        module: &str,
        k: usize,
        layer: &Recurrence,
        inputs: usize,
    ) -> Result<[String; 2], Error> {
        let gates = layer.cell.gates();
        let rows = gates.len() * layer.hidden;
        let directions = layer.directions.iter();
        let names: Vec<String> = directions
            .map(|direction| format!("_l{k}{direction}"))
            .collect();
        // The gates of a tensor, in the order of the operator.
        let take = |part: &str, columns: &[usize]| -> Result<Vec<f32>, Error> {
            let dims: Vec<usize> = [rows].iter().chain(columns).copied().collect();
            let elements = self.weights.take_f32(&format!("{module}{part}"), &dims)?;
            let size = elements.len() / gates.len();
            let gates = gates.iter().map(|gate| gate * size..(gate + 1) * size);
            Ok(gates.flat_map(|at| &elements[at]).copied().collect())
        };
        let (mut w, mut r, mut b) = (Vec::new(), Vec::new(), Vec::new());
        for name in &names {
            w.extend(take(&format!("weight_ih{name}"), &[inputs])?);
            let states = take(&format!("weight_hh{name}"), &[layer.state()])?;
            r.extend(match layer.projection {
                Some(_) => {
                    let projection = self.projected(module, name, layer)?;
                    product(&states, &projection, layer)
                }
                None => states,
            });
            if layer.bias {
                b.extend(take(&format!("bias_ih{name}"), &[])?);
                b.extend(take(&format!("bias_hh{name}"), &[])?);
            }
        }
        let mut initializer = |part: &str, columns: &[usize], elements: Vec<f32>| {
            let dims: Vec<usize> = [names.len()].iter().chain(columns).copied().collect();
            let name = format!("{module}{part}_l{k}");
            self.graph.initializer(Tensor::f32(name, &dims, elements))
        };
        let w = initializer("weight_ih", &[rows, inputs], w);
        let r = initializer("weight_hh", &[rows, layer.hidden], r);
        let b = layer.bias.then(|| initializer("bias", &[2 * rows], b));
        let inputs: Vec<&str> = [x, &w, &r].into_iter().chain(b.as_deref()).collect();

        let hidden = ("hidden_size", Attribute::from(layer.hidden as i64));
        let direction = match names.len() {
            1 => "forward",
            _ => "bidirectional",
        };
        let direction = ("direction", direction.into());
        Ok(match layer.cell {
            Cell::Lstm => self.graph.node_of("LSTM", &inputs, [hidden, direction]),
            Cell::Gru => {
                let reset = ("linear_before_reset", 1.into());
                self.graph
                    .node_of("GRU", &inputs, [hidden, direction, reset])
            }
            Cell::Rnn(activation) => {
                let activations = Attribute::Texts(vec![activation.into(); names.len()]);
                let activations = ("activations", activations);
                self.graph
                    .node_of("RNN", &inputs, [hidden, direction, activations])
            }
        })
    }

    /// `P·h` for h …×D×N×H, or …×N×H of one direction.
    pub fn projection(
        &mut self,
        x: &str,
        module: &str,
        k: usize,
        layer: &Recurrence,
    ) -> Result<String, Error> {
        let Some(outputs) = layer.projection else {
            return Ok(x.to_owned());
        };
        let mut elements = Vec::new();
        for direction in layer.directions {
            let name = format!("{module}weight_hr_l{k}{direction}");
            let dims = [outputs, layer.hidden];
            let transposed = self.weights.take_transposed(&name, dims[0], dims[1])?;
            elements.extend(transposed.as_f32().unwrap_or_default().iter());
        }
        let mut dims = vec![layer.hidden, outputs];
        if layer.directions.len() > 1 {
            dims.insert(0, layer.directions.len());
        }
        elements.resize(dims.iter().product(), 0.0);
        let weight = Tensor::f32(format!("{module}weight_hr_l{k}"), &dims, elements);
        Ok(self.affine(x, weight, None))
    }

    fn projected(&self, module: &str, name: &str, layer: &Recurrence) -> Result<Vec<f32>, Error> {
        if layer.hidden > MAX_PROJECTED {
            return Err(Error::Request(format!(
                "`{module}` projects a state of {}; at most {MAX_PROJECTED} can be converted",
                layer.hidden
            )));
        }
        let name = format!("{module}weight_hr{name}");
        self.weights.take_f32(&name, &[layer.state(), layer.hidden])
    }
}

/// `R·P`: G·H×P by P×H.
fn product(states: &[f32], projection: &[f32], layer: &Recurrence) -> Vec<f32> {
    let (width, hidden) = (layer.state().max(1), layer.hidden.max(1));
    let mut elements = Vec::with_capacity(states.len() / width * hidden);
    let mut sums = vec![0f64; hidden];
    for row in states.chunks_exact(width) {
        sums.fill(0.0);
        for (factor, column) in row.iter().zip(projection.chunks_exact(hidden)) {
            for (sum, x) in sums.iter_mut().zip(column) {
                *sum += f64::from(*factor) * f64::from(*x);
            }
        }
        elements.extend(sums.iter().map(|sum| *sum as f32));
    }
    elements
}
