use std::time::{Duration, Instant};

use bevel_manifest::AudioInput;
use bevel_prep::audio::{SegmentSpec, Segmenter, Span};

use crate::error::Result;
use crate::pipeline::Timing;
use crate::speech::SAMPLE_RATE_HZ;
use crate::speech::detector::{Detector, segment_spec, with_threshold};
use crate::speech::live::agreement::Agreement;
use crate::speech::live::event::{Event, Latency};
use crate::speech::live::options::LiveOptions;
use crate::speech::model::{Heard, Model};
use crate::speech::recent::Recent;

/// With more sound than this waiting nothing is done for partial texts, nor in advance: what is
/// final comes first.
const PATIENCE: u64 = samples(Duration::from_millis(300));
/// A partial text may take this part of the time between two.
const PARTIAL_SHARE: f64 = 0.5;

/// From 16 kHz samples to events, without threads: the same samples give the same texts, whatever the
/// blocks they come in. (What is partial may differ, because a slow model gives fewer.)
pub(super) struct Engine {
    detector: Detector,
    model: Box<dyn Model>,
    segmenter: Segmenter,
    /// Sound kept before and after speech.
    pad: u64,
    advance_after: u64,
    partial_every: Option<u64>,
    /// Samples of the stream before the first one that the segmenter knows of.
    origin: u64,
    recent: Recent,
    utterance: Option<Utterance>,
    /// Behind the sound that was already written down.
    done: u64,
    probabilities: Vec<f32>,
    found: Vec<Span>,
}

/// Speech that is going on.
struct Utterance {
    start: u64,
    agreement: Agreement,
    /// From here on the next partial text is due.
    due: u64,
    advance: Option<Advance>,
}

/// A text that was made while it was not sure that speech had ended.
struct Advance {
    /// Where the pause began.
    pause: u64,
    span: Span,
    heard: Heard,
}

/// How late the engine is.
#[derive(Clone, Copy)]
struct Late {
    /// Samples that had been pushed before this block was taken.
    pushed: u64,
    since: Instant,
}

impl Late {
    /// Seconds from the push of a sample until now.
    fn after(self, sample: u64) -> f64 {
        seconds(self.pushed.saturating_sub(sample)) + self.since.elapsed().as_secs_f64()
    }
}

impl Engine {
    pub(super) fn new(
        detector: Detector,
        model: Box<dyn Model>,
        input: &AudioInput,
        options: &LiveOptions,
    ) -> Self {
        let spec = segment_spec(input.vad.as_ref());
        let pad = spec.pad_samples;
        let longest = (input.max_piece_s * SAMPLE_RATE_HZ as f32) as u64;
        let spec = SegmentSpec {
            min_silence_samples: samples(options.min_silence),
            // Sound around speech is added here, because the segmenter waits for what comes behind.
            max_speech_samples: longest.saturating_sub(2 * pad),
            pad_samples: 0,
            ..spec
        };
        let threshold = options.threshold.unwrap_or(spec.threshold);
        Self {
            detector,
            model,
            segmenter: Segmenter::new(with_threshold(spec, threshold)),
            pad,
            advance_after: samples(options.advance_after),
            partial_every: options.partial_every.map(samples),
            origin: 0,
            recent: Recent::default(),
            utterance: None,
            done: 0,
            probabilities: Vec::new(),
            found: Vec::new(),
        }
    }

    /// Takes samples, behind which `waiting` more have been pushed already.
    pub(super) fn push(&mut self, block: &[f32], waiting: u64, out: &mut Vec<Event>) {
        self.recent.push(block);
        let late = Late {
            pushed: self.recent.total() + waiting,
            since: Instant::now(),
        };
        self.probabilities.clear();
        if let Err(e) = self.detector.push(block, &mut self.probabilities) {
            out.push(Event::error(self.time(self.recent.total()), &e));
        }
        for at in 0..self.probabilities.len() {
            let mut found = std::mem::take(&mut self.found);
            self.segmenter.push(self.probabilities[at], &mut found);
            for span in found.drain(..) {
                self.close(span, late, out);
            }
            self.found = found;
            self.follow(out);
        }
        self.guess(late, out);
        let keep = self.segmenter.keep_from().saturating_sub(self.pad);
        self.recent.keep_from(keep.max(self.done));
    }

    /// Ends speech that is going on. Times go on.
    pub(super) fn finish(&mut self, out: &mut Vec<Event>) {
        let late = Late {
            pushed: self.recent.total(),
            since: Instant::now(),
        };
        self.probabilities.clear();
        if let Err(e) = self.detector.finish(&mut self.probabilities) {
            out.push(Event::error(self.time(self.recent.total()), &e));
        }
        let mut found = std::mem::take(&mut self.found);
        for p in &self.probabilities {
            self.segmenter.push(*p, &mut found);
        }
        let pause = self.segmenter.pause_start();
        let total = self.recent.total();
        let before = found.len();
        self.segmenter.finish(total, &mut found);
        // The segmenter counts a pause that did not last for speech.
        if let (Some(last), Some(pause)) = (found[before..].last_mut(), pause) {
            last.end = pause.max(last.start);
            if last.samples() <= self.segmenter.min_speech() {
                found.pop();
            }
        }
        for span in found.drain(..) {
            self.close(span, late, out);
        }
        self.found = found;
        self.origin += total;
        self.utterance = None;
        self.done = 0;
        self.recent.clear();
    }

    /// Goes on behind so many samples that nobody has heard, between two streams.
    pub(super) fn skip(&mut self, samples: u64) {
        self.origin += samples;
    }

    /// Back to the start of a stream; speech that is going on is forgotten.
    pub(super) fn reset(&mut self) {
        self.detector.reset();
        self.model.start();
        self.found.clear();
        self.segmenter.finish(0, &mut self.found);
        self.found.clear();
        self.recent.clear();
        self.utterance = None;
        (self.origin, self.done) = (0, 0);
    }

    /// Where the stream is, in seconds.
    pub(super) fn now(&self) -> f64 {
        self.time(self.recent.total())
    }

    fn time(&self, sample: u64) -> f64 {
        seconds(self.origin + sample)
    }

    /// Notices that somebody speaks: as soon as it is long enough to be written down in any case.
    fn follow(&mut self, out: &mut Vec<Event>) {
        let (Some(start), None) = (self.segmenter.speech_start(), &self.utterance) else {
            return;
        };
        let length = self.segmenter.position() - start;
        if self.segmenter.pause_start().is_none() && length > self.segmenter.min_speech() {
            self.open(start, out);
        }
    }

    fn open(&mut self, start: u64, out: &mut Vec<Event>) {
        let from = self.from(start);
        out.push(Event::Started {
            start: self.time(from),
        });
        self.utterance = Some(Utterance {
            start,
            agreement: Agreement::default(),
            due: start + self.partial_every.unwrap_or_default(),
            advance: None,
        });
    }

    /// Where the sound of an utterance begins.
    fn from(&self, start: u64) -> u64 {
        start.saturating_sub(self.pad).max(self.done)
    }

    /// Writes down what is known of an utterance that goes on, where it is time for that.
    fn guess(&mut self, late: Late, out: &mut Vec<Event>) {
        let position = self.segmenter.position();
        let Some(utterance) = &self.utterance else {
            return;
        };
        if late.pushed.saturating_sub(position) > PATIENCE {
            return;
        }
        let start = self.from(utterance.start);
        let pause = self.segmenter.pause_start();
        let span = match (pause, self.partial_every) {
            (Some(pause), _) => {
                let known = utterance.advance.as_ref().map(|advance| advance.pause);
                if position - pause < self.advance_after || known == Some(pause) {
                    return;
                }
                let end = position.min(pause + self.pad);
                Span { start, end }
            }
            (None, Some(_)) if position >= utterance.due => {
                let end = position;
                Span { start, end }
            }
            (None, _) => return,
        };
        let begun = Instant::now();
        // What fails now is told when it is final.
        let heard = match pause {
            Some(_) => self.write_down(span),
            None => self
                .model
                .draft(self.recent.slice(span), &mut Timing::default()),
        };
        let Ok(heard) = heard else {
            return;
        };
        let took = samples(begun.elapsed().div_f64(PARTIAL_SHARE));
        let (start, end) = (self.time(span.start), self.time(span.end));
        let Some(utterance) = &mut self.utterance else {
            return;
        };
        if let Some(every) = self.partial_every {
            utterance.due = position + every.max(took);
            let texts: Vec<_> = heard.segments.iter().map(|s| s.text.as_str()).collect();
            let (agreed, rest) = utterance.agreement.update(&texts.join(" "));
            if !agreed.is_empty() || !rest.is_empty() {
                out.push(Event::Partial {
                    start,
                    end,
                    agreed,
                    rest,
                });
            }
        }
        if let Some(pause) = pause {
            utterance.advance = Some(Advance { pause, span, heard });
        }
    }

    /// Writes down an utterance that has ended.
    fn close(&mut self, speech: Span, late: Late, out: &mut Vec<Event>) {
        if self.utterance.is_none() {
            self.open(speech.start, out);
        }
        let decided = self.segmenter.position().max(speech.end);
        let advance = self.utterance.take().and_then(|u| u.advance);
        let advance = advance.filter(|advance| advance.pause == speech.end);
        let (span, heard) = match advance {
            Some(advance) => (advance.span, Ok(advance.heard)),
            None => {
                // Half of the pause where speech was cut there and goes on behind.
                let next = self.segmenter.speech_start().filter(|n| *n >= speech.end);
                let gap = next.map_or(u64::MAX, |next| (next - speech.end) / 2);
                let end = speech.end + self.pad.min(gap);
                let span = Span {
                    start: self.from(speech.start),
                    end: end.min(self.recent.total()),
                };
                (span, self.write_down(span))
            }
        };
        self.done = span.end;
        let (start, end) = (self.time(span.start), self.time(span.end));
        let heard = heard.unwrap_or_else(|e| {
            out.push(Event::error(start, &e));
            Heard::default()
        });
        if heard.segments.is_empty() {
            out.push(Event::Empty { start, end });
        }
        let latency = Latency {
            after_decision: late.after(decided),
            after_speech: late.after(speech.end),
        };
        for mut segment in heard.segments {
            segment.shift(start);
            out.push(Event::Final {
                segment,
                language: heard.language.clone(),
                latency,
            });
        }
    }

    fn write_down(&mut self, span: Span) -> Result<Heard> {
        let sound = self.recent.slice(span);
        let heard = self
            .model
            .write_down(&[sound], &mut Timing::default())?
            .into_iter()
            .next();
        Ok(heard.unwrap_or_default())
    }
}

const fn samples(time: Duration) -> u64 {
    (time.as_micros() * SAMPLE_RATE_HZ as u128 / 1_000_000) as u64
}

fn seconds(samples: u64) -> f64 {
    samples as f64 / f64::from(SAMPLE_RATE_HZ)
}

#[cfg(test)]
mod tests;
