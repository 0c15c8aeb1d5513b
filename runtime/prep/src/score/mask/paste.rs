/// A soft mask over a box of a picture, as `paste_masks_in_image` of torchvision 0.29 lays it there: with
/// a border of one pixel of zeros, the box enlarged by it and set on whole pixels, resampled by two taps
/// along each axis.
///
/// The mask is computed column by column, so that no picture of it has to be there.
pub struct Paste<'a> {
    /// M×M.
    mask: &'a [f32],
    side: usize,
    x: Span,
    y: Span,
}

/// Pixels of a picture along one axis that a mask covers.
#[derive(Debug, Clone, Copy)]
struct Span {
    /// Where the box begins, possibly before the picture.
    begin: i64,
    /// Pixels of the box.
    pixels: i64,
    /// Pixels of the picture that the box covers: the first and the one behind the last.
    seen: [usize; 2],
}

/// Two cells of the bordered mask, and how much of the second there is.
type Taps = (usize, usize, f32);

impl Span {
    fn new(low: f32, high: f32, side: usize, length: u32) -> Self {
        // All in f32, in torchvision's order.
        let reach = (high - low) * 0.5 * ((side as f64 + 2.0) / side as f64) as f32;
        let middle = (high + low) * 0.5;
        let [begin, end] = [middle - reach, middle + reach].map(|edge| edge as i64);
        let pixels = end.saturating_sub(begin).saturating_add(1).max(1);
        let inside = |at: i64| at.clamp(0, i64::from(length)) as usize;
        let seen = [begin, end.saturating_add(1)].map(inside);
        Self {
            begin,
            pixels,
            seen: [seen[0], seen[1].max(seen[0])],
        }
    }

    /// For a pixel of the picture, of `cells` cells.
    fn taps(&self, pixel: usize, cells: usize) -> Taps {
        let scale = cells as f32 / self.pixels as f32;
        let place = (pixel as i64).saturating_sub(self.begin) as f32;
        let exact = (scale * (place + 0.5) - 0.5).max(0.0);
        let first = (exact as usize).min(cells - 1);
        let second = (first + 1).min(cells - 1);
        (first, second, (exact - first as f32).clamp(0.0, 1.0))
    }
}

impl<'a> Paste<'a> {
    /// `mask` is M×M, 0 ..= 1, over the box `[x1, y1, x2, y2]` in pixels of a picture of `size`, its
    /// height and width. `None` where the mask is not square.
    pub fn new(
        mask: &'a [f32],
        [x1, y1, x2, y2]: [f32; 4],
        [height, width]: [u32; 2],
    ) -> Option<Self> {
        let side = mask.len().isqrt();
        (side > 0 && side * side == mask.len()).then(|| Self {
            mask,
            side,
            x: Span::new(x1, x2, side, width),
            y: Span::new(y1, y2, side, height),
        })
    }

    /// The part of the picture that is covered: its first column and row, and those behind the last.
    pub fn covered(&self) -> [usize; 4] {
        let ([left, right], [top, bottom]) = (self.x.seen, self.y.seen);
        [left, top, right, bottom]
    }

    /// Tells every covered column, from the left, with its values from the top covered row down.
    pub fn columns(&self, mut tell: impl FnMut(usize, &[f32])) {
        let cells = self.side + 2;
        let [top, bottom] = self.y.seen;
        let rows: Vec<Taps> = (top..bottom).map(|y| self.y.taps(y, cells)).collect();
        let mut column = vec![0.0; rows.len()];
        let mut blended = vec![0.0; cells];
        if rows.is_empty() {
            return;
        }
        for x in self.x.seen[0]..self.x.seen[1] {
            let (left, right, share) = self.x.taps(x, cells);
            for (row, out) in blended.iter_mut().enumerate() {
                *out = self.cell(row, left) * (1.0 - share) + self.cell(row, right) * share;
            }
            for (out, (above, below, share)) in column.iter_mut().zip(&rows) {
                *out = blended[*above] * (1.0 - share) + blended[*below] * share;
            }
            tell(x, &column);
        }
    }

    /// A cell of the bordered mask.
    fn cell(&self, row: usize, column: usize) -> f32 {
        let inside = 1..=self.side;
        if !inside.contains(&row) || !inside.contains(&column) {
            return 0.0;
        }
        self.mask[(row - 1) * self.side + column - 1]
    }
}
