use bytes::Bytes;
use half::{bf16, f16};

pub use bevel_onnx::DType;

/// Little-endian elements of `dtype` as little-endian f32; `None` when they are not floats.
pub(crate) fn to_f32(dtype: DType, bytes: Bytes) -> Option<Bytes> {
    let converted = match dtype {
        DType::F32 => return Some(bytes),
        DType::F16 => convert(&bytes, |b| f16::from_le_bytes(b).to_f32()),
        DType::Bf16 => convert(&bytes, |b| bf16::from_le_bytes(b).to_f32()),
        DType::F64 => convert(&bytes, |b| f64::from_le_bytes(b) as f32),
        _ => return None,
    };
    Some(converted)
}

/// Little-endian i8 or i16 codes as little-endian f32, code / scale. The scales are f32, for equal
/// parts of the codes in turn; `None` when the codes are of another type.
pub(crate) fn dequantise(dtype: DType, codes: &[u8], scales: &[u8]) -> Option<Bytes> {
    let (scales, _) = scales.as_chunks::<4>();
    let part = codes.len() / scales.len().max(1);
    let mut out = Vec::with_capacity(codes.len() / dtype.size_bytes() * 4);
    for (codes, scale) in codes.chunks_exact(part.max(1)).zip(scales) {
        let scale = f32::from_le_bytes(*scale);
        let real = |code: i16| (f32::from(code) / scale).to_le_bytes();
        match dtype {
            DType::I8 => out.extend(codes.iter().flat_map(|c| real(i16::from(c.cast_signed())))),
            DType::I16 => {
                let (codes, _) = codes.as_chunks();
                out.extend(codes.iter().flat_map(|c| real(i16::from_le_bytes(*c))));
            }
            _ => return None,
        }
    }
    Some(Bytes::from(out))
}

fn convert<const SIZE: usize>(bytes: &[u8], to_f32: impl Fn([u8; SIZE]) -> f32) -> Bytes {
    let (elements, _) = bytes.as_chunks::<SIZE>();
    let mut out = Vec::with_capacity(elements.len() * 4);
    for element in elements {
        out.extend_from_slice(&to_f32(*element).to_le_bytes());
    }
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_become_f32() {
        struct Case {
            name: &'static str,
            dtype: DType,
            bytes: Vec<u8>,
            expected: Option<Vec<f32>>,
        }
        let cases = [
            Case {
                name: "f32 as it is",
                dtype: DType::F32,
                bytes: [1.5f32, -0.25].map(f32::to_le_bytes).concat(),
                expected: Some(vec![1.5, -0.25]),
            },
            Case {
                name: "f16",
                dtype: DType::F16,
                bytes: [1.5f32, -65504.0]
                    .map(|x| f16::from_f32(x).to_le_bytes())
                    .concat(),
                expected: Some(vec![1.5, -65504.0]),
            },
            Case {
                name: "bf16",
                dtype: DType::Bf16,
                bytes: [1.5f32, 1e38]
                    .map(|x| bf16::from_f32(x).to_le_bytes())
                    .concat(),
                expected: Some(vec![1.5, bf16::from_f32(1e38).to_f32()]),
            },
            Case {
                name: "f64",
                dtype: DType::F64,
                bytes: [1.5f64, -3.0].map(f64::to_le_bytes).concat(),
                expected: Some(vec![1.5, -3.0]),
            },
            Case {
                name: "integers are not weights",
                dtype: DType::I64,
                bytes: vec![0; 8],
                expected: None,
            },
        ];
        for case in cases {
            let got = to_f32(case.dtype, Bytes::from(case.bytes));
            let got = got.map(|b| {
                b.as_chunks()
                    .0
                    .iter()
                    .map(|c| f32::from_le_bytes(*c))
                    .collect::<Vec<_>>()
            });
            assert_eq!(got, case.expected, "{}", case.name);
        }
    }
}
