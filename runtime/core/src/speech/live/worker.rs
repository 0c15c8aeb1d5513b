use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use bevel_manifest::ErrorKind;
use bevel_prep::audio::{Resampler, check_samples};
use rtrb::Consumer;

use crate::error::{Error, Result};
use crate::speech::SAMPLE_RATE_HZ;
use crate::speech::live::engine::Engine;
use crate::speech::live::event::Event;
use crate::speech::live::input::Gap;
use crate::speech::live::shared::{Order, Shared};

/// What a level is at least, in dB of full scale.
pub(super) const SILENCE_DB: f32 = -100.0;

/// The thread that hears: takes sound from the buffer, resamples it and drives the engine.
pub(super) struct Worker {
    pub(super) ring: Consumer<f32>,
    pub(super) gaps: Consumer<Gap>,
    pub(super) shared: Arc<Shared>,
    pub(super) engine: Engine,
    pub(super) rate: Rate,
    /// Samples that were taken from the buffer.
    pub(super) taken: u64,
    /// Refused samples that were told.
    pub(super) told: u64,
    /// Whether the last block had samples that are no sound.
    pub(super) broken: bool,
    pub(super) block: Vec<f32>,
    pub(super) events: Vec<Event>,
}

/// The rate of what comes in, and the way to ours.
pub(super) struct Rate {
    hz: u32,
    resampler: Resampler,
    /// Samples that went in, and came out.
    given: u64,
    got: u64,
    out: Vec<f32>,
}

impl Rate {
    pub(super) fn new(hz: u32) -> Result<Self> {
        let resampler = Resampler::new(hz, SAMPLE_RATE_HZ);
        Ok(Self {
            hz,
            resampler: resampler.map_err(|e| Error::Input(e.to_string()))?,
            given: 0,
            got: 0,
            out: Vec::new(),
        })
    }

    /// How many of our samples so many are.
    fn ours(&self, samples: u64) -> u64 {
        let ours = u128::from(samples) * u128::from(SAMPLE_RATE_HZ) / u128::from(self.hz);
        u64::try_from(ours).unwrap_or(u64::MAX)
    }

    /// Samples that went in and have not come out yet, as ours.
    fn inside(&self) -> u64 {
        self.ours(self.given).saturating_sub(self.got)
    }
}

impl Worker {
    /// A tenth of a second: what is taken from the buffer at once.
    fn block_samples(&self) -> usize {
        (self.rate.hz as usize / 10).max(1)
    }

    /// Runs until nobody listens any more.
    pub(super) fn run(mut self) {
        /// Tells those who wait when the thread ends, also by a panic of what it runs.
        struct Last(Arc<Shared>);
        impl Drop for Last {
            fn drop(&mut self) {
                let mut mail = self.0.mail();
                if std::thread::panicking() {
                    mail.put(Event::Error {
                        at: 0.0,
                        kind: ErrorKind::Internal,
                        what: "the thread that hears has panicked; open the model again".into(),
                    });
                }
                mail.dead = true;
                drop(mail);
                self.0.notify();
            }
        }
        let _last = Last(Arc::clone(&self.shared));
        while self.post() {
            let order = self.shared.mail().orders.front().copied();
            let worked = match order {
                Some((at, order)) if at <= self.taken => {
                    self.obey(order);
                    true
                }
                // Nobody is to hear what comes before.
                Some((at, Order::Reset)) => self.pass(at - self.taken),
                Some((at, _)) => self.hear(at - self.taken),
                None => self.hear(u64::MAX),
            };
            if !worked {
                std::thread::park();
            }
        }
    }

    /// Hands out events; waits while there are too many. `false` when nobody listens any more.
    fn post(&mut self) -> bool {
        let mut mail = self.shared.mail();
        if !self.events.is_empty() {
            self.events.drain(..).for_each(|event| mail.put(event));
            self.shared.notify();
        }
        while mail.is_full() && !self.shared.closing.load(Acquire) {
            match self.shared.wait(mail, None) {
                Some(changed) => mail = changed,
                None => return false,
            }
        }
        !self.shared.closing.load(Acquire)
    }

    /// Takes the next block, at most `limit` samples; `false` where there is none.
    fn hear(&mut self, limit: u64) -> bool {
        let available = self.ring.slots();
        // A gap is told before the sound behind it is there.
        if let Ok(&gap) = self.gaps.peek()
            && gap.at <= self.taken
        {
            let _ = self.gaps.pop();
            self.drop_until(gap.refused);
            return true;
        }
        let to_gap = self.gaps.peek().map_or(u64::MAX, |gap| gap.at - self.taken);
        let limit = usize::try_from(limit.min(to_gap)).unwrap_or(usize::MAX);
        let count = available.min(limit).min(self.block_samples());
        if count == 0 {
            return false;
        }
        self.block.resize(count, 0.0);
        let _ = self.ring.pop_partial_slice(&mut self.block);
        self.taken += count as u64;
        self.check();
        self.shared
            .level
            .store(level_db(&self.block).to_bits(), Relaxed);
        self.rate.given += count as u64;
        self.rate.out.clear();
        let pushed = self.rate.resampler.push(&self.block, &mut self.rate.out);
        self.resampled(pushed.map_err(|e| e.to_string()));
        let waiting = self.rate.ours((available - count) as u64) + self.rate.inside();
        if !self.rate.out.is_empty() {
            self.engine.push(&self.rate.out, waiting, &mut self.events);
        }
        true
    }

    /// Takes note of what the resampler gave.
    fn resampled(&mut self, result: Result<(), String>) {
        self.rate.got += self.rate.out.len() as u64;
        if let Err(what) = result {
            let error = Error::Internal(what);
            self.events.push(Event::error(self.engine.now(), &error));
        }
    }

    /// Silences what is no sound: a single NaN would make the detector deaf for ever.
    fn check(&mut self) {
        let bad = check_samples(&self.block);
        if let Err(loud) = bad {
            self.block.fill(0.0);
            if !self.broken {
                let what = format!(
                    "a sample is {}, expected −1 to 1; divide integers by their full scale",
                    loud.value
                );
                let error = Error::Input(what);
                self.events.push(Event::error(self.engine.now(), &error));
            }
        }
        self.broken = bad.is_err();
    }

    /// Takes samples away unheard.
    fn pass(&mut self, limit: u64) -> bool {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let count = self.ring.slots().min(limit).min(self.block_samples());
        self.block.resize(count, 0.0);
        let _ = self.ring.pop_partial_slice(&mut self.block);
        self.taken += count as u64;
        count > 0
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Flush => self.end(),
            Order::Finish | Order::End => {
                self.end();
                self.drop_until(self.shared.refused.load(Acquire));
                self.restart(self.rate.hz);
                self.engine.reset();
                if order == Order::End {
                    self.events.push(Event::Ended);
                }
            }
            Order::Reset => {
                self.told = self.shared.refused.load(Acquire);
                self.restart(self.rate.hz);
                self.engine.reset();
                self.events.clear();
                self.shared.mail().events.clear();
            }
            Order::Rate(hz) => {
                self.end();
                self.restart(hz);
            }
        }
        let mut mail = self.shared.mail();
        self.events.drain(..).for_each(|event| mail.put(event));
        mail.orders.pop_front();
        mail.done += 1;
        drop(mail);
        self.shared.notify();
    }

    /// Ends speech that is going on.
    fn end(&mut self) {
        self.rate.out.clear();
        let finished = self.rate.resampler.finish(&mut self.rate.out);
        self.resampled(finished.map_err(|e| e.to_string()));
        if !self.rate.out.is_empty() {
            self.engine.push(&self.rate.out, 0, &mut self.events);
        }
        (self.rate.given, self.rate.got) = (0, 0);
        self.engine.finish(&mut self.events);
    }

    fn restart(&mut self, hz: u32) {
        match Rate::new(hz) {
            Ok(rate) => self.rate = rate,
            // The rate was checked where it was given.
            Err(e) => self.events.push(Event::error(self.engine.now(), &e)),
        }
    }

    /// Tells what was refused here, which is a break in the sound: what is before and behind it does not
    /// belong together.
    fn drop_until(&mut self, refused: u64) {
        let lost = refused.saturating_sub(self.told);
        self.told = self.told.max(refused);
        if lost == 0 {
            return;
        }
        self.end();
        self.events.push(Event::Dropped {
            start: self.engine.now(),
            seconds: lost as f64 / f64::from(self.rate.hz),
        });
        self.engine.skip(self.rate.ours(lost));
    }
}

/// Root mean square in dB of full scale.
fn level_db(block: &[f32]) -> f32 {
    let energy: f32 = block.iter().map(|s| s * s).sum();
    let mean = energy / block.len().max(1) as f32;
    (10.0 * mean.log10()).clamp(SILENCE_DB, 0.0)
}
