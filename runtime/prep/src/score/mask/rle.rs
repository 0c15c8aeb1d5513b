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
/// assert_eq!(rle.finish(), "132");
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

    /// `counts` as text: each count, from the third run on less that two before it, in groups of five
    /// bits, the lowest first, with 32 where more follow, each plus 48.
    pub fn finish(&mut self) -> String {
        self.run(false, self.left);
        self.text()
    }

    /// The same for a mask that is whole.
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
