//! Rounded weights shift the mean of what a layer gives; the bias takes the shift back. After Nagel
//! et al., "Data-free quantization through weight equalization and bias correction" (2019,
//! arXiv:1906.04721), section 4.2, with means measured on calibration data.
//!
//! A layer's shift is that of its results, less what it inherits: its weights applied to the shift of
//! its inputs, which goes when the layers before it are corrected. So all layers are corrected at
//! once, from one run of both graphs. Limits: padding is taken for more of the same, and products
//! without a bias of their own (`MatMul`) stay as they are.

use std::collections::HashMap;

use bevel_onnx::proto::NodeProto;
use bevel_onnx::{DType, Graph};

use super::Seen;
use super::qdq::{self, BEFORE};

/// A product with a bias in codes.
struct Site {
    /// The codes.
    bias: String,
    scale: String,
    weights: [String; 2],
    groups: usize,
    /// Names in fp32 and in int8.
    input: [String; 2],
    result: [String; 2],
}

/// The values of a quantised graph that [`correct_bias`] has to see.
pub(crate) fn wanted(quantized: &Graph) -> Vec<String> {
    let sites = sites(quantized).into_iter();
    let values = sites.flat_map(|site| [site.input, site.result].map(|[_, int8]| int8));
    let mut values: Vec<String> = values.collect();
    values.sort();
    values.dedup();
    values
}

/// Moves the biases of a quantised graph. `fp32` saw the [values](qdq::wanted) of the graph that it
/// was made of, `int8` its own [values](wanted), both on the same data.
pub(crate) fn correct_bias(quantized: &mut Graph, fp32: &Seen, int8: &Seen) {
    for site in sites(quantized) {
        if let Some(codes) = corrected(quantized, &site, fp32, int8) {
            let mut tensors = quantized.initializers.iter_mut();
            if let Some(tensor) = tensors.find(|tensor| tensor.name == site.bias) {
                *tensor = qdq::int32(site.bias, codes.into_iter());
            }
        }
    }
}

fn corrected(graph: &Graph, site: &Site, fp32: &Seen, int8: &Seen) -> Option<Vec<i32>> {
    let result = shift(&site.result, fp32, int8)?;
    let input = shift(&site.input, fp32, int8)?;
    let inherited = inherited(graph, site, &input)?;
    let bias = graph.find_initializer(&site.bias)?;
    let scales = graph.find_initializer(&site.scale)?.as_f32()?;
    let (codes, _) = bias.data.as_chunks::<4>();
    let fits = [result.len(), inherited.len(), scales.len()];
    let fits = bias.dtype == DType::I32 && fits.iter().all(|len| *len == codes.len());
    fits.then(|| {
        let moved = result.iter().zip(&inherited).zip(scales.iter());
        let moved = moved.map(|((all, part), scale)| (all - part) / f64::from(*scale));
        let codes = codes
            .iter()
            .map(|code| f64::from(i32::from_le_bytes(*code)));
        // The cast saturates.
        codes
            .zip(moved)
            .map(|(code, by)| (code - by).round_ties_even() as i32)
            .collect()
    })
}

/// By how much the means of a value's channels are larger in int8.
fn shift([float, coded]: &[String; 2], fp32: &Seen, int8: &Seen) -> Option<Vec<f64>> {
    let means = |seen: &Seen, name: &str| {
        let value = seen.get(name).filter(|value| value.not_finite == 0)?;
        Some(value.channels.as_ref()?.mean.clone())
    };
    let (float, coded) = (means(fp32, float)?, means(int8, coded)?);
    let differences = coded.iter().zip(&float).map(|(coded, float)| coded - float);
    (coded.len() == float.len()).then(|| differences.collect())
}

/// The shift of a product's results that comes with the shift of its inputs' channels.
fn inherited(graph: &Graph, site: &Site, input: &[f64]) -> Option<Vec<f64>> {
    let [codes, scales] = site
        .weights
        .each_ref()
        .map(|name| graph.find_initializer(name));
    let (codes, scales) = (codes?, scales?.as_f32()?);
    let outputs = scales.len();
    let inputs = *codes.dims.get(1)?;
    let taps: usize = codes.dims[2..].iter().product();
    let each = inputs.checked_mul(taps).filter(|each| *each > 0)?;
    let fits = codes.dtype == DType::I8
        && codes.dims[0] == outputs
        && inputs.checked_mul(site.groups) == Some(input.len())
        && outputs.is_multiple_of(site.groups.max(1));
    if !fits {
        return None;
    }
    let of_group = outputs / site.groups.max(1);
    let rows = codes.data.chunks_exact(each).zip(scales.iter()).enumerate();
    let shifts = rows.map(|(output, (row, scale))| {
        let first = output / of_group.max(1) * inputs;
        let channels = row.chunks_exact(taps).zip(&input[first..first + inputs]);
        let sum = channels.map(|(taps, shift)| {
            let taps = taps.iter().map(|tap| f64::from(tap.cast_signed()));
            taps.sum::<f64>() * shift
        });
        sum.sum::<f64>() * f64::from(*scale)
    });
    Some(shifts.collect())
}

fn sites(graph: &Graph) -> Vec<Site> {
    let nodes = graph.nodes.iter();
    let producers: HashMap<&str, &NodeProto> = nodes.map(|node| (node.result(), node)).collect();
    let behind = |node: &NodeProto, at: usize| {
        let producer = producers.get(node.input_at(at)?).copied()?;
        producer.is("DequantizeLinear").then_some(producer)
    };
    let name = |node: &NodeProto, at: usize| node.input_at(at).map(str::to_owned);
    let site = |node: &NodeProto| {
        let by_rows = node.is("Conv") || node.is("Gemm") && node.int("transB") == Some(1);
        let (weights, bias) = (behind(node, 1)?, behind(node, 2)?);
        let read = behind(node, 0)?;
        let rounded = producers.get(read.input_at(0)?)?.input_at(0)?;
        by_rows.then_some(Site {
            bias: name(bias, 0)?,
            scale: name(bias, 1)?,
            weights: [name(weights, 0)?, name(weights, 1)?],
            groups: usize::try_from(node.int("group").unwrap_or(1)).ok()?,
            input: names(rounded, read.result()),
            result: names(node.result(), node.result()),
        })
    };
    graph.nodes.iter().filter_map(site).collect()
}

/// The names in fp32 and in int8 of what was rounded, given both ends of the rounding.
fn names(before: &str, after: &str) -> [String; 2] {
    match before.strip_suffix(BEFORE) {
        Some(known) => [known, before],
        // A float node's result: what it was rounded to has a new name.
        None if after.starts_with(before) => [before, before],
        // A clamp lay between, and vanished.
        None => [after, after],
    }
    .map(str::to_owned)
}
