//! What a deployment is called: a folder, a package, a part of unit names.

use bevel_manifest::ErrorKind;

use crate::failure::fail;

const MOST: usize = 40;

/// The given name, or that of the model in lower case with `-` for what names of packages cannot have.
///
/// # Errors
/// Of kind `Input` for a given name that is none, or a model's that has no letter in it.
pub fn name(given: Option<&str>, model: &str) -> anyhow::Result<String> {
    if let Some(given) = given {
        return match is_name(given) {
            true => Ok(given.to_owned()),
            false => Err(fail(
                ErrorKind::Input,
                format!(
                    "--name {given:?}: expected up to {MOST} of a-z, 0-9 and -, with no - at the ends"
                ),
            )),
        };
    }
    let lower = model.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    let mut name = words.join("-");
    name.truncate(MOST);
    let name = name.trim_end_matches('-').to_owned();
    match is_name(&name) {
        true => Ok(name),
        false => Err(fail(
            ErrorKind::Input,
            format!("the model's name {model:?} is no name for a folder; give --name NAME"),
        )),
    }
}

fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (2..=MOST).contains(&text.len())
        && text.chars().all(fits)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_packages() {
        for (given, model, expected) in [
            (None, "all-MiniLM-L6-v2", Some("all-minilm-l6-v2")),
            (None, "org/Model 1.5 (été)", Some("org-model-1-5-t")),
            (None, "模型", None),
            (Some("kitchen"), "模型", Some("kitchen")),
            (Some("../up"), "m", None),
            (Some("-o"), "m", None),
            (Some("A"), "m", None),
        ] {
            let found = name(given, model).ok();
            assert_eq!(found.as_deref(), expected, "{given:?} {model}");
        }
    }
}
