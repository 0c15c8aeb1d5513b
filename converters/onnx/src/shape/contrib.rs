//! Operators of ONNX Runtime's own, those that our graphs have.

use super::{Fact, View};
use crate::{CONTRIB, DType, Dim};

/// What is known of the results; `None` for operators that are not here.
pub(super) fn infer(view: &View<'_>) -> Option<Vec<Fact>> {
    let node = view.node;
    if node.domain() != CONTRIB {
        return None;
    }
    let like_first = || Fact::new(view.dtype(0), view.open(0).map(<[Dim]>::to_vec));
    Some(match node.op_type() {
        // The second and the third are statistics.
        "SkipLayerNormalization" => {
            let none = Fact::default;
            vec![like_first(), none(), none(), like_first()]
        }
        // Of a query beside keys and values; one that holds all three is wider than the result.
        "GroupQueryAttention" if node.input_at(1).is_some() => vec![like_first()],
        "Attention" | "QAttention" => vec![Fact::new(Some(DType::F32), attended(view))],
        _ => return None,
    })
}

/// N×T×D of an input N×T×C and a weight C×3D.
fn attended(view: &View<'_>) -> Option<Vec<Dim>> {
    let ([n, t, _], [_, Dim::Fixed(width)]) = (view.open(0)?, view.open(1)?) else {
        return None;
    };
    let equal = view.node.attribute_of("qkv_hidden_sizes").is_none();
    equal.then(|| vec![n.clone(), t.clone(), Dim::Fixed(width / 3)])
}
