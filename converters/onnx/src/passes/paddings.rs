//! `Conv(Pad(x))` with zeros around the picture becomes a `Conv` that pads by itself.

use super::{Rewrite, View};
use crate::eval::numbers::Numbers;
use crate::proto::NodeProto;

pub(super) fn rule(node: &NodeProto, view: &View<'_>) -> Option<Rewrite> {
    if !node.is("Conv") || node.text("auto_pad").is_some_and(|mode| mode != "NOTSET") {
        return None;
    }
    let pad = view.sole(node.input_at(0)?, "Pad")?;
    let zeros = match pad.input_at(2) {
        None => true,
        Some(value) => match Numbers::read(view.constant(value)?)? {
            Numbers::Single(fill) => fill.iter().all(|x| *x == 0.0),
            Numbers::Double(fill) => fill.iter().all(|x| *x == 0.0),
            Numbers::Int(_) => false,
        },
    };
    let constant = pad.text("mode").is_none_or(|mode| mode == "constant");
    if !zeros || !constant || pad.input_at(3).is_some() {
        return None;
    }
    let around = view.ints_at(pad, 1)?;
    let (before, behind) = around.split_at(around.len() / 2);
    let count = before.len().checked_sub(2)?;
    let own = match node.ints("pads") {
        Some(pads) if pads.len() == 2 * count => pads.to_vec(),
        Some(_) => return None,
        None => vec![0; 2 * count],
    };
    let outside = [&before[..2], behind.get(..2)?].concat();
    if outside.iter().any(|pad| *pad != 0) || around.iter().any(|pad| *pad < 0) {
        return None;
    }
    let more = before[2..].iter().chain(behind.get(2..)?);
    let pads = own.iter().zip(more).map(|(a, b)| a.checked_add(*b));
    let pads: Vec<i64> = pads.collect::<Option<_>>()?;
    let mut padded = node.clone();
    padded.input[0] = pad.input_at(0)?.to_owned();
    padded.set("pads", pads);
    Rewrite::node(padded)
}
