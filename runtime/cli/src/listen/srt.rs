//! Subtitles as SubRip, written as they come: the file is whole after each of them.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use bevel::speech::Segment;
use bevel::speech::subtitles::srt;

pub struct Srt {
    file: File,
    /// Number of the next one.
    next: usize,
}

impl Srt {
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path);
        Ok(Self {
            file: file.with_context(|| format!("cannot write {}", path.display()))?,
            next: 1,
        })
    }

    pub fn push(&mut self, segment: &Segment) -> anyhow::Result<()> {
        let mut text = String::new();
        self.next = srt(std::slice::from_ref(segment), self.next, &mut text)?;
        self.file.write_all(text.as_bytes())?;
        Ok(self.file.flush()?)
    }
}
