//! What state dicts do not hold: the arguments of torchvision's builders, under their names, from
//! `config.json` or `--set`.

use serde_json::Value;

use crate::arch::settings::Settings;
use crate::arch::torchvision::IMAGENET;
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, arch::rcnn::pyramid};

/// Arguments of `FasterRCNN` and its parts.
pub(super) struct Plan {
    /// Faster or Mask R-CNN, for errors.
    pub family: &'static str,
    /// The shorter and the longer side of the scaled picture, in pixels.
    pub min_size: f64,
    pub max_size: f64,
    pub mean: [f32; 3],
    pub std: [f32; 3],
    /// Proposals of a level before suppression, and of all levels after it.
    pub before: usize,
    pub after: usize,
    pub proposal_iou: f64,
    pub proposal_score: f64,
    pub score: f64,
    pub iou: f64,
    pub detections: usize,
    /// What the head for boxes multiplied its deltas by.
    pub weights: [f32; 4],
    /// Width and height of the boxes in each cell, a list for each level.
    pub anchors: Vec<Vec<[f32; 2]>>,
    /// ε of the batch normalisation in the trunk.
    pub epsilon: f64,
    pub notes: Vec<String>,
}

/// Defaults of `FasterRCNN`.
const USUAL: [(&str, f64); 9] = [
    ("min_size", 800.0),
    ("max_size", 1333.0),
    ("rpn_pre_nms_top_n_test", 1000.0),
    ("rpn_post_nms_top_n_test", 1000.0),
    ("rpn_nms_thresh", 0.7),
    ("rpn_score_thresh", 0.0),
    ("box_score_thresh", 0.05),
    ("box_nms_thresh", 0.5),
    ("box_detections_per_img", 100.0),
];

/// What other builders say instead.
const BUILDERS: [(&str, &[(&str, f64)]); 2] = [
    (MOBILE, &[("rpn_score_thresh", 0.05)]),
    (
        "fasterrcnn_mobilenet_v3_large_320_fpn",
        &[
            ("min_size", 320.0),
            ("max_size", 640.0),
            ("rpn_pre_nms_top_n_test", 150.0),
            ("rpn_post_nms_top_n_test", 150.0),
            ("rpn_score_thresh", 0.05),
        ],
    ),
];

/// The builder of a MobileNet trunk unless `architecture` says another.
const MOBILE: &str = "fasterrcnn_mobilenet_v3_large_fpn";

/// ε of `BatchNorm2d` and `FrozenBatchNorm2d`.
pub(super) const EPSILON: f64 = 1e-5;

/// Beyond this a length in pixels or a number of boxes is a mistake.
const MOST: f64 = 65536.0;

impl Plan {
    /// `old` is whether the weights had the names of before torchvision 0.13: of those there are the
    /// published ones, which were trained with ε = 0.
    pub fn read(
        source: &Source,
        family: &'static str,
        weights: &Weights<'_>,
        old: bool,
    ) -> Result<Self, Error> {
        let mobile = pyramid::is_mobile(weights);
        let config = match &source.config {
            Some(_) => Some(Settings::read(source, family)?),
            None => None,
        };
        let mut reader = Reader {
            source,
            config,
            builder: &[],
        };
        let architecture = reader.value("architecture")?;
        let named = architecture.as_ref().and_then(Value::as_str);
        let named = named.or(mobile.then_some(MOBILE)).unwrap_or_default();
        let builder = BUILDERS.iter().find(|(name, _)| *name == named);
        reader.builder = builder.map_or(&[], |(_, values)| values);

        let per_cell = weights.shape("rpn.head.cls_logits.weight");
        let per_cell = per_cell.and_then(|s| s.first()).copied().unwrap_or(0);
        let anchors = reader.anchors(pyramid::levels(weights), per_cell, mobile)?;
        let tracked = weights.contains(&format!(
            "{}num_batches_tracked",
            pyramid::first_norm(weights)
        ));
        let mut notes = Vec::new();
        let usual = match (tracked, old) {
            (false, true) => 0.0,
            _ => EPSILON,
        };
        let epsilon = reader.number("norm_eps", Some(usual), 0.0..=1.0)?;
        if !tracked && !old && reader.value("norm_eps")?.is_none() {
            notes.push(
                "the batch normalisation of the trunk is frozen, its ε taken for 1e-5; a model that \
                 was trained on from torchvision's COCO_V1 weights has 0: --set norm_eps=0"
                    .into(),
            );
        }
        let size = |key| reader.number(key, None, 1.0..=MOST);
        let fraction = |key| reader.number(key, None, 0.0..=1.0);
        let [mean, std] = IMAGENET;
        let divisor = |n: f32| n.is_finite() && n != 0.0;
        Ok(Self {
            family,
            min_size: size("min_size")?,
            max_size: size("max_size")?,
            mean: reader.numbers("image_mean", mean, f32::is_finite)?,
            std: reader.numbers("image_std", std, divisor)?,
            before: size("rpn_pre_nms_top_n_test")? as usize,
            after: size("rpn_post_nms_top_n_test")? as usize,
            proposal_iou: fraction("rpn_nms_thresh")?,
            proposal_score: fraction("rpn_score_thresh")?,
            score: fraction("box_score_thresh")?,
            iou: fraction("box_nms_thresh")?,
            detections: size("box_detections_per_img")? as usize,
            weights: reader.numbers("bbox_reg_weights", [10.0, 10.0, 5.0, 5.0], divisor)?,
            anchors,
            epsilon,
            notes,
        })
    }
}

struct Reader<'a> {
    source: &'a Source,
    config: Option<Settings<'a>>,
    builder: &'static [(&'static str, f64)],
}

impl Reader<'_> {
    /// What the user says, or the file.
    fn value(&self, key: &'static str) -> Result<Option<Value>, Error> {
        if let Some(text) = self.source.set.text(key) {
            // A word needs no quotes.
            let value = serde_json::from_str(text).unwrap_or(Value::String(text.into()));
            return Ok(Some(value));
        }
        let config = self.config.as_ref();
        Ok(config.and_then(|config| config.get(key)).cloned())
    }

    fn wrong(&self, key: &str, value: &Value, expected: &str) -> Error {
        Error::Request(format!(
            "`{key}` is {value}, expected {expected}; correct it in config.json or with --set"
        ))
    }

    /// A number, or what the builder or `usual` says.
    fn number(
        &self,
        key: &'static str,
        usual: Option<f64>,
        range: std::ops::RangeInclusive<f64>,
    ) -> Result<f64, Error> {
        let rows = self.builder.iter().chain(&USUAL);
        let row = |(name, value): &(&str, f64)| (*name == key).then_some(*value);
        let usual = usual
            .or_else(|| rows.clone().find_map(row))
            .unwrap_or_default();
        let Some(value) = self.value(key)? else {
            return Ok(usual);
        };
        let found = value.as_f64().filter(|n| range.contains(n));
        found.ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            self.wrong(key, &value, &format!("a number from {least} to {most}"))
        })
    }

    /// Numbers of which each is `good`.
    fn numbers<const N: usize>(
        &self,
        key: &'static str,
        usual: [f32; N],
        good: fn(f32) -> bool,
    ) -> Result<[f32; N], Error> {
        let Some(value) = self.value(key)? else {
            return Ok(usual);
        };
        let list = list(&value).and_then(|list| <[f32; N]>::try_from(list).ok());
        let list = list.filter(|list| list.iter().all(|n| good(*n)));
        let expected = match good(0.0) {
            true => format!("{N} numbers"),
            false => format!("{N} numbers other than 0"),
        };
        list.ok_or_else(|| self.wrong(key, &value, &expected))
    }

    /// A list of numbers for each level; from a list of numbers `spread` makes one.
    fn lists(
        &self,
        key: &'static str,
        spread: impl Fn(Vec<f32>) -> Vec<Vec<f32>>,
    ) -> Result<Option<Vec<Vec<f32>>>, Error> {
        let Some(value) = self.value(key)? else {
            return Ok(None);
        };
        let nested = || value.as_array()?.iter().map(list).collect();
        let lists: Option<Vec<Vec<f32>>> = list(&value).map(&spread).or_else(nested);
        let good = |n: &f32| n.is_finite() && *n > 0.0;
        let lists = lists.filter(|lists| lists.iter().flatten().all(good));
        let expected = "a list of numbers above 0 for each level";
        lists
            .map(Some)
            .ok_or_else(|| self.wrong(key, &value, expected))
    }

    /// The boxes of a cell, for each level (`AnchorGenerator`): sides to whole pixels, of one area for
    /// each size, ratios are height to width.
    fn anchors(
        &self,
        levels: usize,
        per_cell: usize,
        mobile: bool,
    ) -> Result<Vec<Vec<[f32; 2]>>, Error> {
        let each = |sizes: Vec<f32>| sizes.into_iter().map(|size| vec![size]).collect();
        let sizes = self.lists("anchor_sizes", each)?;
        let ratios = self.lists("aspect_ratios", |ratios| vec![ratios; levels])?;
        let usual = [32.0, 64.0, 128.0, 256.0, 512.0].to_vec();
        let sizes = sizes.unwrap_or_else(|| match mobile {
            true => vec![usual; levels],
            false => each(usual),
        });
        let ratios = ratios.unwrap_or_else(|| vec![vec![0.5, 1.0, 2.0]; levels]);
        let cells: Vec<Vec<[f32; 2]>> = sizes
            .iter()
            .zip(&ratios)
            .map(|(sizes, ratios)| {
                let all = ratios
                    .iter()
                    .flat_map(|r| sizes.iter().map(move |s| (*s, *r)));
                all.map(|(size, ratio)| anchor(size, ratio)).collect()
            })
            .collect();
        let fit = cells.len() == levels && sizes.len() == ratios.len();
        if fit && cells.iter().all(|cell| cell.len() == per_cell) {
            return Ok(cells);
        }
        let counts: Vec<_> = cells.iter().map(|cell| cell.len().to_string()).collect();
        Err(Error::Request(format!(
            "the proposal head has {per_cell} anchors in each cell of {levels} levels, but \
             `anchor_sizes` and `aspect_ratios` make {}; write those of the model into config.json or \
             for example --set anchor_sizes=[[32],[64],[128]] --set aspect_ratios=[0.5,1,2]",
            counts.join(", ")
        )))
    }
}

fn list(value: &Value) -> Option<Vec<f32>> {
    let number = |n: &Value| Some(n.as_f64()? as f32);
    value.as_array()?.iter().map(number).collect()
}

/// Width and height. In f32 and rounded to even halves, as PyTorch has it.
fn anchor(size: f32, ratio: f32) -> [f32; 2] {
    let height = ratio.sqrt();
    [1.0 / height, height].map(|factor| 2.0 * (factor * size / 2.0).round_ties_even())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::Set;
    use crate::testing::{Shapes, write_safetensors};

    #[test]
    fn means_may_be_zero_and_divisors_may_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        write_safetensors(&path, &Shapes::from([("w".into(), vec![1])]));
        let mut source = Source::open(&path).unwrap();
        let divisor = |n: f32| n.is_finite() && n != 0.0;
        let cases = [
            ("[0, 0, 0]", f32::is_finite as fn(f32) -> bool, Ok([0.0; 3])),
            ("[0.5, 0, 1]", f32::is_finite, Ok([0.5, 0.0, 1.0])),
            ("[1, 0.5, 2]", divisor, Ok([1.0, 0.5, 2.0])),
            ("[1, 0, 1]", divisor, Err("3 numbers other than 0")),
            ("[1, 1]", f32::is_finite, Err("expected 3 numbers;")),
            ("[1e300, 1, 1]", f32::is_finite, Err("expected 3 numbers;")),
        ];
        for (text, good, expected) in cases {
            source.set = Set::new(&[("image_mean".into(), text.into())].into());
            let reader = Reader {
                source: &source,
                config: None,
                builder: &[],
            };
            match (reader.numbers("image_mean", [9.0; 3], good), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
                (Err(error), Err(says)) => {
                    assert!(error.to_string().contains(says), "{text}: {error}");
                }
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    /// `AnchorGenerator(((32,), (12, 45)), ((0.5, 1.0, 2.0), (0.3, 1.7)))` of torchvision 0.29.
    #[test]
    fn anchors_are_those_of_torchvision() {
        let cases = [
            (32.0, 0.5, [46.0, 22.0]),
            (32.0, 1.0, [32.0, 32.0]),
            (32.0, 2.0, [22.0, 46.0]),
            (12.0, 0.3, [22.0, 6.0]),
            (45.0, 0.3, [82.0, 24.0]),
            (12.0, 1.7, [10.0, 16.0]),
            (45.0, 1.7, [34.0, 58.0]),
        ];
        for (size, ratio, expected) in cases {
            assert_eq!(anchor(size, ratio), expected, "{size} {ratio}");
        }
    }
}
