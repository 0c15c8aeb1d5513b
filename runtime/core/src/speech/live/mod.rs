//! Speech as it is spoken: sound is pushed, text is polled.
//!
//! ```text
//! push → ring buffer → thread: resampler → detector → engine → model → events → poll
//! ```

mod agreement;
mod engine;
mod event;
mod input;
mod options;
mod output;
mod shared;
mod worker;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rtrb::RingBuffer;

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::Options;
use crate::speech::detector::Detector;
use crate::speech::model;

use engine::Engine;
use input::GAPS;
use shared::Shared;
use worker::{Rate, SILENCE_DB, Worker};

pub use event::{Event, Latency};
pub use input::LiveInput;
pub use options::LiveOptions;
pub use output::LiveOutput;

/// Worth waking the worker for: about a window of the detector, 1/31 s.
const WAKES_PER_S: usize = 31;

/// Speech to text, live.
///
/// What is pushed goes to a thread of its own, which sleeps until there is something to do. When
/// somebody speaks, and while they do, [`Event::Partial`] tells what was said so far; after a pause,
/// [`Event::Final`] has the text as [`Transcribe`](crate::Transcribe) would have written it down. Speech
/// longer than the model takes at once is cut at its longest pause. Silence, noise and music are no
/// events.
///
/// On a device that is too slow, partial texts become fewer first; then the buffer fills, and
/// when it is full, [`push`](Self::push) refuses what comes, and an event tells how much was lost and
/// where. Texts are never lost: while nobody polls, sound is no longer taken either.
///
/// ```no_run
/// use bevel::Options;
/// use bevel::speech::{Event, Live, LiveOptions};
///
/// let mut live = Live::open("moonshine-tiny".as_ref(), &Options::default(), &LiveOptions::default())?;
/// # let microphone = [[0.0; 320]];
/// for samples in microphone {
///     live.push(&samples);
///     while let Some(event) = live.poll() {
///         match event {
///             Event::Partial { agreed, rest, .. } => println!("{agreed}|{rest} …"),
///             Event::Final { segment, .. } => println!("{}", segment.text),
///             _ => {}
///         }
///     }
/// }
/// live.finish();
/// # Ok::<(), bevel::Error>(())
/// ```
pub struct Live {
    input: LiveInput,
    output: LiveOutput,
}

impl Live {
    /// Opens a bundle directory.
    ///
    /// # Errors
    /// Those of [`Bundle::load`] and [`load`](Self::load).
    pub fn open(path: &Path, options: &Options, live: &LiveOptions) -> Result<Self> {
        Self::load(&Bundle::load(path)?, options, live)
    }

    /// Opens a bundle that is at hand.
    ///
    /// # Errors
    /// Those of [`Transcribe::load`](crate::Transcribe::load); [`Error::Input`] for live options that are
    /// out of range.
    pub fn load(bundle: &Bundle, options: &Options, live: &LiveOptions) -> Result<Self> {
        live.check()?;
        let opened = model::open(bundle, options)?;
        let detector = Detector::load(bundle, options, opened.input)?;
        let engine = Engine::new(detector, opened.model, opened.input, live);
        Self::start(engine, live)
    }

    fn start(engine: Engine, options: &LiveOptions) -> Result<Self> {
        let rate = options.sample_rate_hz;
        let shared = Arc::new(Shared::default());
        shared.rate_hz.store(rate, Relaxed);
        shared.level.store(SILENCE_DB.to_bits(), Relaxed);
        let capacity = (f64::from(rate) * options.buffer.as_secs_f64()) as usize;
        let (ring, sound) = RingBuffer::new(capacity.max(1));
        let (gaps, missing) = RingBuffer::new(GAPS);
        let worker = Worker {
            ring: sound,
            gaps: missing,
            shared: Arc::clone(&shared),
            engine,
            rate: Rate::new(rate)?,
            taken: 0,
            told: 0,
            broken: false,
            block: Vec::new(),
            events: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("bevel-live".into());
        let thread = thread.spawn(move || worker.run());
        let thread = thread.map_err(|e| Error::Internal(format!("cannot start a thread: {e}")))?;
        let input = LiveInput {
            ring,
            gaps,
            shared: Arc::clone(&shared),
            worker: thread.thread().clone(),
            wake: rate as usize / WAKES_PER_S,
            quiet: 0,
            taken: 0,
            refused: 0,
            full: false,
        };
        let output = LiveOutput {
            shared,
            worker: Some(thread),
        };
        Ok(Self { input, output })
    }

    /// The halves, for a thread that has sound and one that reads text.
    pub fn split(self) -> (LiveInput, LiveOutput) {
        (self.input, self.output)
    }

    /// See [`LiveInput::push`].
    pub fn push(&mut self, samples: &[f32]) -> usize {
        self.input.push(samples)
    }

    /// See [`LiveInput::room`].
    pub fn room(&self) -> usize {
        self.input.room()
    }

    /// See [`LiveOutput::poll`].
    pub fn poll(&mut self) -> Option<Event> {
        self.output.poll()
    }

    /// See [`LiveOutput::poll_timeout`].
    pub fn poll_timeout(&mut self, timeout: Duration) -> Option<Event> {
        self.output.poll_timeout(timeout)
    }

    /// See [`LiveOutput::level_db`].
    pub fn level_db(&self) -> f32 {
        self.output.level_db()
    }

    /// See [`LiveOutput::flush`].
    pub fn flush(&mut self) {
        self.output.flush();
    }

    /// See [`LiveOutput::finish`].
    pub fn finish(&mut self) -> Vec<Event> {
        self.output.finish()
    }

    /// See [`LiveOutput::reset`].
    pub fn reset(&mut self) {
        self.output.reset();
    }
}

#[cfg(test)]
mod tests;
