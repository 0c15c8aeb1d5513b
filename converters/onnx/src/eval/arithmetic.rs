//! Operators of one and of two numbers. Floats are calculated in the width of their type, so that a
//! folded constant is what the session would have calculated, but for the last bit of transcendental
//! functions.

use super::numbers::Numbers;
use crate::layout::{broadcast, broadcast_index};
use crate::proto::NodeProto;
use crate::{DType, Tensor};

/// `op` of whole numbers; `None` where the operator has none such or the outcome is not defined.
pub(crate) fn whole(op: &str, a: i64, b: i64) -> Option<i64> {
    Some(match op {
        "Add" | "Sum" => a.wrapping_add(b),
        "Sub" => a.wrapping_sub(b),
        "Mul" => a.wrapping_mul(b),
        "Div" => a.checked_div(b)?,
        "Mod" => {
            let rest = a.checked_rem(b)?;
            // The sign of a `Mod` is the divisor's.
            match rest != 0 && (rest < 0) != (b < 0) {
                true => rest + b,
                false => rest,
            }
        }
        "Max" => a.max(b),
        "Min" => a.min(b),
        "And" | "BitwiseAnd" => a & b,
        "Or" | "BitwiseOr" => a | b,
        "Xor" | "BitwiseXor" => a ^ b,
        "Pow" => a.checked_pow(u32::try_from(b).ok()?)?,
        "Equal" => (a == b).into(),
        "Greater" => (a > b).into(),
        "GreaterOrEqual" => (a >= b).into(),
        "Less" => (a < b).into(),
        "LessOrEqual" => (a <= b).into(),
        _ => return None,
    })
}

/// `op` of one whole number.
pub(crate) fn whole_unary(op: &str, a: i64) -> Option<i64> {
    Some(match op {
        "Neg" => a.wrapping_neg(),
        "Abs" => a.wrapping_abs(),
        "Sign" => a.signum(),
        "Relu" => a.max(0),
        "Not" => (a == 0).into(),
        _ => return None,
    })
}

/// Whether the answer is a boolean whatever is asked.
pub(crate) fn answers_bool(op: &str) -> bool {
    matches!(
        op,
        "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "IsNaN" | "IsInf" | "Not"
    )
}

macro_rules! floats {
    ($binary:ident, $compare:ident, $unary:ident, $float:ty) => {
        fn $binary(op: &str, a: $float, b: $float) -> Option<$float> {
            Some(match op {
                "Add" | "Sum" => a + b,
                "Sub" => a - b,
                "Mul" => a * b,
                "Div" => a / b,
                "Pow" => a.powf(b),
                "Max" if a.is_nan() || b.is_nan() => <$float>::NAN,
                "Min" if a.is_nan() || b.is_nan() => <$float>::NAN,
                "Max" => a.max(b),
                "Min" => a.min(b),
                _ => return None,
            })
        }

        fn $compare(op: &str, a: $float, b: $float) -> Option<i64> {
            Some(i64::from(match op {
                "Equal" => a == b,
                "Greater" => a > b,
                "GreaterOrEqual" => a >= b,
                "Less" => a < b,
                "LessOrEqual" => a <= b,
                _ => return None,
            }))
        }

        fn $unary(op: &str, a: $float) -> Option<$float> {
            Some(match op {
                "Neg" => -a,
                "Abs" => a.abs(),
                "Sqrt" => a.sqrt(),
                "Reciprocal" => a.recip(),
                "Exp" => a.exp(),
                "Log" => a.ln(),
                "Sin" => a.sin(),
                "Cos" => a.cos(),
                "Tanh" => a.tanh(),
                "Floor" => a.floor(),
                "Ceil" => a.ceil(),
                "Round" => a.round_ties_even(),
                "Relu" => a.max(0.0),
                "Sigmoid" => 1.0 / (1.0 + (-a).exp()),
                "Sign" if a == 0.0 || a.is_nan() => a,
                "Sign" => a.signum(),
                _ => return None,
            })
        }
    };
}

floats!(single, compare_singles, single_unary, f32);
floats!(double, compare_doubles, double_unary, f64);

/// An operator of one tensor, element by element.
pub(super) fn unary(op: &str, a: &Tensor) -> Option<Tensor> {
    let numbers = match (op, Numbers::read(a)?) {
        ("IsNaN", Numbers::Single(x)) => Numbers::Int(map(&x, |x| Some(x.is_nan().into()))?),
        ("IsNaN", Numbers::Double(x)) => Numbers::Int(map(&x, |x| Some(x.is_nan().into()))?),
        (_, Numbers::Int(x)) => Numbers::Int(map(&x, |x| whole_unary(op, x))?),
        (_, Numbers::Single(x)) => Numbers::Single(map(&x, |x| single_unary(op, x))?),
        (_, Numbers::Double(x)) => Numbers::Double(map(&x, |x| double_unary(op, x))?),
    };
    let dtype = if answers_bool(op) {
        DType::Bool
    } else {
        a.dtype
    };
    numbers.write(dtype, &a.dims)
}

/// `None` where the operator is not known, also for no elements.
fn map<T: Copy + From<u8>, R>(values: &[T], of: impl Fn(T) -> Option<R>) -> Option<Vec<R>> {
    of(T::from(1))?;
    values.iter().map(|x| of(*x)).collect()
}

/// An operator of two tensors that are broadcast to each other.
pub(super) fn binary(op: &str, a: &Tensor, b: &Tensor, limit: usize) -> Option<Tensor> {
    let dims = broadcast(&a.dims, &b.dims)?;
    let (at_a, at_b) = (
        broadcast_index(&a.dims, &dims, limit)?,
        broadcast_index(&b.dims, &dims, limit)?,
    );
    // As in `map`.
    fn pairs<T: Copy + From<u8>, R>(
        (a, at_a): (&[T], &[usize]),
        (b, at_b): (&[T], &[usize]),
        of: impl Fn(T, T) -> Option<R>,
    ) -> Option<Vec<R>> {
        of(T::from(1), T::from(1))?;
        let places = at_a.iter().zip(at_b);
        places.map(|(i, j)| of(*a.get(*i)?, *b.get(*j)?)).collect()
    }
    let bool = answers_bool(op);
    let numbers = match (Numbers::read(a)?, Numbers::read(b)?) {
        (Numbers::Int(x), Numbers::Int(y)) => {
            Numbers::Int(pairs((&x, &at_a), (&y, &at_b), |x, y| whole(op, x, y))?)
        }
        (Numbers::Single(x), Numbers::Single(y)) if bool => {
            Numbers::Int(pairs((&x, &at_a), (&y, &at_b), |x, y| {
                compare_singles(op, x, y)
            })?)
        }
        (Numbers::Double(x), Numbers::Double(y)) if bool => {
            Numbers::Int(pairs((&x, &at_a), (&y, &at_b), |x, y| {
                compare_doubles(op, x, y)
            })?)
        }
        (Numbers::Single(x), Numbers::Single(y)) => {
            Numbers::Single(pairs((&x, &at_a), (&y, &at_b), |x, y| single(op, x, y))?)
        }
        (Numbers::Double(x), Numbers::Double(y)) => {
            Numbers::Double(pairs((&x, &at_a), (&y, &at_b), |x, y| double(op, x, y))?)
        }
        _ => return None,
    };
    numbers.write(if bool { DType::Bool } else { a.dtype }, &dims)
}

/// `Clip` with constant bounds.
pub(super) fn clip(node: &NodeProto, inputs: &[Option<&Tensor>], limit: usize) -> Option<Tensor> {
    let mut value = inputs.first().copied()??.clone();
    for (place, op) in [(1, "Max"), (2, "Min")] {
        if node.input_at(place).is_some() {
            value = binary(op, &value, inputs.get(place).copied()??, limit)?;
        }
    }
    Some(value)
}
