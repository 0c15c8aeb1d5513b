use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A version of the GNU C library, such as 2.31. Programs run with the one they need and every newer
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Glibc {
    /// 2, since 1997.
    pub major: u16,
    /// Counts up twice a year.
    pub minor: u16,
}

impl FromStr for Glibc {
    type Err = Error;

    /// `2.31`; a third number, as of 2.2.5, makes no difference to anybody and is dropped.
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut numbers = text.split('.').map(str::parse);
        let version = match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor)), None | Some(Ok(_))) => Some(Self { major, minor }),
            _ => None,
        };
        match version {
            Some(version) if numbers.next().is_none() => Ok(version),
            _ => Err(Error::Invalid(format!(
                "`{text}` is no version of glibc; write e.g. 2.31"
            ))),
        }
    }
}

impl TryFrom<String> for Glibc {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Glibc> for String {
    fn from(version: Glibc) -> Self {
        version.to_string()
    }
}

impl fmt::Display for Glibc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}
