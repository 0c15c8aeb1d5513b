//! Operators that arrange: shapes, slices, gathering, padding, resizing, selection.

use super::{Element, Fact, View};
use crate::layout::{self, Inputs, axes, axis_of, parts, permutation, range, slices};
use crate::{DType, Dim, Tensor};

/// What is known of the results; `None` for operators that are not here.
pub(super) fn infer(view: &View<'_>) -> Option<Vec<Fact>> {
    let node = view.node;
    if !node.is_standard() {
        return None;
    }
    let dtype = view.dtype(0);
    let index = Some(DType::I64);
    let one = |dtype, dims| vec![Fact::new(dtype, dims)];
    Some(match node.op_type() {
        "Shape" => {
            let count = view
                .rank(0)
                .map(|rank| crate::eval::shape_range(node, rank).len());
            one(index, Some(vec![count.map_or(Dim::Unknown, Dim::Fixed)]))
        }
        "Size" => one(index, Some(vec![])),
        "Reshape" => one(dtype, reshape(view)),
        "Flatten" => one(dtype, flatten(view)),
        "Transpose" => one(dtype, transpose(view)),
        "Squeeze" => one(dtype, squeeze(view)),
        "Unsqueeze" => one(dtype, unsqueeze(view)),
        "Concat" => one(dtype, concat(view)),
        "Split" => return split(view),
        "Slice" => one(dtype, slice(view)),
        "Gather" => one(dtype, gather(view)),
        "GatherElements" => one(dtype, view.open(1).map(<[Dim]>::to_vec)),
        "GatherND" => one(dtype, gather_nd(view)),
        "Expand" => one(dtype, expand(view)),
        "Tile" => one(dtype, tile(view)),
        "Pad" => one(dtype, pad(view)),
        "ConstantOfShape" => {
            let value = node.attribute_of("value").and_then(|a| a.t.as_ref());
            let filled = value.and_then(|t| DType::from_code(t.data_type()));
            let filled = if value.is_none() {
                Some(DType::F32)
            } else {
                filled
            };
            one(filled, elements(view, 0))
        }
        "Constant" => {
            let tensor = Tensor::inside(node.attribute_of("value")?.t.as_ref()?).ok()?;
            vec![Fact::of(&tensor)]
        }
        "Range" => one(dtype, Some(vec![Dim::Unknown])),
        "NonZero" => {
            let rank = view.rank(0).map_or(Dim::Unknown, Dim::Fixed);
            one(index, Some(vec![rank, Dim::Unknown]))
        }
        "TopK" => {
            let dims = top_k(view);
            vec![Fact::new(dtype, dims.clone()), Fact::new(index, dims)]
        }
        "OneHot" => one(view.dtype(2), one_hot(view)),
        "NonMaxSuppression" => one(index, Some(vec![Dim::Unknown, Dim::Fixed(3)])),
        "RoiAlign" => one(dtype, roi_align(view)),
        "Resize" | "Upsample" => one(dtype, resize(view)),
        "DepthToSpace" => one(dtype, blocks(view, true)),
        "SpaceToDepth" => one(dtype, blocks(view, false)),
        "GridSample" => {
            let (x, grid) = (view.open(0)?, view.open(1)?);
            let inner = grid.get(1..grid.len().checked_sub(1)?)?;
            one(dtype, Some([x.get(..2)?, inner].concat()))
        }
        "EyeLike" => {
            let own = node.int("dtype").and_then(|code| i32::try_from(code).ok());
            let dtype = own.map_or(dtype, DType::from_code);
            one(dtype, view.open(0).map(<[Dim]>::to_vec))
        }
        _ => return None,
    })
}

/// The elements of an input as dimensions, or as many unknown ones as it has elements.
fn elements(view: &View<'_>, place: usize) -> Option<Vec<Dim>> {
    let fact = view.fact(place)?;
    if let Some(elements) = &fact.elements {
        return Some(elements.iter().map(Dim::from).collect());
    }
    match fact.dims.as_deref()? {
        [Dim::Fixed(rank)] if *rank <= super::MAX_ELEMENTS => Some(vec![Dim::Unknown; *rank]),
        _ => None,
    }
}

fn reshape(view: &View<'_>) -> Option<Vec<Dim>> {
    let fact = view.fact(1)?;
    let Some(shape) = &fact.elements else {
        return elements(view, 1);
    };
    let keeps_zero = view.node.int("allowzero") == Some(1);
    let old = view.open(0);
    let mut dims = Vec::new();
    let mut open = None;
    for (i, size) in shape.iter().enumerate() {
        dims.push(match size {
            Element::Known(0) if !keeps_zero => old
                .and_then(|dims| dims.get(i).cloned())
                .unwrap_or(Dim::Unknown),
            Element::Known(-1) => {
                open = Some(i);
                Dim::Unknown
            }
            other => Dim::from(other),
        });
    }
    if let (Some(i), Some(old)) = (open, old)
        && let Some(size) = left_over(old, &dims, i)
    {
        dims[i] = size;
    }
    Some(dims)
}

/// The dimension at `open` of `new`, which has as many elements as `old`: what named dimensions of the
/// one are not in the other.
fn left_over(old: &[Dim], new: &[Dim], open: usize) -> Option<Dim> {
    let mut names: Vec<&str> = Vec::new();
    let mut size = 1usize;
    for dim in old {
        match dim {
            Dim::Fixed(n) => size = size.checked_mul(*n)?,
            Dim::Named(name) => names.push(name),
            Dim::Unknown => return None,
        }
    }
    let mut given = 1usize;
    for (_, dim) in new.iter().enumerate().filter(|(i, _)| *i != open) {
        match dim {
            Dim::Fixed(n) => given = given.checked_mul(*n)?,
            Dim::Named(name) => {
                let at = names.iter().position(|n| n == name)?;
                names.swap_remove(at);
            }
            Dim::Unknown => return None,
        }
    }
    match (names.as_slice(), size.checked_div(given)) {
        ([], Some(left)) => Some(Dim::Fixed(left)),
        ([name], Some(1)) if size == given => Some(Dim::named(*name)),
        _ => None,
    }
}

fn product(dims: &[Dim]) -> Dim {
    match dims {
        [one] => one.clone(),
        _ => {
            let sizes: Option<Vec<usize>> = dims
                .iter()
                .map(|dim| match dim {
                    Dim::Fixed(size) => Some(*size),
                    _ => None,
                })
                .collect();
            let size = sizes.and_then(|sizes| layout::volume(&sizes));
            size.map_or(Dim::Unknown, Dim::Fixed)
        }
    }
}

fn flatten(view: &View<'_>) -> Option<Vec<Dim>> {
    let Some(dims) = view.open(0) else {
        return Some(vec![Dim::Unknown; 2]);
    };
    let (outer, inner) = dims.split_at(layout::flatten_axis(view.node, dims.len())?);
    Some(vec![product(outer), product(inner)])
}

fn transpose(view: &View<'_>) -> Option<Vec<Dim>> {
    let dims = view.open(0)?;
    let perm = permutation(view.node, dims.len())?;
    Some(perm.iter().map(|p| dims[*p].clone()).collect())
}

fn squeeze(view: &View<'_>) -> Option<Vec<Dim>> {
    let dims = view.open(0)?;
    layout::squeezed(dims, axes(view.node, view)?.as_deref(), || {
        let fixed = view.fact(0)?.fixed()?;
        Some((0..fixed.len()).filter(|i| fixed[*i] == 1).collect())
    })
}

fn unsqueeze(view: &View<'_>) -> Option<Vec<Dim>> {
    let dims = view.open(0)?;
    layout::unsqueezed(dims, &axes(view.node, view)??, Dim::Fixed(1))
}

fn concat(view: &View<'_>) -> Option<Vec<Dim>> {
    let mut dims = view.open(0)?.to_vec();
    let axis = axis_of(view.node.int("axis")?, dims.len()).filter(|axis| *axis < dims.len())?;
    for place in 1..view.node.input.len() {
        let part = view.open(place)?;
        if part.len() != dims.len() {
            return None;
        }
        for (i, dim) in dims.iter_mut().enumerate() {
            *dim = match (i == axis, &*dim, &part[i]) {
                (true, Dim::Fixed(a), Dim::Fixed(b)) => Dim::Fixed(a.checked_add(*b)?),
                (true, ..) => Dim::Unknown,
                (false, Dim::Unknown, other) => other.clone(),
                (false, Dim::Named(_), Dim::Fixed(size)) => Dim::Fixed(*size),
                (false, own, _) => own.clone(),
            };
        }
    }
    Some(dims)
}

fn split(view: &View<'_>) -> Option<Vec<Fact>> {
    let dims = view.open(0)?;
    let axis = view.axis(0, dims.len()).filter(|axis| *axis < dims.len())?;
    let sizes = match dims[axis] {
        Dim::Fixed(size) => parts(view.node, size, view),
        _ => match view.node.input_at(1) {
            Some(_) => parts(view.node, 0, view),
            None => None,
        },
    };
    let result = |i: usize| {
        let mut dims = dims.to_vec();
        let size = sizes.as_ref().and_then(|sizes| sizes.get(i).copied());
        dims[axis] = size.map_or(Dim::Unknown, Dim::Fixed);
        Fact::new(view.dtype(0), Some(dims))
    };
    Some((0..view.node.output.len()).map(result).collect())
}

fn slice(view: &View<'_>) -> Option<Vec<Dim>> {
    let mut dims = view.open(0)?.to_vec();
    let Some(slices) = slices(view.node, view, dims.len()) else {
        // Where the axes are known, the others keep their sizes.
        let axes = view.ints(3);
        let axes = axes.map(|axes| axes.iter().map(|a| axis_of(*a, dims.len())).collect());
        let cut: Vec<usize> = axes
            .and_then(|axes: Option<Vec<usize>>| axes)
            .unwrap_or_default();
        for (i, dim) in dims.iter_mut().enumerate() {
            if cut.is_empty() || cut.contains(&i) {
                *dim = Dim::Unknown;
            }
        }
        return Some(dims);
    };
    for (axis, start, end, step) in slices {
        let whole = start == 0 && step == 1 && end >= i64::from(i32::MAX);
        dims[axis] = match dims.get(axis)? {
            Dim::Fixed(size) => Dim::Fixed(range(start, end, step, *size)?.2),
            other if whole => other.clone(),
            _ => Dim::Unknown,
        };
    }
    Some(dims)
}

fn gather(view: &View<'_>) -> Option<Vec<Dim>> {
    let (dims, index) = (view.open(0)?, view.open(1)?);
    let axis = view.axis(0, dims.len()).filter(|axis| *axis < dims.len())?;
    Some([&dims[..axis], index, &dims[axis + 1..]].concat())
}

fn gather_nd(view: &View<'_>) -> Option<Vec<Dim>> {
    let (dims, index) = (view.open(0)?, view.open(1)?);
    let (Dim::Fixed(depth), lead) = index.split_last()? else {
        return None;
    };
    let batch = usize::try_from(view.node.int("batch_dims").unwrap_or(0)).ok()?;
    Some([lead, dims.get(batch.checked_add(*depth)?..)?].concat())
}

fn expand(view: &View<'_>) -> Option<Vec<Dim>> {
    let dims = view.open(0)?;
    let shape = elements(view, 1)?;
    Some(super::network::broadcast(dims, &shape))
}

fn tile(view: &View<'_>) -> Option<Vec<Dim>> {
    let dims = view.open(0)?;
    let Some(repeats) = view.ints(1).filter(|repeats| repeats.len() == dims.len()) else {
        return Some(vec![Dim::Unknown; dims.len()]);
    };
    let places = dims
        .iter()
        .zip(&repeats)
        .map(|(dim, repeat)| match (dim, repeat) {
            (dim, 1) => dim.clone(),
            (Dim::Fixed(size), repeat) => {
                let size = usize::try_from(*repeat)
                    .ok()
                    .and_then(|r| size.checked_mul(r));
                size.map_or(Dim::Unknown, Dim::Fixed)
            }
            _ => Dim::Unknown,
        });
    Some(places.collect())
}

fn pad(view: &View<'_>) -> Option<Vec<Dim>> {
    let mut dims = view.open(0)?.to_vec();
    let pads = match view.node.ints("pads") {
        Some(pads) => Some(pads.to_vec()),
        None => view.ints(1),
    };
    let axes: Option<Vec<usize>> = match view.node.input_at(3) {
        None => Some((0..dims.len()).collect()),
        Some(_) => view
            .ints(3)
            .and_then(|axes| axes.iter().map(|a| axis_of(*a, dims.len())).collect()),
    };
    let (Some(pads), Some(axes)) = (pads, axes) else {
        return Some(vec![Dim::Unknown; dims.len()]);
    };
    if pads.len() != 2 * axes.len() {
        return None;
    }
    for (i, axis) in axes.iter().enumerate() {
        let more = pads[i].checked_add(pads[i + axes.len()])?;
        dims[*axis] = match dims.get(*axis)? {
            dim if more == 0 => dim.clone(),
            Dim::Fixed(size) => {
                let size = i64::try_from(*size).ok()?.checked_add(more)?;
                Dim::Fixed(usize::try_from(size).ok()?)
            }
            _ => Dim::Unknown,
        };
    }
    Some(dims)
}

fn top_k(view: &View<'_>) -> Option<Vec<Dim>> {
    let mut dims = view.open(0)?.to_vec();
    let axis = view
        .axis(-1, dims.len())
        .filter(|axis| *axis < dims.len())?;
    let count = view
        .fact(1)
        .and_then(|fact| fact.elements.as_ref()?.first());
    dims[axis] = count.map_or(Dim::Unknown, Dim::from);
    Some(dims)
}

fn one_hot(view: &View<'_>) -> Option<Vec<Dim>> {
    let mut dims = view.open(0)?.to_vec();
    let axis = view.axis(-1, dims.len() + 1)?;
    let depth = view
        .fact(1)
        .and_then(|fact| fact.elements.as_ref()?.first());
    dims.insert(axis, depth.map_or(Dim::Unknown, Dim::from));
    Some(dims)
}

fn roi_align(view: &View<'_>) -> Option<Vec<Dim>> {
    let side = |name: &str| usize::try_from(view.node.int(name).unwrap_or(1)).ok();
    let count = view.open(1).and_then(|dims| dims.first().cloned());
    Some(vec![
        count.unwrap_or(Dim::Unknown),
        view.open(0)?.get(1)?.clone(),
        Dim::Fixed(side("output_height")?),
        Dim::Fixed(side("output_width")?),
    ])
}

fn resize(view: &View<'_>) -> Option<Vec<Dim>> {
    let dims = view.open(0)?;
    let unknown = vec![Dim::Unknown; dims.len()];
    if view.node.attribute_of("axes").is_some()
        || view
            .node
            .text("keep_aspect_ratio_policy")
            .is_some_and(|p| p != "stretch")
    {
        return Some(unknown);
    }
    if view.node.input_at(3).is_some() {
        let sizes = elements(view, 3).filter(|sizes| sizes.len() == dims.len());
        return Some(sizes.unwrap_or(unknown));
    }
    let scales = view
        .node
        .input_at(2)
        .and_then(|name| view.facts.constant(name));
    let Some(scales) = scales.and_then(Tensor::as_f32) else {
        return Some(unknown);
    };
    if scales.len() != dims.len() {
        return Some(unknown);
    }
    let scaled = dims
        .iter()
        .zip(scales.iter())
        .map(|(dim, scale)| match dim {
            dim if *scale == 1.0 => dim.clone(),
            // Sizes above this would not be exact as f32, and no picture has them.
            Dim::Fixed(size) if *size < 1 << 24 => Dim::Fixed((*size as f32 * scale) as usize),
            _ => Dim::Unknown,
        });
    Some(scaled.collect())
}

fn blocks(view: &View<'_>, deep: bool) -> Option<Vec<Dim>> {
    let [n, c, h, w] = view.open(0)? else {
        return None;
    };
    let block = usize::try_from(view.node.int("blocksize")?).ok()?;
    let square = block.checked_mul(block)?;
    let scaled = |dim: &Dim, up: bool, by: usize| match dim {
        Dim::Fixed(size) if up => size.checked_mul(by).map_or(Dim::Unknown, Dim::Fixed),
        Dim::Fixed(size) => size.checked_div(by).map_or(Dim::Unknown, Dim::Fixed),
        _ => Dim::Unknown,
    };
    Some(vec![
        n.clone(),
        scaled(c, !deep, square),
        scaled(h, deep, block),
        scaled(w, deep, block),
    ])
}
