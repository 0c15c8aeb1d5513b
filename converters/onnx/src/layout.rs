//! Operators that move elements without looking at them, as a plan: which element of which input
//! lands where. Constants (by bytes) and partly known shapes (by element) are moved alike.

use crate::proto::NodeProto;

/// Where each element of a result comes from.
pub(crate) struct Plan {
    pub dims: Vec<usize>,
    /// `None` where all elements of the first input stay as they lie.
    pub from: Option<Vec<From>>,
}

impl Plan {
    fn of(dims: Vec<usize>, from: Vec<From>) -> Self {
        Self {
            dims,
            from: Some(from),
        }
    }

    fn keep(dims: Vec<usize>) -> Self {
        Self { dims, from: None }
    }
}

/// The origin of one element.
#[derive(Clone, Copy)]
pub(crate) enum From {
    /// This element of this input.
    Input(usize, usize),
    /// Zero.
    Zero,
}

/// What is known of a node's inputs.
pub(crate) trait Inputs {
    /// Dimensions of the input at this place.
    fn dims(&self, place: usize) -> Option<Vec<usize>>;
    /// Its elements, where they are known whole numbers.
    fn ints(&self, place: usize) -> Option<Vec<i64>>;
}

/// The plan of result number `result`, of at most `limit` elements. `None` for operators that
/// calculate, for what is not known, and for what would be larger.
pub(crate) fn plan(
    node: &NodeProto,
    result: usize,
    inputs: &dyn Inputs,
    limit: usize,
) -> Option<Plan> {
    if !node.is_standard() || result > 0 && !node.is("Split") {
        return None;
    }
    let dims = |place| inputs.dims(place);
    let ints = |place: usize| inputs.ints(place);
    let plan = match node.op_type() {
        "Identity" => Plan::keep(dims(0)?),
        "Reshape" => {
            let allow_zero = node.int("allowzero") == Some(1);
            Plan::keep(resolve(&dims(0)?, &ints(1)?, allow_zero)?)
        }
        "Flatten" => {
            let dims = dims(0)?;
            let (outer, inner) = dims.split_at(flatten_axis(node, dims.len())?);
            Plan::keep(vec![volume(outer)?, volume(inner)?])
        }
        "Squeeze" => {
            let dims = dims(0)?;
            let ones = || (0..dims.len()).filter(|i| dims[*i] == 1).collect();
            let axes = axes(node, inputs)?;
            Plan::keep(squeezed(&dims, axes.as_deref(), || Some(ones()))?)
        }
        "Unsqueeze" => Plan::keep(unsqueezed(&dims(0)?, &axes(node, inputs)??, 1)?),
        "Transpose" => transpose(node, &dims(0)?, limit)?,
        "Slice" => slice(node, &dims(0)?, inputs, limit)?,
        "Gather" => gather(node, &dims(0)?, &dims(1)?, &ints(1)?, limit)?,
        "GatherElements" => gather_elements(node, &dims(0)?, dims(1)?, &ints(1)?, limit)?,
        "GatherND" => gather_nd(node, &dims(0)?, &dims(1)?, &ints(1)?, limit)?,
        "ScatterND" => scatter_nd(node, &dims(0)?, &dims(1)?, &ints(1)?, limit)?,
        "Concat" => concat(node, inputs, limit)?,
        "Expand" => {
            let shape = sizes(&ints(1)?)?;
            expand(&dims(0)?, &broadcast(&dims(0)?, &shape)?, limit)?
        }
        "Tile" => tile(&dims(0)?, &sizes(&ints(1)?)?, limit)?,
        "Split" => split(node, result, &dims(0)?, inputs, limit)?,
        "Where" => select(&ints(0)?, [dims(0)?, dims(1)?, dims(2)?], limit)?,
        "Trilu" => trilu(node, dims(0)?, inputs, limit)?,
        "DepthToSpace" => depth_to_space(node, &dims(0)?, limit)?,
        _ => return None,
    };
    Some(plan)
}

/// Number of elements.
pub(crate) fn volume(dims: &[usize]) -> Option<usize> {
    dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d))
}

/// An axis counted from the front, of `rank`.
pub(crate) fn axis_of(axis: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    let axis = if axis < 0 {
        axis.checked_add(rank)?
    } else {
        axis
    };
    (0..rank.max(1)).contains(&axis).then_some(axis as usize)
}

/// The first axis of the second result axis of a `Flatten`, which may be behind the last.
pub(crate) fn flatten_axis(node: &NodeProto, rank: usize) -> Option<usize> {
    match node.int("axis").unwrap_or(1) {
        axis if axis >= 0 && usize::try_from(axis).ok()? == rank => Some(rank),
        axis => axis_of(axis, rank),
    }
}

/// The shape that two shapes broadcast to.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |dims: &[usize], i: usize| match (i + dims.len()).checked_sub(rank) {
        Some(i) => dims[i],
        None => 1,
    };
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (a, b) if a == b => Some(a),
            (1, b) => Some(b),
            (a, 1) => Some(a),
            _ => None,
        })
        .collect()
}

/// Index into `dims` of each element of a result of shape `to`, to which `dims` broadcasts.
pub(crate) fn broadcast_index(dims: &[usize], to: &[usize], limit: usize) -> Option<Vec<usize>> {
    let lead = to.len().checked_sub(dims.len())?;
    let own = strides(dims);
    let steps: Vec<usize> = (0..to.len())
        .map(|i| match i.checked_sub(lead) {
            Some(i) if dims[i] != 1 => own[i],
            _ => 0,
        })
        .collect();
    let mut index = Vec::new();
    each(to, limit, |at| {
        index.push(at.iter().zip(&steps).map(|(a, s)| a * s).sum());
        Some(())
    })?;
    Some(index)
}

pub(crate) fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; dims.len()];
    for i in (1..dims.len()).rev() {
        strides[i - 1] = strides[i].saturating_mul(dims[i]);
    }
    strides
}

/// The dimensions that a shape with 0 (as it was) and −1 (what is left) stands for.
pub(crate) fn resolve(dims: &[usize], shape: &[i64], allow_zero: bool) -> Option<Vec<usize>> {
    let mut to = Vec::new();
    let mut open = None;
    for (i, size) in shape.iter().enumerate() {
        to.push(match *size {
            0 if !allow_zero => *dims.get(i)?,
            -1 if open.is_none() => {
                open = Some(i);
                1
            }
            size => usize::try_from(size).ok()?,
        });
    }
    let (all, given) = (volume(dims)?, volume(&to)?);
    if let Some(i) = open {
        to[i] = all.checked_div(given)?;
    }
    (volume(&to)? == all).then_some(to)
}

/// Axes of an operator that takes them as an attribute or as its second input. `Some(None)` when
/// there are none.
pub(crate) fn axes(node: &NodeProto, inputs: &dyn Inputs) -> Option<Option<Vec<i64>>> {
    match (node.ints("axes"), node.input_at(1)) {
        (Some(axes), _) => Some(Some(axes.to_vec())),
        (None, Some(_)) => inputs.ints(1).map(Some),
        (None, None) => Some(None),
    }
}

/// First element, step and number of elements of a slice along an axis of this size.
pub(crate) fn range(start: i64, end: i64, step: i64, size: usize) -> Option<(usize, i64, usize)> {
    let size = i64::try_from(size).ok()?;
    let wrap = |i: i64| if i < 0 { i.saturating_add(size) } else { i };
    let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
    let start = wrap(start).clamp(low.max(0), high.max(0));
    let end = wrap(end).clamp(low, high);
    let count = match step {
        0 => return None,
        _ if size == 0 => 0,
        1.. if start < end => (end - start - 1) / step + 1,
        ..=-1 if start > end => (start - end - 1) / step.checked_neg()? + 1,
        _ => 0,
    };
    Some((start as usize, step, count as usize))
}

/// Starts, ends, axes and steps of a `Slice`.
pub(crate) fn slices(
    node: &NodeProto,
    inputs: &dyn Inputs,
    rank: usize,
) -> Option<Vec<(usize, i64, i64, i64)>> {
    let list = |name: &str, place: usize| match node.ints(name) {
        Some(values) => Some(values.to_vec()),
        None => inputs.ints(place),
    };
    let optional = |name: &str, place: usize| match node.input_at(place) {
        None => Some(node.ints(name).map(<[i64]>::to_vec)),
        Some(_) => list(name, place).map(Some),
    };
    let (starts, ends) = (list("starts", 1)?, list("ends", 2)?);
    let axes = optional("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = optional("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
        return None;
    }
    (0..starts.len())
        .map(|i| {
            let axis = axis_of(axes[i], rank).filter(|axis| *axis < rank)?;
            Some((axis, starts[i], ends[i], steps[i]))
        })
        .collect()
}

/// The sizes of the parts of a `Split`.
pub(crate) fn parts(node: &NodeProto, size: usize, inputs: &dyn Inputs) -> Option<Vec<usize>> {
    if let Some(given) = node.ints("split") {
        return sizes(given);
    }
    if node.input_at(1).is_some() {
        return sizes(&inputs.ints(1)?);
    }
    let count = node.output.len().max(1);
    let part = size.div_ceil(count);
    let parts = (0..count).map(|i| part.min(size.saturating_sub(i * part)));
    Some(parts.collect())
}

pub(crate) fn sizes(ints: &[i64]) -> Option<Vec<usize>> {
    ints.iter().map(|i| usize::try_from(*i).ok()).collect()
}

/// Dimensions without those of the axes, or of the axes that are 1 where none are named.
pub(crate) fn squeezed<D: Clone>(
    dims: &[D],
    axes: Option<&[i64]>,
    ones: impl FnOnce() -> Option<Vec<usize>>,
) -> Option<Vec<D>> {
    let gone = match axes {
        None => ones()?,
        Some(axes) => {
            let axes = axes.iter().map(|a| axis_of(*a, dims.len()));
            axes.collect::<Option<_>>()?
        }
    };
    let left = (0..dims.len()).filter(|i| !gone.contains(i));
    Some(left.map(|i| dims[i].clone()).collect())
}

/// Dimensions with `one` at each of the axes.
pub(crate) fn unsqueezed<D: Clone>(dims: &[D], axes: &[i64], one: D) -> Option<Vec<D>> {
    let rank = dims.len() + axes.len();
    let new: Vec<usize> = axes
        .iter()
        .map(|a| axis_of(*a, rank))
        .collect::<Option<_>>()?;
    let mut old = dims.iter();
    (0..rank)
        .map(|i| {
            if new.contains(&i) {
                Some(one.clone())
            } else {
                old.next().cloned()
            }
        })
        .collect()
}

/// Calls `visit` with every index of a shape, in order.
fn each(dims: &[usize], limit: usize, mut visit: impl FnMut(&[usize]) -> Option<()>) -> Option<()> {
    let count = volume(dims)?;
    if count > limit {
        return None;
    }
    let mut at = vec![0; dims.len()];
    for _ in 0..count {
        visit(&at)?;
        for i in (0..dims.len()).rev() {
            at[i] += 1;
            if at[i] < dims[i] {
                break;
            }
            at[i] = 0;
        }
    }
    Some(())
}

/// A plan whose result of shape `dims` takes from input 0 what `index` says.
fn mapped(
    dims: Vec<usize>,
    limit: usize,
    mut index: impl FnMut(&[usize]) -> Option<usize>,
) -> Option<Plan> {
    let mut from = Vec::new();
    each(&dims, limit, |at| {
        from.push(From::Input(0, index(at)?));
        Some(())
    })?;
    Some(Plan::of(dims, from))
}

/// Every element of the first input at its place, to be changed here and there.
fn in_place(dims: &[usize], limit: usize) -> Option<Vec<From>> {
    let count = volume(dims).filter(|count| *count <= limit)?;
    Some((0..count).map(|i| From::Input(0, i)).collect())
}

/// The permutation of a `Transpose`: axes in reverse where it gives none.
pub(crate) fn permutation(node: &NodeProto, rank: usize) -> Option<Vec<usize>> {
    let Some(given) = node.ints("perm") else {
        return Some((0..rank).rev().collect());
    };
    let perm = sizes(given)?;
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    sorted.iter().copied().eq(0..rank).then_some(perm)
}

fn transpose(node: &NodeProto, dims: &[usize], limit: usize) -> Option<Plan> {
    let perm = permutation(node, dims.len())?;
    let own = strides(dims);
    let to = perm.iter().map(|p| dims[*p]).collect();
    mapped(to, limit, |at| {
        Some(at.iter().zip(&perm).map(|(a, p)| a * own[*p]).sum())
    })
}

fn slice(node: &NodeProto, dims: &[usize], inputs: &dyn Inputs, limit: usize) -> Option<Plan> {
    let mut to = dims.to_vec();
    let mut first = vec![0i64; dims.len()];
    let mut steps = vec![1i64; dims.len()];
    for (axis, start, end, step) in slices(node, inputs, dims.len())? {
        let (start, step, count) = range(start, end, step, *dims.get(axis)?)?;
        (first[axis], steps[axis], to[axis]) = (start as i64, step, count);
    }
    let own = strides(dims);
    mapped(to, limit, |at| {
        let places = at.iter().enumerate().map(|(i, a)| {
            let place = first[i].checked_add(steps[i].checked_mul(*a as i64)?)?;
            Some(usize::try_from(place).ok()? * own[i])
        });
        places.sum()
    })
}

fn gather(
    node: &NodeProto,
    dims: &[usize],
    index_dims: &[usize],
    index: &[i64],
    limit: usize,
) -> Option<Plan> {
    let axis = axis_of(node.int("axis").unwrap_or(0), dims.len())?;
    let size = *dims.get(axis)?;
    let index: Vec<usize> = index
        .iter()
        .map(|i| axis_of(*i, size).filter(|i| *i < size))
        .collect::<Option<_>>()?;
    let (outer, inner) = (volume(&dims[..axis])?, volume(&dims[axis + 1..])?);
    let to = [&dims[..axis], index_dims, &dims[axis + 1..]].concat();
    let mut from = Vec::new();
    match volume(&to)? {
        // The axes in front of an empty one may be as long as they like.
        0 => return Some(Plan::of(to, from)),
        count if count > limit => return None,
        _ => {}
    }
    for o in 0..outer {
        for i in &index {
            from.extend((0..inner).map(|n| From::Input(0, (o * size + i) * inner + n)));
        }
    }
    Some(Plan::of(to, from))
}

fn gather_elements(
    node: &NodeProto,
    dims: &[usize],
    to: Vec<usize>,
    index: &[i64],
    limit: usize,
) -> Option<Plan> {
    let axis = axis_of(node.int("axis").unwrap_or(0), dims.len())?;
    if to.len() != dims.len() || axis >= dims.len() {
        return None;
    }
    let own = strides(dims);
    let mut index = index.iter();
    mapped(to, limit, |at| {
        let along = axis_of(*index.next()?, dims[axis]).filter(|i| *i < dims[axis])?;
        let place = |i: usize| if i == axis { along } else { at[i] };
        let places = (0..dims.len()).map(|i| (place(i) < dims[i]).then(|| place(i) * own[i]));
        places.sum()
    })
}

/// The start in `dims` of each slice that rows of an index of `depth` columns name.
fn rows(dims: &[usize], index: &[i64], depth: usize) -> Option<Vec<usize>> {
    let own = strides(dims);
    let row = |row: &[i64]| {
        let places = row.iter().enumerate().map(|(i, at)| {
            let at = axis_of(*at, dims[i]).filter(|at| *at < dims[i])?;
            Some(at * own[i])
        });
        places.sum::<Option<usize>>()
    };
    if depth == 0 || depth > dims.len() {
        return None;
    }
    index.chunks_exact(depth).map(row).collect()
}

fn gather_nd(
    node: &NodeProto,
    dims: &[usize],
    index_dims: &[usize],
    index: &[i64],
    limit: usize,
) -> Option<Plan> {
    let (depth, lead) = index_dims.split_last()?;
    if node.int("batch_dims").unwrap_or(0) != 0 {
        return None;
    }
    let starts = rows(dims, index, *depth)?;
    let inner = volume(&dims[*depth..])?;
    let to = [lead, &dims[*depth..]].concat();
    if volume(&to)? > limit {
        return None;
    }
    let from = starts
        .iter()
        .flat_map(|start| (0..inner).map(move |i| From::Input(0, start + i)));
    Some(Plan::of(to, from.collect()))
}

fn scatter_nd(
    node: &NodeProto,
    dims: &[usize],
    index_dims: &[usize],
    index: &[i64],
    limit: usize,
) -> Option<Plan> {
    if node.text("reduction").is_some_and(|r| r != "none") {
        return None;
    }
    let mut from = in_place(dims, limit)?;
    let depth = *index_dims.last()?;
    let starts = rows(dims, index, depth)?;
    let inner = volume(&dims[depth..])?;
    for (row, start) in starts.iter().enumerate() {
        for i in 0..inner {
            from[start + i] = From::Input(2, row * inner + i);
        }
    }
    Some(Plan::of(dims.to_vec(), from))
}

fn concat(node: &NodeProto, inputs: &dyn Inputs, limit: usize) -> Option<Plan> {
    let parts: Vec<Vec<usize>> = (0..node.input.len())
        .map(|place| inputs.dims(place))
        .collect::<Option<_>>()?;
    let mut to = parts.first()?.clone();
    let axis = axis_of(node.int("axis")?, to.len()).filter(|axis| *axis < to.len())?;
    for part in &parts[1..] {
        let same = part.len() == to.len() && (0..to.len()).all(|i| i == axis || part[i] == to[i]);
        if !same {
            return None;
        }
        to[axis] = to[axis].checked_add(part[axis])?;
    }
    let mut from = Vec::new();
    match volume(&to)? {
        0 => return Some(Plan::of(to, from)),
        count if count > limit => return None,
        _ => {}
    }
    let outer = volume(&to[..axis])?;
    let runs: Vec<usize> = parts
        .iter()
        .map(|part| volume(&part[axis..]))
        .collect::<Option<_>>()?;
    for o in 0..outer {
        for (place, run) in runs.iter().enumerate() {
            from.extend((0..*run).map(|i| From::Input(place, o * run + i)));
        }
    }
    Some(Plan::of(to, from))
}

fn expand(dims: &[usize], to: &[usize], limit: usize) -> Option<Plan> {
    let index = broadcast_index(dims, to, limit)?;
    let from = index.into_iter().map(|i| From::Input(0, i));
    Some(Plan::of(to.to_vec(), from.collect()))
}

fn tile(dims: &[usize], repeats: &[usize], limit: usize) -> Option<Plan> {
    if repeats.len() != dims.len() {
        return None;
    }
    let own = strides(dims);
    let to = dims.iter().zip(repeats);
    let to = to.map(|(d, r)| d.checked_mul(*r)).collect::<Option<_>>()?;
    mapped(to, limit, |at| {
        let places = at.iter().enumerate();
        Some(places.map(|(i, a)| a % dims[i] * own[i]).sum())
    })
}

fn split(
    node: &NodeProto,
    result: usize,
    dims: &[usize],
    inputs: &dyn Inputs,
    limit: usize,
) -> Option<Plan> {
    let axis = axis_of(node.int("axis").unwrap_or(0), dims.len())?;
    let parts = parts(node, *dims.get(axis)?, inputs)?;
    let sum = |parts: &[usize]| {
        parts
            .iter()
            .try_fold(0usize, |n, part| n.checked_add(*part))
    };
    let before = sum(parts.get(..result)?)?;
    let mut to = dims.to_vec();
    to[axis] = *parts.get(result)?;
    if before.checked_add(to[axis])? > dims[axis] {
        return None;
    }
    let own = strides(dims);
    mapped(to, limit, |at| {
        let place = |i: usize| if i == axis { at[i] + before } else { at[i] };
        Some((0..at.len()).map(|i| place(i) * own[i]).sum())
    })
}

fn select(condition: &[i64], dims: [Vec<usize>; 3], limit: usize) -> Option<Plan> {
    let to = broadcast(&broadcast(&dims[0], &dims[1])?, &dims[2])?;
    let [c, x, y] = dims.map(|dims| broadcast_index(&dims, &to, limit));
    let (c, x, y) = (c?, x?, y?);
    let from = (0..c.len()).map(|i| match condition.get(c[i]) {
        None => None,
        Some(0) => Some(From::Input(2, y[i])),
        Some(_) => Some(From::Input(1, x[i])),
    });
    Some(Plan::of(to, from.collect::<Option<_>>()?))
}

fn trilu(node: &NodeProto, dims: Vec<usize>, inputs: &dyn Inputs, limit: usize) -> Option<Plan> {
    let shift = match node.input_at(1) {
        Some(_) => *inputs.ints(1)?.first()?,
        None => 0,
    };
    let upper = node.int("upper").unwrap_or(1) != 0;
    let mut from = in_place(&dims, limit)?;
    let [.., rows, columns] = dims.as_slice() else {
        return None;
    };
    for (i, from) in from.iter_mut().enumerate() {
        let (row, column) = ((i / columns % rows) as i64, (i % columns) as i64);
        let above = column - row;
        let inside = if upper {
            above >= shift
        } else {
            above <= shift
        };
        if !inside {
            *from = From::Zero;
        }
    }
    Some(Plan::of(dims, from))
}

fn depth_to_space(node: &NodeProto, dims: &[usize], limit: usize) -> Option<Plan> {
    let block = usize::try_from(node.int("blocksize")?)
        .ok()
        .filter(|b| *b > 0)?;
    let [n, c, h, w] = *dims else { return None };
    let square = block.checked_mul(block)?;
    if !c.is_multiple_of(square) {
        return None;
    }
    let depth = c / square;
    let columns_first = node.text("mode") == Some("CRD");
    let to = vec![n, depth, h.checked_mul(block)?, w.checked_mul(block)?];
    mapped(to, limit, |at| {
        let (row, column) = (at[2] % block, at[3] % block);
        let channel = match columns_first {
            true => at[1] * square + row * block + column,
            false => (row * block + column) * depth + at[1],
        };
        Some(((at[0] * c + channel) * h + at[2] / block) * w + at[3] / block)
    })
}
