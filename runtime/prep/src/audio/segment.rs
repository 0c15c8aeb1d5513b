/// A stretch of samples, counted from the start of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first sample.
    pub start: u64,
    /// Behind the last sample.
    pub end: u64,
}

impl Span {
    /// How many samples it holds.
    pub fn samples(&self) -> u64 {
        self.end - self.start
    }
}

/// Parameters of a [`Segmenter`]; all lengths in samples.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentSpec {
    /// Samples that one probability stands for.
    pub window_samples: u64,
    /// Speech starts at this probability, in 0 ..= 1.
    pub threshold: f32,
    /// Speech may end below this one, in 0 ..= 1.
    pub exit_threshold: f32,
    /// Speech that is not longer than this is dropped.
    pub min_speech_samples: u64,
    /// A pause shorter than this does not end speech.
    pub min_silence_samples: u64,
    /// Speech longer than this, padding included, is cut.
    pub max_speech_samples: u64,
    /// A pause must be longer than this to be cut at.
    pub cut_silence_samples: u64,
    /// Kept before and after speech; half the pause where that is shorter than twice this.
    pub pad_samples: u64,
}

impl SegmentSpec {
    /// Silero's defaults at 16 kHz: threshold 0.5, exit 0.15 below it, speech over 250 ms, pauses
    /// from 100 ms, padding 30 ms, cuts at pauses over 98 ms, no longest segment.
    pub fn silero_16k() -> Self {
        Self {
            window_samples: 512,
            threshold: 0.5,
            exit_threshold: 0.35,
            min_speech_samples: 4000,
            min_silence_samples: 1600,
            max_speech_samples: u64::MAX,
            cut_silence_samples: 1568,
            pad_samples: 480,
        }
    }
}

/// Probabilities of speech, window by window, to the stretches that hold speech.
///
/// Reference: `get_speech_timestamps_from_probs` of silero-vad 6.2.3, with two deviations where
/// speech is longer than allowed. Pauses behind the cut stay candidates for the next cut (there:
/// forgotten). Without any pause the cut is at the least likely window of the second half (there:
/// wherever the limit is, in the middle of a word).
#[derive(Debug, Clone)]
pub struct Segmenter {
    spec: SegmentSpec,
    /// Start of the next window.
    position: u64,
    speech: Option<Speech>,
    /// Found, but its end is padded only once its successor is known.
    pending: Option<Span>,
}

/// Speech that has not ended.
#[derive(Debug, Clone)]
struct Speech {
    start: u64,
    /// Where the pause began that is going on.
    pause: Option<u64>,
    /// Pauses worth a cut.
    pauses: Vec<Span>,
    /// The least likely window of the second half.
    dip: Option<(f32, u64)>,
}

impl Speech {
    fn new(start: u64) -> Self {
        Self {
            start,
            pause: None,
            pauses: Vec::new(),
            dip: None,
        }
    }
}

impl Segmenter {
    /// At the start of a stream.
    pub fn new(spec: SegmentSpec) -> Self {
        Self {
            spec,
            position: 0,
            speech: None,
            pending: None,
        }
    }

    /// Takes the probability of the next window; finished stretches are appended, in order and
    /// without overlap.
    pub fn push(&mut self, probability: f32, out: &mut Vec<Span>) {
        let at = self.position;
        self.position += self.spec.window_samples;
        let voiced = probability >= self.spec.threshold;
        let Some(mut speech) = self.speech.take() else {
            match voiced {
                true => self.speech = Some(Speech::new(at)),
                false => self.release(self.position, out),
            }
            return;
        };
        if voiced
            && let Some(start) = speech.pause.take()
            && at - start > self.spec.cut_silence_samples
        {
            speech.pauses.push(Span { start, end: at });
        }
        if at - speech.start > self.longest() {
            speech = self.cut(speech, at, out);
        }
        if probability < self.spec.exit_threshold {
            let pause = *speech.pause.get_or_insert(at);
            if at - pause >= self.spec.min_silence_samples {
                if pause - speech.start > self.spec.min_speech_samples {
                    self.found(speech.start, pause, out);
                }
                self.release(self.position, out);
                return;
            }
        }
        let half = speech.start + self.longest() / 2;
        if at >= half && speech.dip.is_none_or(|(lowest, _)| probability < lowest) {
            speech.dip = Some((probability, at));
        }
        self.speech = Some(speech);
    }

    /// Ends the stream, which is `total_samples` long, and is ready for the next.
    pub fn finish(&mut self, total_samples: u64, out: &mut Vec<Span>) {
        if let Some(speech) = self.speech.take()
            && total_samples.saturating_sub(speech.start) > self.spec.min_speech_samples
        {
            self.found(speech.start, total_samples, out);
        }
        if let Some(mut last) = self.pending.take() {
            last.end = total_samples.min(last.end + self.spec.pad_samples);
            out.push(last);
        }
        *self = Self::new(self.spec.clone());
    }

    /// Where the earliest stretch that may still come begins: samples before are not needed.
    pub fn keep_from(&self) -> u64 {
        let speech = self.speech.as_ref().map_or(self.position, |s| s.start);
        let next = speech.saturating_sub(self.spec.pad_samples);
        self.pending.map_or(next, |p| p.start.min(next))
    }

    /// Whether speech is going on, or may be.
    pub fn in_speech(&self) -> bool {
        self.speech.is_some() || self.pending.is_some()
    }

    /// Speech that is not longer than this is dropped.
    pub fn min_speech(&self) -> u64 {
        self.spec.min_speech_samples
    }

    /// Where the speech started that is going on.
    pub fn speech_start(&self) -> Option<u64> {
        self.speech.as_ref().map(|speech| speech.start)
    }

    /// Where the pause began that is going on inside speech.
    pub fn pause_start(&self) -> Option<u64> {
        self.speech.as_ref().and_then(|speech| speech.pause)
    }

    /// Start of the next window.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The longest speech before padding, as the reference counts it.
    fn longest(&self) -> u64 {
        let around = self.spec.window_samples + 2 * self.spec.pad_samples;
        self.spec
            .max_speech_samples
            .saturating_sub(around)
            .max(2 * self.spec.window_samples)
    }

    /// Cuts speech that is too long; what follows goes on.
    fn cut(&mut self, speech: Speech, at: u64, out: &mut Vec<Span>) -> Speech {
        // The first of the longest, as Python's `max`.
        let pause = speech.pauses.iter().copied().reduce(|best, p| {
            if p.samples() > best.samples() {
                p
            } else {
                best
            }
        });
        let gap = pause.unwrap_or_else(|| {
            let dip = speech.dip.map_or(at, |(_, dip)| dip);
            Span {
                start: dip,
                end: dip,
            }
        });
        self.found(speech.start, gap.start, out);
        let mut rest = Speech::new(gap.end);
        rest.pauses = speech.pauses;
        rest.pauses.retain(|p| p.start > gap.start);
        // Its successor is known.
        self.release(rest.start, out);
        rest
    }

    /// Notes speech from `start` to `end` and hands out the one before it.
    fn found(&mut self, start: u64, end: u64, out: &mut Vec<Span>) {
        let pad = self.spec.pad_samples;
        let before = match self.pending.take() {
            Some(mut last) => {
                let gap = start.saturating_sub(last.end);
                let pad = if gap < 2 * pad { gap / 2 } else { pad };
                last.end += pad;
                out.push(last);
                pad
            }
            // What was released early left at least twice the padding; the first has all before it.
            None => pad,
        };
        self.pending = Some(Span {
            start: start.saturating_sub(before),
            end,
        });
    }

    /// Hands out the last stretch once no successor, which starts at `next` or later, can be near
    /// enough to matter.
    fn release(&mut self, next: u64, out: &mut Vec<Span>) {
        if let Some(mut last) = self.pending
            && next >= last.end + 2 * self.spec.pad_samples
        {
            last.end += self.spec.pad_samples;
            out.push(last);
            self.pending = None;
        }
    }
}

#[cfg(test)]
mod tests;
