//! Average precision of things that were found, as COCO counts it (Lin et al. 2014, arXiv:1405.0312;
//! pycocotools 2.0 `COCOeval.accumulate`).

/// What of one class was there and found in all pictures. Which found thing is which true one has been
/// decided before, at T thresholds of overlap.
#[derive(Debug, Clone, Default)]
pub struct Matches {
    /// Picture, and how many of its things count.
    truths: Vec<(u32, u32)>,
    found: Vec<Match>,
}

/// One thing that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match {
    /// In which picture.
    pub picture: u32,
    /// How sure.
    pub score: f64,
    /// A bit a threshold, the lowest first: it is a true one.
    pub hits: u16,
    /// A bit a threshold: it does not count, be it true or not.
    pub ignored: u16,
}

/// Precision and recall of a class at one threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Curve {
    /// Mean precision at the recalls 0, 0.01 … 1, each the best at that recall or a higher one.
    pub precision: f64,
    /// The share of true things that was found.
    pub recall: f64,
}

impl Matches {
    /// A picture has so many true things.
    pub fn truth(&mut self, picture: u32, count: u32) {
        self.truths.push((picture, count));
    }

    /// Something was found. Pictures come in order, so that equal scores are counted in theirs.
    pub fn found(&mut self, found: Match) {
        self.found.push(found);
    }

    /// To be called when all is told: the surest first.
    pub fn finish(&mut self) {
        self.found.sort_by(|a, b| b.score.total_cmp(&a.score));
    }

    /// How many true things there are where each picture counts `times`.
    pub fn truths(&self, times: &[u32]) -> u64 {
        let times = |picture: u32| times.get(picture as usize).copied().unwrap_or(0);
        let truths = self.truths.iter();
        truths
            .map(|&(picture, count)| u64::from(count) * u64::from(times(picture)))
            .sum()
    }

    /// Its curve at threshold number `t`, where each picture counts `times`; `None` where nothing is
    /// true.
    pub fn curve(&self, t: usize, times: &[u32]) -> Option<Curve> {
        let truths = self.truths(times);
        if truths == 0 {
            return None;
        }
        let bit = 1_u16.checked_shl(t as u32).unwrap_or(0);
        // Precision and recall after each hit; in between precision only falls.
        let mut points: Vec<(f64, f64)> = Vec::new();
        let (mut hits, mut misses) = (0_u64, 0_u64);
        for found in self.found.iter().filter(|found| found.ignored & bit == 0) {
            let times = times.get(found.picture as usize).copied().unwrap_or(0);
            // One by one, as if the picture stood there several times.
            for _ in 0..times {
                if found.hits & bit == 0 {
                    misses += 1;
                    continue;
                }
                hits += 1;
                let precision = hits as f64 / (hits + misses) as f64;
                points.push((hits as f64 / truths as f64, precision));
            }
        }
        let mut best = 0.0_f64;
        for (_, precision) in points.iter_mut().rev() {
            best = best.max(*precision);
            *precision = best;
        }
        let mut at = 0;
        let mut sum = 0.0;
        for step in 0..=100 {
            let recall = RECALL_STEP * f64::from(step);
            at += points[at..]
                .iter()
                .take_while(|(reached, _)| *reached < recall)
                .count();
            sum += points.get(at).map_or(0.0, |point| point.1);
        }
        Some(Curve {
            precision: sum / 101.0,
            recall: hits as f64 / truths as f64,
        })
    }
}

/// As numpy's `linspace` has it: recalls that are a hundredth by chance fall on the same side.
const RECALL_STEP: f64 = 1.0 / 100.0;

#[cfg(test)]
mod tests {
    use super::*;
    /// `COCOeval` of pycocotools 2.0.11 over three pictures with the true boxes `[0 0 10 10]`, `[20 0 10 10]`
    /// in the first, `[0 0 10 10]` in the others and a crowd in the third, at IoU 0.5 and 0.75; what is
    /// a hit is its `dtMatches`.
    #[test]
    fn curves_are_those_of_pycocotools() {
        let mut matches = Matches::default();
        for (picture, count) in [(0, 2), (1, 1), (2, 1)] {
            matches.truth(picture, count);
        }
        for (picture, score, hits, ignored) in [
            (0, 0.9, 0b11, 0),
            (0, 0.8, 0b00, 0),
            (0, 0.3, 0b11, 0),
            (1, 0.8, 0b11, 0),
            (2, 0.7, 0b11, 0b11),
            (2, 0.6, 0b01, 0),
        ] {
            matches.found(Match {
                picture,
                score,
                hits,
                ignored,
            });
        }
        matches.finish();
        for (t, precision, recall) in [(0, 0.8514851485148514, 1.0), (1, 0.5709570957095709, 0.75)]
        {
            let curve = matches.curve(t, &[1, 1, 1]).unwrap();
            assert!((curve.precision - precision).abs() < 1e-12, "{curve:?}");
            assert_eq!(curve.recall, recall);
        }
        assert_eq!(matches.curve(0, &[0, 0, 0]), None);
        assert_eq!(matches.curve(99, &[1, 1, 1]).unwrap().recall, 0.0);
        // A picture that counts twice is one of which there are two.
        let twice = matches.curve(0, &[2, 0, 0]).unwrap();
        assert_eq!((matches.truths(&[2, 0, 0]), twice.recall), (4, 1.0));
    }
}
