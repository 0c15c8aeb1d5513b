//! Segments from tokens of time.

use super::rules::TIME_STEP_S;

/// Where a stretch of tokens stands in the window, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stretch {
    pub(super) start: f64,
    pub(super) end: f64,
    /// Its first token, and the one behind its last.
    pub(super) tokens: [usize; 2],
}

/// The stretches between times of `ids`, which begin at token `from`, in a window with `heard_s` seconds of
/// sound; and up to where the window is written down. What follows the last pair is heard again in the
/// next window when its end is not told.
///
/// Reference: `transcribe` of openai-whisper 20250625.
pub(super) fn stretches(ids: &[u32], from: u32, heard_s: f64) -> (Vec<Stretch>, f64) {
    let is_time = |id: u32| id >= from;
    let seconds = |id: u32| (f64::from(id.saturating_sub(from)) * TIME_STEP_S).min(heard_s);
    let pairs = ids.windows(2).enumerate();
    let pairs = pairs.filter(|(_, pair)| is_time(pair[0]) && is_time(pair[1]));
    let mut cuts: Vec<usize> = pairs.map(|(at, _)| at + 1).collect();
    // The last time is an end of its own: nothing is said behind it.
    let single = matches!(ids, [.., before, last] if !is_time(*before) && is_time(*last));
    if cuts.is_empty() {
        let last = ids
            .iter()
            .skip(1)
            .copied()
            .rev()
            .find(|id| is_time(*id) && *id != from);
        let stretch = Stretch {
            start: ids
                .first()
                .filter(|id| is_time(**id))
                .map_or(0.0, |id| seconds(*id)),
            end: last.map_or(heard_s, seconds),
            tokens: [0, ids.len()],
        };
        return (vec![stretch], heard_s);
    }
    if single {
        cuts.push(ids.len());
    }
    let mut found = Vec::with_capacity(cuts.len());
    let mut start = 0;
    for cut in cuts {
        let slice = &ids[start..cut];
        if let (Some(first), Some(last)) = (slice.first(), slice.last()) {
            found.push(Stretch {
                start: seconds(*first),
                end: seconds(*last),
                tokens: [start, cut],
            });
        }
        start = cut;
    }
    let done = match (single, start) {
        (true, _) => heard_s,
        (false, start) => ids.get(start - 1).map_or(heard_s, |id| seconds(*id)),
    };
    (found, done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_cut_the_text() {
        struct Case {
            name: &'static str,
            ids: &'static [u32],
            expected: &'static [(f64, f64, [usize; 2])],
            done: f64,
        }
        // Tokens from 100 on are times of 20 ms.
        let cases = [
            Case {
                name: "no times at all",
                ids: &[1, 2],
                expected: &[(0.0, 10.0, [0, 2])],
                done: 10.0,
            },
            Case {
                name: "one sentence",
                ids: &[100, 1, 2, 200],
                expected: &[(0.0, 2.0, [0, 4])],
                done: 10.0,
            },
            Case {
                name: "two, of which the second ends",
                ids: &[110, 1, 200, 220, 2, 3, 300],
                expected: &[(0.2, 2.0, [0, 3]), (2.4, 4.0, [3, 7])],
                done: 10.0,
            },
            Case {
                name: "the last one is cut off",
                ids: &[100, 1, 200, 200, 2],
                expected: &[(0.0, 2.0, [0, 3])],
                done: 2.0,
            },
            Case {
                name: "a time beyond the sound",
                ids: &[100, 1, 1500],
                expected: &[(0.0, 10.0, [0, 3])],
                done: 10.0,
            },
        ];
        for case in cases {
            let (found, done) = stretches(case.ids, 100, 10.0);
            let found: Vec<_> = found.iter().map(|s| (s.start, s.end, s.tokens)).collect();
            assert_eq!(found, case.expected, "{}", case.name);
            assert!((done - case.done).abs() < 1e-9, "{}", case.name);
        }
    }
}
