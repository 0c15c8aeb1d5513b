use crate::bundle::ModelFile;
use crate::error::Result;

/// The most bytes a vocabulary may have; the largest known, of Chinese characters, have 100 kB.
const MAX_BYTES: u64 = 16 << 20;

/// The tokens of a CTC model, one a line.
#[derive(Debug)]
pub(in crate::speech) struct Characters {
    tokens: Vec<String>,
    /// The token that stands for a space.
    word_delimiter_id: Option<u32>,
}

impl Characters {
    /// Reads the file.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when it cannot be read, [`Error::Model`] when it is too large.
    pub(in crate::speech) fn load(
        file: &ModelFile,
        word_delimiter_id: Option<u32>,
    ) -> Result<Self> {
        // Refused while it is small.
        file.read_at_most(MAX_BYTES, "a vocabulary")?;
        let text = file.text()?;
        Ok(Self {
            tokens: text.lines().map(str::to_owned).collect(),
            word_delimiter_id,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The token that stands for a space.
    pub(in crate::speech) fn word_delimiter_id(&self) -> Option<u32> {
        self.word_delimiter_id
    }

    /// All tokens, in the order of the logits.
    pub(in crate::speech) fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// The tokens one behind the other, without space around them; words are one space apart.
    pub(in crate::speech) fn text(&self, ids: &[u32]) -> String {
        let mut text = String::new();
        for id in ids {
            let delimiter = self.word_delimiter_id == Some(*id);
            match self.tokens.get(*id as usize) {
                _ if delimiter && text.ends_with(' ') => {}
                _ if delimiter => text.push(' '),
                Some(token) => text.push_str(token),
                None => {}
            }
        }
        text.trim().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parted_by_the_delimiter() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.txt");
        std::fs::write(&path, "<pad>\n|\na\nbé\n").unwrap();
        let tokens = Characters::load(&path.as_path().into(), Some(1)).unwrap();
        assert_eq!(tokens.len(), 4);
        assert_eq!(tokens.text(&[1, 2, 3, 1, 2, 1]), "abé a");
        assert_eq!(tokens.text(&[2, 1, 1, 2]), "a a");
        assert_eq!(tokens.text(&[]), "");
        let none = Characters::load(&path.as_path().into(), None).unwrap();
        assert_eq!(none.text(&[2, 1, 2, 9]), "a|a");
    }
}
