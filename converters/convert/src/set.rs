//! `--set key=value`: what a family has to know and a checkpoint does not hold.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::Error;

/// Beyond this a size is a mistake.
const MAX_SIZE: usize = 1 << 24;

/// Pixels of a side beyond which a picture is a mistake.
pub(crate) const MAX_SIDE: usize = 8192;

/// The settings of one conversion. Whatever a family asks for is noted, so that a key nobody asked
/// for is an error: families ask for all of theirs, whether they turn out to need them or not.
#[derive(Debug, Default)]
pub(crate) struct Set {
    given: BTreeMap<String, String>,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl Set {
    pub fn new(given: &BTreeMap<String, String>) -> Self {
        Self {
            given: given.clone(),
            asked: RefCell::default(),
        }
    }

    /// A value as it was given.
    pub fn text(&self, key: &'static str) -> Option<&str> {
        self.asked.borrow_mut().insert(key);
        self.given.get(key).map(String::as_str)
    }

    /// A whole number above 0.
    ///
    /// # Errors
    /// [`Error::Request`] for anything else.
    pub fn size(&self, key: &'static str) -> Result<Option<usize>, Error> {
        let Some(text) = self.text(key) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(size @ 1..=MAX_SIZE) => Ok(Some(size)),
            _ => Err(Error::Request(format!(
                "--set {key}={text}: expected a size from 1 to {MAX_SIZE}"
            ))),
        }
    }

    /// A number from 0 to `most`.
    ///
    /// # Errors
    /// [`Error::Request`] for anything else.
    pub fn number(&self, key: &'static str, most: f32) -> Result<Option<f32>, Error> {
        let Some(text) = self.text(key) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) if (0.0..=most).contains(&number) => Ok(Some(number)),
            _ => Err(Error::Request(format!(
                "--set {key}={text}: expected a number from 0 to {most}"
            ))),
        }
    }

    /// Height and width in pixels, multiples of `step`: `480x640`, or one number for both.
    ///
    /// # Errors
    /// [`Error::Request`] for anything else.
    pub fn sides(&self, key: &'static str, step: usize) -> Result<Option<[usize; 2]>, Error> {
        let Some(text) = self.text(key) else {
            return Ok(None);
        };
        let (height, width) = text.split_once('x').unwrap_or((text, text));
        let side = |text: &str| match text.parse() {
            Ok(side @ 1..=MAX_SIDE) if side.is_multiple_of(step) => Some(side),
            _ => None,
        };
        match side(height).zip(side(width)) {
            Some((height, width)) => Ok(Some([height, width])),
            None => Err(Error::Request(format!(
                "--set {key}={text}: expected one number of pixels, or a height and a width such as \
                 480x640, multiples of {step} up to {MAX_SIDE}"
            ))),
        }
    }

    /// What a table has under the name that was given.
    ///
    /// # Errors
    /// [`Error::Request`] with the names of the table for any other.
    pub fn choice<T: Copy>(
        &self,
        key: &'static str,
        table: &[(&str, T)],
    ) -> Result<Option<T>, Error> {
        let Some(text) = self.text(key) else {
            return Ok(None);
        };
        let row = table.iter().find(|(name, _)| *name == text);
        let row = row.ok_or_else(|| {
            let known: Vec<_> = table.iter().map(|(name, _)| *name).collect();
            let known = known.join(", ");
            Error::Request(format!("--set {key}={text}: expected one of {known}"))
        })?;
        Ok(Some(row.1))
    }

    /// Refuses what the family did not ask for.
    ///
    /// # Errors
    /// [`Error::Request`] with the first such key, and those that the family knows.
    pub fn finish(&self, family: &str) -> Result<(), Error> {
        let asked = self.asked.borrow();
        let Some(key) = self.given.keys().find(|key| !asked.contains(key.as_str())) else {
            return Ok(());
        };
        let known: Vec<_> = asked.iter().copied().collect();
        let known = match known.is_empty() {
            true => "it has none".into(),
            false => format!("known: {}", known.join(", ")),
        };
        let what = format!("--set {key}: {family} has no such setting; {known}");
        Err(Error::Request(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked_and_none_is_ignored() {
        struct Case {
            name: &'static str,
            given: &'static [(&'static str, &'static str)],
            expected: Result<(Option<usize>, Option<bool>), &'static str>,
        }
        let cases = [
            Case {
                name: "nothing",
                given: &[],
                expected: Ok((None, None)),
            },
            Case {
                name: "both",
                given: &[("size", "32"), ("way", "back")],
                expected: Ok((Some(32), Some(false))),
            },
            Case {
                name: "no number",
                given: &[("size", "-1")],
                expected: Err("--set size=-1: expected a size"),
            },
            Case {
                name: "too large",
                given: &[("size", "99999999999")],
                expected: Err("to 16777216"),
            },
            Case {
                name: "not in the table",
                given: &[("way", "up")],
                expected: Err("--set way=up: expected one of on, back"),
            },
            Case {
                name: "unknown",
                given: &[("size", "1"), ("seize", "2")],
                expected: Err("--set seize: toy has no such setting; known: size, way"),
            },
        ];
        for case in cases {
            let given = case.given.iter().map(|(k, v)| ((*k).into(), (*v).into()));
            let set = Set::new(&given.collect());
            let read = || {
                let size = set.size("size")?;
                let way = set.choice("way", &[("on", true), ("back", false)])?;
                set.finish("toy")?;
                Ok::<_, Error>((size, way))
            };
            match (read(), case.expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{}", case.name),
                (Err(error), Err(says)) => {
                    assert!(error.to_string().contains(says), "{}: {error}", case.name);
                }
                (found, _) => panic!("{}: {found:?}", case.name),
            }
        }
        let given = BTreeMap::from([("a".into(), "b".into())]);
        let error = Set::new(&given).finish("toy").unwrap_err();
        assert!(error.to_string().contains("it has none"), "{error}");
    }
}
