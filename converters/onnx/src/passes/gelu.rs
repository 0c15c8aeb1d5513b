//! The Gaussian error linear unit that an exporter took apart (Hendrycks and Gimpel 2016,
//! arXiv:1606.08415), f32.
//!
//! | before | after |
//! |---|---|
//! | `½·x·(1 + Erf(x / √2))` | `Gelu(x)` |
//! | `½·x·(1 + Tanh(√(2/π)·(x + 0.044715·x³)))` | `Gelu(x)`, approximate `tanh` |
//! | the same with `√(2/π)·x·(1 + 0.044715·x²)` inside | the same |
//!
//! Factors may come in any order and grouping, quotients as products and powers as products.

use super::{Rewrite, View};
use crate::DType;
use crate::proto::NodeProto;

/// A product: the constants together, and the values that they are multiplied with.
struct Product<'a> {
    constant: f64,
    factors: Vec<&'a str>,
}

/// Deeper products are no Gelu.
const MAX_FACTORS: usize = 4;

pub(super) fn rule(node: &NodeProto, view: &View<'_>) -> Option<Rewrite> {
    if !node.is("Mul") || view.facts.dtype(node.result()) != Some(DType::F32) {
        return None;
    }
    let product = Product::of(node, view)?;
    let [a, b] = product.factors[..] else {
        return None;
    };
    if !near(product.constant, 0.5) {
        return None;
    }
    let (x, approximate) = [(a, b), (b, a)]
        .into_iter()
        .find_map(|(x, gate)| Some((x, gated(x, gate, view)?)))?;
    // A constant of more dimensions than x would have made the result larger.
    if view.facts.rank(x)? != view.facts.rank(node.result())? {
        return None;
    }
    let attributes = [("approximate", approximate.into())];
    let gelu = NodeProto::new("Gelu", &[x], &[node.result()], attributes);
    Rewrite::node(NodeProto {
        name: node.name.clone(),
        ..gelu
    })
}

/// Which kind of Gelu the factor beside x makes.
fn gated(x: &str, gate: &str, view: &View<'_>) -> Option<&'static str> {
    let gate = view.sole(gate, "Add")?;
    let (inner, one) = view.with_number(gate)?;
    if one != 1.0 {
        return None;
    }
    if let Some(erf) = view.sole(inner, "Erf") {
        let inside = Product::at(erf.input_at(0)?, view)?;
        let same = inside.factors == [x] && near(inside.constant, std::f64::consts::FRAC_1_SQRT_2);
        return same.then_some("none");
    }
    let tanh = view.sole(inner, "Tanh")?;
    let inside = Product::at(tanh.input_at(0)?, view)?;
    let root = (2.0 / std::f64::consts::PI).sqrt();
    let cubic = match inside.factors[..] {
        [sum] => {
            let [a, b] = view.sole(sum, "Add")?.input.as_slice() else {
                return None;
            };
            let cube = if a == x { b } else { a };
            (a == x || b == x).then_some((cube.as_str(), 3))
        }
        [a, b] => {
            let sum = if a == x { b } else { a };
            let (square, one) = view.with_number(view.sole(sum, "Add")?)?;
            ((a == x || b == x) && one == 1.0).then_some((square, 2))
        }
        _ => None,
    };
    let (power, count) = cubic?;
    let power = Product::at(power, view)?;
    let same = near(inside.constant, root)
        && near(power.constant, 0.044_715)
        && power.factors.len() == count
        && power.factors.iter().all(|factor| *factor == x);
    same.then_some("tanh")
}

/// Equal but for what f32 leaves of a constant.
fn near(a: f64, b: f64) -> bool {
    (a / b - 1.0).abs() < 1e-6
}

impl<'a> Product<'a> {
    /// The product that a node makes.
    fn of(node: &'a NodeProto, view: &'a View<'_>) -> Option<Self> {
        let mut product = Self {
            constant: 1.0,
            factors: Vec::new(),
        };
        product.node(node, view)?;
        Some(product)
    }

    /// The product behind a value, which may be a single factor.
    fn at(value: &'a str, view: &'a View<'_>) -> Option<Self> {
        let mut product = Self {
            constant: 1.0,
            factors: Vec::new(),
        };
        product.value(value, view)?;
        Some(product)
    }

    fn value(&mut self, value: &'a str, view: &'a View<'_>) -> Option<()> {
        if let Some(number) = view.number(value) {
            self.constant *= f64::from(number);
            return Some(());
        }
        // What others read as well is a factor of its own: x is.
        let inner = view.producer(value).filter(|_| view.readers_of(value) == 1);
        if let Some(inner) = inner
            && self.node(inner, view).is_some()
        {
            return Some(());
        }
        self.factors.push(value);
        (self.factors.len() <= MAX_FACTORS).then_some(())
    }

    fn node(&mut self, node: &'a NodeProto, view: &'a View<'_>) -> Option<()> {
        let [a, b] = node.input.as_slice() else {
            return None;
        };
        if !node.is_standard() {
            return None;
        }
        match (node.op_type(), view.number(b)) {
            ("Mul", _) => {
                self.value(a, view)?;
                self.value(b, view)
            }
            ("Div", Some(number)) => {
                self.constant /= f64::from(number);
                self.value(a, view)
            }
            ("Pow", Some(2.0)) => {
                self.factors.extend([a.as_str(); 2]);
                Some(())
            }
            ("Pow", Some(3.0)) => {
                self.factors.extend([a.as_str(); 3]);
                Some(())
            }
            _ => None,
        }
    }
}
