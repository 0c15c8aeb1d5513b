/// A mask as COCO writes it (`pycocotools`): how many pixels are out, in, out … by turns, column after
/// column.
///
/// Pixels come in runs, so a mask is never there as a whole:
///
/// ```
/// # use bevel_prep::score::Rle;
/// let mut rle = Rle::new(2, 3);
/// rle.run(false, 1);
/// rle.run(true, 2);
/// rle.run(true, 1);
/// // What no run tells is out of the mask.
/// rle.finish();
/// assert_eq!(rle.text(), "132");
/// assert_eq!(rle.area(), 3);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rle {
    size: [u32; 2],
    /// The first is of pixels that are out.
    counts: Vec<u64>,
    left: u64,
}

impl Rle {
    /// No pixel of a picture yet.
    pub fn new(height: u32, width: u32) -> Self {
        Self {
            size: [height, width],
            counts: vec![0],
            left: u64::from(height) * u64::from(width),
        }
    }

    /// Height and width of the picture in pixels.
    pub fn size(&self) -> [u32; 2] {
        self.size
    }

    /// How many pixels are in the mask so far.
    pub fn area(&self) -> u64 {
        self.counts.iter().skip(1).step_by(2).sum()
    }

    /// The runs that are in the mask: where they begin, counted down the columns, and how long they are.
    pub fn inside(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut at = 0;
        let runs = self.counts.iter().enumerate();
        runs.filter_map(move |(i, &count)| {
            let begin = at;
            at += count;
            (i % 2 == 1).then_some((begin, count))
        })
    }

    /// The next pixels, down the column and on at the top of the one to the right. What goes beyond the
    /// picture is left out.
    pub fn run(&mut self, inside: bool, pixels: u64) {
        let pixels = pixels.min(self.left);
        self.left -= pixels;
        let is_inside = self.counts.len().is_multiple_of(2);
        match self.counts.last_mut() {
            _ if pixels == 0 => {}
            Some(last) if is_inside == inside => *last += pixels,
            _ => self.counts.push(pixels),
        }
    }

    /// A column of the picture that is out of the mask above `top` and below the given `pixels`.
    pub fn column(&mut self, top: u64, pixels: impl IntoIterator<Item = bool>) {
        let mut told = top;
        let (mut inside, mut length) = (false, top);
        for pixel in pixels {
            if pixel != inside {
                self.run(inside, length);
                (inside, length) = (pixel, 0);
            }
            length += 1;
            told += 1;
        }
        self.run(inside, length);
        self.run(false, u64::from(self.size[0]).saturating_sub(told));
    }

    /// Pixels of the mask from a place on, counted down the columns, behind those that runs have told;
    /// what lies between is out of the mask.
    pub fn mark(&mut self, from: u64, pixels: u64) {
        let all = u64::from(self.size[0]) * u64::from(self.size[1]);
        let known = all - self.left;
        self.run(false, from.saturating_sub(known));
        self.run(true, pixels);
    }

    /// Completes the mask: what no run has told is out of it.
    pub fn finish(&mut self) {
        self.run(false, self.left);
    }

    /// `counts` as text of a mask that is whole: each count, from the third run on less that two before
    /// it, in groups of five bits, the lowest first, with 32 where more follow, each plus 48.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (i, &count) in self.counts.iter().enumerate() {
            let mut rest = count as i64;
            if i > 2 {
                rest -= self.counts[i - 2] as i64;
            }
            loop {
                let group = (rest & 0x1f) as u8;
                rest >>= 5;
                // The highest bit of the last group is the sign.
                let more = match group & 0x10 {
                    0 => rest != 0,
                    _ => rest != -1,
                };
                text.push(char::from(48 + group + if more { 32 } else { 0 }));
                if !more {
                    break;
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_and_marks_say_what_runs_say() {
        let mut runs = Rle::new(4, 3);
        runs.run(false, 5);
        runs.run(true, 2);
        runs.run(false, 3);
        runs.run(true, 1);
        runs.finish();

        let mut columns = Rle::new(4, 3);
        columns.column(0, []);
        columns.column(1, [true, true]);
        columns.column(2, [true]);
        columns.finish();
        assert_eq!(columns, runs);

        let mut marks = Rle::new(4, 3);
        marks.mark(5, 1);
        marks.mark(6, 1);
        marks.mark(10, 1);
        marks.finish();
        assert_eq!(marks, runs);
        assert_eq!(runs.inside().collect::<Vec<_>>(), [(5, 2), (10, 1)]);
    }

    #[test]
    fn nothing_is_told_beyond_the_picture() {
        let mut rle = Rle::new(2, 2);
        rle.column(1, [true, true, true]);
        rle.mark(9, 4);
        rle.finish();
        assert_eq!(rle.area(), 3);
    }
}
