use std::ops::Range;

/// A text whose parts are asked for in Unicode characters.
pub(crate) struct Characters<'a> {
    text: &'a str,
    /// The byte where each character starts, and the end of the text.
    bytes: Vec<usize>,
}

impl<'a> Characters<'a> {
    pub fn new(text: &'a str) -> Self {
        let starts = text.char_indices().map(|(at, _)| at);
        Self {
            text,
            bytes: starts.chain([text.len()]).collect(),
        }
    }

    /// The part between two characters; nothing where the text is shorter.
    pub fn slice(&self, part: Range<usize>) -> &'a str {
        let (start, end) = (self.bytes.get(part.start), self.bytes.get(part.end));
        let part = start.zip(end);
        part.and_then(|(start, end)| self.text.get(*start..*end))
            .unwrap_or_default()
    }

    /// Whether the character is white space.
    pub fn is_space(&self, at: usize) -> bool {
        self.slice(at..at + 1).starts_with(char::is_whitespace)
    }

    /// The part without white space around it.
    pub fn trim(&self, mut part: Range<usize>) -> Range<usize> {
        part.end = part.end.min(self.bytes.len() - 1);
        while part.start < part.end && self.is_space(part.start) {
            part.start += 1;
        }
        while part.start < part.end && self.is_space(part.end - 1) {
            part.end -= 1;
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_of_characters_and_trimmed_of_any_space() {
        let text = Characters::new("a\u{3000}e\u{301}🦀 \n");
        assert_eq!(text.slice(2..5), "e\u{301}🦀");
        assert_eq!(text.trim(1..7), 2..5);
        assert_eq!(text.trim(5..7), 7..7);
        assert!(text.trim(6..9).is_empty() && text.trim(8..9).is_empty());
        assert_eq!(text.slice(6..9), "");
        assert!(text.is_space(1) && !text.is_space(0) && !text.is_space(70));
    }
}
