use std::collections::VecDeque;

use crate::audio::{SegmentSpec, Segmenter, Span};

/// Probabilities of speech to pieces that go through a model at once.
///
/// Neighbouring stretches of speech share a piece, pauses included, as long as it is short enough:
/// a transcriber that sees whole sentences makes fewer mistakes than one that sees every breath as
/// an end. Where a piece would be too long it ends at the longest pause of its second half, and
/// always at a pause of `split_samples`.
#[derive(Debug, Clone)]
pub struct Pieces {
    segmenter: Segmenter,
    max_samples: u64,
    split_samples: u64,
    /// Stretches of the piece that is being filled.
    open: Vec<Span>,
    ready: VecDeque<Span>,
    found: Vec<Span>,
}

impl Pieces {
    /// Pieces of at most `max_samples`, which also bounds the stretches of `spec`. A pause of
    /// `split_samples` or more always ends a piece.
    pub fn new(mut spec: SegmentSpec, max_samples: u64, split_samples: u64) -> Self {
        spec.max_speech_samples = spec.max_speech_samples.min(max_samples);
        Self {
            segmenter: Segmenter::new(spec),
            max_samples,
            split_samples,
            open: Vec::new(),
            ready: VecDeque::new(),
            found: Vec::new(),
        }
    }

    /// Takes the probability of the next window.
    pub fn push(&mut self, probability: f32) {
        self.segmenter.push(probability, &mut self.found);
        self.take_found();
        let quiet = !self.segmenter.in_speech();
        if let (true, Some(last)) = (quiet, self.open.last())
            && self.segmenter.position() >= last.end + self.split_samples
        {
            self.close(self.open.len());
        }
    }

    /// Ends the stream, which is `total_samples` long, and is ready for the next once the last
    /// pieces were [popped](Self::pop).
    pub fn finish(&mut self, total_samples: u64) {
        self.segmenter.finish(total_samples, &mut self.found);
        self.take_found();
        self.close(self.open.len());
    }

    /// The next finished piece.
    pub fn pop(&mut self) -> Option<Span> {
        self.ready.pop_front()
    }

    /// Samples before this one are not part of any piece to come.
    pub fn keep_from(&self) -> u64 {
        let first = self.ready.front().or(self.open.first());
        let next = self.segmenter.keep_from();
        first.map_or(next, |s| s.start.min(next))
    }

    fn take_found(&mut self) {
        let mut found = std::mem::take(&mut self.found);
        for span in found.drain(..) {
            if let Some(last) = self.open.last()
                && span.start.saturating_sub(last.end) >= self.split_samples
            {
                self.close(self.open.len());
            }
            self.open.push(span);
            while self.open.len() > 1 && span.end - self.open[0].start > self.max_samples {
                self.close(self.cut());
            }
        }
        self.found = found;
    }

    /// How many of the open stretches to keep together when all are too long for one piece.
    fn cut(&self) -> usize {
        let half = self.open[0].start + self.max_samples / 2;
        let pauses = self.open.windows(2).enumerate();
        let pauses = pauses.filter(|(_, pair)| pair[0].end >= half);
        pauses
            .max_by_key(|(_, pair)| pair[1].start.saturating_sub(pair[0].end))
            .map_or(self.open.len() - 1, |(i, _)| i + 1)
            .max(1)
    }

    /// Makes a piece of the first `count` open stretches.
    fn close(&mut self, count: usize) {
        if let (Some(first), Some(last)) = (self.open.first(), self.open[..count].last()) {
            self.ready.push_back(Span {
                start: first.start,
                end: last.end,
            });
            self.open.drain(..count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces of `(probability, windows)`, checked for order, length and what must be kept.
    fn pieces(max: u64, split: u64, runs: &[(f32, usize)]) -> Vec<[u64; 2]> {
        let mut pieces = Pieces::new(SegmentSpec::silero_16k(), max, split);
        let mut found: Vec<Span> = Vec::new();
        let mut total = 0;
        for p in runs.iter().flat_map(|(p, n)| std::iter::repeat_n(*p, *n)) {
            let keep = pieces.keep_from();
            pieces.push(p);
            total += 512;
            while let Some(span) = pieces.pop() {
                assert!(
                    span.start >= keep,
                    "{span:?} was forgotten, kept from {keep}"
                );
                found.push(span);
            }
            // The open piece, a stretch that waits for its successor, and the one going on.
            let bound = 3 * max + split;
            assert!(total - pieces.keep_from() <= bound, "memory is bounded");
        }
        pieces.finish(total);
        while let Some(span) = pieces.pop() {
            found.push(span);
        }
        for pair in found.windows(2) {
            assert!(pair[0].end <= pair[1].start, "{pair:?}");
        }
        assert!(found.iter().all(|s| s.samples() <= max), "{found:?}");
        found.iter().map(|s| [s.start, s.end]).collect()
    }

    #[test]
    fn neighbours_share_a_piece() {
        struct Case {
            name: &'static str,
            runs: &'static [(f32, usize)],
            expected: &'static [[u64; 2]],
        }
        // At most 100 windows; a pause of 40 windows always splits.
        let cases = [
            Case {
                name: "nothing",
                runs: &[(0.0, 300)],
                expected: &[],
            },
            Case {
                name: "short pauses stay inside",
                runs: &[(1.0, 20), (0.0, 10), (1.0, 20), (0.0, 30), (1.0, 10)],
                expected: &[[0, 90 * 512]],
            },
            Case {
                name: "a long pause splits",
                runs: &[(1.0, 20), (0.0, 50), (1.0, 20)],
                expected: &[[0, 20 * 512 + 480], [70 * 512 - 480, 90 * 512]],
            },
            Case {
                name: "the longest late pause splits what is too long",
                runs: &[
                    (1.0, 20),
                    (0.0, 12),
                    (1.0, 20),
                    (0.0, 9),
                    (1.0, 20),
                    (0.0, 5),
                    (1.0, 20),
                ],
                expected: &[[0, 52 * 512 + 480], [61 * 512 - 480, 106 * 512]],
            },
        ];
        for case in cases {
            let found = pieces(100 * 512, 40 * 512, case.runs);
            assert_eq!(found, case.expected, "{}", case.name);
        }
    }

    #[test]
    fn endless_speech_makes_bounded_pieces() {
        let found = pieces(100 * 512, 40 * 512, &[(1.0, 1000)]);
        assert_eq!(found[0][0], 0);
        assert_eq!(found[found.len() - 1][1], 1000 * 512);
        assert!(
            found.windows(2).all(|p| p[0][1] == p[1][0]),
            "nothing is lost: {found:?}"
        );
    }

    #[test]
    fn a_piece_is_ready_as_soon_as_its_pause_is_long_enough() {
        let mut pieces = Pieces::new(SegmentSpec::silero_16k(), 100 * 512, 40 * 512);
        (0..20).for_each(|_| pieces.push(1.0));
        (0..41).for_each(|_| pieces.push(0.0));
        assert!(pieces.pop().is_some());
    }
}
