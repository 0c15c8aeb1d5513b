//! Which form a file of word vectors has, from its first lines.

use std::str;

/// Longer lines are no rows of word vectors, whatever they are.
pub(super) const MAX_LINE: usize = 1 << 20;

/// A header is two numbers; longer lines are something else.
const MAX_HEADER: usize = 64;

/// How much of a file is looked at to tell text from binary.
const SAMPLE: usize = 4096;

/// How the rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Binary,
    Text,
}

/// What the beginning of a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub form: Form,
    /// V of the header; `None` without one.
    pub rows: Option<u64>,
    /// D of the header or of the first row.
    pub columns: u64,
    header_bytes: usize,
}

/// Whether the file begins like word vectors.
pub(crate) fn recognises(bytes: &[u8]) -> bool {
    layout(bytes).is_some()
}

pub(super) fn layout(bytes: &[u8]) -> Option<Layout> {
    let line = first_line(bytes)?;
    if let Some((rows, columns)) = header(line) {
        return Some(Layout {
            form: form(bytes.get(line.len()..).unwrap_or_default(), columns),
            rows: Some(rows),
            columns,
            header_bytes: line.len(),
        });
    }
    let columns = trailing_numbers(line);
    // A word and one number is what many a text begins with.
    (columns >= 2 && !line.iter().any(is_control)).then_some(Layout {
        form: Form::Text,
        rows: None,
        columns: columns as u64,
        header_bytes: 0,
    })
}

impl Layout {
    /// D, once it is clear that a file of `size` bytes can hold what its header announces.
    pub fn check(&self, size: usize) -> Result<usize, String> {
        let (rows, columns) = (self.rows.unwrap_or(1), self.columns);
        if rows == 0 || columns == 0 {
            return Err(format!(
                "its header announces {rows} words of {columns} numbers"
            ));
        }
        // The shortest row: a word of one byte and the numbers; in text each is a space and a digit.
        let row = match self.form {
            Form::Binary => columns.checked_mul(4).and_then(|n| n.checked_add(2)),
            Form::Text => columns.checked_mul(2).and_then(|n| n.checked_add(1)),
        };
        let least = row.and_then(|row| row.checked_mul(rows));
        let room = (size - self.header_bytes) as u64;
        match usize::try_from(columns) {
            Ok(columns) if least.is_some_and(|least| least <= room) => Ok(columns),
            _ => Err(format!(
                "its header announces {rows} words of {columns} numbers, which do not fit into its \
                 {size} bytes; copy it again"
            )),
        }
    }
}

/// With its line break, if it has one.
fn first_line(bytes: &[u8]) -> Option<&[u8]> {
    let head = bytes.get(..MAX_LINE).unwrap_or(bytes);
    match head.iter().position(|b| *b == b'\n') {
        Some(end) => head.get(..=end),
        None => (head.len() < MAX_LINE).then_some(head),
    }
}

/// V and D; numbers beyond u64 are cut to its largest.
fn header(line: &[u8]) -> Option<(u64, u64)> {
    if line.len() > MAX_HEADER {
        return None;
    }
    let mut numbers = str::from_utf8(line).ok()?.split_ascii_whitespace();
    let mut next = || {
        let digits = numbers.next()?;
        let all = digits.bytes().all(|b| b.is_ascii_digit());
        all.then(|| digits.parse().unwrap_or(u64::MAX))
    };
    let (rows, columns) = (next()?, next()?);
    numbers.next().is_none().then_some((rows, columns))
}

/// Text when the first row is one, or when nothing in the first rows speaks against it: then the
/// error can name the line.
fn form(rows: &[u8], columns: u64) -> Form {
    let row = first_line(rows).unwrap_or_default();
    let sample = rows.get(..SAMPLE).unwrap_or(rows);
    let utf8 = match str::from_utf8(sample) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    let text = utf8 && !sample.iter().any(is_control);
    match text || trailing_numbers(row) as u64 == columns {
        true => Form::Text,
        false => Form::Binary,
    }
}

/// How many columns from the right are numbers, the first column apart.
fn trailing_numbers(line: &[u8]) -> usize {
    let mut rest = line.trim_ascii();
    let mut count = 0;
    loop {
        let (before, token) = last_token(rest);
        if before.is_empty() || number(token).is_none() {
            return count;
        }
        count += 1;
        rest = before;
    }
}

/// The last column of a line that does not end in a separator, and what stands before it without
/// the separators between.
pub(super) fn last_token(line: &[u8]) -> (&[u8], &[u8]) {
    let Some(at) = line.iter().rposition(is_separator) else {
        return (&[], line);
    };
    let (before, token) = line.split_at(at + 1);
    let end = before.iter().rposition(|b| !is_separator(b));
    (
        before.get(..end.map_or(0, |e| e + 1)).unwrap_or_default(),
        token,
    )
}

fn is_separator(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// A column as a number, if it is a finite one.
pub(super) fn number(token: &[u8]) -> Option<f32> {
    let number: f32 = str::from_utf8(token).ok()?.parse().ok()?;
    number.is_finite().then_some(number)
}

fn is_control(byte: &u8) -> bool {
    byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_tells_the_form() {
        struct Case {
            name: &'static str,
            bytes: &'static [u8],
            expected: Option<(Form, Option<u64>, u64)>,
        }
        use Form::{Binary, Text};
        let cases = [
            Case {
                name: "GloVe",
                bytes: b"the 0.1 -2 3e-4\nof 1 2 3\n",
                expected: Some((Text, None, 3)),
            },
            Case {
                name: "the first word has a space",
                bytes: b". . 0.1 0.2\n",
                expected: Some((Text, None, 2)),
            },
            Case {
                name: "the first word is a number",
                bytes: b"1 0.1 0.2",
                expected: Some((Text, None, 2)),
            },
            Case {
                name: "the first word begins like HTML",
                bytes: b"<unk> 0.1 0.2\n",
                expected: Some((Text, None, 2)),
            },
            Case {
                name: "word2vec text",
                bytes: b"2 3\nthe 0.1 0.2 0.3 \n",
                expected: Some((Text, Some(2), 3)),
            },
            Case {
                name: "damaged text is text",
                bytes: b"2 3\nthe 0.1 x 0.3\n",
                expected: Some((Text, Some(2), 3)),
            },
            Case {
                name: "text in Latin-1",
                bytes: b"2 3\ncaf\xe9 0.1 0.2 0.3\n",
                expected: Some((Text, Some(2), 3)),
            },
            Case {
                name: "word2vec binary",
                bytes: b"1 2\nthe \0\0\x80\x3f\0\0\0\x40\n",
                expected: Some((Binary, Some(1), 2)),
            },
            Case {
                name: "binary without a control byte",
                bytes: b"1 1\na \x9a\x99\x99\x3e",
                expected: Some((Binary, Some(1), 1)),
            },
            Case {
                name: "an absurd header",
                bytes: b"1000000000000000000000 300\nthe 0.1",
                expected: Some((Text, Some(u64::MAX), 300)),
            },
            Case {
                name: "prose",
                bytes: b"In 1984 there were 3 of them\n",
                expected: None,
            },
            Case {
                name: "a word and a count",
                bytes: b"the 1061396\n",
                expected: None,
            },
            Case {
                name: "nothing",
                bytes: b"",
                expected: None,
            },
        ];
        for case in cases {
            let got = layout(case.bytes).map(|l| (l.form, l.rows, l.columns));
            assert_eq!(got, case.expected, "{}", case.name);
        }
    }
}
