//! U-Net (Ronneberger et al. 2015, arXiv:1505.04597) of any depth and width with zeros around its
//! convolutions, under the names of the implementations that most checkpoints come from: milesial's
//! `Pytorch-UNet`, mateuszbuda's `brain-segmentation-pytorch` and Aladdin Persson's tutorial.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | in `pixels` | N×C×H×W | f32 | 0 ..= 1; H and W multiples of 2 to the depth |
//! | out `logits` | N×K×H×W | f32 | one a class |
//!
//! Where the reference pads or scales maps of odd sides, here the picture is of a size that has none.

mod names;

use bevel_manifest::{
    Activation as Scores, ChannelOrder, Decode, ImageInput, Input, Interpolation, Resize,
    SemanticSpec, Task,
};
use bevel_onnx::{DType, Dim, Graph};

use super::image;
use super::layers::{Activation, Net};
use super::map::{Conv2d, Map, Pool};
use super::{Built, Family, model};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options, labels};
use names::{NAMINGS, Names};

pub(super) const FAMILY: Family = Family {
    name: NAME,
    marks: &[
        "double_conv.",
        "down1.",
        "up1.",
        "upconv",
        "outc.",
        "final_conv.",
    ],
    recognises: |source| NAMINGS.iter().any(|naming| naming.names(source)),
    build,
};

const NAME: &str = "unet";

/// ε of `BatchNorm2d`.
const EPSILON: f64 = 1e-5;

/// The sides of pictures in pixels unless something says otherwise.
const USUAL_SIDE: usize = 256;

/// A pixel belongs to a class that stands alone from here on.
const MIN_MASK: f32 = 0.5;

fn build(source: &Source, options: &Options) -> Result<Built, Error> {
    let task = options.task_of(NAME, &[Task::Segment, Task::Tensors])?;
    let naming = NAMINGS.iter().find(|naming| naming.names(source));
    let Some(naming) = naming else {
        let what = "weights of these names".into();
        let next = "those of Pytorch-UNet are".into();
        return Err(Error::Unsupported {
            family: NAME,
            what,
            next,
        });
    };
    let weights = Weights::new(&source.checkpoint, NAME);
    let names = naming.of(&weights);
    let [height, width] = size(source, names.depth)?;
    let (graph, [channels, classes]) = network(&weights, &names)?;
    let unused =
        weights.finish(|name| name.ends_with(".num_batches_tracked") || name == "mask_values")?;
    let graphs = model(graph);
    // Pictures have three colors.
    if task == Task::Tensors || (options.wanted_task().is_none() && channels != 3) {
        return Ok(Built::tensors(graphs, unused));
    }
    if channels != 3 {
        return Err(Error::Unsupported {
            family: NAME,
            what: format!("the task segment on {channels} channels"),
            next: "pictures have 3; convert with --task tensors".into(),
        });
    }
    let labels = labels::find(source, options, classes)?;
    let image = ImageInput {
        width: width as u32,
        height: height as u32,
        resize: Resize::Stretch,
        interpolation: Interpolation::BicubicAntialias,
        channels: ChannelOrder::Rgb,
        scale: 1.0 / 255.0,
        mean: [0.0; 3],
        std: [1.0; 3],
    };
    let semantic = SemanticSpec {
        labels: labels.as_ref().map(|file| file.name.clone()),
        activation: match naming.alone || classes == 1 {
            true => Scores::Sigmoid,
            false => Scores::Softmax,
        },
        min_mask: MIN_MASK,
    };
    Ok(Built {
        graphs,
        task,
        input: Input::Image(image),
        decode: Decode::Semantic(semantic),
        files: labels.into_iter().collect(),
        unused: unused.0,
        notes: Vec::new(),
    })
}

/// Height and width of pictures: what the user set, or what config.json says.
fn size(source: &Source, depth: usize) -> Result<[usize; 2], Error> {
    let step = 1 << depth.min(12);
    if let Some(size) = source.set.sides("image_size", step)? {
        return Ok(size);
    }
    match image::configured_size(source)? {
        None => Ok([USUAL_SIDE.next_multiple_of(step); 2]),
        Some(size) if size.iter().all(|side| side.is_multiple_of(step)) => Ok(size),
        Some([height, width]) => Err(Error::SideFile {
            path: source.path("config.json"),
            what: format!("`image_size` is {height}×{width}, expected multiples of {step}"),
        }),
    }
}

/// The graph, and how many channels it takes and classes it tells apart.
fn network(weights: &Weights<'_>, names: &Names) -> Result<(Graph, [usize; 2]), Error> {
    let mut net = Net::new(NAME, weights);
    let [first, ..] = names.down(0);
    let channels = net.columns(&format!("{first}.weight"));
    let pixels = net.picture("pixels", channels, None);
    let half = Pool {
        kernel: 2,
        stride: 2,
        padding: 0,
        ceil: false,
    };
    let mut levels = Vec::new();
    let mut x = double_conv(&mut net, &pixels, &names.down(0))?;
    for level in 1..=names.depth {
        let coarser = net.max_pool(&x, half);
        levels.push(x);
        x = double_conv(&mut net, &coarser, &names.down(level))?;
    }
    for level in (0..names.depth).rev() {
        let (up, convs) = names.up(level);
        net.graph.set_scope(&up);
        let learned = weights.contains(&format!("{up}.weight")) || !names.may_interpolate();
        let finer = match learned {
            true => net.spread2d(&x, &up, 2)?,
            false => net.stretch(&x),
        };
        let Some(beside) = levels.pop() else { break };
        let both = match names.beside_first() {
            true => [&beside, &finer],
            false => [&finer, &beside],
        };
        let both = net.join(&both);
        x = double_conv(&mut net, &both, &convs)?;
    }
    let head = names.head();
    net.graph.set_scope(head);
    let logits = net.conv2d(&x, head, Conv2d::PLAIN)?;
    let dims = ["height", "width"].map(Dim::named);
    let dims = [Dim::named("batch"), Dim::Fixed(logits.channels)]
        .into_iter()
        .chain(dims);
    net.graph.output(&logits.value, "logits", DType::F32, dims);
    Ok((net.graph, [channels, logits.channels]))
}

/// Two convolutions with ReLU, each with batch normalisation where there is one.
fn double_conv(
    net: &mut Net<'_>,
    x: &Map,
    [first, first_norm, second, second_norm]: &[String; 4],
) -> Result<Map, Error> {
    net.graph.set_scope(first);
    let mut x = x.clone();
    for (conv, norm) in [(first, first_norm), (second, second_norm)] {
        let kind = match net.weights.contains(&format!("{norm}.running_mean")) {
            true => Conv2d::PLAIN.norm(norm, EPSILON),
            false => Conv2d::PLAIN,
        };
        x = net.conv2d(&x, conv, kind)?;
        x = net.activated(&x, Activation::Relu);
    }
    Ok(x)
}
