use std::path::Path;

use crate::{Error, ctranslate2, vectors};

/// Kinds of checkpoint file that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// One safetensors file.
    Safetensors,
    /// Anything `torch.save` has written.
    Pytorch,
    /// A JSON index of shards of either.
    Index,
    /// `model.bin` of CTranslate2.
    CTranslate2,
    /// Word vectors of word2vec or GloVe.
    Vectors,
    /// An ONNX graph, whose constants are the tensors.
    Onnx,
}

/// First bytes of files that are often taken for a checkpoint, what they are, and what to do.
const FOREIGN: [(&[u8], &str, &str); 7] = [
    (
        b"version https://git-lfs",
        "a Git LFS pointer, not the file itself",
        "fetch it: git lfs pull",
    ),
    (
        b"GGUF",
        "a GGUF file",
        "convert from the original safetensors instead",
    ),
    (
        b"\x89HDF",
        "an HDF5 (Keras) file",
        "save the weights as safetensors or a PyTorch state dict",
    ),
    (
        b"<",
        "an HTML or XML page",
        "the download failed; fetch it again",
    ),
    (
        b"\xba\x16\x4f\x2f",
        "a fastText binary model",
        "convert its word vectors from the .vec file beside it",
    ),
    (b"\x1f\x8b", "a gzip archive", "unpack it first: gunzip"),
    (b"BZh", "a bzip2 archive", "unpack it first: bunzip2"),
];

pub(crate) fn sniff(path: &Path, bytes: &[u8]) -> Result<Format, Error> {
    let not = |what, next| {
        Err(Error::NotCheckpoint {
            path: path.into(),
            what,
            next,
        })
    };
    // A first word may be `<unk>`, so this goes before what else begins with `<`.
    if vectors::recognises(bytes) {
        return Ok(Format::Vectors);
    }
    if let Some((_, what, next)) = FOREIGN.iter().find(|(head, ..)| bytes.starts_with(head)) {
        return not(what, next);
    }
    // A safetensors header is a little-endian u64 length and then a JSON object.
    if bytes.get(8) == Some(&b'{') && bytes.get(..8).is_some_and(|n| n[5..] == [0, 0, 0]) {
        return Ok(Format::Safetensors);
    }
    if is_onnx(bytes) {
        return Ok(Format::Onnx);
    }
    let first = bytes.iter().find(|b| !b.is_ascii_whitespace());
    if first == Some(&b'{') {
        return Ok(Format::Index);
    }
    // Zip, or a pickle of protocol 2 or newer.
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"\x80") {
        return Ok(Format::Pytorch);
    }
    if ctranslate2::recognises(bytes) {
        return Ok(Format::CTranslate2);
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return not(
            "a tar archive",
            "unpack it; if PyTorch before 0.1.12 wrote it, save it again with a newer one",
        );
    }
    if bytes.len() < 16 {
        return not("too short for any checkpoint", "download or copy it again");
    }
    not(
        "not a kind of checkpoint that is known",
        "known are safetensors, PyTorch .pt, .pth, .bin, CTranslate2 model.bin, ONNX, and word vectors of \
         word2vec or GloVe",
    )
}

/// A `ModelProto`: its IR version, and then one of its other fields; writers keep their order.
fn is_onnx(bytes: &[u8]) -> bool {
    let [0x08, version, next, ..] = *bytes else {
        return false;
    };
    // producer_name, producer_version, domain, model_version, doc_string, graph, opset_import.
    let fields = [0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42];
    (1..=32).contains(&version) && fields.contains(&next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides() {
        struct Case {
            name: &'static str,
            bytes: &'static [u8],
            expected: Result<Format, &'static str>,
        }
        let cases = [
            Case {
                name: "safetensors",
                bytes: b"\x02\0\0\0\0\0\0\0{}",
                expected: Ok(Format::Safetensors),
            },
            Case {
                name: "index",
                bytes: b"\n {\"weight_map\": {}}",
                expected: Ok(Format::Index),
            },
            Case {
                name: "zip",
                bytes: b"PK\x03\x04................",
                expected: Ok(Format::Pytorch),
            },
            Case {
                name: "legacy pickle",
                bytes: b"\x80\x02\x8a\x0a................",
                expected: Ok(Format::Pytorch),
            },
            Case {
                name: "CTranslate2",
                bytes: b"\x06\0\0\0\x0c\0WhisperSpec\0\x03\0\0\0",
                expected: Ok(Format::CTranslate2),
            },
            Case {
                name: "word vectors",
                bytes: b"<unk> 0.5 1.5\n",
                expected: Ok(Format::Vectors),
            },
            Case {
                name: "ONNX of PyTorch",
                bytes: b"\x08\x08\x12\x07pytorch\x1a\x052.1.0",
                expected: Ok(Format::Onnx),
            },
            Case {
                name: "ONNX without a producer",
                bytes: b"\x08\x0a\x3a\x30................",
                expected: Ok(Format::Onnx),
            },
            Case {
                name: "gzip",
                bytes: b"\x1f\x8b\x08\x00................",
                expected: Err("gunzip"),
            },
            Case {
                name: "git lfs",
                bytes: b"version https://git-lfs.github.com/spec/v1\n",
                expected: Err("git lfs pull"),
            },
            Case {
                name: "html",
                bytes: b"<!DOCTYPE html><title>404</title>",
                expected: Err("fetch it again"),
            },
            Case {
                name: "short",
                bytes: b"abc",
                expected: Err("too short"),
            },
            Case {
                name: "noise",
                bytes: b"abcdefghijklmnopqrstuvwxyz",
                expected: Err("safetensors, PyTorch"),
            },
        ];
        for case in cases {
            match (sniff(Path::new("x"), case.bytes), case.expected) {
                (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{}", case.name),
                (Err(error), Err(says)) => {
                    assert!(error.to_string().contains(says), "{}: {error}", case.name);
                }
                (got, expected) => panic!("{}: {got:?} for {expected:?}", case.name),
            }
        }
    }
}
