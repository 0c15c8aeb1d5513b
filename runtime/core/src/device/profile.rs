//! Ranges of dynamic axes, for TensorRT: without them it builds an engine again whenever an axis leaves the
//! range that was seen so far.

use crate::error::{Error, Result};
use crate::session::TensorInfo;

/// What `batch=` and `length=` say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ranges {
    /// The most of a dynamic first axis.
    pub(super) batch: u32,
    /// The most of the others.
    pub(super) length: u32,
}

impl Ranges {
    /// The options of the provider for these inputs: shapes of least, usual and most. The usual one has one row
    /// and the full length. Nothing where all axes are fixed.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for names that the provider cannot read.
    pub(super) fn options(self, inputs: &[TensorInfo]) -> Result<Vec<(String, String)>> {
        let dynamic: Vec<_> = inputs.iter().filter(|i| i.shape.contains(&None)).collect();
        if dynamic.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(input) = dynamic.iter().find(|i| i.name.contains([',', ':'])) {
            return Err(Error::Unsupported(format!(
                "input `{}`: TensorRT takes no ranges for names with `,` or `:`; leave batch= and length= \
                 out",
                input.name
            )));
        }
        let shapes = |first: u32, others: u32| {
            let shape = |input: &&TensorInfo| {
                let axes = input.shape.iter().enumerate();
                let axes = axes.map(|(i, axis)| match axis {
                    Some(size) => size.to_string(),
                    None if i == 0 => first.to_string(),
                    None => others.to_string(),
                });
                format!("{}:{}", input.name, axes.collect::<Vec<_>>().join("x"))
            };
            dynamic.iter().map(shape).collect::<Vec<_>>().join(",")
        };
        Ok([
            ("trt_profile_min_shapes", shapes(1, 1)),
            ("trt_profile_opt_shapes", shapes(1, self.length)),
            ("trt_profile_max_shapes", shapes(self.batch, self.length)),
        ]
        .map(|(key, value)| (key.to_string(), value))
        .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(name: &str, shape: &[Option<usize>]) -> TensorInfo {
        TensorInfo {
            name: name.into(),
            dtype: "float32",
            shape: shape.to_vec(),
        }
    }

    #[test]
    fn dynamic_axes_get_ranges_and_fixed_ones_keep_their_size() {
        let ranges = Ranges {
            batch: 8,
            length: 128,
        };
        let fixed = [input("pixels", &[Some(1), Some(3)])];
        assert_eq!(ranges.options(&fixed).unwrap(), []);
        let inputs = [
            input("input_ids", &[None, None]),
            input("past", &[None, Some(6), None, Some(64)]),
            input("flag", &[Some(1)]),
        ];
        let expected = [
            ("trt_profile_min_shapes", "input_ids:1x1,past:1x6x1x64"),
            ("trt_profile_opt_shapes", "input_ids:1x128,past:1x6x128x64"),
            ("trt_profile_max_shapes", "input_ids:8x128,past:8x6x128x64"),
        ];
        let found = ranges.options(&inputs).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(found, expected);
        let error = ranges.options(&[input("a:0", &[None])]).unwrap_err();
        assert!(error.to_string().contains("a:0"), "{error}");
    }
}
