use bytes::Bytes;

/// Elements that do not lie in row-major order: transposed, sliced, or repeated by a stride of zero.
#[derive(Debug, Clone)]
pub(crate) struct Strided {
    /// Begins with the first element; holds every element that shape and strides reach.
    pub bytes: Bytes,
    /// Steps in elements, one a dimension.
    pub strides: Vec<usize>,
}

impl Strided {
    /// The elements in row-major order.
    pub fn gather(&self, shape: &[usize], element_bytes: usize) -> Bytes {
        let count: usize = shape.iter().product();
        let mut out = Vec::with_capacity(count * element_bytes);
        let (Some((&columns, rows)), Some((&step, row_strides))) =
            (shape.split_last(), self.strides.split_last())
        else {
            return self.bytes.clone();
        };
        let mut index = vec![0; rows.len()];
        while out.len() < count * element_bytes {
            let row: usize = index.iter().zip(row_strides).map(|(i, s)| i * s).sum();
            for column in 0..columns {
                let at = (row + column * step) * element_bytes;
                out.extend_from_slice(&self.bytes[at..at + element_bytes]);
            }
            // The next row: the last index counts fastest.
            for (i, size) in index.iter_mut().zip(rows).rev() {
                *i += 1;
                if *i < *size {
                    break;
                }
                *i = 0;
            }
        }
        out.into()
    }
}

/// What a tensor takes of its storage.
pub(crate) enum Extent {
    /// It has no elements.
    Empty,
    Bytes {
        begin: usize,
        end: usize,
        /// How large its elements are in row-major order.
        whole: usize,
    },
}

impl Extent {
    /// Shape, strides and offset are in elements. `None` where a number is beyond this machine.
    pub fn of(
        shape: &[usize],
        strides: &[usize],
        offset: usize,
        element_bytes: usize,
    ) -> Option<Self> {
        let count = shape
            .iter()
            .try_fold(1usize, |n, size| n.checked_mul(*size))?;
        let whole = count.checked_mul(element_bytes)?;
        if count == 0 {
            return Some(Self::Empty);
        }
        let mut last = offset;
        for (size, stride) in shape.iter().zip(strides) {
            last = last.checked_add((size - 1).checked_mul(*stride)?)?;
        }
        Some(Self::Bytes {
            begin: offset.checked_mul(element_bytes)?,
            end: last.checked_add(1)?.checked_mul(element_bytes)?,
            whole,
        })
    }
}

/// Whether the elements lie behind each other. The stride of a dimension of one element is never
/// used, so it may be anything.
pub(crate) fn is_row_major(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(strides).rev().all(|(size, stride)| {
        let fits = *size == 1 || *stride == expected;
        expected *= size;
        fits
    })
}
