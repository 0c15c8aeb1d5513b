//! Which token follows, by the rules of openai-whisper's decoder.

use bevel_manifest::TranscribeSpec;

use crate::decoder::argmax;

/// Seconds that one step of a token of time stands for.
pub(super) const TIME_STEP_S: f64 = 0.02;
/// The first token of time is not beyond one second.
const LATEST_START: u32 = 50;
/// Logits so far below the largest add nothing to a sum of exponentials in f32: 52,000 of them make 1e-4.
const FAR: f32 = 20.0;

/// What may be chosen.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    pub(super) end_id: u32,
    /// Never chosen.
    suppress: Vec<u32>,
    /// Not chosen first.
    begin_suppress: Vec<u32>,
    /// The token of 0.00 s, where times are written.
    times_from: Option<u32>,
}

/// A token and how likely it was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Choice {
    pub(super) id: u32,
    /// Natural logarithm of its probability among those that may be chosen.
    pub(super) log_probability: f32,
}

impl Rules {
    pub(super) fn new(spec: &TranscribeSpec, times: bool) -> Self {
        let TranscribeSpec::Whisper {
            end_id,
            suppress_ids,
            begin_suppress_ids,
            no_timestamps_id,
            ..
        } = spec
        else {
            return Self::default();
        };
        let mut suppress = suppress_ids.clone();
        if times {
            suppress.extend(no_timestamps_id);
        }
        Self {
            end_id: *end_id,
            suppress,
            begin_suppress: begin_suppress_ids.clone(),
            times_from: no_timestamps_id.filter(|_| times).map(|id| id + 1),
        }
    }

    /// The token of 0.00 s, where times are written.
    pub(super) fn times_from(&self) -> Option<u32> {
        self.times_from
    }

    /// The likeliest token behind those that were `chosen`, or where `random` is a number in 0 .. 1 the
    /// one that it draws at this temperature. Changes the logits.
    pub(super) fn choose(
        &self,
        logits: &mut [f32],
        chosen: &[u32],
        temperature: f32,
        random: f64,
    ) -> Choice {
        let first: &[u32] = match chosen {
            [] => &self.begin_suppress,
            _ => &[],
        };
        for id in self.suppress.iter().chain(first) {
            if let Some(logit) = logits.get_mut(*id as usize) {
                *logit = f32::NEG_INFINITY;
            }
        }
        if let Some(from) = self.times_from {
            self.order_times(logits, chosen, from as usize);
        }
        if temperature > 0.0 {
            logits.iter_mut().for_each(|logit| *logit /= temperature);
        }
        let best = argmax(logits);
        let sum = log_sum_exp(logits);
        let id = match temperature > 0.0 {
            true => draw(logits, sum, random).unwrap_or(best),
            false => best,
        };
        let logit = logits.get(id as usize).copied();
        Choice {
            id,
            log_probability: logit.map_or(f32::NEG_INFINITY, |logit| logit - sum),
        }
    }

    /// Times stand in pairs, end and next start, never go back, begin the text, and come when they are
    /// together likelier than any word.
    fn order_times(&self, logits: &mut [f32], chosen: &[u32], from: usize) {
        let from = from.min(logits.len());
        let is_time = |id: &u32| *id as usize >= from;
        let mut ban = |ids: std::ops::Range<usize>| {
            let end = ids.end.min(logits.len());
            if ids.start < end {
                logits[ids.start..end].fill(f32::NEG_INFINITY);
            }
        };
        let last = chosen.last().is_some_and(is_time);
        let before = chosen.len() < 2 || is_time(&chosen[chosen.len() - 2]);
        match (last, before) {
            (true, true) => ban(from..usize::MAX),
            // A lone time is followed by its twin, or by the end.
            (true, false) => ban(0..self.end_id as usize),
            _ => {}
        }
        if let Some(time) = chosen.iter().rev().find(|id| is_time(id)) {
            // A new pair may begin where the last one ended; nothing lasts no time.
            let next = *time as usize + usize::from(!last || before);
            ban(from..next);
        }
        if chosen.is_empty() {
            ban(0..from);
            ban(from + LATEST_START as usize + 1..usize::MAX);
        }
        let (words, times) = logits.split_at_mut(from);
        let likeliest = words.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if log_sum_exp(times) > likeliest {
            words.fill(f32::NEG_INFINITY);
        }
    }
}

/// Logarithm of the sum of exponentials; −∞ where nothing is left.
pub(super) fn log_sum_exp(logits: &[f32]) -> f32 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if max == f32::NEG_INFINITY {
        return max;
    }
    let near = logits.iter().map(|logit| logit - max).filter(|d| *d > -FAR);
    max + near.map(f32::exp).sum::<f32>().ln()
}

/// The token at this place in 0 .. 1 of the distribution whose logarithmic sum is `sum`.
fn draw(logits: &[f32], sum: f32, place: f64) -> Option<u32> {
    let mut left = place;
    let mut last = None;
    for (id, logit) in logits.iter().enumerate() {
        let probability = f64::from((logit - sum).exp());
        if probability > 0.0 {
            last = Some(id as u32);
            left -= probability;
            if left < 0.0 {
                break;
            }
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    const INF: f32 = f32::NEG_INFINITY;

    /// Words 0 ..= 3, end 4, times from 6 on (token 5 is `<|notimestamps|>`).
    fn rules() -> Rules {
        Rules {
            end_id: 4,
            suppress: vec![5, 1],
            begin_suppress: vec![4],
            times_from: Some(6),
        }
    }

    #[test]
    fn times_are_ordered() {
        struct Case {
            name: &'static str,
            chosen: &'static [u32],
            /// Which of 12 tokens may follow.
            may: &'static [usize],
        }
        let cases = [
            Case {
                name: "a text begins with a time",
                chosen: &[],
                may: &[6, 7, 8, 9, 10, 11],
            },
            Case {
                name: "a word follows the first time",
                chosen: &[7],
                may: &[0, 2, 3, 4],
            },
            Case {
                name: "after words, later times",
                chosen: &[7, 0],
                may: &[0, 2, 3, 4, 8, 9, 10, 11],
            },
            Case {
                name: "an end is followed by a start, not before it, or all ends",
                chosen: &[7, 0, 9],
                may: &[4, 9, 10, 11],
            },
            Case {
                name: "a pair by words",
                chosen: &[7, 0, 9, 9],
                may: &[0, 2, 3, 4],
            },
        ];
        for case in cases {
            // Words are likelier than all times together, but where only times may follow.
            let mut logits: Vec<f32> = (0..12).map(|i| if i < 6 { 20.0 } else { 0.0 }).collect();
            rules().choose(&mut logits, case.chosen, 0.0, 0.0);
            let may: Vec<usize> = (0..12).filter(|i| logits[*i] > INF).collect();
            assert_eq!(may, case.may, "{}", case.name);
        }
    }

    #[test]
    fn times_that_are_likelier_together_win() {
        let mut logits = vec![0.0; 12];
        logits[0] = 1.0;
        let choice = rules().choose(&mut logits, &[6, 2], 0.0, 0.0);
        // Five times of weight 1 against one word of weight e.
        assert_eq!(choice.id, 7);
        assert!(
            (choice.log_probability + 5.0_f32.ln()).abs() < 1e-6,
            "{choice:?}"
        );
    }

    #[test]
    fn a_drawn_token_follows_its_share() {
        let rules = Rules::default();
        for (place, expected) in [(0.0, 0), (0.49, 0), (0.51, 1), (0.76, 2), (0.999, 2)] {
            // Shares 1/2, 1/4, 1/4 at temperature 2.
            let mut logits = [4.0_f32.ln() * 2.0, 2.0_f32.ln() * 2.0, 2.0_f32.ln() * 2.0];
            let choice = rules.choose(&mut logits, &[7], 2.0, place);
            assert_eq!(choice.id, expected, "{place}");
        }
    }

    #[test]
    fn nothing_left_and_nan_choose_something() {
        let choice = Rules::default().choose(&mut [f32::NAN, INF], &[7], 0.0, 0.0);
        assert_eq!(choice.id, 0);
        assert_eq!(Rules::default().choose(&mut [], &[], 0.5, 0.5).id, 0);
    }
}
