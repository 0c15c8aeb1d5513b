//! Tables: CSV and TSV through the crate `csv`, and JSON objects line by line.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bevel_manifest::ErrorKind;
use serde_json::Value;

use super::columns::{Columns, number};
use crate::failure::fail;

/// A table in memory, with the columns that were asked for.
pub struct Table {
    path: PathBuf,
    roles: Vec<&'static str>,
    rows: Vec<Row>,
}

/// One row of a table.
pub struct Row {
    line: u64,
    /// One a role.
    cells: Vec<Value>,
    group: Option<String>,
}

/// Where columns are.
struct Places {
    roles: Vec<usize>,
    group: Option<usize>,
    /// The first line is their names.
    header: bool,
}

/// Whether a file is a table, by the end of its name.
pub fn is_table(path: &Path) -> bool {
    matches!(ending(path).as_str(), "csv" | "tsv" | "jsonl" | "ndjson")
}

/// What the first line of a table holds: the names of columns, or where it has none the first values.
///
/// # Errors
/// Where the file cannot be read.
pub fn head(path: &Path) -> anyhow::Result<Vec<String>> {
    if is_json(path) {
        let text = text(path)?;
        let first = text.lines().find(|line| !line.trim().is_empty());
        let first = first.and_then(|line| serde_json::from_str(line).ok());
        let first: serde_json::Map<String, Value> = first.unwrap_or_default();
        return Ok(first.into_iter().map(|(name, _)| name).collect());
    }
    let bytes = bytes(path)?;
    let first = reader(&bytes, delimiter(path)).into_byte_records().next();
    let first = first.and_then(Result::ok).unwrap_or_default();
    Ok(first
        .iter()
        .map(|cell| String::from_utf8_lossy(cell).into())
        .collect())
}

fn is_json(path: &Path) -> bool {
    matches!(ending(path).as_str(), "jsonl" | "ndjson")
}

fn delimiter(path: &Path) -> u8 {
    if ending(path) == "csv" { b',' } else { b'\t' }
}

/// What a file's name ends in, in lower case.
pub fn ending(path: &Path) -> String {
    let ending = path.extension().unwrap_or_default();
    ending.to_string_lossy().to_lowercase()
}

impl Table {
    /// Reads the columns of the roles. Without a header, columns are taken in the order of the roles.
    ///
    /// # Errors
    /// Where the file cannot be read, is not UTF-8 or lacks a column.
    pub fn read(path: &Path, roles: &[&'static str], columns: &Columns) -> anyhow::Result<Self> {
        let mut table = Self {
            path: path.to_path_buf(),
            roles: roles.to_vec(),
            rows: Vec::new(),
        };
        match is_json(path) {
            true => table.json(columns)?,
            false => table.separated(columns)?,
        }
        Ok(table)
    }

    fn separated(&mut self, columns: &Columns) -> anyhow::Result<()> {
        let bytes = bytes(&self.path)?;
        let mut places: Option<Places> = None;
        for record in reader(&bytes, delimiter(&self.path)).into_byte_records() {
            let record = record.with_context(|| {
                fail(
                    ErrorKind::Input,
                    format!("{}: not a table", self.path.display()),
                )
            })?;
            let line = record.position().map_or(1, csv::Position::line);
            let cells = record.iter().map(std::str::from_utf8);
            let cells: Vec<String> = cells
                .map(|cell| cell.map(str::to_owned))
                .collect::<Result<_, _>>()
                .map_err(|_| self.bad(line, "not UTF-8; save the table as UTF-8"))?;
            if cells.iter().all(|cell| cell.trim().is_empty()) {
                continue;
            }
            let places = match &places {
                Some(places) => places,
                None => {
                    let found = places.insert(self.places(&cells, line, columns)?);
                    if found.header {
                        continue;
                    }
                    found
                }
            };
            let cell = |at: usize| {
                cells.get(at).cloned().ok_or_else(|| {
                    let what = format!("{} columns, expected at least {}", cells.len(), at + 1);
                    self.bad(line, &what)
                })
            };
            let values = places.roles.iter().map(|&at| Ok(Value::String(cell(at)?)));
            let row = Row {
                line,
                cells: values.collect::<anyhow::Result<_>>()?,
                group: places.group.map(cell).transpose()?,
            };
            self.rows.push(row);
        }
        Ok(())
    }

    /// Where each role and the group are, and whether the first line is a header.
    fn places(&self, first: &[String], line: u64, columns: &Columns) -> anyhow::Result<Places> {
        let roles = self.roles.iter().copied();
        let known: Vec<_> = roles
            .clone()
            .map(|role| columns.place(role, first))
            .collect();
        let by_name = |role: &str| {
            let name = columns.named(role);
            columns.place(role, first).is_some() && name.is_none_or(|name| number(name).is_none())
        };
        let is_header = roles.clone().chain(["group"]).any(by_name);
        let missing = |role: &str| {
            let what = match columns.named(role) {
                Some(name) => format!("no column `{name}`"),
                None => format!("no column for {role}; name it with --column {role}=NAME"),
            };
            self.bad(line, &format!("{what}; there are: {}", first.join(", ")))
        };
        let group = match columns.named("group") {
            Some(_) => Some(
                columns
                    .place("group", first)
                    .ok_or_else(|| missing("group"))?,
            ),
            None => None,
        };
        let place = |(order, (role, known)): (usize, (&str, Option<usize>))| match known {
            Some(at) => Ok(at),
            None if is_header || columns.named(role).is_some() => Err(missing(role)),
            None => Ok(order),
        };
        let places = roles.zip(known).enumerate().map(place);
        Ok(Places {
            roles: places.collect::<anyhow::Result<_>>()?,
            group,
            header: is_header,
        })
    }

    fn json(&mut self, columns: &Columns) -> anyhow::Result<()> {
        let text = text(&self.path)?;
        for (at, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
        {
            let number = at as u64 + 1;
            let object: serde_json::Map<String, Value> = serde_json::from_str(line)
                .map_err(|e| self.bad(number, &format!("not a JSON object: {e}")))?;
            let names: Vec<String> = object.keys().cloned().collect();
            let find = |role: &str| {
                let place = columns.place(role, &names);
                let value = place.and_then(|at| object.get(&names[at])).cloned();
                value.ok_or_else(|| {
                    let what = match columns.named(role) {
                        Some(name) => format!("no key `{name}`"),
                        None => format!("no key for {role}; name it with --column {role}=NAME"),
                    };
                    self.bad(number, &format!("{what}; there are: {}", names.join(", ")))
                })
            };
            let group = columns.named("group").map(|_| find("group")).transpose()?;
            let cells = self.roles.iter().map(|role| find(role));
            let row = Row {
                line: number,
                cells: cells.collect::<anyhow::Result<_>>()?,
                group: group.map(|group| plain(&group).unwrap_or_else(|| group.to_string())),
            };
            self.rows.push(row);
        }
        Ok(())
    }

    fn bad(&self, line: u64, what: &str) -> anyhow::Error {
        fail(
            ErrorKind::Input,
            format!("{}:{line}: {what}", self.path.display()),
        )
    }

    /// Its rows.
    pub fn rows(&self) -> impl Iterator<Item = Cells<'_>> {
        self.rows.iter().map(|row| Cells { table: self, row })
    }
}

/// A row, and the table it is in.
pub struct Cells<'a> {
    table: &'a Table,
    row: &'a Row,
}

impl Cells<'_> {
    /// File and line.
    pub fn place(&self) -> String {
        format!("{}:{}", self.table.path.display(), self.row.line)
    }

    /// The part of the samples it belongs to.
    pub fn group(&self) -> Option<String> {
        self.row.group.clone()
    }

    /// The text or number of a role.
    ///
    /// # Errors
    /// Where it is a list or an object.
    pub fn text(&self, role: &str) -> anyhow::Result<String> {
        let value = self.value(role);
        plain(value).ok_or_else(|| self.bad(&format!("{role} is {value}, expected a text")))
    }

    /// The number of a role.
    ///
    /// # Errors
    /// Where it is none.
    pub fn number(&self, role: &str) -> anyhow::Result<f64> {
        let text = self.text(role)?;
        let number = text
            .trim()
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite());
        number.ok_or_else(|| self.bad(&format!("{role} is {text:?}, expected a number")))
    }

    /// The file of a role: beside the table, or where its path leads.
    ///
    /// # Errors
    /// Where there is no such file.
    pub fn file(&self) -> anyhow::Result<PathBuf> {
        let name = self.text("file")?;
        let folder = self.table.path.parent().unwrap_or(Path::new(""));
        let path = folder.join(name.trim());
        match path.is_file() {
            true => Ok(path),
            false => Err(self.bad(&format!("{} does not exist", path.display()))),
        }
    }

    /// The texts or numbers of a role's list.
    ///
    /// # Errors
    /// Where it is no list of them.
    pub fn list(&self, role: &str) -> anyhow::Result<Vec<String>> {
        let value = self.value(role);
        let list = value
            .as_array()
            .and_then(|list| list.iter().map(plain).collect());
        list.ok_or_else(|| self.bad(&format!("{role} is {value}, expected a list of texts")))
    }

    /// What a role holds.
    pub fn value(&self, role: &str) -> &Value {
        let at = self.table.roles.iter().position(|known| *known == role);
        at.and_then(|at| self.row.cells.get(at))
            .unwrap_or(&Value::Null)
    }

    /// An error with its place.
    pub fn bad(&self, what: &str) -> anyhow::Error {
        self.table.bad(self.row.line, what)
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// TSV has no quotes: one at the start of a text is the text's own.
fn reader(bytes: &[u8], delimiter: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .quoting(delimiter == b',')
        .from_reader(bytes)
}

/// What is in a file, without the mark that some editors begin it with.
fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = std::fs::read(path)
        .with_context(|| fail(ErrorKind::Input, format!("cannot read {}", path.display())))?;
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    Ok(bytes)
}

/// The UTF-8 text of a file.
///
/// # Errors
/// Where it cannot be read or is not UTF-8, with the line.
pub fn text(path: &Path) -> anyhow::Result<String> {
    String::from_utf8(bytes(path)?).map_err(|e| {
        let before = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let what = format!(
            "{}:{line}: not UTF-8; save the file as UTF-8",
            path.display()
        );
        fail(ErrorKind::Input, what)
    })
}
