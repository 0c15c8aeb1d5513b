use std::path::{Path, PathBuf};

use bevel_manifest::{BoxHead, Decode, Input, Manifest, Resize, Task};
use bevel_onnx::{DType, Dim, Graph, Tensor};
use serde_json::{Value, json};

use crate::{Error, Options, Report, convert};

/// A graph of one convolution with outputs of these shapes, and what Ultralytics would say about it.
fn export(metadata: &[(&str, &str)], outputs: &[&[usize]]) -> Graph {
    let mut graph = Graph::new("main_graph");
    let fixed = |dims: &[usize]| dims.iter().map(|d| Dim::Fixed(*d)).collect::<Vec<_>>();
    let x = graph.input("images", DType::F32, fixed(&[1, 3, 64, 96]));
    let weight = graph.initializer(Tensor::f32("w", &[4, 3, 1, 1], vec![0.5; 12]));
    let y = graph.node("Conv", &[&x, &weight], []);
    for (i, dims) in outputs.iter().enumerate() {
        let shape: Vec<i64> = dims.iter().map(|d| *d as i64).collect();
        let shape = graph.initializer(Tensor::i64s("shape", &shape));
        let out = graph.node("Reshape", &[&y, &shape], []);
        graph.output(&out, &format!("output{i}"), DType::F32, fixed(dims));
    }
    let usual = [
        ("names", "{0: 'cat', 1: \"driver's cab\"}"),
        ("imgsz", "[64, 96]"),
        ("args", "{'batch': 1, 'nms': None, 'dynamic': False}"),
    ];
    for (key, value) in usual.iter().chain(metadata) {
        graph.metadata.insert((*key).into(), (*value).into());
    }
    graph
}

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out.bevel")
    }

    fn convert(&self, from: &Path, options: &Options) -> Result<(Report, Manifest), Error> {
        let report = convert(from, &self.out(), options, None, &mut |_| {})?;
        let text = std::fs::read_to_string(self.out().join("bundle.toml")).unwrap();
        Ok((report, Manifest::from_toml(&text).unwrap()))
    }

    fn of(&self, graph: &Graph, options: &Options) -> Result<(Report, Manifest), Error> {
        let path = self.dir.path().join("model.onnx");
        graph.save(&path).unwrap();
        self.convert(&path, options)
    }
}

fn plain() -> Options {
    Options {
        quantize: "none".parse().unwrap(),
        ..Options::default()
    }
}

#[test]
fn ultralytics_says_what_its_exports_do() {
    struct Case {
        name: &'static str,
        metadata: &'static [(&'static str, &'static str)],
        outputs: &'static [&'static [usize]],
        task: Task,
        names: &'static [&'static str],
    }
    let one = &["predictions"][..];
    let cases = [
        Case {
            name: "detect",
            metadata: &[("task", "detect")],
            outputs: &[&[1, 6, 4096]],
            task: Task::Detect,
            names: one,
        },
        Case {
            name: "oriented boxes",
            metadata: &[("task", "obb")],
            outputs: &[&[1, 7, 4096]],
            task: Task::Obb,
            names: one,
        },
        Case {
            name: "keypoints",
            metadata: &[("task", "pose"), ("kpt_shape", "[5, 2]")],
            outputs: &[&[1, 16, 1536]],
            task: Task::Pose,
            names: one,
        },
        Case {
            name: "masks",
            metadata: &[("task", "segment")],
            outputs: &[&[1, 38, 128], &[1, 32, 16, 24]],
            task: Task::Segment,
            names: &["predictions", "prototypes"],
        },
        Case {
            name: "classes",
            metadata: &[("task", "classify")],
            outputs: &[&[12288, 2]],
            task: Task::Classify,
            names: &["logits"],
        },
        Case {
            name: "boxes that are chosen",
            metadata: &[("task", "detect"), ("args", "{'nms': True}")],
            outputs: &[&[1, 300, 6]],
            task: Task::Tensors,
            names: &["output0"],
        },
        Case {
            name: "an end-to-end head",
            metadata: &[("task", "detect"), ("end2end", "True")],
            outputs: &[&[1, 300, 6]],
            task: Task::Tensors,
            names: &["output0"],
        },
        Case {
            name: "another head than its task",
            metadata: &[("task", "detect")],
            outputs: &[&[1, 9, 2048]],
            task: Task::Tensors,
            names: &["output0"],
        },
    ];
    let bench = Bench::new();
    for case in cases {
        let graph = export(case.metadata, case.outputs);
        let (report, manifest) = bench.of(&graph, &plain()).unwrap();
        assert_eq!(
            (report.family.as_str(), report.task),
            ("onnx", case.task),
            "{}",
            case.name
        );
        let written = Graph::load(&bench.out().join("model.onnx")).unwrap();
        let names: Vec<_> = written.outputs.iter().map(|o| o.name.as_str()).collect();
        assert_eq!(names, case.names, "{}", case.name);
        if case.task == Task::Tensors {
            assert!(
                report.notes.iter().any(|n| n.contains("tensors")),
                "{}",
                case.name
            );
            assert_eq!(written.inputs[0].name, "images");
            continue;
        }
        assert_eq!(written.inputs[0].name, "pixels");
        let labels = std::fs::read_to_string(bench.out().join("labels.txt")).unwrap();
        assert_eq!(labels, "cat\ndriver's cab\n");
        let Input::Image(image) = &manifest.input else {
            panic!("{}: {:?}", case.name, manifest.input);
        };
        assert_eq!((image.width, image.height), (96, 64));
        let boxed = matches!(image.resize, Resize::Letterbox { .. });
        assert_eq!(boxed, case.task != Task::Classify, "{}", case.name);
        // `classify_transforms` of ultralytics 8.4 brings what is no square to both sides.
        let stretched = image.resize == Resize::Stretch;
        assert_eq!(stretched, case.task == Task::Classify, "{}", case.name);
        if let Some(detect) = manifest.decode.detect() {
            assert_eq!((&detect.head, detect.max_boxes), (&BoxHead::Yolo, 300));
        }
        if let Decode::Pose(pose) = &manifest.decode {
            assert_eq!((pose.keypoints, pose.dims), (5, 2));
        }
    }
}

#[test]
fn what_does_not_fit_is_told() {
    struct Case {
        name: &'static str,
        metadata: &'static [(&'static str, &'static str)],
        task: Option<Task>,
        says: &'static str,
    }
    let cases = [
        Case {
            name: "names with a gap",
            metadata: &[("task", "detect"), ("names", "{0: 'a', 2: 'b'}")],
            task: None,
            says: "`names`",
        },
        Case {
            name: "no size",
            metadata: &[("task", "detect"), ("imgsz", "640")],
            task: None,
            says: "`imgsz`",
        },
        Case {
            name: "a size that no picture has",
            metadata: &[("task", "detect"), ("imgsz", "[640, 9999999]")],
            task: None,
            says: "`imgsz` that no picture has",
        },
        Case {
            name: "another task",
            metadata: &[("task", "detect")],
            task: Some(Task::Classify),
            says: "does `detect`, not `classify`",
        },
        Case {
            name: "a task that nothing tells of",
            metadata: &[],
            task: Some(Task::Detect),
            says: "--recipe",
        },
    ];
    let bench = Bench::new();
    for case in cases {
        let options = Options {
            task: case.task,
            ..plain()
        };
        let error = bench.of(&export(case.metadata, &[&[1, 6, 4096]]), &options);
        let error = error.unwrap_err().to_string();
        assert!(error.contains(case.says), "{}: {error}", case.name);
    }
    let asked = Options {
        task: Some(Task::Tensors),
        ..plain()
    };
    let (report, _) = bench
        .of(&export(&[("task", "detect")], &[&[1, 6, 4096]]), &asked)
        .unwrap();
    assert_eq!(report.task, Task::Tensors);
}

/// Writes a text encoder as Optimum exports it: the graph in `onnx/`, the rest around it.
fn optimum(folder: &Path, class: &str, head: &str, dims: [Dim; 3], config: &Value) {
    let mut graph = Graph::new("main_graph");
    let text = || [Dim::named("batch_size"), Dim::named("sequence_length")];
    let ids = graph.input("input_ids", DType::I64, text());
    graph.input("attention_mask", DType::I64, text());
    let table = graph.initializer(Tensor::f32("table", &[40, 3], vec![0.25; 120]));
    let y = graph.node("Gather", &[&table, &ids], []);
    graph.output(&y, head, DType::F32, dims);
    std::fs::create_dir_all(folder.join("onnx")).unwrap();
    graph.save(&folder.join("onnx/model.onnx")).unwrap();
    let mut config = config.clone();
    config["architectures"] = json!([class]);
    let tokenizer = json!({"model": {"vocab": {"[PAD]": 0, "a": 1}}, "added_tokens": []});
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
}

#[test]
fn optimum_says_what_its_exports_do() {
    let bench = Bench::new();
    let folder = bench.dir.path().join("export");
    let config = json!({"model_type": "roberta", "vocab_size": 40, "max_position_embeddings": 34, "pad_token_id": 1,
        "id2label": {"0": "O", "1": "PER", "2": "LOC"}});
    let dims = || {
        [
            Dim::named("batch_size"),
            Dim::named("sequence_length"),
            Dim::Fixed(3),
        ]
    };
    for (class, head, task) in [
        ("RobertaModel", "last_hidden_state", Task::Embed),
        ("RobertaForTokenClassification", "logits", Task::Tag),
        ("RobertaForMaskedLM", "logits", Task::Fill),
        ("RobertaForTheUnheardOf", "logits", Task::Tensors),
    ] {
        optimum(&folder, class, head, dims(), &config);
        // The folder, and the graph in it, which finds its side files around it.
        for from in [folder.clone(), folder.join("onnx/model.onnx")] {
            let (report, manifest) = bench.convert(&from, &plain()).unwrap();
            assert_eq!(report.task, task, "{class}");
            if let Input::Text(text) = &manifest.input {
                assert_eq!((text.max_tokens, text.pad_id), (32, 1), "{class}");
            }
        }
    }
    std::fs::remove_file(folder.join("tokenizer.json")).unwrap();
    optimum(
        &folder,
        "RobertaModel",
        "last_hidden_state",
        dims(),
        &config,
    );
    std::fs::remove_file(folder.join("tokenizer.json")).unwrap();
    let (report, _) = bench.convert(&folder, &plain()).unwrap();
    assert_eq!(report.task, Task::Tensors);
}

#[test]
fn an_encoder_and_a_decoder_in_one_graph_answer_tensors() {
    let bench = Bench::new();
    let folder = bench.dir.path().join("export");
    let dims = || [Dim::Unknown, Dim::Unknown, Dim::Fixed(3)];
    let config = json!({"model_type": "t5", "vocab_size": 40});
    optimum(
        &folder,
        "T5ForConditionalGeneration",
        "logits",
        dims(),
        &config,
    );
    let path = folder.join("onnx/model.onnx");
    let mut graph = Graph::load(&path).unwrap();
    graph.rename("attention_mask", "decoder_input_ids");
    graph.save(&path).unwrap();
    let (report, _) = bench.convert(&folder, &plain()).unwrap();
    assert_eq!(report.task, Task::Tensors);
    assert!(report.notes.iter().any(|note| note.contains("-with-past")));
    let asked = Options {
        task: Some(Task::Transcribe),
        ..plain()
    };
    let error = bench.convert(&folder, &asked).unwrap_err().to_string();
    assert!(error.contains("-with-past"), "{error}");
}

#[test]
fn a_model_in_f16_stays_as_it_is() {
    let mut graph = Graph::new("g");
    let x = graph.input("x", DType::F16, [Dim::named("n"), Dim::Fixed(4)]);
    let weight = Tensor::new(
        "w",
        DType::F16,
        &[4, 2],
        bytes::Bytes::from_static(&[0; 16]),
    );
    let weight = graph.initializer(weight);
    let y = graph.node("MatMul", &[&x, &weight], []);
    graph.output(&y, "y", DType::F16, [Dim::named("n"), Dim::Fixed(2)]);
    let bench = Bench::new();
    let (report, manifest) = bench.of(&graph, &Options::default()).unwrap();
    assert_eq!(
        (report.chosen.as_str(), manifest.variants.len()),
        ("as-shipped", 1)
    );
    let options = Options {
        quantize: "int8".parse().unwrap(),
        ..Options::default()
    };
    let error = bench.of(&graph, &options).unwrap_err();
    assert_eq!(
        error.kind(),
        bevel_manifest::ErrorKind::Unsupported,
        "{error}"
    );
}
