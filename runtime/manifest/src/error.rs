use crate::ErrorKind;

/// What can be wrong with a `bundle.toml` or a recipe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not TOML, a key that is not known, a missing key, or a value of the wrong type.
    #[error("{}", one_line(.0))]
    Parse(Box<toml::de::Error>),
    /// Written by a newer Bevel.
    #[error(
        "format version {found} is newer than {known}, the newest this build reads; update bevel"
    )]
    Version {
        /// The version in the file.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// Well-formed, but the values contradict each other.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    pub(crate) fn parse(error: toml::de::Error) -> Self {
        Self::Parse(Box::new(error))
    }

    /// Always [`ErrorKind::Model`]: the file belongs to the model.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Model
    }
}

/// `toml`'s message spans lines with a picture of the place; an error here is one line.
fn one_line(error: &toml::de::Error) -> String {
    let picture = error.to_string();
    let place = picture.lines().next().unwrap_or_default();
    format!(
        "{}: {}",
        place.trim_start_matches("TOML parse error "),
        error.message()
    )
}
