use super::{Token, bounded, rows, runs};

/// Where the likeliest path of a text has its tokens: forced alignment (Viterbi).
///
/// States are blank, first token, blank, second token, … blank: 2·L+1 of them. A blank beside a
/// delimiter, and the first and the last, may be delimiters, too, which are none there. Of T frames √T
/// are kept, and those between are computed again, so memory is √T·L.
pub(super) fn align(
    log_probs: &[f32],
    classes: usize,
    (blank, delimiter): (u32, Option<u32>),
    tokens: &[u32],
) -> Vec<Token> {
    let (Some(frames), false) = (rows(log_probs, classes), tokens.is_empty()) else {
        return Vec::new();
    };
    let text = Text {
        tokens,
        blank,
        delimiter,
    };
    let (frames, states): (Vec<&[f32]>, _) = (frames.collect(), 2 * tokens.len() + 1);
    let block = frames.len().isqrt().max(1);

    let mut row = vec![f64::NEG_INFINITY; states];
    row[0] = 0.0;
    let mut kept = Vec::new();
    for (at, frame) in frames.iter().enumerate() {
        if at % block == 0 {
            kept.push(row.clone());
        }
        text.step(frame, at == 0, &mut row, |_, _| {});
    }
    let mut state = match row[states - 2] > row[states - 1] {
        true => states - 2,
        false => states - 1,
    };
    let mut path = vec![0; frames.len()];
    let mut steps = vec![0_u8; block * states];
    for (block_at, mut row) in kept.into_iter().enumerate().rev() {
        let from = block_at * block;
        let frames = &frames[from..frames.len().min(from + block)];
        for (at, (frame, steps)) in frames.iter().zip(steps.chunks_mut(states)).enumerate() {
            text.step(frame, from + at == 0, &mut row, |state, step| {
                steps[state] = step;
            });
        }
        for (at, steps) in steps.chunks(states).take(frames.len()).enumerate().rev() {
            path[from + at] = state;
            state -= usize::from(steps[state]);
        }
    }
    runs(path.into_iter().zip(frames).map(|(state, frame)| {
        let (id, log_prob) = text.emit(frame, state);
        (Some(state).filter(|s| s % 2 == 1), id, log_prob)
    }))
}

struct Text<'a> {
    tokens: &'a [u32],
    blank: u32,
    delimiter: Option<u32>,
}

impl Text<'_> {
    /// One frame on: scores of states, and how many states each came from.
    fn step(&self, frame: &[f32], first: bool, row: &mut [f64], mut from: impl FnMut(usize, u8)) {
        for state in (0..row.len()).rev() {
            let mut best = (row[state], 0);
            // The start stands before the first frame, in no state.
            let reach = match state {
                0 => 0,
                1 => 1,
                _ if first => 0,
                _ if state % 2 == 1 && self.token(state) != self.token(state - 2) => 2,
                _ => 1,
            };
            for step in 1..=reach {
                let score = row[state - step];
                if score > best.0 {
                    best = (score, step as u8);
                }
            }
            if best.0 > f64::NEG_INFINITY {
                best.0 += f64::from(self.emit(frame, state).1);
            }
            row[state] = best.0;
            from(state, best.1);
        }
    }

    /// The class a state emits, and its log probability.
    fn emit(&self, frame: &[f32], state: usize) -> (u32, f32) {
        let of = |id: u32| {
            (
                id,
                frame
                    .get(id as usize)
                    .map_or(bounded(f32::NAN), |v| bounded(*v)),
            )
        };
        if state % 2 == 1 {
            return of(self.token(state).unwrap_or(self.blank));
        }
        let blank = of(self.blank);
        let beside = |token: Option<u32>| token.is_none() || token == self.delimiter;
        let before = state.checked_sub(1).and_then(|s| self.token(s));
        match self.delimiter {
            Some(delimiter) if beside(before) || beside(self.token(state + 1)) => {
                let delimiter = of(delimiter);
                if delimiter.1 > blank.1 {
                    delimiter
                } else {
                    blank
                }
            }
            _ => blank,
        }
    }

    fn token(&self, state: usize) -> Option<u32> {
        self.tokens.get(state / 2).copied()
    }
}
