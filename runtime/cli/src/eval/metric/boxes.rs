//! Things in pictures: boxes, masks, keypoints and boxes of any direction, matched by hotcoco, which
//! does what pycocotools does. Precision is added up here, so that resamples of pictures can be.

use std::collections::BTreeMap;

use anyhow::Context;
use bevel::Answer;
use bevel_manifest::ErrorKind;
use bevel_prep::score::{Curve, Match, Matches};
use hotcoco::params::IouType;
use hotcoco::{
    Annotation, COCO, COCOeval, Category, Dataset, EvalImg, Image, Segmentation, ThreshMatrix,
};

use super::{ClassFigures, Collect, Metric, Name, Said, higher, strange};
use crate::eval::truth::{Thing, Truth, things};
use crate::failure::fail;

/// Resamples of pictures take a while, so there are fewer.
const RESAMPLES: usize = 200;

/// What is told of all pictures before it is matched.
pub struct Things {
    /// What is compared, the main thing first.
    kinds: Vec<IouType>,
    labels: BTreeMap<u64, String>,
    images: Vec<Image>,
    truths: Vec<Annotation>,
    found: Vec<Annotation>,
}

impl Things {
    /// For answers of this kind.
    ///
    /// # Errors
    /// Where there are no boxes in it.
    pub fn of(answer: &Answer) -> anyhow::Result<Self> {
        let kinds = match answer {
            Answer::Detect(_) => vec![IouType::Bbox],
            Answer::Instances(_) => vec![IouType::Segm, IouType::Bbox],
            Answer::Pose(_) => vec![IouType::Keypoints, IouType::Bbox],
            Answer::Obb(_) => vec![IouType::Obb],
            _ => return Err(strange(&Truth::Things(Vec::new()))),
        };
        Ok(Self {
            kinds,
            labels: BTreeMap::new(),
            images: Vec::new(),
            truths: Vec::new(),
            found: Vec::new(),
        })
    }

    /// The things of the picture at hand, numbered on.
    fn number<'t>(
        &mut self,
        things: &'t [Thing],
        from: usize,
    ) -> impl Iterator<Item = Annotation> + use<'t> {
        for thing in things {
            let label = self.labels.entry(thing.annotation.category_id);
            label.or_insert_with(|| thing.label.clone());
        }
        let image_id = self.images.len() as u64;
        things.iter().enumerate().map(move |(i, thing)| Annotation {
            // From 1: pycocotools takes 0 for none.
            id: (from + i + 1) as u64,
            image_id,
            ..thing.annotation.clone()
        })
    }
}

impl Collect for Things {
    fn add(&mut self, said: &Said<'_>, truth: &Truth) -> anyhow::Result<()> {
        let (Said::One(answer), Truth::Things(wanted)) = (said, truth) else {
            return Err(strange(truth));
        };
        let found = things(answer).ok_or_else(|| strange(truth))?;
        let [height, width] = size(answer);
        self.images.push(Image {
            id: self.images.len() as u64 + 1,
            width,
            height,
            ..Image::default()
        });
        let needed = |thing: &Thing| match self.kinds[0] {
            IouType::Bbox => thing.annotation.bbox.is_some(),
            IouType::Segm => thing.annotation.segmentation.is_some(),
            IouType::Keypoints => thing.annotation.keypoints.is_some(),
            IouType::Obb => thing.annotation.obb.is_some(),
        };
        if !wanted.iter().all(needed) {
            let what = match self.kinds[0] {
                IouType::Segm => "masks (`segmentation` of COCO, or polygons of YOLO)",
                IouType::Keypoints => "`keypoints`",
                IouType::Obb => "boxes of any direction (four corners of YOLO)",
                IouType::Bbox => "boxes",
            };
            let what =
                format!("this model answers {what}, and the dataset has none for some things");
            return Err(fail(ErrorKind::Input, what));
        }
        if self.kinds[0] == IouType::Segm {
            for (at, thing) in wanted.iter().enumerate() {
                if let Some(wrong) = wrong_mask(&thing.annotation, [height, width]) {
                    let what = format!("the mask of thing {} ({}) {wrong}", at + 1, thing.label);
                    return Err(fail(ErrorKind::Input, what));
                }
            }
        }
        let truths: Vec<_> = self.number(wanted, self.truths.len()).collect();
        self.truths
            .extend(truths.into_iter().map(|truth| Annotation {
                score: None,
                ..truth
            }));
        let found: Vec<_> = self.number(&found, self.found.len()).collect();
        self.found.extend(found);
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Box<dyn Metric>> {
        let categories = self.labels.iter().map(|(&id, name)| Category {
            id,
            name: name.clone(),
            ..Category::default()
        });
        let whole = Dataset {
            images: self.images,
            categories: categories.collect(),
            ..Dataset::default()
        };
        let with = |annotations| {
            COCO::from_dataset(Dataset {
                annotations,
                ..whole.clone()
            })
        };
        let mut parts = Vec::new();
        for (at, &kind) in self.kinds.iter().enumerate() {
            let mut evaluation =
                COCOeval::new(with(self.truths.clone()), with(self.found.clone()), kind);
            if kind == IouType::Keypoints {
                sigmas(&mut evaluation, &self.truths, &self.found)?;
            }
            evaluation
                .evaluate()
                .context("cannot match the things of the dataset")?;
            let prefix = if at == 0 { "" } else { "box " };
            parts.push(Part::of(prefix, &evaluation, &self.labels));
        }
        Ok(Box::new(Precision {
            parts,
            pictures: whole.images.len(),
        }))
    }
}

/// What is wrong with a mask of a picture of this height and width. One that cannot be drawn would count
/// as a mask without pixels, which nothing can find.
fn wrong_mask(annotation: &Annotation, picture: [u32; 2]) -> Option<String> {
    let [height, width] = picture;
    match annotation.segmentation.as_ref()? {
        Segmentation::Polygon(polygons) => {
            // Far outside, a polygon's edge takes as long to draw as it is.
            let most = 4.0 * f64::from(height.max(width));
            let wrong = |polygon: &Vec<f64>| {
                polygon.len() < 6
                    || !polygon.len().is_multiple_of(2)
                    || polygon.iter().any(|at| at.is_nan() || at.abs() > most)
            };
            let bad = polygons.is_empty() || polygons.iter().any(wrong);
            bad.then(|| "is not three or more corners in the picture".into())
        }
        Segmentation::CompressedRle { size, .. } | Segmentation::UncompressedRle { size, .. }
            if *size != picture =>
        {
            Some(format!(
                "is {} × {}, the picture {width} × {height}",
                size[1], size[0]
            ))
        }
        other => other
            .to_rle(height, width)
            .err()
            .map(|e| format!("cannot be read: {e}")),
    }
}

/// Height and width of the picture that was looked at.
fn size(answer: &Answer) -> [u32; 2] {
    match answer {
        Answer::Detect(found) => [found.height, found.width],
        Answer::Instances(found) => [found.height, found.width],
        Answer::Pose(found) => [found.height, found.width],
        Answer::Obb(found) => [found.height, found.width],
        _ => [0, 0],
    }
}

/// How far each keypoint may be off. COCO has measured its 17; others are all alike, at one by their number, as
/// Ultralytics has it.
fn sigmas(
    evaluation: &mut COCOeval,
    truths: &[Annotation],
    found: &[Annotation],
) -> anyhow::Result<()> {
    let points = |a: &Annotation| a.keypoints.as_ref().map_or(0, |points| points.len() / 3);
    let Some(count) = truths.iter().map(points).find(|count| *count > 0) else {
        return Ok(());
    };
    for annotation in truths.iter().chain(found) {
        let has = points(annotation);
        if has != count {
            let what = format!("things of {count} keypoints and of {has}: they must have as many");
            return Err(fail(ErrorKind::Input, what));
        }
    }
    if count != evaluation.params.kpt_oks_sigmas.len() {
        evaluation.params.kpt_oks_sigmas = vec![1.0 / count as f64; count];
    }
    Ok(())
}

/// Average precision over all pictures.
struct Precision {
    parts: Vec<Part>,
    pictures: usize,
}

/// That of boxes, or masks, or keypoints.
struct Part {
    prefix: &'static str,
    thresholds: Vec<f64>,
    /// The most things a picture that count.
    limit: usize,
    classes: Vec<(u64, String, Matches)>,
}

impl Part {
    fn of(prefix: &'static str, evaluation: &COCOeval, labels: &BTreeMap<u64, String>) -> Self {
        let mut classes: BTreeMap<u64, Matches> = BTreeMap::new();
        let params = &evaluation.params;
        let all = params.all_area_range();
        let cells = evaluation.eval_imgs().iter().flatten();
        let mut cells: Vec<&EvalImg> = cells.filter(|cell| cell.area_rng == all).collect();
        cells.sort_by_key(|cell| (cell.category_id, cell.image_id));
        for cell in cells {
            let matches = classes.entry(cell.category_id).or_default();
            // Pictures are numbered from 1.
            let picture = cell.image_id.saturating_sub(1) as u32;
            matches.truth(picture, cell.num_gt_in_denominator() as u32);
            for (at, &score) in cell.dt_scores.iter().enumerate() {
                let hits = bits(&cell.dt_matched, at);
                let ignored = bits(&cell.dt_ignore, at);
                matches.found(Match {
                    picture,
                    score,
                    hits,
                    ignored,
                });
            }
        }
        let classes = classes.into_iter().map(|(index, mut matches)| {
            matches.finish();
            (
                index,
                labels.get(&index).cloned().unwrap_or_default(),
                matches,
            )
        });
        Self {
            prefix,
            thresholds: params.iou_thrs.clone(),
            limit: params.max_det(),
            classes: classes.collect(),
        }
    }

    fn names(&self) -> Vec<Name> {
        let limit = format!("AR{}", self.limit);
        let names = ["mAP50-95", "mAP50", "mAP75", limit.as_str()];
        names
            .map(|name| higher(format!("{}{name}", self.prefix)))
            .into()
    }

    /// Of each class with true things: a curve a threshold.
    fn curves(&self, times: &[u32]) -> impl Iterator<Item = (usize, Vec<Curve>)> {
        let classes = self.classes.iter().enumerate();
        classes.filter_map(|(at, (.., matches))| {
            let curves = (0..self.thresholds.len()).map(|t| matches.curve(t, times));
            Some((at, curves.collect::<Option<_>>()?))
        })
    }

    fn values(&self, times: &[u32]) -> Vec<f64> {
        let classes: Vec<[f64; 4]> = self.curves(times).map(|(_, c)| self.of_class(&c)).collect();
        let mean = |i: usize| classes.iter().map(|c| c[i]).sum::<f64>() / classes.len() as f64;
        (0..4).map(mean).collect()
    }

    /// As [`names`](Self::names) has them.
    fn of_class(&self, curves: &[Curve]) -> [f64; 4] {
        let mean = |of: fn(&Curve) -> f64| curves.iter().map(of).sum::<f64>() / curves.len() as f64;
        let at = |threshold: f64| {
            let mut thresholds = self.thresholds.iter();
            let at = thresholds.position(|t| (t - threshold).abs() < 1e-9);
            at.map_or(f64::NAN, |at| curves[at].precision)
        };
        [mean(|c| c.precision), at(0.5), at(0.75), mean(|c| c.recall)]
    }
}

/// What a matrix says about one found thing, a bit a threshold.
fn bits(matrix: &ThreshMatrix<bool>, at: usize) -> u16 {
    let rows = (0..matrix.num_rows().min(16)).filter(|t| matrix.row(*t)[at]);
    rows.fold(0, |bits, t| bits | 1 << t)
}

impl Metric for Precision {
    fn names(&self) -> Vec<Name> {
        self.parts.iter().flat_map(Part::names).collect()
    }

    fn values(&self, times: &[u32]) -> Vec<f64> {
        self.parts
            .iter()
            .flat_map(|part| part.values(times))
            .collect()
    }

    fn per_class(&self) -> Vec<ClassFigures> {
        let part = &self.parts[0];
        let once = vec![1; self.pictures];
        let classes = part.curves(&once);
        classes
            .map(|(at, curves)| {
                let (index, label, matches) = &part.classes[at];
                let [all, half, three_quarters, recall] = part.of_class(&curves);
                ClassFigures {
                    label: label.clone(),
                    index: *index as usize,
                    truths: matches.truths(&once),
                    values: vec![
                        ("AP50-95", all),
                        ("AP50", half),
                        ("AP75", three_quarters),
                        ("AR", recall),
                    ],
                }
            })
            .collect()
    }

    fn resamples(&self) -> usize {
        RESAMPLES
    }
}
