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
}

impl Rules {
    /// Whether the last of these tokens ended the row.
    pub(super) fn ended(&self, chosen: &[u32]) -> bool {
        let last = chosen.last();
        last.is_some_and(|id| self.end_ids.contains(id))
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
}
