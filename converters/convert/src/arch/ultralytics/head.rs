//! Heads: what becomes of the last feature maps (ultralytics 8.4, `nn/modules/head.py`).
//!
//! Boxes come as distances from the anchor to the four sides, each a distribution over R bins ("DFL",
//! Li et al. 2020, arXiv:2006.04388), whose mean is the distance. Centre and size are linear in the
//! four means, so that one product with a constant makes them of the distributions.

use bevel_manifest::Task;
use bevel_onnx::{DType, Dim, Tensor};

use super::blocks::proto;
use super::builder::{Builder, Plane};
use super::module::Module;
use crate::Error;

/// Anchors of one picture; the largest model at 8192×8192 has 1.4 million.
const ANCHORS: usize = 1 << 22;

/// What a head answers besides boxes and scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::arch) enum Extra {
    None,
    /// Coefficients of so many mask prototypes.
    Masks(usize),
    /// So many keypoints of so many numbers each.
    Keypoints(usize, usize),
    Angle,
}

impl Extra {
    /// Numbers of each box behind its classes.
    pub fn width(self) -> usize {
        match self {
            Self::None => 0,
            Self::Angle => 1,
            Self::Masks(count) => count,
            Self::Keypoints(count, dims) => count * dims,
        }
    }

    /// What such boxes are for.
    pub fn task(self) -> Task {
        match self {
            Self::None => Task::Detect,
            Self::Masks(_) => Task::Segment,
            Self::Keypoints(..) => Task::Pose,
            Self::Angle => Task::Obb,
        }
    }
}

/// A head of boxes that was built.
pub(in crate::arch) struct Found {
    pub classes: usize,
    pub extra: Extra,
    /// Whether a thing gets one box, so that none need be suppressed.
    pub single: bool,
}

/// Where the predictions of all maps stand, behind each other.
struct Anchors {
    /// Height times width of each map.
    counts: Vec<usize>,
    /// Pixels from one anchor to the next, of each map.
    strides: Vec<usize>,
    /// Centre of each anchor in units of its stride: x of all, y of all.
    centers: [Vec<f32>; 2],
}

impl Anchors {
    fn new(m: &Module<'_>, picture: [usize; 2], planes: &[Plane]) -> Result<Self, Error> {
        let mut anchors = Self {
            counts: Vec::new(),
            strides: Vec::new(),
            centers: Default::default(),
        };
        for plane in planes {
            let [h, w] = plane.size;
            let stride = picture[0].checked_div(h).unwrap_or(0);
            if stride == 0 || [h * stride, w * stride] != picture {
                let what = format!("over a map of {h}×{w} of a picture of {picture:?}");
                return Err(m.wrong(&what));
            }
            if anchors.total() + h * w > ANCHORS {
                return Err(m.wrong(&format!("of more than {ANCHORS} anchors")));
            }
            anchors.counts.push(h * w);
            anchors.strides.push(stride);
            for y in 0..h {
                anchors.centers[0].extend((0..w).map(|x| x as f32 + 0.5));
                anchors.centers[1].extend(std::iter::repeat_n(y as f32 + 0.5, w));
            }
        }
        Ok(anchors)
    }

    fn total(&self) -> usize {
        self.counts.iter().sum()
    }

    /// The stride of each anchor.
    fn spread(&self) -> Vec<f32> {
        let rows = self.counts.iter().zip(&self.strides);
        let rows = rows.flat_map(|(count, stride)| std::iter::repeat_n(*stride as f32, *count));
        rows.collect()
    }

    /// x and y of each anchor in pixels, moved by `shift` strides, and `rest` rows of zeros.
    fn pixels(&self, shift: f32, rest: usize) -> Vec<f32> {
        let strides = self.spread();
        let axis = |axis: usize| self.centers[axis].iter().zip(&strides);
        let moved = [0, 1].into_iter().flat_map(axis);
        let moved = moved.map(|(center, stride)| (center + shift) * stride);
        let zeros = std::iter::repeat_n(0.0, rest * self.total());
        moved.chain(zeros).collect()
    }
}

/// Classes of heads of boxes.
pub(super) const KINDS: [&str; 8] = [
    "Detect",
    "OBB",
    "OBB26",
    "Pose",
    "Pose26",
    "Segment",
    "Segment26",
    "v10Detect",
];

pub(super) fn finds_boxes(kind: &str) -> bool {
    KINDS.contains(&kind)
}

/// Writes a head of boxes over feature maps of a picture, and the outputs of the graph.
pub(super) fn boxes(
    b: &mut Builder<'_>,
    m: &Module<'_>,
    picture: [usize; 2],
    planes: &[Plane],
) -> Result<Found, Error> {
    let anchors = Anchors::new(m, picture, planes)?;
    // Heads with a second branch, trained to give each thing one box (YOLOv10), answer with it where
    // they were told to, or where fusing has left no other.
    let both = m.child("one2one_cv2")?.is_some();
    let single = both && (m.flag("_end2end", false) || m.child("cv2")?.is_none());
    let branch = |key: &str| match single {
        true => format!("one2one_{key}"),
        false => key.to_owned(),
    };
    let extra = match m.kind() {
        "Segment" | "Segment26" => Extra::Masks(m.size("nm")?),
        "Pose" | "Pose26" => {
            let [count, dims] = m.sizes("kpt_shape")?;
            if count == 0 || !(2..=3).contains(&dims) {
                return Err(m.wrong(&format!("of `kpt_shape` {count}×{dims}")));
            }
            Extra::Keypoints(count, dims)
        }
        "OBB" | "OBB26" => Extra::Angle,
        _ => Extra::None,
    };

    let bins = m.size("reg_max")?;
    if bins == 0 {
        return Err(m.wrong("without bins"));
    }
    let sides = levels(b, &m.part(&branch("cv2"))?, planes, 4 * bins)?;
    let scores = levels(b, &m.part(&branch("cv3"))?, planes, 0)?;
    let classes = scores.first().map_or(0, |plane| plane.map.channels);
    if scores.iter().any(|plane| plane.map.channels != classes) {
        return Err(m.wrong("whose maps differ in classes"));
    }

    let angle = match extra {
        Extra::Angle => Some(angles(b, m, &branch("cv4"), planes, &anchors)?),
        _ => None,
    };
    b.net.graph.set_scope(&m.name);
    let boxes = rectangles(b, m, &sides, bins, &anchors, angle.as_deref())?;
    let scores = flattened(b, &scores, &[classes], &anchors);
    let scores = b.net.graph.node("Sigmoid", &[&scores], []);
    let more = match extra {
        Extra::None => None,
        Extra::Angle => angle,
        Extra::Masks(count) => {
            let masks = levels(b, &m.part(&branch("cv4"))?, planes, count)?;
            b.net.graph.set_scope(&m.name);
            Some(flattened(b, &masks, &[count], &anchors))
        }
        Extra::Keypoints(count, dims) => {
            Some(keypoints(b, m, &branch, planes, [count, dims], &anchors)?)
        }
    };

    b.net.graph.set_scope(&m.name);
    let rows: Vec<&str> = [boxes.as_str(), &scores]
        .into_iter()
        .chain(more.as_deref())
        .collect();
    let predictions = b.net.graph.node("Concat", &rows, [("axis", 1.into())]);
    let dims = [
        Dim::named("batch"),
        Dim::Fixed(4 + classes + extra.width()),
        Dim::Fixed(anchors.total()),
    ];
    let graph = &mut b.net.graph;
    graph.output(&predictions, "predictions", DType::F32, dims);
    if let Extra::Masks(count) = extra {
        prototypes(b, &m.part("proto")?, planes, count)?;
    }
    Ok(Found {
        classes,
        extra,
        single,
    })
}

/// Each map through the module of its index in a list; `channels` come out, or any number for 0.
fn levels(
    b: &mut Builder<'_>,
    list: &Module<'_>,
    planes: &[Plane],
    channels: usize,
) -> Result<Vec<Plane>, Error> {
    let modules = list.list()?;
    if modules.len() != planes.len() {
        let what = format!("of {} parts over {} maps", modules.len(), planes.len());
        return Err(list.wrong(&what));
    }
    let mut through = Vec::new();
    for (module, plane) in modules.iter().zip(planes) {
        let y = b.block(module, plane)?;
        if channels != 0 && y.map.channels != channels || y.size != plane.size {
            let what = format!("that answers {}×{:?}", y.map.channels, y.size);
            return Err(module.wrong(&what));
        }
        through.push(y);
    }
    Ok(through)
}

/// N×C×h×w of all maps as N×`shape`×A, where the product of `shape` is C.
fn flattened(b: &mut Builder<'_>, planes: &[Plane], shape: &[usize], anchors: &Anchors) -> String {
    let mut flat = Vec::new();
    for (plane, count) in planes.iter().zip(&anchors.counts) {
        let sizes = [0].into_iter().chain(shape.iter().copied()).chain([*count]);
        let sizes: Vec<i64> = sizes.map(|n| n as i64).collect();
        let sizes = b.net.i64s(&sizes);
        let inputs = [plane.map.value.as_str(), &sizes];
        flat.push(b.net.graph.node("Reshape", &inputs, []));
    }
    if let [one] = &flat[..] {
        return one.clone();
    }
    let flat: Vec<&str> = flat.iter().map(String::as_str).collect();
    let axis = shape.len() as i64 + 1;
    b.net.graph.node("Concat", &flat, [("axis", axis.into())])
}

/// Distances to the four sides as N×4×A, `[cx, cy, w, h]` in pixels; turned by an angle N×1×A, where
/// there is one, around the anchor.
fn rectangles(
    b: &mut Builder<'_>,
    m: &Module<'_>,
    sides: &[Plane],
    bins: usize,
    anchors: &Anchors,
    angle: Option<&str>,
) -> Result<String, Error> {
    let total = anchors.total();
    let (sides, means) = match bins {
        1 => (flattened(b, sides, &[4], anchors), vec![1.0]),
        _ => {
            let table = format!("{}.dfl.conv.weight", m.name);
            let means = b.net.weights.take_f32(&table, &[1, bins, 1, 1])?;
            let logits = flattened(b, sides, &[4, bins], anchors);
            let flat = b.net.i64s(&[0, 4 * bins as i64, total as i64]);
            let graph = &mut b.net.graph;
            let shares = graph.node("Softmax", &[&logits], [("axis", 2.into())]);
            (graph.node("Reshape", &[&shares, &flat], []), means)
        }
    };
    // Factors of the distances to the left, top, right and bottom.
    let center = [[-0.5, 0.0, 0.5, 0.0], [0.0, -0.5, 0.0, 0.5]];
    let size = [[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]];
    let turned = [[0.0, 0.5, 0.0, -0.5], center[0]];
    let rows: Vec<[f32; 4]> = match angle {
        None => [center, size].concat(),
        Some(_) => [center, turned, size].concat(),
    };
    let elements = rows.iter().flatten();
    let elements = elements.flat_map(|factor| means.iter().map(move |mean| factor * mean));
    let sums = Tensor::f32("box.sums", &[rows.len(), 4 * bins], elements.collect());
    let mut places = anchors.centers.concat();
    places.resize(4 * total, 0.0);
    let places = Tensor::f32("anchors", &[4, total], places);
    let strides = Tensor::f32("strides", &[total], anchors.spread());
    let graph = &mut b.net.graph;
    let [sums, places, strides] = [sums, places, strides].map(|tensor| graph.initializer(tensor));
    let mut boxes = graph.node("MatMul", &[&sums, &sides], []);
    if let Some(angle) = angle {
        let parts = b.net.i64s(&[2, 2, 2]);
        let graph = &mut b.net.graph;
        // x·cos − y·sin and y·cos + x·sin of the centre, seen from the anchor.
        let axis = || [("axis", 1.into())];
        let [center, turned, size]: [String; 3] = graph.node_of("Split", &[&boxes, &parts], axis());
        let cos = graph.node("Cos", &[angle], []);
        let sin = graph.node("Sin", &[angle], []);
        let center = graph.node("Mul", &[&center, &cos], []);
        let turned = graph.node("Mul", &[&turned, &sin], []);
        let center = graph.node("Add", &[&center, &turned], []);
        boxes = graph.node("Concat", &[&center, &size], axis());
    }
    let graph = &mut b.net.graph;
    let boxes = graph.node("Add", &[&boxes, &places], []);
    Ok(graph.node("Mul", &[&boxes, &strides], []))
}

/// N×1×A in radians: OBB's in −π/4 ..= 3π/4, OBB26's as they come.
fn angles(
    b: &mut Builder<'_>,
    m: &Module<'_>,
    key: &str,
    planes: &[Plane],
    anchors: &Anchors,
) -> Result<String, Error> {
    let logits = levels(b, &m.part(key)?, planes, 1)?;
    b.net.graph.set_scope(&m.name);
    let angle = flattened(b, &logits, &[1], anchors);
    if m.kind() == "OBB26" {
        return Ok(angle);
    }
    let quarter = b.net.scalar(0.25);
    let half_turn = b.net.scalar(std::f32::consts::PI);
    let graph = &mut b.net.graph;
    let angle = graph.node("Sigmoid", &[&angle], []);
    let angle = graph.node("Sub", &[&angle, &quarter], []);
    Ok(graph.node("Mul", &[&angle, &half_turn], []))
}

/// N×(K·D)×A: x and y in pixels, and where D is 3 the probability that the point is seen.
fn keypoints(
    b: &mut Builder<'_>,
    m: &Module<'_>,
    branch: &dyn Fn(&str) -> String,
    planes: &[Plane],
    [count, dims]: [usize; 2],
    anchors: &Anchors,
) -> Result<String, Error> {
    let newer = m.kind() == "Pose26";
    // Distances from the anchor in strides: YOLOv8's are half of that, from its cell's corner.
    let (factor, shift) = if newer { (1.0, 0.0) } else { (2.0, -0.5) };
    let trunks = m.part(&branch("cv4"))?.list()?;
    let heads = match newer {
        true => m.part(&branch("cv4_kpts"))?.list()?,
        false => Vec::new(),
    };
    if trunks.len() != planes.len() || newer && heads.len() != planes.len() {
        return Err(m.wrong("with keypoints for other maps"));
    }
    let mut maps = Vec::new();
    for (level, plane) in planes.iter().enumerate() {
        let mut modules = trunks[level].list()?;
        let last = match newer {
            true => heads.get(level).cloned(),
            false => modules.pop(),
        };
        let last = last.ok_or_else(|| trunks[level].wrong("that is empty"))?;
        let y = b.sequence(&modules, plane)?;
        let mut filter = b.filter(&last, None, &y)?;
        let pixels = factor * anchors.strides[level] as f32;
        let point = (0..dims).map(|i| if i < 2 { pixels } else { 1.0 });
        let factors: Vec<f32> = (0..count).flat_map(|_| point.clone()).collect();
        if filter.weight.dims.first() != Some(&factors.len()) || y.size != plane.size {
            let what = format!("of {:?} for {count} keypoints", filter.weight.dims);
            return Err(last.wrong(&what));
        }
        filter.scale(&factors);
        maps.push(b.filtered(&last, filter, &y)?);
    }
    b.net.graph.set_scope(&m.name);
    let total = anchors.total();
    let points = flattened(b, &maps, &[count, dims], anchors);
    let places = anchors.pixels(shift, dims - 2);
    let places = Tensor::f32("places", &[dims, total], places);
    let whole = b.net.i64s(&[0, (count * dims) as i64, total as i64]);
    let graph = &mut b.net.graph;
    let places = graph.initializer(places);
    let mut moved = graph.node("Add", &[&points, &places], []);
    if dims == 3 {
        let seen = Tensor::new("seen", DType::Bool, &[3, 1], vec![0u8, 0, 1].into());
        let seen = graph.initializer(seen);
        let scores = graph.node("Sigmoid", &[&points], []);
        moved = graph.node("Where", &[&seen, &scores, &moved], []);
    }
    Ok(graph.node("Reshape", &[&moved, &whole], []))
}

/// The output `prototypes`, N×P×h×w.
fn prototypes(
    b: &mut Builder<'_>,
    m: &Module<'_>,
    planes: &[Plane],
    count: usize,
) -> Result<(), Error> {
    let Some(finest) = planes.first() else {
        return Err(m.wrong("without a map"));
    };
    let mut x = finest.clone();
    if m.kind() == "Proto26" {
        // The coarser maps are added to the finest.
        for (refine, plane) in m.part("feat_refine")?.list()?.iter().zip(&planes[1..]) {
            let y = b.block(refine, plane)?;
            let times = x.size[0].checked_div(y.size[0]).unwrap_or(0);
            let y = Plane {
                map: b.net.enlarged(&y.map, times),
                size: y.size.map(|n| n * times),
            };
            x = b.add(m, &x, &y)?;
        }
        x = b.inner(m, "feat_fuse", &x)?;
    }
    let y = proto(b, m, &x)?;
    if y.map.channels != count {
        return Err(m.wrong(&format!("of {} prototypes", y.map.channels)));
    }
    let [h, w] = y.size.map(Dim::Fixed);
    let dims = [Dim::named("batch"), Dim::Fixed(count), h, w];
    let graph = &mut b.net.graph;
    graph.output(&y.map.value, "prototypes", DType::F32, dims);
    Ok(())
}

/// Writes the classifier and the output `logits`; answers how many classes there are.
pub(super) fn classify(
    b: &mut Builder<'_>,
    m: &Module<'_>,
    planes: &[Plane],
) -> Result<usize, Error> {
    let x = match planes {
        [one] => one.clone(),
        several => b.join(m, several)?,
    };
    let x = b.inner(m, "conv", &x)?;
    let linear = m.part("linear")?;
    b.net.graph.set_scope(&m.name);
    let pooled = b.net.global_average(&x.map);
    let flat = b.net.graph.node("Flatten", &[&pooled.value], []);
    let (logits, classes) = b.net.dense(&flat, &linear.name, x.map.channels)?;
    let dims = [Dim::named("batch"), Dim::Fixed(classes)];
    b.net.graph.output(&logits, "logits", DType::F32, dims);
    Ok(classes)
}
