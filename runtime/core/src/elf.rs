//! Program and library files of Linux: which processor they are for and what they need of the system.
//!
//! The loader says such things in its own words, and the process dies when a file that is cut off is
//! mapped. [`Elf::read`] looks first. It reads a few thousand bytes through the program headers, as
//! the loader does, and bounds everything that the file says. Format: System V ABI, "Object Files" and
//! "Program Loading and Dynamic Linking", and "Symbol Versioning" of the Linux Standard Base.

mod image;

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use bevel_manifest::Glibc;

use crate::error::{Error, Result};
pub(crate) use image::Broken;
use image::Image;

/// What a program or library is for, and what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Elf {
    /// The processor, as [`std::env::consts::ARCH`] calls it, or `another architecture`.
    pub arch: &'static str,
    /// Libraries that have to be there: `libc.so.6` …
    pub libraries: Vec<String>,
    /// Symbol versions that they have to offer: `GLIBC_2.28`, `GLIBCXX_3.4.21` …
    pub versions: Vec<String>,
}

impl Elf {
    /// Looks at a file.
    ///
    /// # Errors
    /// [`Error::Library`] when it cannot be read, is no program or library of Linux, or is cut off.
    pub fn read(path: &Path) -> Result<Self> {
        let elf = Self::open(path);
        elf.map_err(|e| Error::Library(format!("{}: {e}", path.display())))
    }

    pub(crate) fn open(path: &Path) -> Result<Self, Broken> {
        let file = File::open(path).map_err(Broken::Unreadable)?;
        Self::of(file)
    }

    fn of(file: impl Read + Seek) -> Result<Self, Broken> {
        let mut image = Image::open(file)?;
        let linked = image.dynamic()?;
        Ok(Self {
            arch: image.arch,
            libraries: image.libraries(&linked)?,
            versions: image.versions(&linked)?,
        })
    }

    /// The oldest C library of GNU that it runs with; `None` where it needs none.
    pub fn glibc(&self) -> Option<Glibc> {
        let versions = self.versions.iter();
        let numbers = versions.filter_map(|v| v.strip_prefix("GLIBC_")?.parse().ok());
        numbers.max()
    }

    /// Why it does not run on a processor with a C library; `None` where it does, as far as its file
    /// tells. `arch` is as [`Target::arch`](bevel_manifest::Target::arch) gives it.
    pub fn misfit(&self, arch: &str, glibc: Option<Glibc>) -> Option<String> {
        if self.arch != arch {
            return Some(format!("is for {}, not for {arch}", self.arch));
        }
        match (self.glibc(), glibc) {
            (Some(needs), Some(has)) if needs > has => {
                Some(format!("needs glibc {needs}, not {has}"))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
