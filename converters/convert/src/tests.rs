use std::collections::BTreeMap;
use std::path::Path;

use bevel_manifest::{Decode, ErrorKind, Manifest, Task};
use bevel_onnx::Graph;
use serde_json::json;

use crate::testing::{Bert, Shapes, write_safetensors};
use crate::{BoxError, Error, Judge, Options, Quality, Recorded, Report, See, convert};

fn run(bert: &Bert, options: &Options) -> Result<Report, Error> {
    convert(&bert.write(), &bert.out(), options, None, &mut |_| {})
}

fn manifest(bert: &Bert) -> Manifest {
    let text = std::fs::read_to_string(bert.out().join("bundle.toml")).unwrap();
    Manifest::from_toml(&text).unwrap()
}

fn quantize(list: &str) -> Options {
    Options {
        quantize: list.parse().unwrap(),
        ..Options::default()
    }
}

/// Nothing but the checkpoint: no bundle, no hidden folder.
fn nothing_left(bert: &Bert) -> bool {
    let entries = bert.dir.path().read_dir().unwrap();
    entries.count() == 1
}

#[test]
fn a_bundle_is_whole_and_says_what_it_holds() {
    let bert = Bert::new("BertModel", "");
    let report = run(&bert, &Options::default()).unwrap();
    assert_eq!(report.chosen, "fp32");
    assert_eq!(report.tensors_unused, ["embeddings.position_ids"]);

    let manifest = manifest(&bert);
    assert_eq!(manifest.task, Task::Embed);
    assert_eq!(manifest.variants.len(), 2);
    let mut listed: Vec<_> = manifest.files.iter().map(|f| f.path.clone()).collect();
    listed.push("bundle.toml".into());
    listed.sort();
    let mut there: Vec<_> = bert
        .out()
        .read_dir()
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    assert_eq!(listed, there);
    for file in &manifest.files {
        let path = bert.out().join(&file.path);
        let found = crate::bundle::entry(file.path.clone(), &path).unwrap();
        assert_eq!(found, *file);
    }
    for variant in &manifest.variants {
        Graph::load(&bert.out().join(&variant.graphs["model"])).unwrap();
    }
    assert_eq!(bert.dir.path().read_dir().unwrap().count(), 2);
}

#[test]
fn sentence_transformers_files_decide_head_pooling_and_length() {
    // Such folders often still name the class that was pre-trained.
    let bert = Bert::new("BertForMaskedLM", "");
    let dir = bert.write();
    std::fs::create_dir(dir.join("1_Pooling")).unwrap();
    for (name, text) in [
        (
            "modules.json",
            json!([{"type": "x.Transformer", "path": ""}, {"type": "x.Pooling", "path": "1_Pooling"}]),
        ),
        (
            "1_Pooling/config.json",
            json!({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}),
        ),
        ("sentence_bert_config.json", json!({"max_seq_length": 48})),
    ] {
        std::fs::write(dir.join(name), text.to_string()).unwrap();
    }
    convert(&dir, &bert.out(), &quantize("none"), None, &mut |_| {}).unwrap();
    let text = std::fs::read_to_string(bert.out().join("bundle.toml")).unwrap();
    for says in [
        "task = \"embed\"",
        "pooling = \"cls\"",
        "normalize = false",
        "max_tokens = 48",
    ] {
        assert!(text.contains(says), "{says} in {text}");
    }
}

#[test]
fn labels_come_from_the_checkpoint_or_the_user() {
    let mut bert = Bert::classifier(2);
    bert.config["id2label"] = json!({"0": "bad", "1": "good"});
    run(&bert, &quantize("none")).unwrap();
    let labels = std::fs::read_to_string(bert.out().join("labels.txt")).unwrap();
    assert_eq!(labels, "bad\ngood\n");
    let Decode::Classify(spec) = manifest(&bert).decode else {
        panic!("a classifier");
    };
    assert_eq!(spec.labels.as_deref(), Some("labels.txt"));
}

#[test]
fn what_does_not_fit_is_named_and_leaves_nothing() {
    struct Case {
        name: &'static str,
        change: fn(&mut Bert, &mut Options),
        says: &'static [&'static str],
        kind: ErrorKind,
    }
    let cases = [
        Case {
            name: "missing weight",
            change: |b, _| {
                b.shapes.remove("bert.encoder.layer.0.output.dense.bias");
                b.shapes.remove("classifier.bias");
            },
            says: &[
                "2 tensors",
                "`bert.encoder.layer.0.output.dense.bias`",
                "`classifier.bias`",
            ],
            kind: ErrorKind::Model,
        },
        Case {
            name: "left-over layer",
            change: |b, _| {
                b.shapes
                    .insert("bert.encoder.layer.1.output.dense.bias".into(), vec![128]);
            },
            says: &["1 tensor", "`bert.encoder.layer.1.output.dense.bias`"],
            kind: ErrorKind::Model,
        },
        Case {
            name: "left-over head",
            change: |b, _| {
                b.shapes.insert("qa_outputs.weight".into(), vec![2, 128]);
            },
            says: &["`qa_outputs.weight`", "--task"],
            kind: ErrorKind::Model,
        },
        Case {
            name: "other vocabulary size",
            change: |b, _| b.config["vocab_size"] = json!(2000),
            says: &["word_embeddings", "[2100, 128]", "[2000, 128]"],
            kind: ErrorKind::Model,
        },
        Case {
            name: "tokenizer of another model",
            change: |b, _| b.tokenizer["model"]["vocab"]["zebra"] = json!(2100),
            says: &["tokenizer.json", "2100"],
            kind: ErrorKind::Model,
        },
        Case {
            name: "tokenizer without vocabulary",
            change: |b, _| b.tokenizer = json!({}),
            says: &["tokenizer.json", "no vocabulary"],
            kind: ErrorKind::Model,
        },
        Case {
            name: "activation",
            change: |b, _| b.config["hidden_act"] = json!("laplace"),
            says: &["`laplace`", "gelu"],
            kind: ErrorKind::Unsupported,
        },
        Case {
            name: "relative positions",
            change: |b, _| b.config["position_embedding_type"] = json!("relative_key"),
            says: &["`relative_key`"],
            kind: ErrorKind::Unsupported,
        },
        Case {
            name: "decoder",
            change: |b, _| b.config["is_decoder"] = json!(true),
            says: &["made to decode"],
            kind: ErrorKind::Unsupported,
        },
        Case {
            name: "heads do not divide",
            change: |b, _| b.config["num_attention_heads"] = json!(3),
            says: &["3 attention heads", "hidden size 128"],
            kind: ErrorKind::Model,
        },
        Case {
            name: "absurd size",
            change: |b, _| b.config["hidden_size"] = json!(1u64 << 40),
            says: &["hidden_size"],
            kind: ErrorKind::Model,
        },
        Case {
            name: "more layers than weights",
            change: |b, _| b.config["num_hidden_layers"] = json!(1000),
            says: &["encoder.layer.1.", "more"],
            kind: ErrorKind::Model,
        },
        Case {
            name: "more layers than any model",
            change: |b, _| b.config["num_hidden_layers"] = json!(1 << 20),
            says: &["num_hidden_layers", "1048576", "1024"],
            kind: ErrorKind::Model,
        },
        Case {
            name: "labels that do not fit",
            change: |b, _| b.config["id2label"] = json!({"0": "a"}),
            says: &["id2label names 1 labels", "has 2", "--labels"],
            kind: ErrorKind::Model,
        },
        Case {
            name: "unknown family",
            change: |b, _| b.config["model_type"] = json!("mamba"),
            says: &["`mamba`", "bert", "efficientnet-lite"],
            kind: ErrorKind::Unsupported,
        },
        Case {
            name: "task of another family",
            change: |_, o| o.task = Some(Task::Detect),
            says: &["detect", "embed, classify"],
            kind: ErrorKind::Unsupported,
        },
        Case {
            name: "unknown --arch",
            change: |_, o| o.arch = Some("bart".into()),
            says: &["`bart`"],
            kind: ErrorKind::Input,
        },
    ];
    for case in cases {
        let mut bert = Bert::classifier(2);
        let mut options = Options::default();
        (case.change)(&mut bert, &mut options);
        let error = run(&bert, &options).unwrap_err();
        let text = error.to_string();
        for says in case.says {
            assert!(text.contains(says), "{}: {text}", case.name);
        }
        assert!(!text.contains('\n'), "{}: {text}", case.name);
        assert_eq!(error.kind(), case.kind, "{}: {text}", case.name);
        assert!(nothing_left(&bert), "{}", case.name);
    }
}

#[test]
fn another_head_is_left_out_when_the_user_says_so() {
    let bert = Bert::classifier(2);
    let mut options = quantize("none");
    options.task = Some(Task::Embed);
    let report = run(&bert, &options).unwrap();
    assert_eq!(report.task, Task::Embed);
    let unused = report.tensors_unused;
    assert!(unused.contains(&"classifier.weight".into()), "{unused:?}");
}

#[test]
fn truncated_checkpoints_leave_nothing() {
    let bert = Bert::new("BertModel", "");
    let file = bert.write().join("model.safetensors");
    let whole = std::fs::read(&file).unwrap();
    for length in [0, 1, 7, 8, 9, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&file, &whole[..length]).unwrap();
        let error = convert(&file, &bert.out(), &Options::default(), None, &mut |_| {});
        let text = error.unwrap_err().to_string();
        assert!(text.contains("model.safetensors"), "{length}: {text}");
        assert!(nothing_left(&bert), "{length}");
    }
}

#[test]
fn only_a_bundle_is_replaced() {
    let bert = Bert::new("BertModel", "");
    let options = quantize("none");
    std::fs::create_dir(bert.out()).unwrap();
    std::fs::write(bert.out().join("thesis.txt"), "precious").unwrap();
    let error = run(&bert, &options).unwrap_err();
    assert!(error.to_string().contains("is not a bundle"), "{error}");
    assert!(bert.out().join("thesis.txt").is_file());

    std::fs::remove_file(bert.out().join("thesis.txt")).unwrap();
    run(&bert, &options).unwrap();
    std::fs::write(bert.out().join("old.txt"), "").unwrap();
    run(&bert, &options).unwrap();
    assert!(!bert.out().join("old.txt").exists());
    assert_eq!(bert.dir.path().read_dir().unwrap().count(), 2);
}

/// Says what it was told to say about int8.
struct Told {
    value: f64,
    latency_ratio: f64,
}

impl Judge for Told {
    fn record(&mut self, dir: &Path, manifest: &Manifest) -> Result<Option<Recorded>, BoxError> {
        // The bundle that is judged is whole.
        Graph::load(&dir.join(&manifest.variant(None)?.graphs["model"]))?;
        Ok(Some(Recorded {
            source: "nowhere".into(),
            samples: 8,
            sha256: "0".repeat(64),
            runs: BTreeMap::from([("model".into(), 8)]),
        }))
    }

    fn replay(&mut self, _: &str, graph: &Path, _: usize, see: See<'_>) -> Result<(), BoxError> {
        Graph::load(graph)?;
        see(0, "logits", &[1], &[1.0]);
        Ok(())
    }

    fn time(&mut self, _: &str, graphs: &[&Path]) -> Result<Vec<f64>, BoxError> {
        for graph in graphs {
            Graph::load(graph)?;
        }
        Ok(vec![1.0, self.latency_ratio])
    }

    fn score(
        &mut self,
        dir: &Path,
        manifest: &Manifest,
        variant: &str,
    ) -> Result<Option<Quality>, BoxError> {
        manifest.variant(Some("fp32"))?;
        Graph::load(&dir.join(&manifest.variant(Some(variant))?.graphs["model"]))?;
        Ok(Some(Quality {
            metric: "cosine".into(),
            value: self.value,
            interval: [self.value; 2],
            reference: 1.0,
            worst: Some(self.value),
            agreement: None,
            samples: 8,
        }))
    }

    fn machine(&self) -> String {
        "none".into()
    }
}

#[test]
fn the_judge_decides_what_ships() {
    struct Case {
        name: &'static str,
        quantize: &'static str,
        value: f64,
        latency_ratio: f64,
        /// Variants of the bundle and the chosen one, or the kind of the error.
        expected: Result<(&'static [&'static str], &'static str), ErrorKind>,
    }
    let cases = [
        Case {
            name: "good and fast is chosen",
            quantize: "auto",
            value: 0.999,
            latency_ratio: 0.5,
            expected: Ok((&["fp32", "int8"], "int8")),
        },
        Case {
            name: "good but slow is dropped",
            quantize: "auto",
            value: 0.999,
            latency_ratio: 1.2,
            expected: Ok((&["fp32"], "fp32")),
        },
        Case {
            name: "bad is dropped",
            quantize: "auto",
            value: 0.97,
            latency_ratio: 0.5,
            expected: Ok((&["fp32"], "fp32")),
        },
        Case {
            name: "not a number is dropped",
            quantize: "auto",
            value: f64::NAN,
            latency_ratio: 0.5,
            expected: Ok((&["fp32"], "fp32")),
        },
        Case {
            name: "bad on request is an error",
            quantize: "int8",
            value: 0.97,
            latency_ratio: 0.5,
            expected: Err(ErrorKind::Quality),
        },
        Case {
            name: "good on request ships alone",
            quantize: "int8",
            value: 0.999,
            latency_ratio: 1.2,
            expected: Ok((&["int8"], "int8")),
        },
    ];
    for case in cases {
        let bert = Bert::new("BertModel", "");
        let mut judge = Told {
            value: case.value,
            latency_ratio: case.latency_ratio,
        };
        let options = quantize(case.quantize);
        let result = convert(
            &bert.write(),
            &bert.out(),
            &options,
            Some(&mut judge),
            &mut |_| {},
        );
        match (result, case.expected) {
            (Ok(report), Ok((names, chosen))) => {
                let manifest = manifest(&bert);
                let got: Vec<_> = manifest.variants.iter().map(|v| v.name.as_str()).collect();
                assert_eq!(got, names, "{}", case.name);
                assert_eq!(manifest.variant, chosen, "{}", case.name);
                assert_eq!(report.chosen, chosen, "{}", case.name);
                let int8 = bert.out().join("model-int8.onnx").exists();
                assert_eq!(int8, names.contains(&"int8"), "{}", case.name);
            }
            (Err(error), Err(kind)) => {
                assert_eq!(error.kind(), kind, "{}: {error}", case.name);
                assert!(nothing_left(&bert), "{}", case.name);
            }
            (got, expected) => panic!("{}: {got:?} for {expected:?}", case.name),
        }
    }
}

/// Has no data.
struct Silent;

impl Judge for Silent {
    fn record(&mut self, _: &Path, _: &Manifest) -> Result<Option<Recorded>, BoxError> {
        Ok(None)
    }

    fn replay(&mut self, _: &str, _: &Path, _: usize, _: See<'_>) -> Result<(), BoxError> {
        Err("nothing was recorded".into())
    }

    fn time(&mut self, _: &str, _: &[&Path]) -> Result<Vec<f64>, BoxError> {
        Err("nothing was recorded".into())
    }

    fn score(&mut self, _: &Path, _: &Manifest, _: &str) -> Result<Option<Quality>, BoxError> {
        Ok(None)
    }

    fn machine(&self) -> String {
        "none".into()
    }
}

#[test]
fn what_nobody_could_measure_ships_only_on_request() {
    for (asked, expected) in [("auto", &["fp32"][..]), ("fp32,int8", &["fp32", "int8"])] {
        let bert = Bert::new("BertModel", "");
        let options = quantize(asked);
        let judge: Option<&mut dyn Judge> = Some(&mut Silent);
        let report = convert(&bert.write(), &bert.out(), &options, judge, &mut |_| {}).unwrap();
        let names: Vec<_> = manifest(&bert)
            .variants
            .into_iter()
            .map(|v| v.name)
            .collect();
        assert_eq!(names, expected, "{asked}");
        assert_eq!(report.chosen, "fp32", "{asked}");
    }
}

/// Families that learn all their sizes from weights: whatever a tensor turns out to be, the conversion
/// succeeds or says why, and never calls it a defect of ours.
#[test]
fn odd_shapes_are_refused() {
    let forecast: &[(&str, &[usize])] = &[
        ("rnn.weight_ih_l0", &[16, 3]),
        ("rnn.weight_hh_l0", &[16, 2]),
        ("rnn.bias_ih_l0", &[16]),
        ("rnn.bias_hh_l0", &[16]),
        ("rnn.weight_hr_l0", &[2, 4]),
        ("head.weight", &[5, 2]),
        ("head.bias", &[5]),
    ];
    let neumf: &[(&str, &[usize])] = &[
        ("embed_user_GMF.weight", &[7, 4]),
        ("embed_item_GMF.weight", &[9, 4]),
        ("embed_user_MLP.weight", &[7, 3]),
        ("embed_item_MLP.weight", &[9, 3]),
        ("MLP_layers.1.weight", &[5, 6]),
        ("MLP_layers.1.bias", &[5]),
        ("predict_layer.weight", &[1, 9]),
        ("predict_layer.bias", &[1]),
    ];
    let policy: &[(&str, &[usize])] = &[
        ("log_std", &[2]),
        ("mlp_extractor.policy_net.0.weight", &[6, 4]),
        ("mlp_extractor.policy_net.0.bias", &[6]),
        ("action_net.weight", &[2, 6]),
        ("action_net.bias", &[2]),
        ("value_net.weight", &[1, 4]),
        ("value_net.bias", &[1]),
    ];
    let mlp: &[(&str, &[usize])] = &[
        ("0.weight", &[6, 4]),
        ("0.bias", &[6]),
        ("1.running_mean", &[6]),
        ("1.running_var", &[6]),
        ("1.weight", &[6]),
        ("1.bias", &[6]),
        ("3.weight", &[2, 6]),
        ("3.bias", &[2]),
    ];
    let odd: [Option<&[usize]>; 8] = [
        None,
        Some(&[]),
        Some(&[0]),
        Some(&[5000]),
        Some(&[0, 4]),
        Some(&[4, 0]),
        Some(&[3, 7]),
        Some(&[2, 2, 2]),
    ];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    let out = folder.path().join("out.bevel");
    let mut converted = 0;
    for (family, tensors) in [
        ("lstm-forecast", forecast),
        ("neumf", neumf),
        ("mlp-policy", policy),
        ("mlp", mlp),
    ] {
        for changed in 0..=tensors.len() {
            for shape in odd {
                let tensors = tensors.iter().enumerate();
                let shapes = tensors.filter_map(|(i, (name, own))| {
                    let shape = if i == changed { shape? } else { own };
                    Some(((*name).to_owned(), shape.to_vec()))
                });
                write_safetensors(&file, &shapes.collect::<Shapes>());
                for arch in [None, Some(family.to_owned())] {
                    let options = Options {
                        arch,
                        ..quantize("none")
                    };
                    match convert(&file, &out, &options, None, &mut |_| {}) {
                        Ok(report) => {
                            assert_eq!(report.family, family);
                            converted += 1;
                        }
                        Err(error) => {
                            let kind = error.kind();
                            assert_ne!(kind, ErrorKind::Internal, "{family} {changed}: {error}");
                        }
                    }
                }
            }
        }
    }
    assert!(converted >= 8, "{converted}");
}
