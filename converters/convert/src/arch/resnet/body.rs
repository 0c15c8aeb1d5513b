//! The convolutions of ResNet (He et al. 2015, arXiv:1512.03385), ResNeXt and Wide ResNet under the
//! names of torchvision 0.29, which strides in the 3×3 convolution of a bottleneck.

use crate::Error;
use crate::arch::layers::{Activation, Net};
use crate::arch::map::{Conv2d, Map, Pool};

/// The map after each of `layer1` … `layer4` that there is, at 1/4 … 1/32 of the picture. `prefix` stands before
/// the names of weights, and `epsilon` is that of every batch normalisation.
pub(in crate::arch) fn stages(
    net: &mut Net<'_>,
    picture: &Map,
    prefix: &str,
    epsilon: f64,
) -> Result<Vec<Map>, Error> {
    net.graph.set_scope(format!("{prefix}conv1"));
    let norm = format!("{prefix}bn1");
    let stem = Conv2d::PLAIN.stride(2).norm(&norm, epsilon);
    let x = net.conv2d(picture, &format!("{prefix}conv1"), stem)?;
    let x = net.activated(&x, Activation::Relu);
    let pool = Pool {
        kernel: 3,
        stride: 2,
        padding: 1,
        ceil: false,
    };
    let mut x = net.max_pool(&x, pool);
    let mut stages = Vec::new();
    for stage in 1..=4 {
        let has = |net: &Net<'_>, block: usize| {
            let part = |conv| format!("{prefix}layer{stage}.{block}.{conv}.weight");
            ["conv1", "conv2"]
                .iter()
                .any(|conv| net.weights.contains(&part(conv)))
        };
        let mut block = 0;
        while has(net, block) {
            let stride = if stage > 1 && block == 0 { 2 } else { 1 };
            let name = format!("{prefix}layer{stage}.{block}");
            x = self::block(net, &x, &name, stride, epsilon)?;
            block += 1;
        }
        if block == 0 {
            break;
        }
        stages.push(x.clone());
    }
    Ok(stages)
}

/// Two 3×3 convolutions, or a bottleneck of 1×1, 3×3 and 1×1; what comes in is added, through a
/// convolution where its shape differs.
fn block(
    net: &mut Net<'_>,
    x: &Map,
    name: &str,
    stride: usize,
    epsilon: f64,
) -> Result<Map, Error> {
    net.graph.set_scope(name);
    let part = |part: &str| format!("{name}.{part}");
    let strides: &[usize] = match net.weights.contains(&part("conv3.weight")) {
        true => &[1, stride, 1],
        false => &[stride, 1],
    };
    let mut y = x.clone();
    for (i, stride) in strides.iter().enumerate() {
        let (conv, norm) = (
            part(&format!("conv{}", i + 1)),
            part(&format!("bn{}", i + 1)),
        );
        if i > 0 {
            y = net.activated(&y, Activation::Relu);
        }
        let groups = groups(net, &y, &conv);
        let kind = Conv2d::PLAIN.stride(*stride).groups(groups);
        y = net.conv2d(&y, &conv, kind.norm(&norm, epsilon))?;
    }
    let beside = part("downsample.0");
    let x = match net.weights.contains(&format!("{beside}.weight")) {
        true => {
            let norm = part("downsample.1");
            let kind = Conv2d::PLAIN.stride(stride).norm(&norm, epsilon);
            net.conv2d(x, &beside, kind)?
        }
        false => x.clone(),
    };
    let y = net.with("Add", &y, &[&x.value]);
    Ok(net.activated(&y, Activation::Relu))
}

/// How many groups a convolution of `x` has: ResNeXt has 32.
fn groups(net: &Net<'_>, x: &Map, name: &str) -> usize {
    match net.weights.shape(&format!("{name}.weight")) {
        Some(&[_, per_group, _, _]) if per_group > 0 && x.channels.is_multiple_of(per_group) => {
            (x.channels / per_group).max(1)
        }
        _ => 1,
    }
}
