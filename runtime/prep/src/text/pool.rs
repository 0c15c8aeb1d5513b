/// Mean of the rows of `hidden` (T×D) whose `mask` (T) is 1, written to `out` (D). All zeros when no
/// row counts.
///
/// Reference: sentence-transformers `Pooling(pooling_mode_mean_tokens)`.
pub fn mean_pool(hidden: &[f32], mask: &[i64], out: &mut [f32]) {
    let rows = hidden.chunks_exact(out.len().max(1)).zip(mask);
    mean_of(rows.filter(|(_, m)| **m != 0).map(|(row, _)| row), out);
}

/// Mean of all rows of `vectors` (N×D), written to `out` (D). All zeros when there is no row.
pub fn mean(vectors: &[f32], out: &mut [f32]) {
    mean_of(vectors.chunks_exact(out.len().max(1)), out);
}

fn mean_of<'a>(rows: impl Iterator<Item = &'a [f32]>, out: &mut [f32]) {
    out.fill(0.0);
    let mut count = 0u32;
    for row in rows {
        count += 1;
        for (sum, value) in out.iter_mut().zip(row) {
            *sum += value;
        }
    }
    let scale = 1.0 / count.max(1) as f32;
    out.iter_mut().for_each(|v| *v *= scale);
}

/// Divides `vector` by its Euclidean length; a vector of zeros stays as it is.
pub fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|v| *v /= length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masked_rows_do_not_count() {
        let mut out = [0.0; 2];
        mean_pool(&[1.0, 2.0, 3.0, 6.0, 100.0, 100.0], &[1, 1, 0], &mut out);
        assert_eq!(out, [2.0, 4.0]);
        mean(&[1.0, 2.0, 3.0, 6.0], &mut out);
        assert_eq!(out, [2.0, 4.0]);
        mean_pool(&[1.0, 2.0], &[0], &mut out);
        assert_eq!(out, [0.0, 0.0]);
    }

    #[test]
    fn length_becomes_one_and_zero_stays() {
        let mut vector = [3.0, 4.0];
        normalize(&mut vector);
        assert_eq!(vector, [0.6, 0.8]);
        let mut zero = [0.0, 0.0];
        normalize(&mut zero);
        assert_eq!(zero, [0.0, 0.0]);
    }
}
