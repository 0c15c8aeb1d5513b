use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::thread::Thread;

use rtrb::{Producer, RingBuffer};

use crate::speech::live::shared::Shared;

/// Places in a stream where sound was refused that are remembered at a time. They are at least a
/// quarter of the buffer apart.
pub(super) const GAPS: usize = 16;

/// A place where sound was refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    /// Samples that had been taken before it.
    pub(super) at: u64,
    /// Samples that were refused in the whole stream so far.
    pub(super) refused: u64,
}

/// Where sound goes in: the half of [`Live`](super::Live) for the thread that has it, such as the
/// callback of a sound card.
pub struct LiveInput {
    pub(super) ring: Producer<f32>,
    pub(super) gaps: Producer<Gap>,
    pub(super) shared: Arc<Shared>,
    pub(super) worker: Thread,
    /// Samples that are worth waking the worker for.
    pub(super) wake: usize,
    /// Samples the worker was not woken for yet.
    pub(super) quiet: usize,
    pub(super) taken: u64,
    pub(super) refused: u64,
    /// Whether sound is refused until there is room again.
    pub(super) full: bool,
}

impl LiveInput {
    /// One that nobody hears, for tests of what records sound: it takes `capacity` samples.
    pub fn detached(sample_rate_hz: u32, capacity: usize) -> Self {
        let shared = Arc::new(Shared::default());
        shared.rate_hz.store(sample_rate_hz, Release);
        Self {
            ring: RingBuffer::new(capacity).0,
            gaps: RingBuffer::new(GAPS).0,
            shared,
            worker: std::thread::current(),
            wake: usize::MAX,
            quiet: 0,
            taken: 0,
            refused: 0,
            full: false,
        }
    }

    /// Takes samples, one channel in −1 ..= 1, and answers how many. It never waits and allocates
    /// nothing, so that it may be called where sound is recorded.
    ///
    /// It takes all of them unless the buffer is full because the model is too slow for the machine. Then
    /// the rest is refused, as is everything until a quarter of the buffer is free again: one long
    /// gap loses fewer words than many short ones. What was refused counts as lost, is told by
    /// [`Event::Dropped`](super::Event::Dropped), and is part of the time of the stream. A caller
    /// that can wait for room asks for it first: [`room`](Self::room).
    pub fn push(&mut self, samples: &[f32]) -> usize {
        if self.full && self.ring.slots() >= self.ring.buffer().capacity() / 4 {
            let gap = Gap {
                at: self.taken,
                refused: self.refused,
            };
            self.full = self.gaps.push(gap).is_err();
        }
        let mut taken = 0;
        if !self.full {
            let (pushed, rest) = self.ring.push_partial_slice(samples);
            taken = pushed.len();
            self.full = !rest.is_empty();
            self.taken += taken as u64;
            self.shared.taken.store(self.taken, Release);
        }
        if taken < samples.len() {
            self.refused += (samples.len() - taken) as u64;
            self.shared.refused.store(self.refused, Release);
        }
        self.quiet += taken;
        if self.quiet >= self.wake {
            self.quiet = 0;
            self.worker.unpark();
        }
        taken
    }

    /// How many samples [`push`](Self::push) would take now. Sources that can wait, such as files,
    /// lose nothing by it.
    pub fn room(&self) -> usize {
        self.ring.slots()
    }

    /// Rate of the samples that are pushed.
    pub fn sample_rate_hz(&self) -> u32 {
        self.shared.rate_hz.load(Acquire)
    }
}
