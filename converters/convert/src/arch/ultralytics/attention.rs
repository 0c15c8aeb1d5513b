//! Attention between the pixels of a map (YOLO11, YOLOv10 and YOLO12, arXiv:2502.12524).

use super::blocks::added;
use super::builder::{Builder, Plane};
use super::module::Module;
use crate::Error;
use crate::arch::layers::attend;
use crate::arch::map::Map;

/// Attention and a feed-forward part, each added to what it came from.
pub(super) fn psa_block(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let y = b.inner(m, "attn", x)?;
    let x = added(b, m, x, y, true)?;
    let y = b.inner(m, "ffn", &x)?;
    added(b, m, &x, y, true)
}

/// The same of the second half of the channels.
pub(super) fn psa(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let both = b.inner(m, "cv1", x)?;
    let [first, second] = b.halves(m, &both);
    let second = psa_block(b, m, &second)?;
    let y = b.join(m, &[first, second])?;
    b.inner(m, "cv2", &y)
}

pub(super) fn ablock(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let y = b.inner(m, "attn", x)?;
    let x = b.add(m, x, &y)?;
    let y = b.inner(m, "mlp", &x)?;
    b.add(m, &x, &y)
}

pub(super) fn a2c2f(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let mut last = b.inner(m, "cv1", x)?;
    let mut kept = vec![last.clone()];
    for block in m.part("m")?.list()? {
        last = b.block(&block, &last)?;
        kept.push(last.clone());
    }
    let y = b.join(m, &kept)?;
    let y = b.inner(m, "cv2", &y)?;
    let gamma = format!("{}.gamma", m.name);
    if !b.net.weights.contains(&gamma) {
        return Ok(y);
    }
    // The factors belong to what `cv2` answers behind its non-linearity.
    let gamma = b.net.weights.take_f32(&gamma, &[y.map.channels])?;
    let gamma = bevel_onnx::Tensor::f32(format!("{}.gamma", m.name), &[gamma.len(), 1, 1], gamma);
    b.net.graph.set_scope(&m.name);
    let gamma = b.net.graph.initializer(gamma);
    let y = b.with(&y, |net, map| net.with("Mul", map, &[&gamma]));
    b.add(m, x, &y)
}

/// Queries and keys of K channels and values of V, head by head: `q`, `k` and `v` of the first head
/// are followed by those of the second. Positions come in by a depth-wise convolution of the values.
pub(super) fn attention(b: &mut Builder<'_>, m: &Module<'_>, x: &Plane) -> Result<Plane, Error> {
    let keys = m.size("key_dim")?;
    whole(b, m, x, [m.size("num_heads")?, keys, m.size("head_dim")?])
}

fn whole(
    b: &mut Builder<'_>,
    m: &Module<'_>,
    x: &Plane,
    [heads, keys, values]: [usize; 3],
) -> Result<Plane, Error> {
    let qkv = queries(b, m, x, [heads, keys, values])?;
    let [h, w] = x.size;
    b.net.graph.set_scope(&m.name);
    let one = (2 * keys + values) as i64;
    let shape = b.net.i64s(&[0, heads as i64, one, (h * w) as i64]);
    let parts = b.net.i64s(&[keys as i64, keys as i64, values as i64]);
    let graph = &mut b.net.graph;
    let qkv = graph.node("Reshape", &[&qkv.map.value, &shape], []);
    let [q, k, v]: [String; 3] = graph.node_of("Split", &[&qkv, &parts], [("axis", 2.into())]);
    let swap = || [("perm", [0, 1, 3, 2].into())];
    let q = graph.node("Transpose", &[&q], swap());
    let shares = graph.node("MatMul", &[&q, &k], []);
    let shares = graph.node("Softmax", &[&shares], [("axis", (-1).into())]);
    let shares = graph.node("Transpose", &[&shares], swap());
    let y = graph.node("MatMul", &[&v, &shares], []);
    placed(b, m, x, heads * values, [y, v])
}

/// What attention answers and the values it took, heads and channels before pixels, as maps of the size
/// of `x`: the first and the positions out of the second, projected.
fn placed(
    b: &mut Builder<'_>,
    m: &Module<'_>,
    x: &Plane,
    channels: usize,
    values: [String; 2],
) -> Result<Plane, Error> {
    let [h, w] = x.size;
    let shape = b.net.i64s(&[0, channels as i64, h as i64, w as i64]);
    let [y, v] = values.map(|value| Plane {
        map: Map {
            value: b.net.graph.node("Reshape", &[&value, &shape], []),
            channels,
        },
        size: x.size,
    });
    let places = b.inner(m, "pe", &v)?;
    let y = b.add(m, &y, &places)?;
    b.inner(m, "proj", &y)
}

/// Attention inside `area` stripes of the map, each a share of its rows.
pub(super) fn area_attention(
    b: &mut Builder<'_>,
    m: &Module<'_>,
    x: &Plane,
) -> Result<Plane, Error> {
    let [heads, width] = [m.size("num_heads")?, m.size("head_dim")?];
    let areas = m.size_or("area", 1)?;
    if areas <= 1 {
        return whole(b, m, x, [heads, width, width]);
    }
    let [h, w] = x.size;
    if !(h * w).is_multiple_of(areas) {
        let what = format!("with {areas} areas over a map of {h}×{w}");
        return Err(m.wrong(&what));
    }
    let qkv = queries(b, m, x, [heads, width, width])?;
    b.net.graph.set_scope(&m.name);
    // N×(H·3·K)×(A·P) to A×… with pixels before channels: N×A×H×P×3K.
    let pixels = h * w / areas;
    let sizes = [heads, 3 * width, areas, pixels].map(|n| n as i64);
    let shape = b.net.i64s(&[0, sizes[0], sizes[1], sizes[2], sizes[3]]);
    let parts = b.net.i64s(&[width as i64; 3]);
    let graph = &mut b.net.graph;
    let qkv = graph.node("Reshape", &[&qkv.map.value, &shape], []);
    let order = [("perm", [0, 3, 1, 4, 2].into())];
    let qkv = graph.node("Transpose", &[&qkv], order);
    let [q, k, v]: [String; 3] = graph.node_of("Split", &[&qkv, &parts], [("axis", (-1).into())]);
    let k = graph.node("Transpose", &[&k], [("perm", [0, 1, 2, 4, 3].into())]);
    let y = attend(graph, [&q, &k, &v], None);
    let values = [y, v].map(|value| {
        let order = [("perm", [0, 2, 4, 1, 3].into())];
        graph.node("Transpose", &[&value], order)
    });
    placed(b, m, x, heads * width, values)
}

/// The module's `qkv` with 1/√K multiplied into the queries.
fn queries(
    b: &mut Builder<'_>,
    m: &Module<'_>,
    x: &Plane,
    [heads, keys, values]: [usize; 3],
) -> Result<Plane, Error> {
    let qkv = m.part("qkv")?;
    let (conv, norm) = (qkv.part("conv")?, qkv.child("bn")?);
    let mut filter = b.filter(&conv, norm.as_ref(), x)?;
    let factor = (keys as f64).powf(-0.5) as f32;
    let rows = heads.saturating_mul(2 * keys + values);
    if filter.weight.dims.first() != Some(&rows) || rows == 0 {
        return Err(m.wrong(&format!(
            "with {:?} for {heads} heads of {keys} and {values}",
            filter.weight.dims
        )));
    }
    let head = (0..2 * keys + values).map(|row| if row < keys { factor } else { 1.0 });
    let factors: Vec<f32> = (0..heads).flat_map(|_| head.clone()).collect();
    filter.scale(&factors);
    let y = b.filtered(&conv, filter, x)?;
    b.activated(&qkv, y)
}
