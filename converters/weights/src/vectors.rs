//! Word vectors, one row a word, in the three forms that people have:
//!
//! | form | begins | a row |
//! |---|---|---|
//! | word2vec binary (Mikolov et al. 2013) | `V D`, line break | word, space, D × f32 little-endian, often a line break |
//! | word2vec text, fastText `.vec` | `V D`, line break | as GloVe |
//! | GloVe (Pennington et al. 2014) | with the first row | word and D numbers between spaces or tabs, line break |
//!
//! Answered are the words and one tensor `vectors`, V×D f32. It is one pass that holds a row and the
//! words in memory: numbers go to an unnamed temporary file, which is then mapped.
//!
//! - A word is bytes, UTF-8 or not. In text it may hold spaces (GloVe 840B has some), but a number
//!   right before the vector counts as a column too many. In binary it ends at the first space, and
//!   line breaks before it are dropped, as gensim 4.4 does.
//! - Of rows with the same word the first counts, as in gensim.
//! - Numbers that are not finite are refused, and so are rows beyond those that a header announces.

mod layout;
mod table;
#[cfg(test)]
mod tests;
mod words;

use std::io::{BufRead, ErrorKind, Read};
use std::path::Path;

use bytes::Bytes;

use crate::Error;
pub(crate) use layout::recognises;
use layout::{Form, Layout, MAX_LINE, last_token, number};
use table::Table;
pub use words::Words;

/// The longest word of a binary file; further on there is no word, but the middle of something.
const MAX_WORD: usize = 1 << 16;

/// Reads `stream` to its end. `bytes` is the same content, of which only the beginning is touched:
/// pages of a map stay in memory once they are read.
///
/// Answers the words, the vectors and D.
pub(crate) fn read(
    path: &Path,
    bytes: &[u8],
    stream: &mut dyn BufRead,
) -> Result<(Words, Bytes, usize), Error> {
    let wrong = |what| Error::Vectors {
        path: path.into(),
        what,
    };
    let layout = layout::layout(bytes).ok_or_else(|| wrong("no row of numbers".into()))?;
    let columns = layout.check(bytes.len()).map_err(wrong)?;
    let mut reader = Reader {
        path,
        stream,
        columns,
        table: Table::new().map_err(|source| spill(path, source))?,
        vector: vec![0; columns * 4],
        buffer: Vec::new(),
    };
    match layout.form {
        Form::Binary => reader.binary(&layout)?,
        Form::Text => reader.text(&layout)?,
    }
    let (words, vectors) = reader.table.finish().map_err(|e| spill(path, e))?;
    Ok((words, vectors, columns))
}

fn spill(path: &Path, source: std::io::Error) -> Error {
    Error::Spill {
        path: path.into(),
        folder: std::env::temp_dir(),
        source,
    }
}

struct Reader<'a> {
    path: &'a Path,
    stream: &'a mut dyn BufRead,
    columns: usize,
    table: Table,
    /// The numbers of one row, little-endian f32.
    vector: Vec<u8>,
    /// The line or word that was read last.
    buffer: Vec<u8>,
}

impl Reader<'_> {
    fn text(&mut self, layout: &Layout) -> Result<(), Error> {
        let mut line = 0u64;
        let mut rows = 0u64;
        if layout.rows.is_some() {
            self.until(b'\n', MAX_LINE)?;
            line += 1;
        }
        let columns_from = match layout.rows {
            Some(_) => "the header",
            None => "line 1",
        };
        loop {
            line += 1;
            if self.until(b'\n', MAX_LINE)? == 0 {
                break;
            }
            if self.buffer.len() == MAX_LINE {
                return Err(self.wrong(format!("line {line} is longer than {MAX_LINE} bytes")));
            }
            if self.buffer.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            rows += 1;
            if layout.rows.is_some_and(|announced| rows > announced) {
                return Err(self.goes_on(&format!("line {line}"), rows - 1));
            }
            let word = row(&self.buffer, &mut self.vector).map_err(|what| {
                self.wrong(format!(
                    "line {line} {what}; expected a word and {} numbers, as {columns_from} says",
                    self.columns
                ))
            })?;
            self.table
                .add(word, &self.vector)
                .map_err(|e| spill(self.path, e))?;
        }
        match layout.rows {
            Some(announced) if rows < announced => Err(self.wrong(format!(
                "it ends after {rows} of the {announced} words that its header announces; copy it \
                 again"
            ))),
            _ => Ok(()),
        }
    }

    fn binary(&mut self, layout: &Layout) -> Result<(), Error> {
        self.until(b'\n', MAX_LINE)?;
        let announced = layout.rows.unwrap_or_default();
        for row in 1..=announced {
            self.until(b' ', MAX_WORD)?;
            let breaks = self.buffer.iter().take_while(|b| **b == b'\n').count();
            let word = match self.buffer.split_last() {
                Some((b' ', word)) => word.get(breaks..).unwrap_or_default(),
                _ if self.buffer.len() == MAX_WORD => {
                    return Err(self.wrong(format!(
                        "row {row} has no word: no space within {MAX_WORD} bytes; copy it again"
                    )));
                }
                _ => return Err(self.ends_within(row, announced)),
            };
            if word.is_empty() {
                return Err(self.wrong(format!("row {row} has no word; copy it again")));
            }
            match self.stream.read_exact(&mut self.vector) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Err(self.ends_within(row, announced));
                }
                Err(source) => return Err(self.unreadable(source)),
            }
            let (numbers, _) = self.vector.as_chunks();
            let numbers = numbers.iter().map(|n| f32::from_le_bytes(*n));
            if let Some(bad) = numbers.clone().find(|n| !n.is_finite()) {
                let word = shown(word);
                return Err(self.wrong(format!(
                    "row {row}, `{word}`, holds {bad}, which is no number; copy it again"
                )));
            }
            self.table
                .add(word, &self.vector)
                .map_err(|e| spill(self.path, e))?;
        }
        while self.until(b'\n', MAX_LINE)? > 0 {
            if !self.buffer.iter().all(u8::is_ascii_whitespace) {
                return Err(self.goes_on("its content", announced));
            }
        }
        Ok(())
    }

    /// Fills the buffer up to and with `end`, with at most `most` bytes. Answers how many.
    fn until(&mut self, end: u8, most: usize) -> Result<usize, Error> {
        self.buffer.clear();
        let mut limited = (&mut *self.stream).take(most as u64);
        let read = limited.read_until(end, &mut self.buffer);
        read.map_err(|source| self.unreadable(source))
    }

    fn wrong(&self, what: String) -> Error {
        Error::Vectors {
            path: self.path.into(),
            what,
        }
    }

    fn unreadable(&self, source: std::io::Error) -> Error {
        Error::Read {
            path: self.path.into(),
            source,
        }
    }

    fn ends_within(&self, row: u64, announced: u64) -> Error {
        self.wrong(format!(
            "it ends within row {row} of the {announced} that its header announces; copy it again"
        ))
    }

    fn goes_on(&self, what: &str, announced: u64) -> Error {
        self.wrong(format!(
            "{what} goes on after the {announced} words that its header announces; copy it again, or \
             correct the header"
        ))
    }
}

/// The word of a line of text and, in `vector`, its numbers. They are read from the right, because
/// the word may have spaces.
fn row<'l>(line: &'l [u8], vector: &mut [u8]) -> Result<&'l [u8], String> {
    let mut rest = line.trim_ascii();
    let (numbers, _) = vector.as_chunks_mut();
    let columns = numbers.len();
    for (found, column) in numbers.iter_mut().rev().enumerate() {
        let (before, token) = last_token(rest);
        if before.is_empty() {
            return Err(format!("has {found} numbers after `{}`", shown(token)));
        }
        let number = number(token)
            .ok_or_else(|| format!("has `{}`, which is no finite number", shown(token)))?;
        *column = number.to_le_bytes();
        rest = before;
    }
    let (before, token) = last_token(rest);
    match !before.is_empty() && number(token).is_some() {
        true => Err(format!("has more than {columns} numbers")),
        false => Ok(rest.trim_ascii()),
    }
}

/// The beginning of what stands in a file, for an error.
fn shown(bytes: &[u8]) -> String {
    const SHOWN: usize = 40;
    let text = String::from_utf8_lossy(bytes.get(..SHOWN).unwrap_or(bytes));
    text.escape_debug().collect()
}
