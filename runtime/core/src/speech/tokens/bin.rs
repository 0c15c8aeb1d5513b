use crate::bundle::ModelFile;
use crate::error::{Error, Result};

/// The most bytes a tokenizer file may have; Moonshine's has 250 kB.
const MAX_BYTES: u64 = 64 << 20;

/// Bytes of every token, read from Moonshine's `tokenizer.bin`.
///
/// The file has no header: entry by entry, id = position, a length and that many bytes. A length
/// below 128 is one byte `n`; else two bytes `b, n` make `n · 128 + b − 128`. Tokens 3 ..= 258 are
/// the 256 single bytes, the others UTF-8 text with `▁` for a space.
#[derive(Debug)]
pub(in crate::speech) struct BinTokenizer {
    bytes: Vec<u8>,
    /// End of token `i` in `bytes`; it starts where the one before it ends.
    ends: Vec<u32>,
}

impl BinTokenizer {
    /// Reads the file.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when it cannot be read, [`Error::Model`] when it is not such a file.
    pub(super) fn load(file: &ModelFile) -> Result<Self> {
        let bytes = file.read_at_most(MAX_BYTES, "a tokenizer")?;
        Self::parse(&bytes).map_err(|what| Error::model(file.path(), what))
    }

    fn parse(file: &[u8]) -> Result<Self, String> {
        let mut tokens = Self {
            bytes: Vec::with_capacity(file.len()),
            ends: Vec::new(),
        };
        let mut at = 0;
        while let Some(&first) = file.get(at) {
            let cut = || {
                format!(
                    "not a tokenizer.bin: token {} at byte {at} goes beyond the end of the file ({} \
                     bytes); fetch it again",
                    tokens.ends.len(),
                    file.len()
                )
            };
            let (length, start) = match first {
                0..128 => (usize::from(first), at + 1),
                _ => {
                    let high = *file.get(at + 1).ok_or_else(cut)?;
                    (usize::from(high) * 128 + usize::from(first - 128), at + 2)
                }
            };
            let token = file.get(start..start + length).ok_or_else(cut)?;
            tokens.bytes.extend_from_slice(token);
            tokens.ends.push(tokens.bytes.len() as u32);
            at = start + length;
        }
        match tokens.ends.is_empty() {
            true => Err("the tokenizer is empty; fetch it again".into()),
            false => Ok(tokens),
        }
    }

    /// How many tokens there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The text of tokens, without special ones (`<s>`, `<<ST_1>>`: longer than two bytes, between
    /// `<` and `>`). Bytes are joined before they are read as UTF-8, because one character may be
    /// made of several byte tokens; what is no UTF-8 even then becomes U+FFFD.
    pub(super) fn text(&self, ids: &[u32]) -> String {
        let mut bytes = Vec::new();
        for token in ids.iter().filter_map(|id| self.token(*id)) {
            match token {
                [b'<', _, .., b'>'] => {}
                _ => bytes.extend_from_slice(token),
            }
        }
        let text = String::from_utf8_lossy(&bytes).replace('▁', " ");
        text.trim().to_string()
    }

    fn token(&self, id: u32) -> Option<&[u8]> {
        let id = id as usize;
        let end = *self.ends.get(id)? as usize;
        let start = id
            .checked_sub(1)
            .map_or(0, |before| self.ends[before] as usize);
        self.bytes.get(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_joined_before_they_are_text() {
        let mut file = Vec::new();
        for token in [
            &b"<unk>"[..],
            b"<s>",
            b"\xc3",
            b"\xa9",
            b"",
            b"\xe2\x96\x81Caf",
            b"<>",
        ] {
            file.push(token.len() as u8);
            file.extend_from_slice(token);
        }
        let long = [b'x'; 300];
        file.extend([128 + (300 % 128) as u8, (300 / 128) as u8]);
        file.extend(long);
        let tokens = BinTokenizer::parse(&file).unwrap();
        assert_eq!(tokens.len(), 8);
        assert_eq!(tokens.text(&[1, 5, 2, 3, 4, 0]), "Café");
        assert_eq!(tokens.text(&[5, 2]), "Caf\u{fffd}");
        assert_eq!(tokens.text(&[6, 99]), "<>");
        assert_eq!(tokens.text(&[7]).len(), 300);
        assert_eq!(tokens.text(&[]), "");
    }

    #[test]
    fn a_cut_file_is_told() {
        for (name, file, says) in [
            ("empty", &b""[..], "empty"),
            ("cut token", b"\x01a\x05ab", "token 1 at byte 2"),
            ("cut length", b"\x01a\x80", "token 1 at byte 2"),
        ] {
            let error = BinTokenizer::parse(file).unwrap_err();
            assert!(error.contains(says), "{name}: {error}");
        }
    }
}
