//! What models of pictures keep in side files: how a picture is prepared.

use bevel_manifest::{ChannelOrder, ImageInput, Interpolation, Resize};
use serde_json::Value;

use crate::Error;
use crate::source::Source;

const FILE: &str = "preprocessor_config.json";

/// Where processors of several parts keep that of pictures, under `image_processor`.
const JOINT_FILE: &str = "processor_config.json";

/// Beyond this a length in pixels is a mistake.
const MAX_SIDE: u64 = crate::set::MAX_SIDE as u64;

/// Pillow's numbers of filters, which `resample` holds.
const FILTERS: [(u64, Interpolation); 3] = [
    (0, Interpolation::Nearest),
    (2, Interpolation::BilinearAntialias),
    (3, Interpolation::BicubicAntialias),
];

/// Below this `ConvNextImageProcessor` cuts pictures, from it on it squashes them.
const SQUASHED_SIDE: u32 = 384;

/// Preparation as the image processors of transformers 5.23 save it, for a graph that takes pictures
/// of `side`×`side`, or of any size; what is not said is taken from `usual`.
///
/// # Errors
/// [`Error::SideFile`] for a step that is not known here, or another size than the graph's.
pub(super) fn input(
    source: &Source,
    side: Option<usize>,
    usual: ImageInput,
) -> Result<ImageInput, Error> {
    let (file, config) = match source.json(FILE)? {
        Some(config) => (FILE, Some(config)),
        None => {
            let joint = source.json(JOINT_FILE)?;
            let part = joint.and_then(|joint| joint.get("image_processor").cloned());
            (JOINT_FILE, part)
        }
    };
    let Some(config) = config else {
        return Ok(usual);
    };
    let wrong = |what: String| Error::SideFile {
        path: source.path(file),
        what,
    };
    let reader = Reader {
        config: &config,
        wrong: &wrong,
    };
    let side = match side {
        Some(side) => side as u32,
        None => reader.target(&usual)?,
    };
    let resize = reader.resize(side, &usual.resize)?;
    let interpolation = match config.get("resample").and_then(Value::as_u64) {
        None => usual.interpolation,
        Some(number) => {
            let row = FILTERS.iter().find(|(known, _)| *known == number);
            row.map(|(_, filter)| *filter).ok_or_else(|| {
                let known = "0 (nearest), 2 (bilinear), 3 (bicubic)";
                wrong(format!(
                    "`resample` {number} is not supported; known: {known}"
                ))
            })?
        }
    };
    let flag = |key: &str| config.get(key).and_then(Value::as_bool).unwrap_or(true);
    let scale = match config.get("rescale_factor").and_then(Value::as_f64) {
        _ if !flag("do_rescale") => 1.0,
        Some(factor) => factor as f32,
        None => usual.scale,
    };
    let (mut mean, mut std) = match flag("do_normalize") {
        true => (
            reader.colors("image_mean", usual.mean)?,
            reader.colors("image_std", usual.std)?,
        ),
        false => ([0.0; 3], [1.0; 3]),
    };
    // `EfficientNetImageProcessor` takes 1 away before it normalises, and divides twice.
    if reader.is_true("rescale_offset") {
        mean = mean.map(|mean| mean + 1.0);
    }
    if reader.is_true("include_top") {
        std = std.map(|std| std * std);
    }
    Ok(ImageInput {
        width: side,
        height: side,
        resize,
        interpolation,
        channels: ChannelOrder::Rgb,
        scale,
        mean,
        std,
    })
}

/// Height and width under `image_size` of `config.json`: one number for both, or two.
///
/// # Errors
/// [`Error::SideFile`] for anything else.
pub(super) fn configured_size(source: &Source) -> Result<Option<[usize; 2]>, Error> {
    let config = source.config.as_ref();
    let value = config.and_then(|config| config.get("image_size"));
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let side = |value: &Value| value.as_u64().filter(|side| (1..=MAX_SIDE).contains(side));
    let sides = match value.as_array().map(Vec::as_slice) {
        Some([height, width]) => side(height).zip(side(width)),
        Some(_) => None,
        None => side(value).map(|side| (side, side)),
    };
    match sides {
        Some((height, width)) => Ok(Some([height as usize, width as usize])),
        None => Err(no_size(
            source,
            value,
            "a length in pixels, or a height and a width",
        )),
    }
}

/// The same where pictures are squares.
///
/// # Errors
/// [`Error::SideFile`] for what is no side of a square.
pub(super) fn configured_side(source: &Source) -> Result<Option<usize>, Error> {
    match configured_size(source)? {
        None => Ok(None),
        Some([height, width]) if height == width => Ok(Some(height)),
        Some([height, width]) => {
            let found = format!("[{height}, {width}]");
            Err(no_size(source, found, "the side of a square in pixels"))
        }
    }
}

fn no_size(source: &Source, found: impl std::fmt::Display, expected: &str) -> Error {
    Error::SideFile {
        path: source.path("config.json"),
        what: format!("`image_size` is {found}, expected {expected}"),
    }
}

/// Refuses a side that no picture has.
///
/// # Errors
/// [`Error::Request`].
pub(super) fn check_side(side: usize) -> Result<(), Error> {
    match side as u64 {
        1..=MAX_SIDE => Ok(()),
        _ => Err(Error::Request(format!(
            "pictures of {side} pixels are not supported; the longest side is {MAX_SIDE}"
        ))),
    }
}

struct Reader<'a> {
    config: &'a Value,
    wrong: &'a dyn Fn(String) -> Error,
}

impl Reader<'_> {
    fn is_true(&self, key: &str) -> bool {
        self.config.get(key).and_then(Value::as_bool) == Some(true)
    }

    /// The side of the pictures that come out.
    fn target(&self, usual: &ImageInput) -> Result<u32, Error> {
        let crops = match self.config.get("do_center_crop").and_then(Value::as_bool) {
            Some(crops) => crops,
            None => self.config.get("crop_size").is_some(),
        };
        let side = match crops {
            true => self.side("crop_size", "height")?,
            false => match self.side("size", "height")? {
                Some(side) => Some(side),
                None => self.side("size", "shortest_edge")?,
            },
        };
        Ok(side.unwrap_or(usual.width))
    }

    /// `ConvNextImageProcessor`, which ResNet has too: the side is a share of the shorter one.
    fn share(&self, share: f64, side: u32) -> Result<Resize, Error> {
        if !(0.01..=1.0).contains(&share) {
            return Err((self.wrong)(format!(
                "`crop_pct` is {share}, expected a share in 0.01 ..= 1"
            )));
        }
        for part in ["shortest_edge", "height"] {
            let found = self.side("size", part)?;
            if let Some(found) = found.filter(|found| *found != side) {
                return Err((self.wrong)(format!(
                    "`size` is {found} pixels, but the graph takes {side}"
                )));
            }
        }
        if side >= SQUASHED_SIDE {
            return Ok(Resize::Stretch);
        }
        let shorter_side = (f64::from(side) / share) as u32;
        Ok(Resize::CenterCrop { shorter_side })
    }

    /// How a picture becomes `side`×`side`: `size` and, where there is one, the crop after it.
    fn resize(&self, side: u32, usual: &Resize) -> Result<Resize, Error> {
        let wrong = |what: &str| Err((self.wrong)(what.into()));
        let flag = |key: &str| self.config.get(key).and_then(Value::as_bool);
        if flag("do_resize") == Some(false) {
            return wrong("`do_resize` is false, but the graph takes one size of picture");
        }
        let usual = match usual {
            Resize::CenterCrop { shorter_side } => Some(*shorter_side),
            _ => None,
        };
        let share = self.config.get("crop_pct").and_then(Value::as_f64);
        if let Some(share) = share.filter(|_| flag("do_center_crop") != Some(true)) {
            return self.share(share, side);
        }
        if !flag("do_center_crop").unwrap_or(usual.is_some()) {
            let size = self.config.get("size");
            if size.is_some_and(|size| size.get("shortest_edge").is_some()) {
                return wrong(
                    "`shortest_edge` without `do_center_crop` leaves pictures of any shape",
                );
            }
            self.must_be(side, "size")?;
            return Ok(Resize::Stretch);
        }
        self.must_be(side, "crop_size")?;
        let shorter = match self.config.get("size") {
            None => usual,
            Some(_) => self.side("size", "shortest_edge")?,
        };
        match shorter {
            Some(shorter_side) if shorter_side >= side => Ok(Resize::CenterCrop { shorter_side }),
            Some(shorter_side) => Err((self.wrong)(format!(
                "`size` {shorter_side} is below `crop_size` {side}; padding is not supported"
            ))),
            None => wrong("`do_center_crop` needs a `size` of `shortest_edge`"),
        }
    }

    fn must_be(&self, side: u32, key: &str) -> Result<(), Error> {
        let sides = ["height", "width"].map(|part| self.side(key, part));
        for found in sides {
            let Some(found) = found? else { continue };
            if found != side {
                return Err((self.wrong)(format!(
                    "`{key}` is {found} pixels, but the graph takes {side}"
                )));
            }
        }
        Ok(())
    }

    /// A length in pixels, either the number under `key` or that of the object's `part`.
    fn side(&self, key: &str, part: &str) -> Result<Option<u32>, Error> {
        let Some(value) = self.config.get(key).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let number = match value.as_object() {
            None => value,
            Some(object) => match object.get(part) {
                None => return Ok(None),
                Some(number) => number,
            },
        };
        match number.as_u64() {
            Some(n) if (1..=MAX_SIDE).contains(&n) => Ok(Some(n as u32)),
            _ => Err((self.wrong)(format!(
                "`{key}` is {value}, expected a length in pixels"
            ))),
        }
    }

    fn colors(&self, key: &str, usual: [f32; 3]) -> Result<[f32; 3], Error> {
        let Some(value) = self.config.get(key).filter(|value| !value.is_null()) else {
            return Ok(usual);
        };
        let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let numbers: Vec<f32> = list
            .iter()
            .filter_map(|n| Some(n.as_f64()? as f32))
            .collect();
        <[f32; 3]>::try_from(numbers)
            .map_err(|_| (self.wrong)(format!("`{key}` is {value}, expected three numbers")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Shapes, write_safetensors};

    const SIDE: u32 = 224;

    fn usual() -> ImageInput {
        ImageInput {
            width: SIDE,
            height: SIDE,
            resize: Resize::CenterCrop { shorter_side: SIDE },
            interpolation: Interpolation::BicubicAntialias,
            channels: ChannelOrder::Rgb,
            scale: 1.0 / 255.0,
            mean: [0.5; 3],
            std: [0.25; 3],
        }
    }

    fn read(file: &str, config: &Value) -> Result<ImageInput, Error> {
        read_for(file, config, Some(SIDE as usize))
    }

    fn read_for(file: &str, config: &Value, side: Option<usize>) -> Result<ImageInput, Error> {
        let folder = tempfile::tempdir().unwrap();
        let shapes = Shapes::from([("w".into(), vec![1])]);
        write_safetensors(&folder.path().join("model.safetensors"), &shapes);
        std::fs::write(folder.path().join(file), config.to_string()).unwrap();
        input(&Source::open(folder.path()).unwrap(), side, usual())
    }

    #[test]
    fn processors_are_read() {
        struct Case {
            name: &'static str,
            config: Value,
            expected: ImageInput,
        }
        let cases = [
            Case {
                name: "nothing said",
                config: json!({}),
                expected: usual(),
            },
            Case {
                name: "CLIP of today",
                config: json!({
                    "size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224},
                    "do_center_crop": true, "resample": 2, "rescale_factor": 0.5,
                    "image_mean": [0.1, 0.2, 0.3], "image_std": [1.0, 2.0, 3.0],
                }),
                expected: ImageInput {
                    resize: Resize::CenterCrop { shorter_side: 256 },
                    interpolation: Interpolation::BilinearAntialias,
                    scale: 0.5,
                    mean: [0.1, 0.2, 0.3],
                    std: [1.0, 2.0, 3.0],
                    ..usual()
                },
            },
            Case {
                name: "numbers, as before transformers 4.25",
                config: json!({"size": 224, "crop_size": 224, "do_center_crop": true}),
                expected: usual(),
            },
            Case {
                name: "squashed",
                config: json!({"size": {"height": 224, "width": 224}, "do_center_crop": false}),
                expected: ImageInput {
                    resize: Resize::Stretch,
                    ..usual()
                },
            },
            Case {
                name: "ResNet of microsoft",
                config: json!({"crop_pct": 0.875, "size": 224, "resample": 3}),
                expected: ImageInput {
                    resize: Resize::CenterCrop { shorter_side: 256 },
                    ..usual()
                },
            },
            Case {
                name: "EfficientNet of google",
                config: json!({
                    "size": {"height": 224, "width": 224}, "do_center_crop": false, "resample": 0,
                    "crop_size": {"height": 289, "width": 289}, "include_top": true,
                    "rescale_offset": false, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
                }),
                expected: ImageInput {
                    resize: Resize::Stretch,
                    interpolation: Interpolation::Nearest,
                    std: [0.25; 3],
                    ..usual()
                },
            },
            Case {
                name: "EfficientNet between -1 and 1",
                config: json!({"rescale_offset": true, "rescale_factor": 1.0 / 127.5}),
                expected: ImageInput {
                    scale: 1.0 / 127.5,
                    mean: [1.5; 3],
                    ..usual()
                },
            },
            Case {
                name: "neither rescaled nor normalised",
                config: json!({"do_rescale": false, "do_normalize": false}),
                expected: ImageInput {
                    scale: 1.0,
                    mean: [0.0; 3],
                    std: [1.0; 3],
                    ..usual()
                },
            },
        ];
        for case in cases {
            let found = read(FILE, &case.config).unwrap();
            assert_eq!(found, case.expected, "{}", case.name);
            let joint = json!({"image_processor": case.config});
            let found = read(JOINT_FILE, &joint).unwrap();
            assert_eq!(found, case.expected, "{}, joint", case.name);
        }
    }

    /// A graph of any size takes pictures of the side that comes out of the processor.
    #[test]
    fn a_free_graph_takes_the_processors_side() {
        let cases = [
            (json!({}), SIDE),
            (json!({"size": 384, "do_center_crop": false}), 384),
            (
                json!({"size": {"shortest_edge": 300}, "crop_size": 280}),
                280,
            ),
            (
                json!({"crop_pct": 0.9, "size": {"shortest_edge": 192}}),
                192,
            ),
            (
                json!({"size": {"height": 64, "width": 64}, "do_center_crop": false}),
                64,
            ),
        ];
        for (config, side) in cases {
            let found = read_for(FILE, &config, None).unwrap();
            assert_eq!([found.width, found.height], [side; 2], "{config}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let cases = [
            (json!({"do_resize": false}), "do_resize"),
            (json!({"resample": 1}), "`resample` 1"),
            (json!({"crop_pct": 0.0}), "crop_pct"),
            (
                json!({"crop_pct": 0.875, "size": {"shortest_edge": 288}}),
                "288 pixels",
            ),
            (
                json!({"size": {"shortest_edge": 200}}),
                "below `crop_size` 224",
            ),
            (
                json!({"crop_size": {"height": 336, "width": 336}}),
                "336 pixels",
            ),
            (json!({"size": 1u64 << 40}), "expected a length"),
            (
                json!({"size": {"height": 224, "width": 224}}),
                "`shortest_edge`",
            ),
            (
                json!({"size": {"shortest_edge": 224}, "do_center_crop": false}),
                "any shape",
            ),
            (
                json!({"size": {"height": 224, "width": 160}, "do_center_crop": false}),
                "160 pixels",
            ),
            (json!({"image_mean": [0.5]}), "three numbers"),
        ];
        for (config, says) in cases {
            let error = read(FILE, &config).unwrap_err().to_string();
            assert!(error.contains(says), "{config}: {error}");
            assert!(error.contains(FILE), "{config}: {error}");
        }
    }
}
