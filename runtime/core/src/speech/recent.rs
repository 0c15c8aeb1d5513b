use bevel_prep::audio::Span;

/// The last samples of a stream, found by their place in it.
#[derive(Default)]
pub(super) struct Recent {
    /// Samples from `base` on.
    samples: Vec<f32>,
    base: u64,
}

impl Recent {
    /// Back to the start of a stream.
    pub(super) fn clear(&mut self) {
        self.samples.clear();
        self.base = 0;
    }

    /// Takes the next samples.
    pub(super) fn push(&mut self, samples: &[f32]) {
        self.samples.extend_from_slice(samples);
    }

    /// How many samples the stream has had.
    pub(super) fn total(&self) -> u64 {
        self.base + self.samples.len() as u64
    }

    /// The samples of a stretch, as far as they are kept.
    pub(super) fn slice(&self, span: Span) -> &[f32] {
        let index = |at: u64| (at.saturating_sub(self.base) as usize).min(self.samples.len());
        &self.samples[index(span.start)..index(span.end)]
    }

    /// Forgets samples before this one.
    pub(super) fn keep_from(&mut self, at: u64) {
        let gone = at.saturating_sub(self.base) as usize;
        let gone = gone.min(self.samples.len());
        self.samples.drain(..gone);
        self.base += gone as u64;
    }
}
