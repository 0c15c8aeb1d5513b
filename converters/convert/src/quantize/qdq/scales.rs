//! Which codes the values get.
//!
//! What is moved keeps its scale. Inputs of a `Concat` whose ranges are alike share the scale of the
//! result, so that they are copied; others are written anew in its scale by ONNX Runtime.

use std::collections::HashMap;

use super::super::int8::Codes;
use super::super::range::Range;
use super::super::{Request, Seen};
use super::Settings;
use super::place::{Kind, Place};

/// Ranges are alike when their hull is no wider than either by more than this.
const ALIKE: f32 = 1.25;

/// The codes of all values that taken nodes read and give.
pub(super) struct Scales<'a> {
    /// Value to the value whose codes it shares.
    shared: HashMap<&'a str, &'a str>,
    ranges: HashMap<&'a str, Range>,
    signed: bool,
}

impl<'a> Scales<'a> {
    pub fn new(request: &Request<'a>, place: &Place<'a>, settings: &Settings) -> Self {
        let mut scales = Self {
            shared: HashMap::new(),
            ranges: HashMap::new(),
            signed: settings.signed,
        };
        let taken = request.graph.nodes.iter().filter(|n| place.is_taken(n));
        for node in taken {
            for value in place.data(node).chain(place.results(node)) {
                if !scales.ranges.contains_key(value) {
                    let range = wanted(value, request.seen, place, settings);
                    scales.ranges.insert(value, range);
                }
            }
            if Place::kind(node) == Some(Kind::Moves) {
                for moved in place.data(node) {
                    let root = scales.root(moved);
                    let results = place.results(node);
                    scales.shared.extend(results.map(|result| (result, root)));
                }
            } else if node.is("Concat") {
                for result in place.results(node) {
                    for input in place.data(node) {
                        scales.join(input, result, place);
                    }
                }
            }
        }
        scales
    }

    /// The value that stands for all which share its codes.
    pub fn root<'v>(&self, value: &'v str) -> &'v str
    where
        'a: 'v,
    {
        let mut root = value;
        while let Some(next) = self.shared.get(root).filter(|next| **next != root) {
            root = next;
        }
        root
    }

    pub fn codes(&self, value: &str) -> Codes {
        let range = self.ranges.get(self.root(value)).copied();
        Codes::new(range.unwrap_or(Range::holding_zero(0.0, 0.0)), self.signed)
    }

    fn join(&mut self, one: &'a str, other: &'a str, place: &Place<'a>) {
        let (one, other) = (self.root(one), self.root(other));
        let (Some(a), Some(b)) = (self.ranges.get(one), self.ranges.get(other)) else {
            return;
        };
        let hull = a.hull(*b);
        let span = |range: &Range| range.high - range.low;
        let alike = span(&hull) <= ALIKE * span(a).min(span(b));
        // The end of the codes is where a `Relu` or `Clip` cuts.
        let cut = place.is_clamped(one) || place.is_clamped(other);
        if one != other && alike && (!cut || a == b) {
            self.shared.insert(one, other);
            self.ranges.insert(other, hull);
        }
    }
}

/// The range of a value by itself.
fn wanted(value: &str, seen: &Seen, place: &Place<'_>, settings: &Settings) -> Range {
    let range = |value: &str| match seen.get(value) {
        Some(seen) => settings.method.range(seen),
        None => Range::holding_zero(0.0, 0.0),
    };
    let own = range(value);
    match place.silu(value) {
        Some(silu) => {
            let result = range(silu.result());
            let step = Codes::new(result, settings.signed).scale;
            Range {
                low: own.low.max(silu_floor(step)),
                ..own
            }
        }
        None => own,
    }
}

/// Where x·σ(x) has come so close to zero, from below, that codes with this step do not tell it from
/// zero. Codes for anything lower would be wasted.
fn silu_floor(step: f32) -> f32 {
    // x·σ(x) has its minimum at −1.28 and grows towards zero to the left of it.
    let mut x = -1.3f32;
    while x > -20.0 && -x / (1.0 + (-x).exp()) > step / 2.0 {
        x -= 0.1;
    }
    x
}
