//! What `run` does while it hears sound: opens it, shows what is found meanwhile, and how far it is.

use std::io::{IsTerminal, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bevel::speech::subtitles;
pub use bevel::speech::subtitles::Format as Form;
use bevel::speech::{Progress, Segment, Sound};
use bevel::{Answer, AnyPipeline};
use bevel_manifest::ErrorKind;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::RunArgs;
use crate::failure::fail;
use crate::format::Live;
use crate::inputs::{Item, Source};
use crate::show;

/// What `--format` takes.
pub const FORMATS: &str = "text, json, srt, vtt or tsv";

/// Sound that is sooner heard than a bar is read.
const SHORT_S: f64 = 20.0;

/// Whether what describes sound has some to describe.
///
/// # Errors
/// Of kind `Input` where it has none.
pub fn check(args: &RunArgs, sources: &[Source]) -> anyhow::Result<()> {
    if args.pcm.is_some() && !sources.contains(&Source::StdinSound) {
        let what = "--pcm describes sound on standard input; give `-` as the input";
        return Err(fail(ErrorKind::Input, what));
    }
    Ok(())
}

/// The transcript of a recording, which is one of so many. Standard input ends where nobody reads what is
/// said in it.
pub fn hear(
    pipeline: &mut dyn AnyPipeline,
    args: &RunArgs,
    (name, item): (&str, &Item),
    place: (usize, usize),
    live: Live,
) -> anyhow::Result<Answer> {
    let transcribe = pipeline.transcribe().ok_or_else(|| {
        let what = "a model that takes sound and does not transcribe";
        fail(ErrorKind::Unsupported, what)
    })?;
    let closed = Arc::new(AtomicBool::new(false));
    let sound = match item {
        Item::Sound(path) => Sound::open(path)?,
        _ => {
            let closed = closed.clone();
            Sound::from_reader("standard input", Stdin { closed }, args.pcm)?
        }
    };
    let bar = Bar::new(&sound, place);
    let mut first = true;
    let mut written = Ok(());
    let transcript = transcribe.run_sound(sound, &mut |told| match told {
        Progress::Segment(segment) if live != Live::Off && written.is_ok() => {
            let head = match live == Live::Table && first {
                true => format!("{name}\n"),
                false => String::new(),
            };
            first = false;
            let line = head + &shown(segment, live);
            written = bar.bar.suspend(|| {
                let mut out = std::io::stdout().lock();
                out.write_all(line.as_bytes()).and_then(|()| out.flush())
            });
            closed.store(written.is_err(), Ordering::Relaxed);
        }
        Progress::Position { seconds, of } => bar.at(seconds, of),
        _ => {}
    });
    bar.bar.finish_and_clear();
    // First: what could not be written is why the sound was cut off.
    written?;
    let transcript = transcript?;
    if live == Live::Table && first {
        write!(std::io::stdout().lock(), "{name}\n  no speech\n")?;
    }
    Ok(Answer::Transcribe(transcript))
}

/// A transcript in one of its forms; `None` for other answers.
pub fn written(answer: &Answer, form: Form) -> anyhow::Result<Option<String>> {
    let Answer::Transcribe(found) = answer else {
        return Ok(None);
    };
    let mut text = String::new();
    form.write(found, &mut text)?;
    Ok(Some(text))
}

/// Standard input until its answer has no reader any more: a microphone never ends.
struct Stdin {
    closed: Arc<AtomicBool>,
}

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.closed.load(Ordering::Relaxed) {
            true => Ok(0),
            false => std::io::stdin().read(buffer),
        }
    }
}

fn shown(segment: &Segment, live: Live) -> String {
    let mut text = String::new();
    if live == Live::Table {
        return show::speech::segment(segment);
    }
    // Writing to a string does not fail.
    let _ = subtitles::text(segment, &mut text);
    text
}

/// Position, speed and what is left, on standard error of a person who waits.
struct Bar {
    bar: ProgressBar,
    start: Instant,
}

impl Bar {
    fn new(sound: &Sound, (number, count): (usize, usize)) -> Self {
        let seconds = sound.seconds();
        let short = seconds.is_some_and(|s| s < SHORT_S) && count < 4;
        let bar = match short || !std::io::stderr().is_terminal() {
            true => ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()),
            false => ProgressBar::no_length(),
        };
        let template = match seconds {
            Some(_) => "{prefix}{wide_bar} {msg}",
            None => "{prefix}{spinner} {msg}",
        };
        // First of all: whatever else is set is drawn at once.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        if let Some(seconds) = seconds {
            bar.set_length((seconds * 1e3) as u64);
        }
        if count > 1 {
            bar.set_prefix(format!("{number}/{count} "));
        }
        Self {
            bar,
            start: Instant::now(),
        }
    }

    fn at(&self, seconds: f64, of: Option<f64>) {
        if self.bar.is_hidden() {
            return;
        }
        self.bar.set_position((seconds * 1e3) as u64);
        self.bar
            .set_message(position(seconds, of, self.start.elapsed()));
    }
}

/// Such as `1:05 of 59:00, 31.2 × real time, 1:51 left`.
fn position(seconds: f64, of: Option<f64>, elapsed: Duration) -> String {
    let speed = seconds / elapsed.as_secs_f64().max(1e-3);
    let all = of.map_or(String::new(), |of| format!(" of {}", clock(of)));
    let left = of.map_or(String::new(), |of| {
        format!(
            ", {} left",
            clock((of - seconds).max(0.0) / speed.max(1e-3))
        )
    });
    format!("{}{all}, {speed:.1} × real time{left}", clock(seconds))
}

/// Hours where there are some, minutes and seconds.
fn clock(seconds: f64) -> String {
    let all = seconds.round() as u64;
    match all / 3600 {
        0 => format!("{}:{:02}", all / 60, all % 60),
        hours => format!("{hours}:{:02}:{:02}", all / 60 % 60, all % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_told_in_clocks() {
        for (seconds, of, elapsed, expected) in [
            (
                65.0,
                Some(3540.0),
                2,
                "1:05 of 59:00, 32.5 × real time, 1:47 left",
            ),
            (3725.4, None, 1000, "1:02:05, 3.7 × real time"),
            (
                11.0,
                Some(10.0),
                1,
                "0:11 of 0:10, 11.0 × real time, 0:00 left",
            ),
            (
                0.0,
                Some(10.0),
                0,
                "0:00 of 0:10, 0.0 × real time, 2:46:40 left",
            ),
        ] {
            let found = position(seconds, of, Duration::from_secs(elapsed));
            assert_eq!(found, expected);
        }
    }
}
