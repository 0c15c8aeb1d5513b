//! Subtitles as SubRip, written as they come: the file is whole after each of them.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use bevel::speech::Segment;

pub struct Srt {
    file: File,
    count: usize,
}

impl Srt {
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path);
        Ok(Self {
            file: file.with_context(|| format!("cannot write {}", path.display()))?,
            count: 0,
        })
    }

    pub fn push(&mut self, segment: &Segment) -> anyhow::Result<()> {
        self.count += 1;
        let (start, end) = (time(segment.start), time(segment.end));
        let text = format!("{}\n{start} --> {end}\n{}\n\n", self.count, segment.text);
        self.file.write_all(text.as_bytes())?;
        Ok(self.file.flush()?)
    }
}

fn time(seconds: f64) -> String {
    let ms = (seconds * 1e3).round() as u64;
    let (s, ms) = (ms / 1000, ms % 1000);
    format!("{:02}:{:02}:{:02},{ms:03}", s / 3600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_hours_and_milliseconds() {
        assert_eq!(time(0.0), "00:00:00,000");
        assert_eq!(time(3_723.456_7), "01:02:03,457");
    }
}
