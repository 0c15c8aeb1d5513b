//! `bevel info --placement`: what each node of a graph runs on.

use std::collections::BTreeMap;

use bevel::{Devices, ModelFile, Options, PlacedNode, Placement};
use serde::Serialize;

use crate::show::table;

#[derive(Serialize)]
pub struct Placed {
    /// The device that was asked for and could be had.
    device: String,
    /// How many nodes each provider has.
    counts: BTreeMap<String, usize>,
    nodes: Vec<PlacedNode>,
}

/// Loads the graph on the first of the devices that can be had.
pub fn of(file: &ModelFile, devices: &Devices) -> anyhow::Result<Placed> {
    let mut options = Options::default();
    options.devices = devices.clone();
    let placement = Placement::load(file, &options)?;
    let counts = placement.counts().into_iter();
    Ok(Placed {
        device: placement.device.to_string(),
        counts: counts
            .map(|(name, count)| (name.to_string(), count))
            .collect(),
        nodes: placement.nodes,
    })
}

pub fn print(placed: &Placed) {
    let counts = placed.counts.iter();
    let counts: Vec<_> = counts
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    println!("  placed on {}: {}", placed.device, counts.join(", "));
    let row = |node: &PlacedNode| {
        vec![
            node.provider.clone(),
            node.operator.clone(),
            node.name.clone(),
        ]
    };
    let rows: Vec<_> = placed.nodes.iter().map(row).collect();
    print!("{}", table(&rows));
}
