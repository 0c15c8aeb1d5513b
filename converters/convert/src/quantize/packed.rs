//! Integers of a few bits with one scale for each block of neighbours in a row:
//! `x ≈ (code − zero point) · scale`, as `MatMulNBits` and `GatherBlockQuantized` of ONNX Runtime read
//! them.

/// How blocks are quantised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blocks {
    pub bits: Bits,
    /// Elements of a block: 16, 32, 64, 128 or 256.
    pub size: usize,
    /// Whether each block has a zero point of its own, so that its codes reach from its least to its
    /// largest element. Without, 0 has the middle code.
    pub zero_points: bool,
}

/// Bits of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bits {
    Four = 4,
    Eight = 8,
}

impl Bits {
    fn largest_code(self) -> f32 {
        match self {
            Self::Four => 15.0,
            Self::Eight => 255.0,
        }
    }

    /// The code of 0 where there is no zero point.
    fn middle(self) -> f32 {
        (self.largest_code() + 1.0) / 2.0
    }

    /// Bytes of this many codes.
    pub fn bytes(self, codes: usize) -> usize {
        (codes * self as usize).div_ceil(8)
    }
}

/// A rows×cols matrix in blocks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Packed {
    /// rows × blocks of a row × bytes of a block; of two codes in a byte the first is the lower. The
    /// last block of a row is filled up with zeros.
    pub codes: Vec<u8>,
    /// rows × blocks of a row. Negative where the lowest code stands for the largest element.
    pub scales: Vec<f32>,
    /// Zero points of the blocks of a row, packed as codes; each row starts at a byte.
    pub zero_points: Option<Vec<u8>>,
}

impl Blocks {
    /// Blocks of a row.
    pub fn of_row(self, cols: usize) -> usize {
        cols.div_ceil(self.size)
    }

    pub(super) fn pack(self, elements: &[f32], cols: usize) -> Packed {
        let mut packed = Packed {
            codes: Vec::with_capacity(self.bits.bytes(elements.len())),
            scales: Vec::with_capacity(elements.len() / self.size),
            zero_points: self.zero_points.then(Vec::new),
        };
        let mut zeros = Vec::new();
        for row in elements.chunks_exact(cols) {
            zeros.clear();
            for block in row.chunks(self.size) {
                let (scale, zero) = self.scale(block);
                let code = |x: &f32| {
                    let code = (x / scale).round_ties_even() + zero;
                    code.clamp(0.0, self.bits.largest_code()) as u8
                };
                let missing = self.size - block.len();
                let codes = block.iter().map(code);
                let codes = codes.chain(std::iter::repeat_n(zero as u8, missing));
                self.bits.append(codes, &mut packed.codes);
                packed.scales.push(scale);
                zeros.push(zero as u8);
            }
            if let Some(points) = &mut packed.zero_points {
                self.bits.append(zeros.iter().copied(), points);
            }
        }
        packed
    }

    /// Scale and zero point such that no element is further than half a step from its code.
    fn scale(self, block: &[f32]) -> (f32, f32) {
        let low = block.iter().fold(0.0f32, |m, x| m.min(*x));
        let high = block.iter().fold(0.0f32, |m, x| m.max(*x));
        let codes = self.bits.largest_code();
        let middle = self.bits.middle();
        let scale = match self.zero_points {
            true => high / codes - low / codes,
            false => {
                // There is one more code below the middle than above; the longer side gets it. Half
                // a step further than the outermost code is still right.
                let (long, short) = (high.max(-low), high.min(-low));
                let scale = (long / (middle + 0.5)).max(short / (middle - 0.5));
                if high > -low { -scale } else { scale }
            }
        };
        if !scale.is_normal() {
            return (1.0, middle);
        }
        match self.zero_points {
            true => (scale, (-low / scale).round_ties_even().clamp(0.0, codes)),
            false => (scale, middle),
        }
    }
}

impl Bits {
    fn append(self, codes: impl Iterator<Item = u8>, to: &mut Vec<u8>) {
        match self {
            Self::Eight => to.extend(codes),
            Self::Four => {
                let mut codes = codes;
                while let Some(low) = codes.next() {
                    to.push(low | codes.next().unwrap_or(0) << 4);
                }
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn codes(packed: &[u8], bits: Bits) -> Vec<u8> {
        match bits {
            Bits::Eight => packed.to_vec(),
            Bits::Four => packed.iter().flat_map(|b| [b & 15, b >> 4]).collect(),
        }
    }

    /// What the codes stand for, and half a step of each.
    pub fn unpack(blocks: Blocks, packed: &Packed, cols: usize) -> Vec<(f32, f32)> {
        let of_row = blocks.of_row(cols);
        let all = codes(&packed.codes, blocks.bits);
        let points = packed.zero_points.as_ref().map(|z| codes(z, blocks.bits));
        let points_of_row = match blocks.bits {
            Bits::Four => of_row.next_multiple_of(2),
            Bits::Eight => of_row,
        };
        let element = |i: usize| {
            let (row, col) = (i / cols, i % cols);
            let block = col / blocks.size;
            let scale = packed.scales[row * of_row + block];
            let zero = match &points {
                Some(points) => f32::from(points[row * points_of_row + block]),
                None => blocks.bits.middle(),
            };
            let code = all[(row * of_row + block) * blocks.size + col % blocks.size];
            ((f32::from(code) - zero) * scale, scale.abs() / 2.0)
        };
        (0..packed.scales.len() / of_row * cols)
            .map(element)
            .collect()
    }

    fn blocks() -> impl Strategy<Value = Blocks> {
        let bits = prop_oneof![Just(Bits::Four), Just(Bits::Eight)];
        let size = prop_oneof![Just(16), Just(32), Just(128)];
        (bits, size, any::<bool>()).prop_map(|(bits, size, zero_points)| Blocks {
            bits,
            size,
            zero_points,
        })
    }

    fn matrix() -> impl Strategy<Value = (usize, Vec<f32>)> {
        let shape = (1usize..4, 1usize..200, -1e3f32..1e3, 0f32..1e3);
        shape.prop_flat_map(|(rows, cols, middle, width)| {
            let elements = middle - width..=middle + width;
            (Just(cols), proptest::collection::vec(elements, rows * cols))
        })
    }

    proptest! {
        #[test]
        fn no_element_moves_by_more_than_half_a_step(
            blocks in blocks(),
            (cols, elements) in matrix(),
        ) {
            let packed = blocks.pack(&elements, cols);
            let rows = elements.len() / cols;
            let bytes = rows * blocks.of_row(cols) * blocks.bits.bytes(blocks.size);
            prop_assert_eq!(packed.codes.len(), bytes);
            let found = unpack(blocks, &packed, cols);
            prop_assert_eq!(found.len(), elements.len());
            for (x, (found, half)) in elements.iter().zip(found) {
                // Rounding of x / scale, which may be as large as 255.
                let bound = half * 1.0001 + x.abs() * 1e-6;
                prop_assert!((found - x).abs() <= bound, "{x} became {found}, {half}");
            }
        }
    }

    #[test]
    fn codes_are_packed_from_the_low_bits_up() {
        let blocks = Blocks {
            bits: Bits::Four,
            size: 16,
            zero_points: false,
        };
        let mut row = vec![0.0; 18];
        (row[0], row[1], row[16]) = (-8.5, 7.0, 17.0);
        let packed = blocks.pack(&row, 18);
        // 17 is the longer side of its block and gets the lowest code.
        assert_eq!(packed.scales, [1.0, -2.0]);
        assert_eq!(packed.codes[..2], [0xf0, 0x88]);
        assert_eq!(
            packed.codes[8..],
            [0x80, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88]
        );
    }
}
