//! Inception v3 (Szegedy et al. 2015, arXiv:1512.00567) as `inception.py` of torchvision 0.29 computes
//! it for inference, without the auxiliary head. Tensors as in `classifier.rs`.
//!
//! A model made with torchvision's own weights turns ImageNet's normalisation into the one that these
//! weights were trained with (`transform_input`). No weight shows that: `config.json` says it under
//! the same name, or `--set transform_input=true`. It is then part of the first convolution.

use super::classifier::Classifier;
use super::layers::{Activation, Net};
use super::map::{Conv2d, Map, Pool};
use super::torchvision::{HALVES, IMAGENET, Preset};
use crate::arch::{Built, Family};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options};

pub(super) const FAMILY: Family = Family {
    name: NAME,
    marks: &[
        "Conv2d_1a_3x3.",
        "Mixed_5b.branch1x1.",
        "Mixed_6a.",
        "Mixed_7c.branch_pool.",
    ],
    recognises: |source| {
        let has = |name: &str| source.checkpoint.contains(name);
        has("Mixed_5b.branch1x1.conv.weight") && has("Mixed_7c.branch_pool.conv.weight")
    },
    build,
};

const NAME: &str = "inception_v3";

const NORM_EPSILON: f64 = 1e-3;

const HEAD: &[&str] = &["fc"];

/// The head that only training needs.
const AUXILIARY: &str = "AuxLogits.";

/// Halves a map, nothing around it.
const HALVE: Pool = Pool {
    kernel: 3,
    stride: 2,
    padding: 0,
    ceil: false,
};

/// Leaves the size of a map.
const SMOOTH: Pool = Pool {
    kernel: 3,
    stride: 1,
    padding: 1,
    ceil: false,
};

/// Layers before the first module: stride, whether zeros around keep the size, whether a pooling
/// follows.
const STEM: [(&str, usize, bool, bool); 5] = [
    ("Conv2d_1a_3x3", 2, false, false),
    ("Conv2d_2a_3x3", 1, false, false),
    ("Conv2d_2b_3x3", 1, true, true),
    ("Conv2d_3b_1x1", 1, true, false),
    ("Conv2d_4a_3x3", 1, false, true),
];

/// Convolutions one behind the other, then the last ones side by side.
struct Branch {
    chain: &'static [&'static str],
    ends: &'static [&'static str],
}

const fn branch(chain: &'static [&'static str], ends: &'static [&'static str]) -> Branch {
    Branch { chain, ends }
}

/// Branches over one map, whose results are joined.
struct Module {
    branches: &'static [Branch],
    /// Whether the map becomes half as large: the branches stride at their ends, and the last one is
    /// a pooling alone.
    halves: bool,
}

const A: Module = Module {
    branches: &[
        branch(&[], &["branch1x1"]),
        branch(&["branch5x5_1"], &["branch5x5_2"]),
        branch(&["branch3x3dbl_1", "branch3x3dbl_2"], &["branch3x3dbl_3"]),
    ],
    halves: false,
};

const B: Module = Module {
    branches: &[
        branch(&[], &["branch3x3"]),
        branch(&["branch3x3dbl_1", "branch3x3dbl_2"], &["branch3x3dbl_3"]),
    ],
    halves: true,
};

const C: Module = Module {
    branches: &[
        branch(&[], &["branch1x1"]),
        branch(&["branch7x7_1", "branch7x7_2"], &["branch7x7_3"]),
        branch(
            &[
                "branch7x7dbl_1",
                "branch7x7dbl_2",
                "branch7x7dbl_3",
                "branch7x7dbl_4",
            ],
            &["branch7x7dbl_5"],
        ),
    ],
    halves: false,
};

const D: Module = Module {
    branches: &[
        branch(&["branch3x3_1"], &["branch3x3_2"]),
        branch(
            &["branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3"],
            &["branch7x7x3_4"],
        ),
    ],
    halves: true,
};

const E: Module = Module {
    branches: &[
        branch(&[], &["branch1x1"]),
        branch(&["branch3x3_1"], &["branch3x3_2a", "branch3x3_2b"]),
        branch(
            &["branch3x3dbl_1", "branch3x3dbl_2"],
            &["branch3x3dbl_3a", "branch3x3dbl_3b"],
        ),
    ],
    halves: false,
};

const MODULES: [(&str, Module); 11] = [
    ("Mixed_5b", A),
    ("Mixed_5c", A),
    ("Mixed_5d", A),
    ("Mixed_6a", B),
    ("Mixed_6b", C),
    ("Mixed_6c", C),
    ("Mixed_6d", C),
    ("Mixed_6e", C),
    ("Mixed_7a", D),
    ("Mixed_7b", E),
    ("Mixed_7c", E),
];

fn build(source: &Source, options: &Options) -> Result<Built, Error> {
    let classifier = Classifier::new(NAME, source, options, HEAD)?;
    let image = classifier.image(Preset::new(299, 342, Preset::USUAL.filter))?;
    let given = source
        .set
        .choice("transform_input", &[("true", true), ("false", false)])?;
    let config = source.config.as_ref();
    let said = || config.and_then(|config| config.get("transform_input")?.as_bool());
    let known = given.or_else(said);

    let weights = Weights::new(&source.checkpoint, NAME);
    let mut net = Net::new(NAME, &weights);
    let pixels = net.picture(classifier.input_name(), 3, classifier.size(&image));
    let map = network(&mut net, pixels, known == Some(true))?;
    let classes = classifier.end(&mut net, &map, HEAD, Activation::Relu)?;
    let graph = net.graph;
    let unused =
        weights.finish(|name| name.starts_with(AUXILIARY) || classifier.needless(name, HEAD))?;
    let mut built = classifier.built(graph, unused, classes, image)?;
    if known.is_none() {
        let note = "transform_input is taken as false; for torchvision's own weights, and what was \
                    trained from them, convert with --set transform_input=true";
        built.notes.push(note.into());
    }
    Ok(built)
}

fn network(net: &mut Net<'_>, pixels: Map, transformed: bool) -> Result<Map, Error> {
    // From ImageNet's mean and deviation to halves.
    let [[mean, std], [own_mean, own_std]] = [IMAGENET, HALVES];
    let scale: [f32; 3] = std::array::from_fn(|c| std[c] / own_std[c]);
    let shift: [f32; 3] = std::array::from_fn(|c| (mean[c] - own_mean[c]) / own_std[c]);
    let mut x = pixels;
    for (i, (name, stride, same, pooled)) in STEM.into_iter().enumerate() {
        net.graph.set_scope(name);
        let mut conv = Conv2d::PLAIN.stride(stride);
        if !same {
            conv = conv.padding([0; 4]);
        }
        if i == 0 && transformed {
            conv = conv.behind(&scale, &shift);
        }
        x = convolution(net, &x, name, conv)?;
        if pooled {
            x = net.max_pool(&x, HALVE);
        }
    }
    for (name, module) in &MODULES {
        net.graph.set_scope(*name);
        x = mixed(net, &x, name, module)?;
    }
    Ok(x)
}

fn mixed(net: &mut Net<'_>, x: &Map, name: &str, module: &Module) -> Result<Map, Error> {
    let end = match module.halves {
        true => Conv2d::PLAIN.stride(2).padding([0; 4]),
        false => Conv2d::PLAIN,
    };
    let mut joined = Vec::new();
    for branch in module.branches {
        let mut y = x.clone();
        for part in branch.chain {
            y = convolution(net, &y, &format!("{name}.{part}"), Conv2d::PLAIN)?;
        }
        for part in branch.ends {
            joined.push(convolution(net, &y, &format!("{name}.{part}"), end)?);
        }
    }
    joined.push(match module.halves {
        true => net.max_pool(x, HALVE),
        false => {
            let mean = net.average_pool(x, SMOOTH);
            convolution(net, &mean, &format!("{name}.branch_pool"), Conv2d::PLAIN)?
        }
    });
    Ok(net.join(&joined.iter().collect::<Vec<_>>()))
}

/// `BasicConv2d`: a convolution, its normalisation, ReLU.
fn convolution(net: &mut Net<'_>, x: &Map, name: &str, conv: Conv2d<'_>) -> Result<Map, Error> {
    let norm = format!("{name}.bn");
    let conv = conv.norm(&norm, NORM_EPSILON);
    let x = net.conv2d(x, &format!("{name}.conv"), conv)?;
    Ok(net.activated(&x, Activation::Relu))
}
