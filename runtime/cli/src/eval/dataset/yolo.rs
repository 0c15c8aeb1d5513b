//! YOLO: a text file a picture with a thing a line, numbers relative to the picture's size, and
//! `data.yaml` with the names of classes.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bevel_manifest::{Decode, ErrorKind};
use hotcoco::{Annotation, Segmentation};
use image::metadata::Orientation;
use image::{ImageDecoder, ImageReader};

use super::files::{self, PICTURES};
use super::labels::Labels;
use super::table::text;
use super::{Opening, Sample, unknown};
use crate::eval::truth::{Class, Thing, Truth, turned};
use crate::failure::fail;

/// The parts of a dataset in the order of preference: a model has learnt from the last.
const SPLITS: [&str; 3] = ["val", "test", "train"];

impl Opening<'_> {
    /// What `data.yaml` leads to.
    pub fn yolo_yaml(&self, file: &Path) -> anyhow::Result<Vec<Sample>> {
        let yaml = Yaml::read(file)?;
        let beside = file.parent().unwrap_or(Path::new(""));
        // A path of the machine it was written on leads nowhere.
        let root = yaml.value("path").map(|path| beside.join(path));
        let root = root
            .filter(|root| root.is_dir())
            .unwrap_or_else(|| beside.to_path_buf());
        let split = SPLITS.iter().find_map(|split| yaml.value(split));
        let split = split.ok_or_else(|| unknown(file, "`val`, `test` or `train` with a folder"))?;
        // Roboflow writes `../valid/images` of a folder beside the file.
        let inside = split.trim_start_matches("../");
        let places = [root.join(split), root.join(inside), beside.join(inside)];
        let images = places.iter().find(|path| path.exists()).ok_or_else(|| {
            unknown(
                file,
                &format!("the pictures of {split} at {}", places[0].display()),
            )
        })?;
        let names = yaml.names();
        if names.is_empty() {
            return Err(unknown(file, "`names` with the names of classes"));
        }
        let classes = self.labels.all(&names, &file.display().to_string())?;
        let pictures = match images.is_dir() {
            true => files::with_endings(images, &PICTURES)?,
            // A list of pictures, one a line.
            false => text(images)?
                .lines()
                .map(|line| root.join(line.trim()))
                .collect(),
        };
        self.yolo(pictures, &Classes::Named(classes))
    }

    /// A folder with `images/` and `labels/`, whose classes are those of the model.
    pub fn yolo_folder(&self, root: &Path) -> anyhow::Result<Vec<Sample>> {
        let images = root.join("images");
        if !images.is_dir() {
            return Err(unknown(root, "images/ beside labels/"));
        }
        let pictures = files::with_endings(&images, &PICTURES)?;
        self.yolo(pictures, &Classes::Model(&self.labels))
    }

    fn yolo(&self, pictures: Vec<PathBuf>, classes: &Classes<'_>) -> anyhow::Result<Vec<Sample>> {
        let samples = pictures.into_iter().map(|picture| {
            let group = self.folder_group(&picture, 0)?;
            let things = self.lines(&picture, classes)?;
            let mut sample = Sample::picture(picture, Truth::Things(things));
            sample.group = group;
            Ok(sample)
        });
        samples.collect()
    }

    /// The things of a picture; none where it has no file of them.
    fn lines(&self, picture: &Path, classes: &Classes<'_>) -> anyhow::Result<Vec<Thing>> {
        let file = labels_of(picture);
        if !file.is_file() {
            return Ok(Vec::new());
        }
        let size = size(picture)?;
        let text = text(&file)?;
        let lines = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty());
        let things = lines.map(|(at, line)| {
            let place = format!("{}:{}", file.display(), at + 1);
            let bad = |what: &str| fail(ErrorKind::Input, format!("{place}: {what}"));
            let mut words = line.split_whitespace();
            let class = words.next().and_then(|word| word.parse::<f64>().ok());
            let index = class
                .filter(|c| *c >= 0.0 && c.fract() == 0.0)
                .map(|c| c as usize);
            let index = index.ok_or_else(|| bad("expected the index of a class first"))?;
            let class = classes
                .at(index)
                .ok_or_else(|| bad(&format!("there is no class {index}")))?;
            let numbers = words.map(str::parse::<f64>).collect::<Result<Vec<_>, _>>();
            let numbers = numbers
                .ok()
                .filter(|numbers| numbers.iter().all(|n| n.is_finite()));
            let numbers = numbers.ok_or_else(|| bad("expected numbers behind the class"))?;
            let annotation = annotation(&self.bundle.manifest().decode, &numbers, size);
            let annotation = annotation.map_err(|expected| {
                bad(&format!(
                    "{} numbers behind the class, expected {expected}",
                    numbers.len()
                ))
            })?;
            Ok(Thing {
                label: class.label,
                annotation: Annotation {
                    category_id: class.index as u64,
                    ..annotation
                },
            })
        });
        things.collect()
    }
}

/// What an index of a dataset means.
enum Classes<'a> {
    Named(Vec<Class>),
    Model(&'a Labels),
}

impl Classes<'_> {
    fn at(&self, index: usize) -> Option<Class> {
        match self {
            Self::Named(classes) => classes.get(index).cloned(),
            Self::Model(labels) => labels.at(index),
        }
    }
}

/// One line's numbers, for what the model answers.
fn annotation(
    decode: &Decode,
    numbers: &[f64],
    [width, height]: [f64; 2],
) -> Result<Annotation, &'static str> {
    let upright = |numbers: &[f64]| match *numbers {
        [cx, cy, w, h] => Some(sized([
            (cx - w / 2.0) * width,
            (cy - h / 2.0) * height,
            w * width,
            h * height,
        ])),
        _ => None,
    };
    let points = |numbers: &[f64]| -> Vec<[f64; 2]> {
        let pairs = numbers.chunks_exact(2);
        pairs
            .map(|pair| [pair[0] * width, pair[1] * height])
            .collect()
    };
    let polygon = numbers.len() >= 6 && numbers.len().is_multiple_of(2);
    match decode {
        Decode::Obb(_) => {
            let expected = "8: four corners in turn";
            let [a, b, c, d] = points(numbers)[..] else {
                return Err(expected);
            };
            let turned = turned([a, b, c, d]);
            Ok(Annotation {
                area: Some(turned[2] * turned[3]),
                obb: Some(Box::new(turned)),
                ..around(&[a, b, c, d])
            })
        }
        Decode::Pose(spec) => {
            let expected = "4 of the box and 2 or 3 a keypoint";
            let (of_box, rest) = numbers.split_at_checked(4).ok_or(expected)?;
            let dims = rest.len() / spec.keypoints.max(1);
            if rest.len() != dims * spec.keypoints || !(2..=3).contains(&dims) {
                return Err(expected);
            }
            let keypoints = rest.chunks_exact(dims).flat_map(|point| {
                let seen = point.get(2).copied();
                // Where it is not said, a point at the corner is none.
                let seen = seen.unwrap_or(if point[0] == 0.0 && point[1] == 0.0 {
                    0.0
                } else {
                    2.0
                });
                [point[0] * width, point[1] * height, seen]
            });
            Ok(Annotation {
                keypoints: Some(keypoints.collect()),
                ..upright(of_box).ok_or(expected)?
            })
        }
        _ if numbers.len() == 4 => upright(numbers).ok_or("4"),
        _ if polygon => {
            let points = points(numbers);
            let whole = points.concat();
            Ok(Annotation {
                segmentation: Some(Segmentation::Polygon(vec![whole])),
                ..around(&points)
            })
        }
        _ => Err("4: the middle and the size of a box, or at least three corners"),
    }
}

fn sized(xywh: [f64; 4]) -> Annotation {
    Annotation {
        bbox: Some(xywh),
        ..Annotation::default()
    }
}

/// The upright box around points.
fn around(points: &[[f64; 2]]) -> Annotation {
    let fold = |axis: usize, from: f64, of: fn(f64, f64) -> f64| {
        points.iter().map(|point| point[axis]).fold(from, of)
    };
    let [x1, y1] = [0, 1].map(|axis| fold(axis, f64::INFINITY, f64::min));
    let [x2, y2] = [0, 1].map(|axis| fold(axis, f64::NEG_INFINITY, f64::max));
    sized([x1, y1, x2 - x1, y2 - y1])
}

/// `labels/NAME.txt` for `images/NAME.jpg`, where the last folder called images counts.
fn labels_of(picture: &Path) -> PathBuf {
    let mut parts: Vec<_> = picture.iter().map(std::ffi::OsStr::to_os_string).collect();
    if let Some(part) = parts
        .iter_mut()
        .rev()
        .skip(1)
        .find(|part| *part == "images")
    {
        *part = "labels".into();
    }
    parts.iter().collect::<PathBuf>().with_extension("txt")
}

/// Width and height as the picture is looked at, which its EXIF orientation may turn.
fn size(path: &Path) -> anyhow::Result<[f64; 2]> {
    let bad = || {
        fail(
            ErrorKind::Input,
            format!("{}: not a picture", path.display()),
        )
    };
    let reader = ImageReader::open(path)
        .with_context(bad)?
        .with_guessed_format();
    let mut decoder = reader.with_context(bad)?.into_decoder().with_context(bad)?;
    let (width, height) = decoder.dimensions();
    let [width, height] = [width, height].map(f64::from);
    Ok(match decoder.orientation().with_context(bad)? {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => [height, width],
        _ => [width, height],
    })
}

/// The few things that a `data.yaml` says, of YAML's many ways to write them.
struct Yaml {
    /// Keys at the left with what stands behind them, and the lines below that are moved in or begin
    /// with a dash.
    entries: Vec<(String, String, Vec<String>)>,
}

impl Yaml {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let mut entries: Vec<(String, String, Vec<String>)> = Vec::new();
        for line in text(path)?.lines() {
            let line = line.split(" #").next().unwrap_or_default();
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with('#') || trimmed == "---" {
                continue;
            }
            let inner = line.starts_with([' ', '\t', '-', ']', '}']);
            match (inner, entries.last_mut(), trimmed.split_once(':')) {
                (true, Some((.., lines)), _) => lines.push(trimmed.to_string()),
                (false, _, Some((key, value))) => {
                    entries.push((key.trim().to_string(), value.trim().to_string(), Vec::new()));
                }
                _ => return Err(unknown(path, "YAML with `val` and `names`")),
            }
        }
        Ok(Self { entries })
    }

    /// What is behind a key, or the first of a list below it.
    fn value(&self, key: &str) -> Option<&str> {
        let (_, value, lines) = self.entries.iter().find(|(known, ..)| known == key)?;
        let first = lines
            .first()
            .map(|line| line.trim_start_matches('-').trim());
        let value = if value.is_empty() { first? } else { value };
        Some(unquoted(value)).filter(|value| !value.is_empty())
    }

    /// The names of classes: `[a, b]`, a list of dashes, or `0: a` with numbers in any order.
    fn names(&self) -> Vec<String> {
        let Some((_, value, lines)) = self.entries.iter().find(|(key, ..)| key == "names") else {
            return Vec::new();
        };
        let whole = format!("{value} {}", lines.join(" "));
        let whole = whole.trim();
        let items: Vec<&str> = match whole.starts_with(['[', '{']) {
            true => whole
                .trim_matches(['[', ']', '{', '}'])
                .split(',')
                .collect(),
            false => lines.iter().map(String::as_str).collect(),
        };
        let items = items
            .iter()
            .map(|item| item.trim())
            .filter(|item| !item.is_empty());
        let mut names: Vec<(usize, String)> = items
            .enumerate()
            .map(|(at, item)| {
                let item = item.strip_prefix('-').unwrap_or(item).trim();
                let numbered = item.split_once(':').and_then(|(number, name)| {
                    Some((unquoted(number.trim()).parse().ok()?, name.trim()))
                });
                let (at, name) = numbered.unwrap_or((at, item));
                (at, unquoted(name).to_string())
            })
            .collect();
        names.sort_by_key(|(at, _)| *at);
        names.into_iter().map(|(_, name)| name).collect()
    }
}

fn unquoted(text: &str) -> &str {
    text.trim().trim_matches(['"', '\''])
}
