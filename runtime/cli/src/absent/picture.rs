//! In place of `picture` in a build without feature `vision`: there are no pictures.

use std::path::{Path, PathBuf};

use bevel::{Answer, Sample};
use bevel_manifest::ErrorKind;

use crate::failure::fail;

/// None.
pub enum Picture {}

pub fn load(_: &Path) -> anyhow::Result<Picture> {
    pattern()
}

pub fn decode(_: &[u8]) -> anyhow::Result<Picture> {
    pattern()
}

pub fn pattern() -> anyhow::Result<Picture> {
    let what = "this build of Bevel reads no pictures; build it with feature `vision`";
    Err(fail(ErrorKind::Unsupported, what))
}

pub fn sample(picture: &Picture) -> anyhow::Result<Sample<'_>> {
    match *picture {}
}

pub fn keep(
    picture: &Picture,
    _: &str,
    _: &mut Answer,
    _: &mut dyn FnMut(&str) -> PathBuf,
) -> anyhow::Result<()> {
    match *picture {}
}
