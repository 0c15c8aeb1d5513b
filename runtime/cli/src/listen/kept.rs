//! A microphone that is kept: when it is gone it is waited for, and the session goes on.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bevel::speech::{LiveInput, LiveOutput};

use crate::listen::Source;
use crate::listen::show::Show;

/// Pauses between two tries, doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// Not every system tells that a device is gone: one that gives no sound for so long is.
const SILENT: Duration = Duration::from_secs(3);

/// A way to sound.
pub trait Microphone {
    /// Records until it is dropped.
    type Stream;

    /// Looks for the device.
    fn find(&mut self) -> anyhow::Result<Found>;

    /// Records from what was [found](Self::find) last into a sink.
    fn start(&mut self, sink: Sink) -> anyhow::Result<Self::Stream>;
}

/// A device that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    pub sample_rate_hz: u32,
}

/// Where a device puts its sound and its troubles.
#[derive(Clone)]
pub struct Sink {
    /// One stream at a time is recorded, so nobody ever waits for this.
    input: Arc<Mutex<LiveInput>>,
    samples: Arc<AtomicU64>,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Sink {
    fn new(input: LiveInput) -> Self {
        Self {
            input: Arc::new(Mutex::new(input)),
            samples: Arc::default(),
            trouble: Arc::default(),
        }
    }

    /// Takes samples of one channel. Neither waits nor allocates.
    pub fn sound(&self, samples: &[f32]) {
        if let Ok(mut input) = self.input.try_lock() {
            input.push(samples);
            self.samples.fetch_add(samples.len() as u64, Relaxed);
        }
    }

    /// The device is gone.
    pub fn failed(&self, why: String) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    fn trouble(&self) -> Option<String> {
        let mut trouble = self.trouble.lock();
        trouble.as_mut().ok().and_then(|t| t.take())
    }

    fn sample_rate_hz(&self) -> u32 {
        let input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        input.sample_rate_hz()
    }
}

pub struct Kept<M: Microphone> {
    microphone: M,
    sink: Sink,
    stream: Option<M::Stream>,
    /// When to try again, and how long to wait then.
    retry: (Instant, Duration),
    /// Samples that had come when some last came.
    heard: (u64, Instant),
}

impl<M: Microphone> Kept<M> {
    /// Records from a device that was found just now.
    pub fn start(mut microphone: M, input: LiveInput) -> anyhow::Result<Self> {
        let sink = Sink::new(input);
        let stream = Some(microphone.start(sink.clone())?);
        let now = Instant::now();
        Ok(Self {
            microphone,
            sink,
            stream,
            retry: (now, FIRST_PAUSE),
            heard: (0, now),
        })
    }

    /// What has happened to the device until `now`, for people. `rate` is told of a new one before
    /// sound comes at it.
    fn look(
        &mut self,
        now: Instant,
        rate: &mut dyn FnMut(u32) -> anyhow::Result<()>,
    ) -> Option<String> {
        if self.stream.is_some() {
            let why = self.lost(now)?;
            // Nothing is recorded from here on.
            self.stream = None;
            self.retry = (now + FIRST_PAUSE, FIRST_PAUSE);
            return Some(format!("the microphone is gone ({why}); waiting for it"));
        }
        if now < self.retry.0 {
            return None;
        }
        match self.connect(rate) {
            Ok(name) => {
                self.heard = (self.sink.samples.load(Relaxed), now);
                Some(format!("the microphone is back: {name}"))
            }
            Err(_) => {
                let pause = (2 * self.retry.1).min(LAST_PAUSE);
                self.retry = (now + pause, pause);
                None
            }
        }
    }

    fn connect(
        &mut self,
        rate: &mut dyn FnMut(u32) -> anyhow::Result<()>,
    ) -> anyhow::Result<String> {
        let found = self.microphone.find()?;
        if found.sample_rate_hz != self.sink.sample_rate_hz() {
            rate(found.sample_rate_hz)?;
        }
        // What the stream before has said last is of no use.
        self.sink.trouble();
        self.stream = Some(self.microphone.start(self.sink.clone())?);
        Ok(found.name)
    }

    /// Why the stream has ended, if it has.
    fn lost(&mut self, now: Instant) -> Option<String> {
        if let Some(trouble) = self.sink.trouble() {
            return Some(trouble);
        }
        let samples = self.sink.samples.load(Relaxed);
        if samples != self.heard.0 {
            self.heard = (samples, now);
        }
        (now.duration_since(self.heard.1) >= SILENT).then(|| "no sound comes".to_owned())
    }
}

impl<M: Microphone> Source for Kept<M> {
    fn watch(&mut self, output: &mut LiveOutput, show: &mut Show) -> anyhow::Result<bool> {
        let mut rate = |hz| Ok(output.change_rate(hz)?);
        if let Some(news) = self.look(Instant::now(), &mut rate) {
            show.note(&news);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
