use std::io::{BufRead, Read};

use super::ngram::NGrams;

/// The longest line in bytes, and the most words of an n-gram.
const MAX_LINE: u64 = 1 << 16;
const MAX_ORDER: usize = 16;

/// The most n-grams of a model: it takes about 30 bytes for each.
const MAX_GRAMS: u64 = 1 << 26;

/// Why a file is no language model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArpaError {
    /// It cannot be read.
    #[error("the language model cannot be read")]
    Read(#[source] std::io::Error),
    /// A line is not what it has to be.
    #[error("line {line}: {what}")]
    Line {
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
}

/// Lines with their numbers.
struct Lines<R> {
    reader: R,
    bytes: Vec<u8>,
    line: u64,
}

impl<R: BufRead> Lines<R> {
    /// The next line that is not empty, without space around it; `None` at the end of the file.
    fn next(&mut self) -> Result<Option<&str>, ArpaError> {
        loop {
            self.bytes.clear();
            let mut limited = self.reader.by_ref().take(MAX_LINE);
            let read = limited.read_until(b'\n', &mut self.bytes);
            if read.map_err(ArpaError::Read)? == 0 {
                return Ok(None);
            }
            self.line += 1;
            if self.bytes.len() as u64 == MAX_LINE {
                return Err(self.wrong(format!(
                    "{MAX_LINE} bytes and more, which is no line of an ARPA file"
                )));
            }
            if !self.bytes.trim_ascii().is_empty() {
                break;
            }
        }
        let text = std::str::from_utf8(&self.bytes);
        let text = text.map_err(|e| ArpaError::Line {
            line: self.line,
            what: format!(
                "not UTF-8 at byte {}; an ARPA file is text, KenLM's binary files are not",
                e.valid_up_to()
            ),
        })?;
        Ok(Some(text.trim_matches([' ', '\t', '\r', '\n'])))
    }

    fn wrong(&self, what: String) -> ArpaError {
        let line = self.line;
        ArpaError::Line { line, what }
    }

    fn cut(&self, expected: &str) -> ArpaError {
        self.wrong(format!("the file ends before {expected}; it is cut off"))
    }
}

/// Reads `\data\` with the counts, the n-grams order by order, `\end\`.
pub(super) fn read(reader: impl BufRead) -> Result<NGrams, ArpaError> {
    let mut lines = Lines {
        reader,
        bytes: Vec::new(),
        line: 0,
    };
    loop {
        match lines.next()? {
            Some("\\data\\") => break,
            Some(_) => {}
            None => return Err(lines.wrong("no `\\data\\`: not an ARPA file".into())),
        }
    }
    let counts = counts(&mut lines)?;
    let mut model = NGrams::new(counts.len());
    for (order, count) in (1..).zip(&counts) {
        section(&mut lines, &mut model, order, *count)?;
        let header = match order == counts.len() {
            true => "\\end\\".into(),
            false => format!("\\{}-grams:", order + 1),
        };
        match lines.next()? {
            Some(line) if line == header => {}
            Some(line) => {
                let line = shown(line);
                return Err(lines.wrong(format!(
                    "`{line}`, expected `{header}` behind {count} {order}-grams"
                )));
            }
            None => return Err(lines.cut(&format!("`{header}`"))),
        }
        if order == 1 {
            model
                .mark()
                .map_err(|mark| lines.wrong(format!("`{mark}` is not among the 1-grams above")))?;
        }
    }
    Ok(model)
}

/// The lines `ngram 1=…`, up to `\1-grams:`, which is read, too.
fn counts<R: BufRead>(lines: &mut Lines<R>) -> Result<Vec<u64>, ArpaError> {
    let mut counts = Vec::new();
    loop {
        let Some(line) = lines.next()? else {
            return Err(lines.cut("`\\1-grams:`"));
        };
        if line == "\\1-grams:" && !counts.is_empty() {
            return Ok(counts);
        }
        let order = counts.len() + 1;
        let count = line.strip_prefix("ngram").and_then(|rest| {
            let (key, count) = rest.split_once('=')?;
            let key: usize = key.trim().parse().ok()?;
            (key == order).then_some(count.trim().parse::<u64>().ok()?)
        });
        let Some(count) = count else {
            let line = shown(line);
            let what = format!("`{line}`, expected `ngram {order}=COUNT`");
            return Err(lines.wrong(what));
        };
        counts.push(count);
        if order > MAX_ORDER {
            let what = format!("{order}-grams; models of up to {MAX_ORDER} words are read");
            return Err(lines.wrong(what));
        }
        let sum = counts.iter().fold(0, |sum: u64, n| sum.saturating_add(*n));
        if sum > MAX_GRAMS {
            let what =
                format!("{sum} n-grams, at most {MAX_GRAMS} are read; prune the language model");
            return Err(lines.wrong(what));
        }
    }
}

/// The n-grams of one order, `log10 TAB words [TAB back-off]`.
fn section<R: BufRead>(
    lines: &mut Lines<R>,
    model: &mut NGrams,
    order: usize,
    count: u64,
) -> Result<(), ArpaError> {
    for read in 0..count {
        let Some(line) = lines.next()? else {
            return Err(lines.cut(&format!("{count} {order}-grams; it has {read}")));
        };
        if let Err(what) = gram(model, order, line) {
            let line = shown(line);
            let what = match line.starts_with('\\') {
                true => {
                    format!("`{line}` behind {read} {order}-grams, but `\\data\\` says {count}")
                }
                false => format!("`{line}`: {what}"),
            };
            return Err(lines.wrong(what));
        }
    }
    Ok(())
}

fn gram(model: &mut NGrams, order: usize, line: &str) -> Result<(), String> {
    let mut fields = line.split([' ', '\t']).filter(|field| !field.is_empty());
    let log10 = number(fields.next().unwrap_or_default(), "a log10 probability")?;
    if log10 > 0.0 {
        return Err(format!("the log10 probability {log10} is above 0"));
    }
    let mut ids = [0; MAX_ORDER + 1];
    for (read, id) in ids[..order].iter_mut().enumerate() {
        let word = fields.next();
        let word = word.ok_or_else(|| format!("{read} words, expected {order}"))?;
        *id = match order {
            1 => model.add_word(word).ok_or("the word is there already")?,
            _ => {
                let known = model.word(word);
                known.ok_or_else(|| format!("`{}` is not among the 1-grams", shown(word)))?
            }
        };
    }
    let back_off = match fields.next() {
        Some(field) => number(field, "a back-off weight")?,
        None => 0.0,
    };
    if let Some(field) = fields.next() {
        return Err(format!("`{}` behind the back-off weight", shown(field)));
    }
    let context = &ids[..order - 1];
    let state = model.state(context).ok_or_else(|| {
        let context = order - 1;
        format!("its first {context} words are not among the {context}-grams")
    })?;
    match model.add(state, ids[order - 1], log10, back_off) {
        true => Ok(()),
        false => Err("the n-gram is there already".into()),
    }
}

fn number(field: &str, what: &str) -> Result<f32, String> {
    let number = field.parse::<f32>().ok().filter(|n| n.is_finite());
    number.ok_or_else(|| format!("`{}` is not {what}", shown(field)))
}

/// As much of a line as a message can show.
fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}
