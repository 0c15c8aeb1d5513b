//! Rotary position embedding (Su et al. 2021, arXiv:2104.09864).
//!
//! Each head's first R values are R/2 pairs, and position `p` turns pair `i` by `p · θ^(−2i/D)`. Here
//! a pair is value `i` and value `i + R/2`, as Llama has it. A model whose pairs are neighbours gets
//! its projections' columns in [`Rotary::paired`] order: attention is the same for any order that
//! queries and keys share.

use bevel_onnx::{DType, Tensor};

use super::layers::Net;

/// Which values of a head turn, and how fast.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turning {
    /// K, the width of a head.
    pub width: usize,
    /// D, of which every second one has a speed: R is D, made even.
    pub turning: usize,
    /// θ.
    pub base: f64,
}

impl Turning {
    /// R / 2.
    pub fn pairs(&self) -> usize {
        self.turning.div_ceil(2)
    }

    /// Where the values of a head of neighbouring pairs go: the first of each pair, the second of
    /// each, then those that do not turn.
    pub fn paired(&self) -> Vec<usize> {
        let (pairs, width) = (self.pairs(), self.width);
        let firsts = (0..pairs).map(|i| 2 * i);
        let seconds = (0..pairs).map(|i| 2 * i + 1);
        firsts.chain(seconds).chain(2 * pairs..width).collect()
    }
}

/// The turns of a sequence.
pub(super) struct Rotary {
    turning: Turning,
    /// T×R/2.
    cosines: String,
    sines: String,
}

impl Rotary {
    /// For positions that are i64 of T.
    pub fn new(net: &mut Net<'_>, positions: &str, turning: Turning) -> Self {
        let speed = |i: usize| {
            turning
                .base
                .powf(-((2 * i) as f64) / turning.turning as f64)
        };
        let speeds = (0..turning.pairs()).map(|i| speed(i) as f32).collect();
        let speeds = Tensor::f32("rotary.speeds", &[1, turning.pairs()], speeds);
        let column = net.i64s(&[1]);
        let to = i64::from(DType::F32.code());
        let graph = &mut net.graph;
        let speeds = graph.initializer(speeds);
        let positions = graph.node("Cast", &[positions], [("to", to.into())]);
        let positions = graph.node("Unsqueeze", &[&positions, &column], []);
        let angles = graph.node("Mul", &[&positions, &speeds], []);
        Self {
            turning,
            cosines: graph.node("Cos", &[&angles], []),
            sines: graph.node("Sin", &[&angles], []),
        }
    }

    /// Turns queries or keys, N×H×T×K.
    pub fn turn(&self, net: &mut Net<'_>, x: &str) -> String {
        let pairs = self.turning.pairs();
        let rest = self.turning.width - 2 * pairs;
        let axis = || [("axis", (-1).into())];
        let (a, b, rest) = if rest == 0 {
            let sizes = net.i64s(&[pairs as i64; 2]);
            let [a, b] = net.graph.node_of("Split", &[x, &sizes], axis());
            (a, b, None)
        } else {
            let sizes = net.i64s(&[pairs as i64, pairs as i64, rest as i64]);
            let [a, b, rest] = net.graph.node_of("Split", &[x, &sizes], axis());
            (a, b, Some(rest))
        };
        let graph = &mut net.graph;
        let mut product = |x: &str, y: &str| graph.node("Mul", &[x, y], []);
        let (ac, bs) = (product(&a, &self.cosines), product(&b, &self.sines));
        let (bc, as_) = (product(&b, &self.cosines), product(&a, &self.sines));
        let a = graph.node("Sub", &[&ac, &bs], []);
        let b = graph.node("Add", &[&bc, &as_], []);
        let parts: Vec<&str> = [a.as_str(), &b]
            .into_iter()
            .chain(rest.as_deref())
            .collect();
        graph.node("Concat", &parts, axis())
    }
}
