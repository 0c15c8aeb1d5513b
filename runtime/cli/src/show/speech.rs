//! Transcripts.

use bevel::Answer;
use bevel::speech::Segment;

use super::Show;

pub(super) fn answer(_: &mut Show, name: &str, answer: &Answer) -> Option<String> {
    let Answer::Transcribe(found) = answer else {
        return None;
    };
    let mut text = format!("{name} {:.1} s\n", found.duration);
    if found.segments.is_empty() {
        text.push_str("  no speech\n");
    }
    text.extend(found.segments.iter().map(segment));
    Some(text)
}

/// A segment's line, with its times in seconds.
pub fn segment(segment: &Segment) -> String {
    let Segment {
        start, end, text, ..
    } = segment;
    format!("  {start:>8.2} {end:>8.2}  {text}\n")
}
