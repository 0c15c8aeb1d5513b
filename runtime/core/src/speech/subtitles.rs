//! Transcripts as files that players and tables read: SRT, WebVTT, tab-separated values, plain text.
//!
//! | format | reference | times | text |
//! |---|---|---|---|
//! | [`Format::Srt`] | SubRip | `HH:MM:SS,mmm`, cues numbered from 1 | one line, `-->` as `->` |
//! | [`Format::Vtt`] | W3C WebVTT | `HH:MM:SS.mmm` | one line, `&`, `<` and `>` escaped |
//! | [`Format::Tsv`] | openai-whisper | `start`, `end` in milliseconds | one field |
//! | [`Format::Text`] | | | a line a segment |
//!
//! Cues of SRT and WebVTT are no longer than 7 seconds and 84 characters, which is two lines, where
//! segments have [words](super::Segment::words); a segment without is one cue.

mod cues;

use std::fmt::{self, Write};
use std::str::FromStr;

use super::{Segment, Transcript};
use crate::error::Error;
pub use cues::{Cue, cues};

/// What a transcript is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Plain text.
    Text,
    /// SubRip.
    Srt,
    /// WebVTT.
    Vtt,
    /// Tab-separated values.
    Tsv,
}

impl Format {
    /// Ending of such a file's name.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Srt => "srt",
            Self::Vtt => "vtt",
            Self::Tsv => "tsv",
        }
    }

    /// Writes a transcript.
    ///
    /// ```
    /// use bevel::speech::subtitles::Format;
    /// use bevel::speech::{Segment, Transcript};
    ///
    /// let mut transcript = Transcript::default();
    /// transcript.segments.push(Segment {
    ///     start: 0.5,
    ///     end: 2.25,
    ///     text: "Hello there.".into(),
    ///     words: Vec::new(),
    /// });
    /// let mut text = String::new();
    /// Format::Srt.write(&transcript, &mut text)?;
    /// assert_eq!(text, "1\n00:00:00,500 --> 00:00:02,250\nHello there.\n\n");
    /// # Ok::<(), std::fmt::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of `out`; a `String` has none.
    pub fn write(self, transcript: &Transcript, out: &mut dyn Write) -> fmt::Result {
        let segments = &transcript.segments;
        match self {
            Self::Text => segments.iter().try_for_each(|segment| text(segment, out)),
            Self::Srt => srt(segments, 1, out).map(|_| ()),
            Self::Vtt => vtt(segments, out),
            Self::Tsv => tsv(segments, out),
        }
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(match text {
            "text" | "txt" => Self::Text,
            "srt" => Self::Srt,
            "vtt" => Self::Vtt,
            "tsv" => Self::Tsv,
            _ => {
                let what = format!("no format `{text}`, expected text, srt, vtt or tsv");
                return Err(Error::Input(what));
            }
        })
    }
}

/// A segment's line of plain text.
///
/// # Errors
/// Those of `out`.
pub fn text(segment: &Segment, out: &mut dyn Write) -> fmt::Result {
    writeln!(out, "{}", line(&segment.text))
}

/// Cues of SubRip, numbered from `first` on. Answers the number of the next, for a file that grows.
///
/// # Errors
/// Those of `out`.
pub fn srt(
    segments: &[Segment],
    first: usize,
    out: &mut dyn Write,
) -> std::result::Result<usize, fmt::Error> {
    let mut number = first;
    for cue in cues(segments) {
        let (start, end) = (Time(cue.start_ms, ','), Time(cue.end_ms, ','));
        // An arrow in a text would be read as times.
        let text = line(&cue.text).replace("-->", "->");
        write!(out, "{number}\n{start} --> {end}\n{text}\n\n")?;
        number += 1;
    }
    Ok(number)
}

fn vtt(segments: &[Segment], out: &mut dyn Write) -> fmt::Result {
    out.write_str("WEBVTT\n\n")?;
    for cue in cues(segments) {
        let (start, end) = (Time(cue.start_ms, '.'), Time(cue.end_ms, '.'));
        let text = line(&cue.text).replace('&', "&amp;");
        let text = text.replace('<', "&lt;").replace('>', "&gt;");
        write!(out, "{start} --> {end}\n{text}\n\n")?;
    }
    Ok(())
}

fn tsv(segments: &[Segment], out: &mut dyn Write) -> fmt::Result {
    out.write_str("start\tend\ttext\n")?;
    for segment in segments {
        let (start, end) = (cues::ms(segment.start), cues::ms(segment.end));
        writeln!(out, "{start}\t{end}\t{}", line(&segment.text))?;
    }
    Ok(())
}

/// A text without breaks and tabs, which end it in every format here.
fn line(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Milliseconds as hours, minutes and seconds, and the mark in front of the last three digits.
struct Time(u64, char);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(ms, mark) = self;
        let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(
            f,
            "{hours:02}:{minutes:02}:{seconds:02}{mark}{:03}",
            ms % 1000
        )
    }
}

#[cfg(test)]
mod tests;
