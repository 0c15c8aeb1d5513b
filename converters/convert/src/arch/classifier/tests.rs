use std::collections::BTreeMap;
use std::path::Path;

use bevel_manifest::{Input, Manifest, Resize, Task};
use bevel_onnx::{Dim, Graph};
use serde_json::{Value, json};

use crate::testing::{Shapes, write_safetensors};
use crate::{Error, Options, Report};

/// A convolution and the batch normalisation behind it.
fn conv(shapes: &mut Shapes, [conv, norm]: [&str; 2], dims: [usize; 4]) {
    shapes.insert(format!("{conv}.weight"), dims.to_vec());
    for part in ["weight", "bias", "running_mean", "running_var"] {
        shapes.insert(format!("{norm}.{part}"), vec![dims[0]]);
    }
}

fn linear(shapes: &mut Shapes, name: &str, [outputs, inputs]: [usize; 2]) {
    shapes.insert(format!("{name}.weight"), vec![outputs, inputs]);
    shapes.insert(format!("{name}.bias"), vec![outputs]);
}

fn resnet() -> Shapes {
    let mut shapes = Shapes::new();
    let s = &mut shapes;
    conv(s, ["conv1", "bn1"], [4, 3, 7, 7]);
    conv(s, ["layer1.0.conv1", "layer1.0.bn1"], [4, 4, 3, 3]);
    conv(s, ["layer1.0.conv2", "layer1.0.bn2"], [4, 4, 3, 3]);
    // A bottleneck of two groups.
    conv(s, ["layer2.0.conv1", "layer2.0.bn1"], [4, 4, 1, 1]);
    conv(s, ["layer2.0.conv2", "layer2.0.bn2"], [4, 2, 3, 3]);
    conv(s, ["layer2.0.conv3", "layer2.0.bn3"], [8, 4, 1, 1]);
    conv(
        s,
        ["layer2.0.downsample.0", "layer2.0.downsample.1"],
        [8, 4, 1, 1],
    );
    linear(s, "fc", [3, 8]);
    shapes
}

/// With a head over 2×2.
fn vgg() -> Shapes {
    let mut shapes = Shapes::new();
    let s = &mut shapes;
    conv(s, ["features.0", "features.1"], [4, 3, 3, 3]);
    conv(s, ["features.4", "features.5"], [6, 4, 3, 3]);
    linear(s, "classifier.0", [5, 24]);
    linear(s, "classifier.3", [3, 5]);
    shapes
}

fn mobilenet_v3() -> Shapes {
    let mut shapes = Shapes::new();
    let s = &mut shapes;
    conv(s, ["features.0.0", "features.0.1"], [4, 3, 3, 3]);
    for i in 1..=11 {
        let part = |part: &str| format!("features.{i}.block.{part}");
        conv(s, [&part("0.0"), &part("0.1")], [4, 1, 3, 3]);
        for (name, dims) in [("1.fc1", [2, 4, 1, 1]), ("1.fc2", [4, 2, 1, 1])] {
            s.insert(part(&format!("{name}.weight")), dims.to_vec());
            s.insert(part(&format!("{name}.bias")), vec![dims[0]]);
        }
        conv(s, [&part("2.0"), &part("2.1")], [4, 4, 1, 1]);
    }
    conv(s, ["features.12.0", "features.12.1"], [6, 4, 1, 1]);
    linear(s, "classifier.0", [5, 6]);
    linear(s, "classifier.3", [3, 5]);
    shapes
}

/// Of torchvision, one layer and patches of 4 in 8 pixels.
fn vit() -> Shapes {
    let mut shapes = Shapes::new();
    let s = &mut shapes;
    s.insert("class_token".into(), vec![1, 1, 8]);
    s.insert("conv_proj.weight".into(), vec![8, 3, 4, 4]);
    s.insert("conv_proj.bias".into(), vec![8]);
    s.insert("encoder.pos_embedding".into(), vec![1, 5, 8]);
    let layer = "encoder.layers.encoder_layer_0";
    for norm in [
        "encoder.ln",
        &format!("{layer}.ln_1"),
        &format!("{layer}.ln_2"),
    ] {
        s.insert(format!("{norm}.weight"), vec![8]);
        s.insert(format!("{norm}.bias"), vec![8]);
    }
    s.insert(
        format!("{layer}.self_attention.in_proj_weight"),
        vec![24, 8],
    );
    s.insert(format!("{layer}.self_attention.in_proj_bias"), vec![24]);
    linear(s, &format!("{layer}.self_attention.out_proj"), [8, 8]);
    linear(s, &format!("{layer}.mlp.0"), [6, 8]);
    linear(s, &format!("{layer}.mlp.3"), [8, 6]);
    linear(s, "heads.head", [3, 8]);
    shapes
}

fn convert(
    dir: &Path,
    shapes: &Shapes,
    config: Option<&Value>,
    options: &Options,
) -> Result<Report, Error> {
    let folder = dir.join("checkpoint");
    std::fs::create_dir_all(&folder).unwrap();
    write_safetensors(&folder.join("model.safetensors"), shapes);
    let file = folder.join("config.json");
    match config {
        Some(config) => std::fs::write(file, config.to_string()).unwrap(),
        None => drop(std::fs::remove_file(file)),
    }
    crate::convert(&folder, &dir.join("out.bevel"), options, None, &mut |_| {})
}

fn set(given: &[(&str, &str)]) -> Options {
    let pairs = given
        .iter()
        .map(|(key, value)| (key.to_string(), value.to_string()));
    Options {
        set: pairs.collect::<BTreeMap<_, _>>(),
        ..Options::default()
    }
}

#[test]
fn checkpoint_and_user_decide_sizes_and_labels() {
    struct Case {
        name: &'static str,
        shapes: Shapes,
        config: Option<Value>,
        options: Options,
        family: &'static str,
        /// The side of the graph's pictures, where it is fixed.
        fixed: Option<usize>,
        /// The side of pictures, and what the shorter one is scaled to.
        prepared: [u32; 2],
        labels: Option<&'static str>,
    }
    let heads = &[("heads", "2")];
    let cases = [
        Case {
            name: "nothing but weights",
            shapes: resnet(),
            config: None,
            options: Options::default(),
            family: "resnet",
            fixed: None,
            prepared: [224, 256],
            labels: None,
        },
        Case {
            name: "a config with labels and a size",
            shapes: resnet(),
            config: Some(json!({"image_size": 64, "classes": ["a", "b", "c"]})),
            options: Options::default(),
            family: "resnet",
            fixed: Some(64),
            prepared: [64, 73],
            labels: Some("a\nb\nc\n"),
        },
        Case {
            name: "a name of torchvision",
            shapes: resnet(),
            config: Some(
                json!({"architecture": "resnext101_64x4d", "id2label": {"0": "x", "1": "y", "2": "z"}}),
            ),
            options: Options::default(),
            family: "resnet",
            fixed: None,
            prepared: [224, 232],
            labels: Some("x\ny\nz\n"),
        },
        Case {
            name: "the user before the config",
            shapes: resnet(),
            config: Some(json!({"image_size": 64})),
            options: set(&[("image_size", "96"), ("resize_size", "100")]),
            family: "resnet",
            fixed: Some(96),
            prepared: [96, 100],
            labels: None,
        },
        Case {
            name: "a head that fixes the size",
            shapes: vgg(),
            config: None,
            options: Options {
                arch: Some("vgg11_bn".into()),
                ..Options::default()
            },
            family: "vgg",
            fixed: Some(224),
            prepared: [224, 256],
            labels: None,
        },
        Case {
            name: "a smaller size by its size",
            shapes: mobilenet_v3(),
            config: None,
            options: Options::default(),
            family: "mobilenet_v3",
            fixed: None,
            prepared: [224, 256],
            labels: None,
        },
        Case {
            name: "positions that fix the size",
            shapes: vit(),
            config: None,
            options: set(heads),
            family: "vit",
            fixed: Some(8),
            prepared: [8, 8],
            labels: None,
        },
    ];
    for case in cases {
        let dir = tempfile::tempdir().unwrap();
        let report = convert(
            dir.path(),
            &case.shapes,
            case.config.as_ref(),
            &case.options,
        );
        let report = report.unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert_eq!(report.family, case.family, "{}", case.name);
        assert_eq!(report.task, Task::Classify, "{}", case.name);
        let out = dir.path().join("out.bevel");
        let text = std::fs::read_to_string(out.join("bundle.toml")).unwrap();
        let Input::Image(image) = Manifest::from_toml(&text).unwrap().input else {
            panic!("{}: no picture", case.name);
        };
        let Resize::CenterCrop { shorter_side } = image.resize else {
            panic!("{}: {:?}", case.name, image.resize);
        };
        assert_eq!([image.width, shorter_side], case.prepared, "{}", case.name);
        let labels = std::fs::read_to_string(out.join("labels.txt")).ok();
        assert_eq!(labels.as_deref(), case.labels, "{}", case.name);
        let noted = report.notes.iter().any(|note| note.contains("--labels"));
        assert_eq!(noted, case.labels.is_none(), "{}", case.name);
        let graph = Graph::load(&out.join("model.onnx")).unwrap();
        let height = &graph.inputs[0].dims.as_ref().unwrap()[2];
        let fixed = match height {
            Dim::Fixed(side) => Some(*side),
            _ => None,
        };
        assert_eq!(fixed, case.fixed, "{}", case.name);
    }
}

#[test]
fn a_task_chooses_the_end_of_the_network() {
    let dir = tempfile::tempdir().unwrap();
    let outputs = |dir: &Path| {
        let graph = Graph::load(&dir.join("out.bevel/model.onnx")).unwrap();
        let names: Vec<_> = graph
            .outputs
            .iter()
            .map(|output| output.name.clone())
            .collect();
        names.join(" ")
    };
    let mut options = Options {
        task: Some(Task::Embed),
        ..Options::default()
    };
    let report = convert(dir.path(), &resnet(), None, &options).unwrap();
    assert_eq!(report.task, Task::Embed);
    assert_eq!(outputs(dir.path()), "pooler_output last_hidden_state");

    let mut headless = resnet();
    headless.retain(|name, _| !name.starts_with("fc."));
    options.task = None;
    let report = convert(dir.path(), &headless, None, &options).unwrap();
    assert_eq!(report.task, Task::Embed);

    options.task = Some(Task::Tensors);
    let report = convert(dir.path(), &resnet(), None, &options).unwrap();
    assert_eq!(report.task, Task::Tensors);
    assert_eq!(outputs(dir.path()), "logits");

    for (task, shapes) in [(Task::Detect, resnet()), (Task::Classify, headless)] {
        options.task = Some(task);
        let error = convert(dir.path(), &shapes, None, &options).unwrap_err();
        assert!(matches!(error, Error::Task { .. }), "{error}");
    }
}

#[test]
fn what_weights_do_not_show_is_asked_for() {
    let with = |mut shapes: Shapes, name: &str, dims: &[usize]| {
        shapes.insert(name.into(), dims.to_vec());
        shapes
    };
    let cases = [
        (
            with(resnet(), "conv1.weight", &[4, 3, 3, 3]),
            set(&[]),
            "3×3 filters",
        ),
        (resnet(), set(&[("image_size", "0")]), "image_size=0"),
        (
            resnet(),
            set(&[("image_size", "64"), ("resize_size", "32")]),
            "resize_size=32",
        ),
        (resnet(), set(&[("image_size", "99999")]), "pixels are not"),
        (resnet(), set(&[("heads", "2")]), "no such setting"),
        (vgg(), set(&[("image_size", "2")]), "set image_size"),
        (
            with(vgg(), "features.9.weight", &[6, 6, 3, 3]),
            set(&[]),
            "between `features.4` and `features.9`",
        ),
        (
            with(vgg(), "features.18446744073709551615.weight", &[6, 6, 3, 3]),
            set(&[]),
            "does not use: `features.18446744073709551615.weight`",
        ),
        (vit(), set(&[]), "--set heads"),
        (vit(), set(&[("heads", "3")]), "do not divide"),
        (
            with(vit(), "encoder.pos_embedding", &[1, 7, 8]),
            set(&[("heads", "2")]),
            "7 positions",
        ),
        (
            vit(),
            set(&[("heads", "2"), ("image_size", "64")]),
            "`image_size` is 64, but the positions are those of 8 pixels",
        ),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (shapes, options, says) in cases {
        let error = convert(dir.path(), &shapes, None, &options).unwrap_err();
        assert!(error.to_string().contains(says), "{says}: {error}");
    }
}

/// Whatever shape a tensor has: an error or a bundle, and neither a panic nor memory without bound.
#[test]
fn hostile_shapes_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let options = set(&[]);
    let with_heads = set(&[("heads", "2")]);
    for (shapes, options) in [
        (resnet(), &options),
        (vgg(), &options),
        (mobilenet_v3(), &options),
        (vit(), &with_heads),
    ] {
        for (name, dims) in &shapes {
            let hostile = [
                Vec::new(),
                vec![0; dims.len()],
                dims[1..].to_vec(),
                dims.iter().map(|n| n * 2).collect(),
                // No elements, but sizes beyond all memory.
                (0..dims.len())
                    .map(|i| if i == 0 { 1 << 40 } else { 0 })
                    .collect(),
                (0..dims.len())
                    .map(|i| if i == 1 { 1 << 40 } else { 0 })
                    .collect(),
            ];
            // One dimension alone would be written out.
            for dims in hostile
                .into_iter()
                .filter(|dims| !dims.contains(&(1 << 40)) || dims.len() > 1)
            {
                let mut shapes = shapes.clone();
                shapes.insert(name.clone(), dims);
                let _ = convert(dir.path(), &shapes, None, options);
            }
        }
    }
}
