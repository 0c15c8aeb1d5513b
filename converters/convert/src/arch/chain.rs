//! `Linear` layers one behind the other, over N×D.

use std::collections::{BTreeMap, BTreeSet};

use bevel_onnx::Tensor;

use super::layers::Net;
use super::nonlinear::Nonlinear;
use crate::Error;
use crate::weights::Weights;

/// More layers than any model has.
const MAX_LAYERS: usize = 1024;

/// Tries to put layers in an order before it counts as unknown.
const MAX_STEPS: usize = 10_000;

impl Net<'_> {
    /// `x·Wᵀ + b` for x N×D from a PyTorch `Linear`, with the bias where it has one: one operator, which
    /// reads the weight as it lies. Answers the width that comes out, too.
    pub fn dense(&mut self, x: &str, name: &str, inputs: usize) -> Result<(String, usize), Error> {
        let (weight, bias) = self.dense_weights(name, inputs)?;
        let outputs = self.rows(&format!("{name}.weight"));
        Ok((self.gemm(x, weight, bias), outputs))
    }

    /// The weight outputs×inputs of a PyTorch `Linear`, and the bias where it has one.
    pub fn dense_weights(
        &self,
        name: &str,
        inputs: usize,
    ) -> Result<(Tensor, Option<Tensor>), Error> {
        let weight = format!("{name}.weight");
        let outputs = self.rows(&weight);
        let weight = self.weights.take(&weight, &[outputs, inputs])?;
        let bias = format!("{name}.bias");
        let bias = match self.weights.contains(&bias) {
            true => Some(self.weights.take(&bias, &[outputs])?),
            false => None,
        };
        Ok((weight, bias))
    }

    /// `x·Wᵀ + b` for x N×D and W outputs×inputs.
    pub fn gemm(&mut self, x: &str, weight: Tensor, bias: Option<Tensor>) -> String {
        let weight = self.graph.initializer(weight);
        let bias = bias.map(|bias| self.graph.initializer(bias));
        let inputs: Vec<&str> = [x, &weight].into_iter().chain(bias.as_deref()).collect();
        self.graph.node("Gemm", &inputs, [("transB", 1.into())])
    }

    /// The layers of these names, each with what follows it, but for the last. Answers the width that
    /// comes out, too.
    pub fn chain(
        &mut self,
        x: &str,
        layers: &[String],
        inputs: usize,
        between: Nonlinear,
    ) -> Result<(String, usize), Error> {
        let (mut x, mut width) = (x.to_owned(), inputs);
        for (i, layer) in layers.iter().enumerate() {
            self.graph.set_scope(layer);
            if i > 0 {
                x = self.nonlinear(&x, between);
            }
            (x, width) = self.dense(&x, layer, width)?;
        }
        Ok((x, width))
    }
}

/// Layers `{prefix}{number}` in the order of their numbers, as `nn.Sequential` names them.
pub(super) fn numbered(weights: &Weights<'_>, prefix: &str) -> Vec<String> {
    let number = |name: &str| -> Option<u32> {
        let name = name.strip_prefix(prefix)?.strip_suffix(".weight")?;
        name.parse().ok()
    };
    let numbers: BTreeSet<u32> = weights.names().filter_map(number).collect();
    let layers = numbers.into_iter();
    layers.map(|number| format!("{prefix}{number}")).collect()
}

/// Names of layers to [inputs, outputs].
pub(super) type Sizes = BTreeMap<String, [usize; 2]>;

/// The sizes of tensors that are all weights and biases of `Linear` layers; `None` where they are not.
pub(super) fn sizes<'a>(
    weights: &Weights<'_>,
    names: impl Iterator<Item = &'a str>,
) -> Option<Sizes> {
    let (mut sizes, mut biases) = (Sizes::new(), Vec::new());
    for name in names {
        match (name.rsplit_once('.')?, weights.shape(name)?) {
            (_, shape) if shape.contains(&0) => return None,
            ((layer, "weight"), [outputs, inputs]) => {
                sizes.insert(layer.to_owned(), [*inputs, *outputs]);
            }
            ((layer, "bias"), [outputs]) => biases.push((layer, *outputs)),
            _ => return None,
        }
    }
    let fits = |(layer, rows): &(&str, usize)| sizes.get(*layer).is_some_and(|s| s[1] == *rows);
    ((1..=MAX_LAYERS).contains(&sizes.len()) && biases.iter().all(fits)).then_some(sizes)
}

/// How layers follow one another.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The only way in which they do.
    Known(Vec<String>),
    /// In several ways.
    Several,
    /// In no way.
    None,
}

/// The order in which each layer takes what the one before it gives. Names that differ by numbers
/// alone keep the order of their numbers.
pub(super) fn order(sizes: &Sizes) -> Order {
    let mut groups: BTreeMap<String, Vec<(Vec<u64>, &str)>> = BTreeMap::new();
    for name in sizes.keys() {
        let (stem, numbers) = stem(name);
        groups.entry(stem).or_default().push((numbers, name));
    }
    let groups: Vec<Vec<&str>> = groups
        .into_values()
        .map(|mut group| {
            group.sort();
            group.into_iter().map(|(_, name)| name).collect()
        })
        .collect();
    let mut search = Search {
        sizes,
        at: vec![0; groups.len()],
        groups,
        path: Vec::new(),
        found: Vec::new(),
        steps: 0,
    };
    search.extend(None);
    match (search.found.pop(), search.found.is_empty()) {
        _ if search.steps > MAX_STEPS => Order::Several,
        (Some(order), true) => Order::Known(order.into_iter().map(str::to_owned).collect()),
        (Some(_), false) => Order::Several,
        (None, _) => Order::None,
    }
}

/// Whether each layer takes what the one before it gives.
pub(super) fn follow(sizes: &Sizes, order: &[String]) -> bool {
    let mut width = None;
    let fits = |name: &String| {
        let size = sizes.get(name);
        let fits = size.is_some_and(|[inputs, _]| width.is_none_or(|width| width == *inputs));
        width = size.map(|size| size[1]);
        fits
    };
    let unique: BTreeSet<_> = order.iter().collect();
    order.len() == sizes.len() && unique.len() == order.len() && order.iter().all(fits)
}

/// A name with its numbers taken out, and these.
pub(super) fn stem(name: &str) -> (String, Vec<u64>) {
    let (mut stem, mut numbers, mut inside) = (String::new(), Vec::new(), false);
    for c in name.chars() {
        match (c.to_digit(10), inside, numbers.last_mut()) {
            (Some(digit), true, Some(number)) => {
                *number = u64::saturating_add(u64::saturating_mul(*number, 10), digit.into());
            }
            (Some(digit), ..) => {
                numbers.push(digit.into());
                stem.push('#');
            }
            (None, ..) => stem.push(c),
        }
        inside = c.is_ascii_digit();
    }
    (stem, numbers)
}

/// Looks for two orders; one of a thousand layers under one stem is found straight away.
struct Search<'a> {
    sizes: &'a Sizes,
    groups: Vec<Vec<&'a str>>,
    /// How many of each group are in the path.
    at: Vec<usize>,
    path: Vec<&'a str>,
    found: Vec<Vec<&'a str>>,
    steps: usize,
}

impl Search<'_> {
    fn extend(&mut self, width: Option<usize>) {
        if self.path.len() == self.sizes.len() {
            self.found.push(self.path.clone());
            return;
        }
        for group in 0..self.groups.len() {
            let Some(name) = self.groups[group].get(self.at[group]).copied() else {
                continue;
            };
            let Some([inputs, outputs]) = self.sizes.get(name) else {
                continue;
            };
            self.steps += 1;
            if self.steps > MAX_STEPS || self.found.len() > 1 {
                return;
            }
            if width.is_none_or(|width| width == *inputs) {
                self.at[group] += 1;
                self.path.push(name);
                self.extend(Some(*outputs));
                self.path.pop();
                self.at[group] -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_put_in_order() {
        struct Case {
            name: &'static str,
            layers: &'static [(&'static str, [usize; 2])],
            expected: Result<&'static [&'static str], Order>,
        }
        let cases = [
            Case {
                name: "numbers beyond nine",
                layers: &[("0", [4, 8]), ("10", [8, 3]), ("2", [8, 8])],
                expected: Ok(&["0", "2", "10"]),
            },
            Case {
                name: "words, by their shapes",
                layers: &[("hidden", [8, 9]), ("in", [4, 8]), ("out", [9, 2])],
                expected: Ok(&["in", "hidden", "out"]),
            },
            Case {
                name: "numbers and a word",
                layers: &[
                    ("fc1", [4, 8]),
                    ("fc2", [8, 8]),
                    ("fc3", [8, 8]),
                    ("head", [8, 2]),
                ],
                expected: Ok(&["fc1", "fc2", "fc3", "head"]),
            },
            Case {
                name: "an autoencoder, which may begin on either side",
                layers: &[("decoder.0", [2, 8]), ("encoder.0", [8, 2])],
                expected: Err(Order::Several),
            },
            Case {
                name: "two heads",
                layers: &[("a", [4, 8]), ("b", [8, 2]), ("c", [8, 2])],
                expected: Err(Order::None),
            },
            Case {
                name: "numbers that do not follow",
                layers: &[("fc1", [8, 2]), ("fc2", [4, 8])],
                expected: Err(Order::None),
            },
        ];
        for case in cases {
            let layers = case.layers.iter().map(|(n, s)| ((*n).to_owned(), *s));
            let sizes: Sizes = layers.collect();
            match (order(&sizes), case.expected) {
                (Order::Known(order), Ok(expected)) => {
                    assert_eq!(order, expected, "{}", case.name);
                    assert!(follow(&sizes, &order), "{}", case.name);
                }
                (order, Err(expected)) => assert_eq!(order, expected, "{}", case.name),
                (order, _) => panic!("{}: {order:?}", case.name),
            }
        }
    }

    #[test]
    fn many_orders_end_the_search() {
        let square = |i: u8| (format!("{}x", char::from(b'a' + i)), [4, 4]);
        let sizes: Sizes = (0..26).map(square).collect();
        assert_eq!(order(&sizes), Order::Several);
        // No order at all, and a tree without end before that is known.
        let mut sizes = sizes;
        sizes.insert("odd".into(), [5, 5]);
        assert_eq!(order(&sizes), Order::Several);
    }
}
