use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use bevel_manifest::{Recipe, Target, Task};

use crate::gate::Gate;

/// What the user decides about a conversion.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Options {
    /// The head to build; `None` asks the checkpoint.
    pub task: Option<Task>,
    /// The architecture family; `None` asks the checkpoint.
    pub arch: Option<String>,
    /// The precisions to build.
    pub quantize: Quantize,
    /// Plain ONNX only, without the operators of ONNX Runtime's own domain.
    pub portable: bool,
    /// A file with one label a line, in the order of the logits.
    pub labels: Option<PathBuf>,
    /// Preparation, decoding, licence and name as a recipe states them.
    pub recipe: Option<Recipe>,
    /// The folder of the recipe, where the files of its `beside` are.
    pub recipe_dir: Option<PathBuf>,
    /// SPDX licence expression of the weights; goes before the recipe's.
    pub license: Option<String>,
    /// Model name; goes before the recipe's. `None` takes the name of the output.
    pub name: Option<String>,
    /// What variants may lose.
    pub gate: Gate,
    /// The board that the bundle is for. What is slow on this machine may be fast there, so its
    /// processor decides; `None` is this machine.
    pub target: Option<Target>,
    /// Where the evidence goes when a variant fails its gate: a bundle that did not come about.
    pub keep_failed: Option<PathBuf>,
    /// Settings of the family that a checkpoint does not hold, such as an activation. A key that the
    /// family does not know is an error.
    pub set: BTreeMap<String, String>,
}

/// Which precisions a bundle gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Quantize {
    /// Every precision that suits the architecture. What fails its quality gate is dropped, the
    /// fastest of the rest is chosen.
    #[default]
    Auto,
    /// fp32 alone.
    None,
    /// Exactly these. One that fails its quality gate is an error.
    List(Vec<Scheme>),
}

/// A way to hold the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// As trained.
    Fp32,
    /// Weights and values as halves, but where that is not exact enough.
    Fp16,
    /// Weights as int8 per output channel, activations quantised as they come.
    Int8,
    /// Weights as int8 per output channel, activations in ranges that calibration has seen.
    Int8Static,
    /// Weights alone, as int8 in blocks.
    Int8Weights,
    /// Weights alone, as int4 in blocks.
    Int4,
    /// A model that came quantised or in f16, as it came. It cannot be asked for.
    AsShipped,
}

impl Scheme {
    const NAMES: [(Self, &'static str, &'static str); 7] = [
        (Self::Fp32, "fp32", "fp32"),
        (Self::Fp16, "fp16", "fp16"),
        (Self::Int8, "int8", "dynamic-int8-per-channel"),
        (Self::Int8Static, "int8-static", "static-int8-per-channel"),
        (Self::Int8Weights, "int8-weights", "int8-weights-in-blocks"),
        (Self::Int4, "int4", "int4-weights-in-blocks"),
        (Self::AsShipped, "as-shipped", "as-shipped"),
    ];

    /// Whether others are compared with it, and nothing is done to it.
    pub(crate) fn is_reference(self) -> bool {
        matches!(self, Self::Fp32 | Self::AsShipped)
    }

    /// The schemes that can be asked for.
    fn wanted() -> impl Iterator<Item = &'static (Self, &'static str, &'static str)> {
        let all = Self::NAMES.iter();
        all.filter(|(scheme, ..)| *scheme != Self::AsShipped)
    }

    /// The scheme that can be asked for by this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let row = Self::wanted().find(|(_, known, _)| *known == name);
        row.map(|(scheme, ..)| *scheme)
    }

    fn row(self) -> &'static (Self, &'static str, &'static str) {
        // NAMES lists the variants in their order.
        &Self::NAMES[self as usize]
    }

    /// Name on the command line and of the variant in a bundle.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// What `bundle.toml` says about how the weights were made.
    pub fn description(self) -> &'static str {
        self.row().2
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Quantize {
    type Err = String;

    /// `auto`, `none`, or names of schemes between commas.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => return Ok(Self::Auto),
            "none" => return Ok(Self::None),
            _ => {}
        }
        let mut schemes: Vec<Scheme> = Vec::new();
        for name in text.split(',').map(str::trim) {
            let Some(scheme) = Scheme::named(name) else {
                let known: Vec<_> = Scheme::wanted().map(|(_, name, _)| *name).collect();
                return Err(format!(
                    "no quantisation `{name}`; known: auto, none, {}",
                    known.join(", ")
                ));
            };
            if !schemes.contains(&scheme) {
                schemes.push(scheme);
            }
        }
        schemes.sort();
        Ok(Self::List(schemes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_can_name_every_scheme() {
        let mut names: Vec<_> = Scheme::wanted().map(|(_, name, _)| *name).collect();
        let mut known = Target::VARIANTS.to_vec();
        names.sort_unstable();
        known.sort_unstable();
        assert_eq!(names, known);
    }

    #[test]
    fn quantize_is_read_from_text() {
        let cases = [
            ("auto", Ok(Quantize::Auto)),
            ("none", Ok(Quantize::None)),
            ("int8", Ok(Quantize::List(vec![Scheme::Int8]))),
            (
                "int8, fp32,int8",
                Ok(Quantize::List(vec![Scheme::Fp32, Scheme::Int8])),
            ),
            ("int5", Err("`int5`")),
            (
                "as-shipped",
                Err("known: auto, none, fp32, fp16, int8, int8-static"),
            ),
            ("", Err("``")),
        ];
        for (text, expected) in cases {
            match (text.parse::<Quantize>(), expected) {
                (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{text}"),
                (Err(error), Err(says)) => assert!(error.contains(says), "{text}: {error}"),
                (got, expected) => panic!("{text}: {got:?} for {expected:?}"),
            }
        }
    }

    #[test]
    fn the_table_follows_the_enum() {
        for (i, (scheme, name, _)) in Scheme::NAMES.into_iter().enumerate() {
            assert_eq!(scheme as usize, i);
            assert_eq!(scheme.name(), name);
        }
    }
}
