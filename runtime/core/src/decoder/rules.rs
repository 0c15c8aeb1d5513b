/// Which token is taken of those that logits speak for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    /// Tokens that end a row.
    pub(crate) end_ids: Vec<u32>,
    /// Fed for rows that have ended while others go on.
    pub(crate) pad_id: u32,
    /// Never chosen.
    pub(crate) suppress: Vec<u32>,
    /// Not chosen first.
    pub(crate) begin_suppress: Vec<u32>,
    /// Makes tokens that were there before less likely, the prompt's too; see
    /// [`GenerateSpec`](bevel_manifest::GenerateSpec).
    pub(crate) repetition_penalty: Option<f32>,
    /// Whether a row that goes [`round`] ends there, with what it repeats said once.
    pub(crate) end_rounds: bool,
}

impl Rules {
    /// Whether the last of these tokens ended the row.
    pub(super) fn ended(&self, chosen: &[u32]) -> bool {
        let last = chosen.last();
        last.is_some_and(|id| self.end_ids.contains(id))
    }

    /// Ends a row that goes round.
    pub(super) fn end_round(&self, chosen: &mut Vec<u32>) {
        let (true, Some(end_id)) = (self.end_rounds, self.end_ids.first()) else {
            return;
        };
        if let Some(period) = round(chosen) {
            let same = |at: &usize| chosen[at - period] == chosen[*at];
            let again = (period..chosen.len()).rev().take_while(same).count();
            chosen.truncate(chosen.len() - again);
            chosen.push(*end_id);
        }
    }

    /// The likeliest token by logits that are changed on the way, after a prompt and what was
    /// chosen behind it.
    pub(super) fn choose(&self, logits: &mut [f32], prompt: &[i64], chosen: &[u32]) -> u32 {
        if let Some(penalty) = self.repetition_penalty {
            let mut before: Vec<i64> = prompt.to_vec();
            before.extend(chosen.iter().map(|id| i64::from(*id)));
            before.sort_unstable();
            before.dedup();
            for id in before {
                let at = usize::try_from(id).unwrap_or(usize::MAX);
                if let Some(logit) = logits.get_mut(at) {
                    let factor = if *logit < 0.0 {
                        penalty
                    } else {
                        penalty.recip()
                    };
                    *logit *= factor;
                }
            }
        }
        let first: &[u32] = match chosen {
            [] => &self.begin_suppress,
            _ => &[],
        };
        for id in self.suppress.iter().chain(first) {
            if let Some(logit) = logits.get_mut(*id as usize) {
                *logit = f32::NEG_INFINITY;
            }
        }
        argmax(logits)
    }
}

/// The period of a text whose end says the same four times or more, and for at least 16 tokens.
pub(crate) fn round(chosen: &[u32]) -> Option<usize> {
    const LONGEST: usize = 8;
    const TIMES: usize = 4;
    const LEAST: usize = 16;
    (1..=LONGEST).find(|period| {
        let length = (period * TIMES).max(LEAST);
        chosen.len() >= length && {
            let tail = &chosen[chosen.len() - length..];
            tail[*period..] == tail[..length - period]
        }
    })
}

/// Index of the largest value, the first of equals; NaN is never the largest.
pub(crate) fn argmax(values: &[f32]) -> u32 {
    let (mut at, mut best) = (0, f32::NEG_INFINITY);
    for (i, value) in values.iter().enumerate() {
        if *value > best {
            (at, best) = (i as u32, *value);
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_change_the_choice() {
        struct Case {
            name: &'static str,
            rules: Rules,
            chosen: &'static [u32],
            expected: u32,
        }
        let rules = Rules::default;
        let cases = [
            Case {
                name: "the largest",
                rules: rules(),
                chosen: &[],
                expected: 2,
            },
            Case {
                name: "a banned one",
                rules: Rules {
                    suppress: vec![2],
                    ..rules()
                },
                chosen: &[],
                expected: 1,
            },
            Case {
                name: "banned at first",
                rules: Rules {
                    begin_suppress: vec![2, 99],
                    ..rules()
                },
                chosen: &[],
                expected: 1,
            },
            Case {
                name: "and later not",
                rules: Rules {
                    begin_suppress: vec![2],
                    ..rules()
                },
                chosen: &[0],
                expected: 2,
            },
            Case {
                name: "in the prompt, so 4 / 2 against 3",
                rules: Rules {
                    repetition_penalty: Some(2.0),
                    ..rules()
                },
                chosen: &[],
                expected: 1,
            },
            Case {
                name: "all of them before, so 2 against 1.5",
                rules: Rules {
                    repetition_penalty: Some(2.0),
                    ..rules()
                },
                chosen: &[1, 0, 1],
                expected: 2,
            },
        ];
        for case in cases {
            let mut logits = [-1.0, 3.0, 4.0, f32::NAN];
            let chosen = case.rules.choose(&mut logits, &[2, -7], case.chosen);
            assert_eq!(chosen, case.expected, "{}", case.name);
        }
    }

    #[test]
    fn what_goes_round_is_seen() {
        let again = |period: u32, times: usize| -> Vec<u32> {
            let once: Vec<u32> = (100..100 + period).collect();
            [&[1, 2, 3][..], &once.repeat(times)].concat()
        };
        assert_eq!(round(&again(1, 16)), Some(1));
        assert_eq!(round(&again(3, 6)), Some(3));
        assert_eq!(round(&again(8, 4)), Some(8));
        assert_eq!(round(&again(1, 10)), None);
        assert_eq!(round(&again(8, 3)), None);
        assert_eq!(round(&again(40, 1)), None);
        assert_eq!(round(&[]), None);
        let rules = Rules {
            end_ids: vec![9],
            end_rounds: true,
            ..Rules::default()
        };
        for (chosen, expected) in [
            (again(3, 6), vec![1, 2, 3, 100, 101, 102, 9]),
            (vec![5; 20], vec![5, 9]),
            (vec![1, 2, 3], vec![1, 2, 3]),
        ] {
            let mut found = chosen.clone();
            rules.end_round(&mut found);
            assert_eq!(found, expected, "{chosen:?}");
        }
    }
}
