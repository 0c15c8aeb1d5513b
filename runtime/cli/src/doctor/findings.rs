//! Lines with a verdict, and facts for programs.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use anyhow::Context;
use bevel_manifest::ErrorKind;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::failure::fail;

/// Whether something is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Ok,
    /// It works, and could work better.
    Warning,
    /// Something that was asked for does not work.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    pub name: String,
    pub verdict: Verdict,
    pub value: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    #[serde(skip)]
    kind: Option<ErrorKind>,
}

/// Everything that was found. As JSON the facts by their names, and the lines as `checks`.
#[derive(Debug, Default, Serialize)]
pub struct Findings {
    #[serde(flatten)]
    facts: Map<String, Value>,
    #[serde(rename = "checks")]
    pub lines: Vec<Line>,
}

impl Findings {
    pub fn ok(&mut self, name: &str, value: impl Into<String>) {
        self.add(name, Verdict::Ok, value.into(), None);
    }

    pub fn warning(&mut self, name: &str, value: impl Into<String>, advice: impl Into<String>) {
        self.add(name, Verdict::Warning, value.into(), Some(advice.into()));
    }

    /// Problems without advice say in their own words what to do, as errors do.
    pub fn problem(&mut self, name: &str, kind: ErrorKind, value: impl Into<String>) {
        self.add(name, Verdict::Problem, value.into(), None);
        if let Some(line) = self.lines.last_mut() {
            line.kind = Some(kind);
        }
    }

    /// The last line, with what to do.
    pub fn advise(&mut self, advice: impl Into<String>) {
        if let Some(line) = self.lines.last_mut() {
            line.advice = Some(advice.into());
        }
    }

    /// Something for programs to read, under a name of its own.
    pub fn fact(&mut self, name: &str, value: impl Serialize) {
        let value = serde_json::to_value(value).unwrap_or_default();
        self.facts.insert(name.to_owned(), value);
    }

    fn add(&mut self, name: &str, verdict: Verdict, value: String, advice: Option<String>) {
        self.lines.push(Line {
            name: name.to_owned(),
            verdict,
            value,
            advice,
            kind: None,
        });
    }

    /// For people: verdict, name and value in columns, and what to do below.
    pub fn text(&self) -> String {
        let width = self
            .lines
            .iter()
            .map(|line| line.name.chars().count())
            .max();
        let width = width.unwrap_or_default();
        let mut text = String::new();
        for line in &self.lines {
            let verdict = match line.verdict {
                Verdict::Ok => "ok",
                Verdict::Warning => "warning",
                Verdict::Problem => "PROBLEM",
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{verdict:7}  {:width$}  {}", line.name, line.value);
            if let Some(advice) = &line.advice {
                let _ = writeln!(text, "{:7}  {:width$}  → {advice}", "", "");
            }
        }
        text
    }

    /// # Errors
    /// The first problem, of its kind.
    pub fn verdict(&self) -> anyhow::Result<()> {
        let problems: Vec<&Line> = self
            .lines
            .iter()
            .filter(|line| line.kind.is_some())
            .collect();
        let Some((first, kind)) = problems.first().and_then(|line| Some((line, line.kind?))) else {
            return Ok(());
        };
        let failed = fail(kind, format!("{}: {}", first.name, first.value));
        match problems.len() {
            1 => Err(failed),
            count => Err(failed).context(fail(kind, format!("{count} problems"))),
        }
    }
}

/// The folder that files of the system are below.
#[derive(Debug, Clone)]
pub struct Root(PathBuf);

impl Default for Root {
    fn default() -> Self {
        Self("/".into())
    }
}

/// Files of the system are short; whatever is longer is none of them.
const MOST_BYTES: u64 = 1 << 20;

impl Root {
    #[cfg(test)]
    pub fn at(folder: &std::path::Path) -> Self {
        Self(folder.to_owned())
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// The text of a file without spaces at its ends; `None` where it cannot be read or is empty.
    pub fn read(&self, path: &str) -> Option<String> {
        let mut bytes = Vec::new();
        let file = File::open(self.path(path)).ok()?;
        file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        (!text.is_empty()).then(|| text.to_owned())
    }

    pub fn number(&self, path: &str) -> Option<u64> {
        self.read(path)?.parse().ok()
    }

    /// The names in a folder that begin so, in order; none where there is no such folder.
    pub fn names(&self, folder: &str, start: &str) -> Vec<String> {
        let entries = self.path(folder).read_dir().into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<_> = names.filter(|name| name.starts_with(start)).collect();
        names.sort();
        names
    }
}

/// A file of the system in a folder that stands for it.
#[cfg(test)]
pub fn put(folder: &std::path::Path, path: &str, text: &str) {
    let path = folder.join(path.trim_start_matches('/'));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_problem_decides() {
        let mut found = Findings::default();
        found.ok("a", "1");
        found.warning("b", "2", "do this");
        assert!(found.verdict().is_ok());
        found.problem("board", ErrorKind::Device, "no NEON");
        let error = found.verdict().unwrap_err();
        assert_eq!(error.to_string(), "board: no NEON");
        found.problem("model", ErrorKind::Model, "cut off");
        let error = found.verdict().unwrap_err();
        assert_eq!(crate::failure::kind(&error), ErrorKind::Device);
        assert_eq!(format!("{error:#}"), "2 problems: board: no NEON");
        assert_eq!(
            found.text().lines().nth(2),
            Some("                → do this")
        );
    }
}
