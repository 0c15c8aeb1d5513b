//! Layers and batch norms by the names of their weights alone.
//!
//! | names | a batch norm stands |
//! |---|---|
//! | `net.3` and `net.4`, numbers of one `nn.Sequential` | behind layer 3, before what follows |
//! | `net.3` and `net.5`, or higher | behind what follows layer 3 |
//! | `net.0` and no layer of a lower number | before all layers |
//! | `fc2` and `bn2`, `layers.1` and `norms.1`, `layers.1.linear` and `layers.1.norm` | behind the layer, before what follows |

use std::collections::{BTreeMap, BTreeSet};

use super::{NAME, Step};
use crate::Error;
use crate::arch::chain::{self, Order, Sizes};
use crate::arch::nonlinear::Nonlinear;
use crate::weights::Weights;

/// What is said about batch norms of a state dict.
pub(super) const NORMS_ASSUMED: &str = "batch norms are assumed to stand where their names say, with \
                                        an ε of 1e-5; save the module whole to have it told";

/// The default of `nn.BatchNorm1d`.
const EPSILON: f32 = 1e-5;

pub(super) fn recognises(weights: &Weights<'_>) -> bool {
    // Two matrices without any bias are rather an adapter.
    let biased = weights.names().any(|name| name.ends_with(".bias"));
    biased && layers(weights).is_some_and(|sizes| chain::order(&sizes) != Order::None)
}

/// All that are no batch norms; `None` where they are not layers only.
fn layers(weights: &Weights<'_>) -> Option<Sizes> {
    let norms: BTreeSet<&str> = norms(weights).collect();
    let of_norm = |name: &str| {
        let module = name.rsplit_once('.').map(|(module, _)| module);
        module.is_some_and(|module| norms.contains(module))
    };
    chain::sizes(weights, weights.names().filter(|name| !of_norm(name)))
}

fn norms<'a>(weights: &'a Weights<'_>) -> impl Iterator<Item = &'a str> {
    let names = weights.names();
    names.filter_map(|name| name.strip_suffix(".running_mean"))
}

/// Steps in the order of the layers, or in that which the user `given`.
pub(super) fn steps(
    weights: &Weights<'_>,
    given: Option<&str>,
    between: Nonlinear,
) -> Result<Vec<Step>, Error> {
    let sizes = layers(weights).ok_or_else(|| {
        let next = "weights and biases of Linear layers and batch norms are";
        unsupported("a checkpoint with other tensors", next.into())
    })?;
    let order = order(&sizes, given)?;
    let mut first = Vec::new();
    // Of each layer, what follows it before and after the non-linearity.
    let mut behind: BTreeMap<&str, [Vec<Step>; 2]> = BTreeMap::new();
    for norm in norms(weights) {
        let step = Step::BatchNorm(norm.into(), EPSILON);
        match place(norm, &order) {
            Some(Place::First) => first.push(step),
            Some(Place::Behind(layer)) => behind.entry(layer).or_default()[0].push(step),
            Some(Place::After(layer)) => behind.entry(layer).or_default()[1].push(step),
            None => {
                let next = "its number has to be that of a layer, or to follow on one; save the \
                            module whole";
                return Err(unsupported(&format!("batch norm `{norm}`"), next.into()));
            }
        }
    }
    let mut steps = first;
    for (i, layer) in order.iter().enumerate() {
        steps.push(Step::Linear(layer.clone()));
        let [before, after] = behind.remove(layer.as_str()).unwrap_or_default();
        steps.extend(before);
        // The last layer ends the model, unless something stands behind what follows it.
        if i + 1 < order.len() || !after.is_empty() {
            steps.push(Step::Nonlinear(between));
        }
        steps.extend(after);
    }
    Ok(steps)
}

/// Where a batch norm stands.
enum Place<'a> {
    First,
    /// Right behind a layer.
    Behind(&'a str),
    /// Behind the non-linearity of a layer.
    After(&'a str),
}

fn place<'a>(norm: &str, layers: &'a [String]) -> Option<Place<'a>> {
    let numbered = |name: &'a str| -> Option<(&'a str, u64)> {
        let (parent, number) = name.rsplit_once('.').unwrap_or(("", name));
        Some((parent, number.parse().ok()?))
    };
    let (parent, number) = norm.rsplit_once('.').unwrap_or(("", norm));
    if let Ok(number) = number.parse::<u64>() {
        let siblings = layers.iter().filter_map(|layer| {
            let (other, at) = numbered(layer)?;
            (other == parent).then_some((at, layer.as_str()))
        });
        let before = siblings.clone().filter(|(at, _)| *at < number).max();
        match (before, siblings.min()) {
            (Some((at, layer)), _) if at + 1 == number => return Some(Place::Behind(layer)),
            (Some((_, layer)), _) => return Some(Place::After(layer)),
            (None, Some(_)) => return Some(Place::First),
            // A list of its own, beside that of the layers.
            (None, None) => {}
        }
    }
    let (_, numbers) = chain::stem(norm);
    let mut same = layers.iter().filter(|layer| {
        let (_, of_layer) = chain::stem(layer);
        !numbers.is_empty() && of_layer == numbers
    });
    match (same.next(), same.next()) {
        (Some(layer), None) => Some(Place::Behind(layer)),
        _ => None,
    }
}

/// Names of the layers in order: those that the user gave, or the only order there is.
fn order(sizes: &Sizes, given: Option<&str>) -> Result<Vec<String>, Error> {
    if let Some(given) = given {
        let order = given.split(',').map(|name| name.trim().to_owned());
        let order: Vec<String> = order.collect();
        return match chain::follow(sizes, &order) {
            true => Ok(order),
            false => Err(Error::Request(format!(
                "--set layers={given}: expected all layers, each to take what the one before it \
                 gives: {}",
                list(sizes)
            ))),
        };
    }
    match chain::order(sizes) {
        Order::Known(order) => Ok(order),
        Order::Several => Err(Error::Request(format!(
            "the layers fit together in several ways, name them in order with --set layers=A,B,…: {}",
            list(sizes)
        ))),
        Order::None => {
            let layers = list(sizes);
            let next = format!("layers that follow one another are; there are {layers}");
            Err(unsupported("layers that do not fit together", next))
        }
    }
}

fn unsupported(what: &str, next: String) -> Error {
    Error::Unsupported {
        family: NAME,
        what: what.into(),
        next,
    }
}

fn list(sizes: &Sizes) -> String {
    const SHOWN: usize = 16;
    let layers = sizes.iter().take(SHOWN);
    let layers = layers.map(|(name, [inputs, outputs])| format!("{name} ({inputs} to {outputs})"));
    let more = match sizes.len() > SHOWN {
        true => format!(" and {} more", sizes.len() - SHOWN),
        false => String::new(),
    };
    layers.collect::<Vec<_>>().join(", ") + &more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_norms_stand_where_their_names_say() {
        struct Case {
            norm: &'static str,
            layers: &'static [&'static str],
            expected: &'static str,
        }
        let cases = [
            Case {
                norm: "1",
                layers: &["0", "3"],
                expected: "behind 0",
            },
            Case {
                norm: "net.5",
                layers: &["net.0", "net.3", "net.10"],
                expected: "after net.3",
            },
            Case {
                norm: "0",
                layers: &["1", "3"],
                expected: "first",
            },
            Case {
                norm: "bn2",
                layers: &["fc1", "fc2", "fc3"],
                expected: "behind fc2",
            },
            Case {
                norm: "layers.1.norm",
                layers: &["layers.0.linear", "layers.1.linear"],
                expected: "behind layers.1.linear",
            },
            Case {
                norm: "bn",
                layers: &["fc1", "out"],
                expected: "unknown",
            },
            Case {
                norm: "norms.0",
                layers: &["linears.0", "linears.1"],
                expected: "behind linears.0",
            },
        ];
        for case in cases {
            let layers: Vec<String> = case.layers.iter().map(|l| (*l).into()).collect();
            let found = match place(case.norm, &layers) {
                Some(Place::First) => "first".into(),
                Some(Place::Behind(layer)) => format!("behind {layer}"),
                Some(Place::After(layer)) => format!("after {layer}"),
                None => "unknown".into(),
            };
            assert_eq!(found, case.expected, "{} in {:?}", case.norm, case.layers);
        }
    }
}
