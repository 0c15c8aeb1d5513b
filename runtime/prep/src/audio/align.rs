use std::ops::Range;

/// Frames over which the median is taken.
const MEDIAN: usize = 7;

/// When each of `tokens` was heard, by where a decoder looked as it chose them.
///
/// `attention` holds, token by token and head by head, the shares of `frames` frames, of which the first
/// `heard` are sound. Shares are made 1 over these, each head and frame normalised over the tokens,
/// smoothed by a median over 7 frames and averaged over the heads; dynamic time warping (Giorgino 2009)
/// then finds the path through tokens and frames that has most of it. Tokens that are not among the `followed`,
/// those of a prompt and the end, only take part in normalising. The answer is the frame at which the path
/// reaches each of the followed, in order.
///
/// Reference: `find_alignment` of openai-whisper 20250625. Empty when sizes do not fit `attention`.
pub fn align(
    attention: &[f32],
    tokens: usize,
    frames: usize,
    heard: usize,
    followed: Range<usize>,
) -> Vec<usize> {
    let heard = heard.min(frames);
    let heads = match tokens * frames {
        0 => 0,
        row => attention.len() / row,
    };
    if heads == 0
        || heard == 0
        || followed.is_empty()
        || followed.end > tokens
        || attention.len() != tokens * heads * frames
    {
        return Vec::new();
    }
    let mut matrix = vec![0.0_f32; followed.len() * heard];
    let mut shares = vec![0.0_f32; tokens * heard];
    for head in 0..heads {
        for (token, row) in shares.chunks_exact_mut(heard).enumerate() {
            let start = (token * heads + head) * frames;
            row.copy_from_slice(&attention[start..start + heard]);
            let sum: f32 = row.iter().sum();
            row.iter_mut()
                .for_each(|share| *share /= sum.max(f32::MIN_POSITIVE));
        }
        normalize(&mut shares, heard);
        let rows = shares[followed.start * heard..].chunks_exact(heard);
        for (row, to) in rows.zip(matrix.chunks_exact_mut(heard)) {
            for (frame, to) in to.iter_mut().enumerate() {
                *to += median(row, frame) / heads as f32;
            }
        }
    }
    warp(&matrix, followed.len(), heard)
}

/// Brings each column to mean 0 and variance 1.
fn normalize(rows: &mut [f32], width: usize) {
    let count = (rows.len() / width) as f32;
    for column in 0..width {
        let values = || rows[column..].iter().step_by(width);
        let mean = values().sum::<f32>() / count;
        let variance = values().map(|v| (v - mean).powi(2)).sum::<f32>() / count;
        let deviation = variance.sqrt().max(f32::MIN_POSITIVE);
        for value in rows[column..].iter_mut().step_by(width) {
            *value = (*value - mean) / deviation;
        }
    }
}

/// The median of the values around a place, mirrored at both ends; the value itself where there are too
/// few.
fn median(row: &[f32], at: usize) -> f32 {
    let half = MEDIAN / 2;
    if row.len() <= half {
        return row[at];
    }
    let last = row.len() as i64 - 1;
    let mut window = [0.0; MEDIAN];
    for (i, value) in window.iter_mut().enumerate() {
        let place = (at as i64 + i as i64 - half as i64).abs();
        let place = last - (last - place).abs();
        *value = row[place as usize];
    }
    window.sort_unstable_by(f32::total_cmp);
    window[half]
}

/// Where a step of the path comes from.
#[derive(Clone, Copy)]
enum From {
    Both,
    Token,
    Frame,
}

/// The first frame of each token on the path of the largest sum from the first token and frame to the
/// last.
fn warp(matrix: &[f32], tokens: usize, frames: usize) -> Vec<usize> {
    let width = frames + 1;
    let mut trace = vec![From::Frame; (tokens + 1) * width];
    let mut above = vec![f32::INFINITY; width];
    above[0] = 0.0;
    let mut costs = vec![f32::INFINITY; width];
    for token in 0..tokens {
        costs[0] = f32::INFINITY;
        for frame in 0..frames {
            let [both, up, left] = [above[frame], above[frame + 1], costs[frame]];
            let (cost, from) = match () {
                () if both < up && both < left => (both, From::Both),
                () if up < both && up < left => (up, From::Token),
                () => (left, From::Frame),
            };
            costs[frame + 1] = cost - matrix[token * frames + frame];
            trace[(token + 1) * width + frame + 1] = from;
        }
        std::mem::swap(&mut above, &mut costs);
    }
    let mut starts = vec![0; tokens];
    let (mut token, mut frame) = (tokens, frames);
    while token > 0 && frame > 0 {
        starts[token - 1] = frame - 1;
        match trace[token * width + frame] {
            From::Both => (token, frame) = (token - 1, frame - 1),
            From::Token => token -= 1,
            From::Frame => frame -= 1,
        }
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_begin_where_attention_moves() {
        // Three tokens, two heads, 30 frames of which 24 are sound; each token looks at 8 of them.
        let (tokens, heads, frames) = (3, 2, 30);
        let mut attention = Vec::new();
        for token in 0..tokens {
            for _ in 0..heads {
                let share = |frame: usize| if frame / 8 == token { 0.1 } else { 0.01 };
                attention.extend((0..frames).map(share));
            }
        }
        assert_eq!(align(&attention, tokens, frames, 24, 0..3), [0, 8, 16]);
    }

    #[test]
    fn a_prompt_is_not_followed() {
        let mut attention = vec![0.05; 24];
        for token in 0..3 {
            attention.extend((0..24).map(|frame| if frame / 8 == token { 0.1 } else { 0.01 }));
        }
        assert_eq!(align(&attention, 4, 24, 24, 1..4), [0, 8, 16]);
    }

    #[test]
    fn sizes_that_do_not_fit_align_nothing() {
        assert!(align(&[], 0, 0, 0, 0..0).is_empty());
        assert!(align(&[0.5; 7], 2, 3, 3, 0..2).is_empty());
        assert!(align(&[0.5; 6], 2, 3, 0, 0..2).is_empty());
        assert!(align(&[0.5; 6], 2, 3, 3, 2..3).is_empty());
        // More tokens than frames still gives each a frame, in order.
        let starts = align(&[0.5; 20], 10, 2, 2, 0..10);
        assert_eq!(starts.len(), 10);
        assert!(starts.is_sorted(), "{starts:?}");
    }

    #[test]
    fn nan_does_not_panic() {
        let starts = align(&[f32::NAN; 12], 3, 4, 4, 0..3);
        assert_eq!(starts.len(), 3);
    }
}
