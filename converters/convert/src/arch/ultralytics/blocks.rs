//! Blocks of feature maps, one function a class (ultralytics 8.4, `nn/modules/block.py`, `conv.py`).

use bevel_onnx::Tensor;
use bevel_weights::pickle::Value;

use super::attention::{a2c2f, ablock, area_attention, attention, psa, psa_block};
use super::builder::{Builder, Plane};
use super::module::Module;
use crate::Error;
use crate::arch::layers::{Activation, Net};
use crate::arch::map::{Filter, Pool};

/// Poolings of one block beyond which a model is broken; 3 are usual.
const MAX_POOLS: usize = 64;

type Build = fn(&mut Builder<'_>, &Module<'_>, &Plane) -> Result<Plane, Error>;

/// Names of classes, and what they compute.
pub(super) const BLOCKS: [(&str, Build); 45] = [
    ("A2C2f", a2c2f),
    ("AAttn", area_attention),
    ("ABlock", ablock),
    ("AConv", aconv),
    ("ADown", adown),
    ("Attention", attention),
    ("Bottleneck", bottleneck),
    ("C1", c1),
    ("C2", c2),
    ("C2PSA", c2),
    ("C2f", c2f),
    ("C2fCIB", c2f),
    ("C2fPSA", c2f),
    ("C3", c3),
    ("C3Ghost", c3),
    ("C3k", c3),
    ("C3k2", c2f),
    ("C3x", c3),
    ("CIB", cib),
    ("Conv", conv),
    ("Conv2d", plain_conv),
    ("ConvTranspose2d", patches),
    ("DWConv", conv),
    ("ELAN1", elan),
    ("GhostBottleneck", ghost_bottleneck),
    ("GhostConv", ghost_conv),
    ("Identity", identity),
    ("MaxPool2d", max_pool),
    ("ModuleList", sequence),
    ("PSA", psa),
    ("PSABlock", psa_block),
    ("Proto", proto),
    ("RepBottleneck", bottleneck),
    ("RepCSP", c3),
    ("RepConv", rep_conv),
    ("RepNCSPELAN4", elan),
    ("RepVGGDW", rep_conv),
    ("ResNetBlock", resnet_block),
    ("ResNetLayer", resnet_layer),
    ("SCDown", one_then_two),
    ("SPP", spp),
    ("SPPELAN", spp_elan),
    ("SPPF", sppf),
    ("Sequential", sequence),
    ("Upsample", upsample),
];

/// Convolution, batch normalisation (folded already in a fused model), non-linearity.
fn conv(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let y = b.conv2d(&m.part("conv")?, m.child("bn")?.as_ref(), x)?;
    b.activated(m, y)
}

fn plain_conv(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    b.conv2d(m, None, x)
}

fn identity(_: &mut Builder<'_>, _: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    Ok(x.clone())
}

fn max_pool(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    b.max_pool(m, x)
}

fn sequence(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    b.sequence(&m.list()?, x)
}

fn upsample(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let nearest = m.attribute("mode").and_then(Value::text) == Some("nearest");
    let times = m
        .number("scale_factor")
        .filter(|n| nearest && n.fract() == 0.0);
    let Some(times) = times.filter(|n| (1.0..=8.0).contains(n)) else {
        return Err(m.wrong("that is not of whole pixels"));
    };
    let times = times as usize;
    b.net.graph.set_scope(&m.name);
    Ok(Plane {
        map: b.net.enlarged(&x.map, times),
        size: x.size.map(|n| n.saturating_mul(times)),
    })
}

fn one_then_two(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let y = b.inner(m, "cv1", x)?;
    b.inner(m, "cv2", &y)
}

fn bottleneck(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let y = one_then_two(b, m, x)?;
    added(b, m, x, y, false)
}

fn cib(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let y = b.inner(m, "cv1", x)?;
    added(b, m, x, y, false)
}

/// `x + y` where the module's `add` says so.
pub(super) fn added(
    b: &mut Builder<'_>,
    m: &Module<'_>,
    x: &Plane,
    y: Plane,
    default: bool,
) -> Result<Plane, Error> {
    match m.flag("add", default) {
        true => b.add(m, x, &y),
        false => Ok(y),
    }
}

fn c1(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let x = b.inner(m, "cv1", x)?;
    let y = b.inner(m, "m", &x)?;
    b.add(m, &y, &x)
}

/// The half of the channels that goes through the blocks is the first in C2, the second in C2PSA.
fn c2(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let both = b.inner(m, "cv1", x)?;
    let mut halves = b.halves(m, &both);
    let through = usize::from(m.kind() == "C2PSA");
    halves[through] = b.inner(m, "m", &halves[through])?;
    let y = b.join(m, &halves)?;
    b.inner(m, "cv2", &y)
}

/// The result of each block is kept beside what it came from.
fn c2f(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let both = b.inner(m, "cv1", x)?;
    let mut last = b.second_half(m, &both);
    // The halves lie behind each other already.
    let mut kept = vec![both];
    for block in m.part("m")?.list()? {
        last = b.block(&block, &last)?;
        kept.push(last.clone());
    }
    let y = b.join(m, &kept)?;
    b.inner(m, "cv2", &y)
}

fn c3(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let through = b.inner(m, "cv1", x)?;
    let through = b.inner(m, "m", &through)?;
    let beside = b.inner(m, "cv2", x)?;
    let y = b.join(m, &[through, beside])?;
    b.inner(m, "cv3", &y)
}

/// RepNCSPELAN4 and ELAN1.
fn elan(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let both = b.inner(m, "cv1", x)?;
    let half = b.second_half(m, &both);
    let second = b.inner(m, "cv2", &half)?;
    let third = b.inner(m, "cv3", &second)?;
    let y = b.join(m, &[both, second, third])?;
    b.inner(m, "cv4", &y)
}

fn spp(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let x = b.inner(m, "cv1", x)?;
    let mut kept = vec![x.clone()];
    for pool in m.part("m")?.list()? {
        kept.push(b.block(&pool, &x)?);
    }
    let y = b.join(m, &kept)?;
    b.inner(m, "cv2", &y)
}

fn sppf(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let pool = m.part("m")?;
    let count = m.size_or("n", 3)?;
    if count > MAX_POOLS {
        return Err(m.wrong(&format!("of {count} poolings")));
    }
    let pools = vec![pool; count];
    let y = pyramid(b, m, x, &pools)?;
    let y = b.inner(m, "cv2", &y)?;
    added(b, m, x, y, false)
}

fn spp_elan(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let pools = [m.part("cv2")?, m.part("cv3")?, m.part("cv4")?];
    let y = pyramid(b, m, x, &pools)?;
    b.inner(m, "cv5", &y)
}

/// Poolings of poolings, joined.
fn pyramid(
    b: &mut Builder<'_>,
    m: &Module<'_>,
    x: &Plane,
    pools: &[Module<'_>],
) -> Result<Plane, Error> {
    let mut last = b.inner(m, "cv1", x)?;
    let mut kept = vec![last.clone()];
    for pool in pools {
        last = b.block(pool, &last)?;
        kept.push(last.clone());
    }
    b.join(m, &kept)
}

/// The mean of 2×2, one pixel smaller.
fn blurred(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let pool = Pool {
        kernel: 2,
        stride: 1,
        padding: 0,
        ceil: false,
    };
    b.pooled(m, x, pool, Net::average_pool)
}

fn aconv(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let x = blurred(b, m, x)?;
    b.inner(m, "cv1", &x)
}

fn adown(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let x = blurred(b, m, x)?;
    let [first, second] = b.halves(m, &x);
    let first = b.inner(m, "cv1", &first)?;
    let pool = Pool {
        kernel: 3,
        stride: 2,
        padding: 1,
        ceil: false,
    };
    let second = b.pooled(m, &second, pool, Net::max_pool)?;
    let second = b.inner(m, "cv2", &second)?;
    b.join(m, &[first, second])
}

fn ghost_conv(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let y = b.inner(m, "cv1", x)?;
    let cheap = b.inner(m, "cv2", &y)?;
    b.join(m, &[y, cheap])
}

fn ghost_bottleneck(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let y = b.inner(m, "conv", x)?;
    let beside = b.inner(m, "shortcut", x)?;
    b.add(m, &y, &beside)
}

fn resnet_layer(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    b.inner(m, "layer", x)
}

fn resnet_block(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let y = one_then_two(b, m, x)?;
    let y = b.inner(m, "cv3", &y)?;
    let beside = b.inner(m, "shortcut", x)?;
    let y = b.add(m, &y, &beside)?;
    Ok(b.with(&y, |net, map| net.activated(map, Activation::Relu)))
}

/// Prototypes of masks, at twice the size.
pub(super) fn proto(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let y = b.inner(m, "cv1", x)?;
    let y = b.inner(m, "upsample", &y)?;
    let y = b.inner(m, "cv2", &y)?;
    b.inner(m, "cv3", &y)
}

/// A `ConvTranspose2d` that makes a patch of each pixel.
fn patches(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let [kernel, stride] = [m.square("kernel_size")?, m.square("stride")?];
    if kernel != stride || m.square("padding")? != 0 || m.size_or("groups", 1)? != 1 {
        return Err(m.wrong("whose patches overlap"));
    }
    b.net.graph.set_scope(&m.name);
    Ok(Plane {
        map: b.net.spread2d(&x.map, &m.name, stride)?,
        size: x.size.map(|n| n.saturating_mul(stride)),
    })
}

/// Convolutions of one map that are added up, RepConv and RepVGGDW: one convolution, whose filter is
/// the sum of theirs around a common centre.
fn rep_conv(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    if let Some(norm) = m.child("bn")? {
        return Err(norm.wrong("beside the convolutions"));
    }
    let mut largest: Option<(Module<'_>, Filter)> = None;
    let mut smaller = Vec::new();
    for key in ["conv", "conv1", "conv2"] {
        let Some(part) = m.child(key)? else {
            continue;
        };
        let (conv, norm) = match part.kind() {
            "Conv2d" => (part, None),
            _ => (part.part("conv")?, part.child("bn")?),
        };
        let filter = b.filter(&conv, norm.as_ref(), x)?;
        let [height, width] = side(&filter);
        if conv.sizes("padding")? != [height / 2, width / 2] {
            return Err(conv.wrong("that is not centred"));
        }
        match &largest {
            Some((_, other)) if side(other) >= [height, width] => smaller.push((conv, filter)),
            _ => smaller.extend(largest.replace((conv, filter))),
        }
    }
    let Some((conv, mut sum)) = largest else {
        return Err(m.wrong("without a convolution"));
    };
    for (other, filter) in &smaller {
        if other.square("stride")? != conv.square("stride")? {
            return Err(other.wrong("of another stride than the one beside it"));
        }
        sum = around(&sum, filter).ok_or_else(|| other.wrong("of another size"))?;
    }
    let y = b.filtered(&conv, sum, x)?;
    b.activated(m, y)
}

/// Height and width of a filter.
fn side(filter: &Filter) -> [usize; 2] {
    match filter.weight.dims[..] {
        [.., height, width] => [height, width],
        _ => [0; 2],
    }
}

/// The sum of a filter and a smaller one in its middle.
fn around(large: &Filter, small: &Filter) -> Option<Filter> {
    let ([h, w], [sh, sw]) = (side(large), side(small));
    let (top, left) = ((h.checked_sub(sh)?) / 2, (w.checked_sub(sw)?) / 2);
    let name = large.weight.name.clone();
    let mut sum = large.weight.as_f32()?.into_owned();
    let added = small.weight.as_f32()?;
    let planes = large.weight.dims[..2] == small.weight.dims[..2];
    if !planes || sum.is_empty() || added.is_empty() {
        return None;
    }
    for (to, from) in sum.chunks_exact_mut(h * w).zip(added.chunks_exact(sh * sw)) {
        for (row, line) in from.chunks_exact(sw).enumerate() {
            let at = (top + row) * w + left;
            let to = to[at..at + sw].iter_mut().zip(line);
            to.for_each(|(to, from)| *to += from);
        }
    }
    let bias = match (&large.bias, &small.bias) {
        (Some(a), Some(b)) => Some(a.iter().zip(b).map(|(a, b)| a + b).collect()),
        (one, other) => one.clone().or_else(|| other.clone()),
    };
    Some(Filter {
        weight: Tensor::f32(name, &large.weight.dims, sum),
        bias,
    })
}
