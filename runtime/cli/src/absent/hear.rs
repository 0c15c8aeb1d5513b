//! In place of `hear` in a build without feature `speech`: there are no transcripts.

use std::str::FromStr;

use bevel::{Answer, AnyPipeline};
use bevel_manifest::ErrorKind;

use crate::args::RunArgs;
use crate::failure::fail;
use crate::format::Live;
use crate::inputs::{Item, Source};

/// What `--format` takes.
pub const FORMATS: &str = "text or json";

/// Every other answer is written as text or JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text,
}

impl Form {
    pub fn ending(self) -> &'static str {
        "txt"
    }
}

impl FromStr for Form {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "text" => Ok(Self::Text),
            _ => Err(()),
        }
    }
}

pub fn check(_: &RunArgs, _: &[Source]) -> anyhow::Result<()> {
    Ok(())
}

pub fn hear(
    _: &mut dyn AnyPipeline,
    _: &RunArgs,
    _: (&str, &Item),
    _: (usize, usize),
    _: Live,
) -> anyhow::Result<Answer> {
    let what = "this build of Bevel hears no sound; build it with feature `speech`";
    Err(fail(ErrorKind::Unsupported, what))
}

pub fn written(_: &Answer, _: Form) -> anyhow::Result<Option<String>> {
    Ok(None)
}
