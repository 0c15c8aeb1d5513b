//! The trunk and the feature pyramid over it (`BackboneWithFPN`).

use super::plan::{EPSILON, Plan};
use crate::Error;
use crate::arch::layers::{Activation, Net};
use crate::arch::map::{Conv2d, Map, Pool};
use crate::arch::{mobilenet, resnet};
use crate::weights::Weights;

/// Where the trunk and the pyramid keep their weights.
const BODY: &str = "backbone.body.";
const FPN: &str = "backbone.fpn";

/// Maps of one width, the finest first.
pub(super) struct Pyramid {
    /// Those that regions are cut from, and how much smaller they are than the picture.
    pub maps: Vec<(Map, usize)>,
    /// The coarsest, for proposals alone.
    pub top: Map,
}

/// Whether the trunk is a MobileNet.
pub(super) fn is_mobile(weights: &Weights<'_>) -> bool {
    weights.contains(&format!("{BODY}0.0.weight"))
}

/// The name, with its point, of the first batch normalisation.
pub(super) fn first_norm(weights: &Weights<'_>) -> String {
    let norm = if is_mobile(weights) { "0.1" } else { "bn1" };
    format!("{BODY}{norm}.")
}

fn inner(level: usize) -> String {
    format!("{FPN}.inner_blocks.{level}")
}

/// How many maps proposals come from.
pub(super) fn levels(weights: &Weights<'_>) -> usize {
    let has = |level: &usize| weights.contains(&format!("{}.0.weight", inner(*level)));
    (0..).take_while(has).count() + 1
}

pub(super) fn build(net: &mut Net<'_>, picture: &Map, plan: &Plan) -> Result<Pyramid, Error> {
    let stages = match is_mobile(net.weights) {
        true => mobilenet::stages(net, picture, BODY, plan.epsilon)?,
        false => {
            let stages = resnet::stages(net, picture, BODY, plan.epsilon)?;
            stages.into_iter().zip([4, 8, 16, 32]).collect()
        }
    };

    // Which maps of the trunk are taken shows in the widths of the convolutions that take them.
    let mut taken: Vec<(Map, usize)> = Vec::new();
    let mut rest = stages.iter();
    for level in 0..levels(net.weights) - 1 {
        let shape = net.weights.shape(&format!("{}.0.weight", inner(level)));
        let width = shape.and_then(|s| s.get(1)).copied().unwrap_or(0);
        let Some(stage) = rest.find(|(map, _)| map.channels == width || map.channels == 0) else {
            return Err(Error::Unsupported {
                family: plan.family,
                what: format!("a pyramid whose level {level} is over a map of {width} channels"),
                next: "it must be over stages of the trunk, from fine to coarse".into(),
            });
        };
        // Regions would be given to levels that there are not.
        if let Some((_, finer)) = taken.last()
            && stage.1 > 2 * finer
        {
            return Err(Error::Unsupported {
                family: plan.family,
                what: format!(
                    "a pyramid that leaves out the map between its levels {} and {level}",
                    level - 1
                ),
                next: "each must be at least half as fine as the one before".into(),
            });
        }
        taken.push(stage.clone());
    }

    // From the coarsest to the finest, each with what the coarser one says.
    let mut maps: Vec<(Map, usize)> = Vec::new();
    let mut above: Option<(Map, usize)> = None;
    for (level, (map, smaller)) in taken.iter().enumerate().rev() {
        net.graph.set_scope(inner(level));
        let mut x = conv(net, map, &inner(level), None)?;
        if let Some((above, coarser)) = above {
            let above = match coarser == *smaller {
                true => above,
                false => net.double(&above),
            };
            x = net.with("Add", &x, &[&above.value]);
        }
        let name = format!("{FPN}.layer_blocks.{level}");
        maps.push((conv(net, &x, &name, None)?, *smaller));
        above = Some((x, *smaller));
    }
    let Some((coarsest, _)) = maps.first() else {
        net.weights
            .take(&format!("{}.0.weight", inner(0)), &[0; 4])?;
        let top = picture.clone();
        return Ok(Pyramid { maps, top });
    };
    let every_other = Pool {
        kernel: 1,
        stride: 2,
        padding: 0,
        ceil: false,
    };
    let top = net.max_pool(&coarsest.clone(), every_other);
    maps.reverse();
    Ok(Pyramid { maps, top })
}

/// A `Conv2dNormActivation`: the batch normalisation is there or not.
pub(super) fn conv(
    net: &mut Net<'_>,
    x: &Map,
    name: &str,
    activation: Option<Activation>,
) -> Result<Map, Error> {
    let norm = format!("{name}.1");
    let kind = match net.weights.contains(&format!("{norm}.running_mean")) {
        true => Conv2d::PLAIN.norm(&norm, EPSILON),
        false => Conv2d::PLAIN,
    };
    let x = net.conv2d(x, &format!("{name}.0"), kind)?;
    Ok(match activation {
        Some(activation) => net.activated(&x, activation),
        None => x,
    })
}

/// `Conv2dNormActivation`s with ReLU, one behind the other, as many as there are.
pub(super) fn convs(net: &mut Net<'_>, x: &Map, name: &str) -> Result<Map, Error> {
    let mut x = x.clone();
    for layer in 0.. {
        let layer = format!("{name}.{layer}");
        if !net.weights.contains(&format!("{layer}.0.weight")) {
            break;
        }
        x = conv(net, &x, &layer, Some(Activation::Relu))?;
    }
    Ok(x)
}
