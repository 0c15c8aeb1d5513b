use std::path::PathBuf;

use bevel_manifest::{Decode, ErrorKind, GenerateSpec, Input, Manifest, Task};
use bevel_onnx::Graph;
use serde_json::{Value, json};

use crate::testing::{Shapes, write_safetensors};
use crate::{Error, Options, Report, convert};

/// A folder with a decoder of one layer: D 16, two heads, 40 tokens.
struct Small {
    dir: tempfile::TempDir,
    config: Value,
    shapes: Shapes,
    /// Further files by name.
    files: Vec<(&'static str, Value)>,
    options: Options,
}

impl Small {
    fn new(config: Value, shapes: &[(&str, &[usize])]) -> Self {
        let shape = |(name, dims): &(&str, &[usize])| ((*name).to_owned(), dims.to_vec());
        Self {
            dir: tempfile::tempdir().unwrap(),
            config,
            shapes: shapes.iter().map(shape).collect(),
            files: Vec::new(),
            options: Options::default(),
        }
    }

    fn gpt2() -> Self {
        let config = json!({
            "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": 16, "n_head": 2,
            "n_layer": 1, "n_positions": 32, "vocab_size": 40, "bos_token_id": 1, "eos_token_id": 2,
        });
        let layer: [(&str, &[usize]); 12] = [
            ("ln_1.weight", &[16]),
            ("ln_1.bias", &[16]),
            ("attn.c_attn.weight", &[16, 48]),
            ("attn.c_attn.bias", &[48]),
            ("attn.c_proj.weight", &[16, 16]),
            ("attn.c_proj.bias", &[16]),
            ("ln_2.weight", &[16]),
            ("ln_2.bias", &[16]),
            ("mlp.c_fc.weight", &[16, 64]),
            ("mlp.c_fc.bias", &[64]),
            ("mlp.c_proj.weight", &[64, 16]),
            ("mlp.c_proj.bias", &[16]),
        ];
        let mut small = Self::new(
            config,
            &[
                ("transformer.wte.weight", &[40, 16]),
                ("transformer.wpe.weight", &[32, 16]),
                ("transformer.ln_f.weight", &[16]),
                ("transformer.ln_f.bias", &[16]),
            ],
        );
        for (name, dims) in layer {
            let name = format!("transformer.h.0.{name}");
            small.shapes.insert(name, dims.to_vec());
        }
        small
    }

    fn llama() -> Self {
        let config = json!({
            "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 16,
            "num_attention_heads": 2, "num_key_value_heads": 1, "num_hidden_layers": 1,
            "intermediate_size": 24, "vocab_size": 40, "max_position_embeddings": 32,
            "rope_theta": 10000.0, "tie_word_embeddings": true,
        });
        Self::new(
            config,
            &[
                ("model.embed_tokens.weight", &[40, 16]),
                ("model.norm.weight", &[16]),
                ("model.layers.0.input_layernorm.weight", &[16]),
                ("model.layers.0.post_attention_layernorm.weight", &[16]),
                ("model.layers.0.self_attn.q_proj.weight", &[16, 16]),
                ("model.layers.0.self_attn.k_proj.weight", &[8, 16]),
                ("model.layers.0.self_attn.v_proj.weight", &[8, 16]),
                ("model.layers.0.self_attn.o_proj.weight", &[16, 16]),
                ("model.layers.0.mlp.gate_proj.weight", &[24, 16]),
                ("model.layers.0.mlp.up_proj.weight", &[24, 16]),
                ("model.layers.0.mlp.down_proj.weight", &[16, 24]),
            ],
        )
    }

    fn set(&mut self, key: &str, value: Value) {
        self.config[key] = value;
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out.bevel")
    }

    fn convert(&self) -> Result<Report, Error> {
        let dir = self.dir.path().join("checkpoint");
        std::fs::create_dir_all(&dir).unwrap();
        let files = [("config.json", self.config.clone())];
        for (name, value) in files.iter().chain(&self.files) {
            std::fs::write(dir.join(name), value.to_string()).unwrap();
        }
        write_safetensors(&dir.join("model.safetensors"), &self.shapes);
        convert(&dir, &self.out(), &self.options, None, &mut |_| {})
    }

    fn converted(&self) -> (Manifest, Graph) {
        self.convert().unwrap();
        let text = std::fs::read_to_string(self.out().join("bundle.toml")).unwrap();
        let graph = Graph::load(&self.out().join("model.onnx")).unwrap();
        (Manifest::from_toml(&text).unwrap(), graph)
    }

    fn spec(&self) -> GenerateSpec {
        match self.converted().0.decode {
            Decode::Generate(spec) => spec,
            other => panic!("{other:?}"),
        }
    }
}

fn count(graph: &Graph, op: &str) -> usize {
    graph.nodes.iter().filter(|n| n.op_type() == op).count()
}

#[test]
fn one_graph_has_the_names_of_optimum() {
    for (small, groups) in [(Small::gpt2(), 2), (Small::llama(), 1)] {
        let (manifest, graph) = small.converted();
        let inputs: Vec<_> = graph.inputs.iter().map(|i| i.name.as_str()).collect();
        let past = ["past_key_values.0.key", "past_key_values.0.value"];
        assert_eq!(inputs[..3], ["input_ids", "attention_mask", "position_ids"]);
        assert_eq!(inputs[3..], past);
        let outputs: Vec<_> = graph.outputs.iter().map(|o| o.name.as_str()).collect();
        assert_eq!(outputs, ["logits", "present.0.key", "present.0.value"]);
        let heads = graph.inputs[3].dims.as_ref().unwrap()[1].clone();
        assert_eq!(heads, bevel_onnx::Dim::Fixed(groups));
        // The tied table is there once.
        let tables = graph.initializers.iter().filter(|t| t.dims == [40, 16]);
        assert_eq!(tables.count(), 1);
        // Without a tokenizer it takes tensors, and still knows where a text ends.
        assert_eq!(
            (manifest.task, &manifest.input),
            (Task::Tensors, &Input::Tensors)
        );
        assert_eq!(small.spec().max_tokens, 32);
    }
}

#[test]
fn forms_follow_the_user_and_the_width_of_heads() {
    let mut wide = Small::llama();
    let (_, graph) = wide.converted();
    assert_eq!(count(&graph, "GroupQueryAttention"), 1);
    assert_eq!(count(&graph, "RotaryEmbedding"), 2);
    wide.options.portable = true;
    let (_, graph) = wide.converted();
    assert_eq!(graph.opsets.keys().collect::<Vec<_>>(), [""]);
    // Heads of 6 are none for ONNX Runtime's operator.
    let mut narrow = Small::llama();
    narrow.set("head_dim", json!(6));
    for (part, rows) in [("q", 12), ("k", 6), ("v", 6)] {
        let name = format!("model.layers.0.self_attn.{part}_proj.weight");
        narrow.shapes.insert(name, vec![rows, 16]);
    }
    let name = "model.layers.0.self_attn.o_proj.weight";
    narrow.shapes.insert(name.into(), vec![16, 12]);
    let (_, graph) = narrow.converted();
    assert_eq!(graph.opsets.keys().collect::<Vec<_>>(), [""]);
}

#[test]
fn names_and_buffers_of_old_checkpoints_are_known() {
    let mut bare = Small::gpt2();
    let short = |(name, dims): (String, Vec<usize>)| {
        let short = name.strip_prefix("transformer.").unwrap().to_owned();
        (short, dims)
    };
    bare.shapes = bare.shapes.into_iter().map(short).collect();
    for (name, dims) in [("bias", vec![1, 1, 32, 32]), ("masked_bias", vec![])] {
        bare.shapes.insert(format!("h.0.attn.{name}"), dims);
    }
    let unused = bare.convert().unwrap().tensors_unused;
    assert_eq!(unused, ["h.0.attn.bias", "h.0.attn.masked_bias"]);
    let mut old = Small::llama();
    let name = "model.layers.0.self_attn.rotary_emb.inv_freq";
    old.shapes.insert(name.into(), vec![4]);
    assert_eq!(old.convert().unwrap().tensors_unused, [name]);
}

#[test]
fn settings_of_generation_travel() {
    let mut small = Small::llama();
    small.set("eos_token_id", json!(3));
    assert_eq!(small.spec().end_ids, [3]);
    let settings = json!({
        "bos_token_id": 1, "eos_token_id": [5, 6], "pad_token_id": 4, "max_new_tokens": 9,
        "do_sample": true, "temperature": 0.7, "top_k": 20, "top_p": 0.8, "repetition_penalty": 1.1,
    });
    small.files.push(("generation_config.json", settings));
    let tokenizer = json!({"model": {"vocab": {"a": 39}}, "added_tokens": []});
    small.files.push(("tokenizer.json", tokenizer));
    let templates = json!([
        {"name": "tools", "template": "no"}, {"name": "default", "template": "{{ messages }}"},
    ]);
    let settings = json!({"chat_template": templates, "model_max_length": 30});
    small.files.push(("tokenizer_config.json", settings));
    let spec = small.spec();
    assert_eq!((spec.start_id, spec.pad_id), (Some(1), Some(4)));
    assert_eq!(spec.end_ids, [5, 6]);
    assert_eq!((spec.max_tokens, spec.new_tokens), (30, Some(9)));
    assert_eq!(spec.repetition_penalty, Some(1.1));
    let sampling = spec.sampling.unwrap();
    assert_eq!(
        (sampling.temperature, sampling.top_k),
        (Some(0.7), Some(20))
    );
    let template = std::fs::read_to_string(small.out().join("chat_template.jinja"));
    assert_eq!(template.unwrap(), "{{ messages }}");
    let (manifest, _) = small.converted();
    assert_eq!(
        (manifest.task, manifest.family.as_str()),
        (Task::Generate, "llama")
    );
}

#[test]
fn what_is_not_built_is_named() {
    struct Case {
        name: &'static str,
        small: fn() -> Small,
        change: fn(&mut Small),
        says: &'static [&'static str],
        kind: ErrorKind,
    }
    let unsupported = ErrorKind::Unsupported;
    let cases = [
        Case {
            name: "a classifier",
            small: Small::gpt2,
            change: |s| s.set("architectures", json!(["GPT2ForSequenceClassification"])),
            says: &["gpt2", "`GPT2ForSequenceClassification`", "LMHeadModel"],
            kind: unsupported,
        },
        Case {
            name: "another task",
            small: Small::gpt2,
            change: |s| s.options.task = Some(Task::Embed),
            says: &["gpt2", "embed", "generate, tensors"],
            kind: unsupported,
        },
        Case {
            name: "attention over an encoder",
            small: Small::gpt2,
            change: |s| s.set("add_cross_attention", json!(true)),
            says: &["add_cross_attention"],
            kind: unsupported,
        },
        Case {
            name: "a window",
            small: Small::llama,
            change: |s| {
                s.set("model_type", json!("mistral"));
                s.set("sliding_window", json!(8));
            },
            says: &["mistral", "sliding_window 8", "no text is longer than 8"],
            kind: unsupported,
        },
        Case {
            name: "an unknown rotation",
            small: Small::llama,
            change: |s| s.set("rope_scaling", json!({"type": "longrope", "factor": 2.0})),
            says: &["rotation `longrope`", "llama3, yarn"],
            kind: unsupported,
        },
        Case {
            name: "a rotation without its number",
            small: Small::llama,
            change: |s| s.set("rope_scaling", json!({"type": "linear"})),
            says: &["config.json", "rotation `linear` needs `factor`"],
            kind: ErrorKind::Model,
        },
        Case {
            name: "a rotation of half a head",
            small: Small::llama,
            change: |s| s.set("partial_rotary_factor", json!(0.5)),
            says: &["partial_rotary_factor 0.5"],
            kind: unsupported,
        },
        Case {
            name: "heads that do not divide",
            small: Small::llama,
            change: |s| s.set("num_key_value_heads", json!(3)),
            says: &["3 heads of keys and values do not divide 2"],
            kind: ErrorKind::Model,
        },
        Case {
            name: "no output of its own where none is shared",
            small: Small::llama,
            change: |s| s.set("tie_word_embeddings", json!(false)),
            says: &["1 tensor of llama", "`lm_head.weight`"],
            kind: ErrorKind::Model,
        },
        Case {
            name: "a bias that the configuration does not speak of",
            small: Small::llama,
            change: |s| {
                let name = "model.layers.0.self_attn.q_proj.bias";
                s.shapes.insert(name.into(), vec![16]);
            },
            says: &["does not use", "q_proj.bias"],
            kind: ErrorKind::Model,
        },
        Case {
            name: "an end beyond the vocabulary",
            small: Small::llama,
            change: |s| s.set("eos_token_id", json!([2, 40])),
            says: &["`eos_token_id` is [2,40]", "tokens below 40"],
            kind: ErrorKind::Model,
        },
        Case {
            name: "a relative",
            small: Small::llama,
            change: |s| s.set("model_type", json!("gemma2")),
            says: &["`gemma2`", "nearest known families: llama"],
            kind: unsupported,
        },
        Case {
            name: "a stranger with the same weights",
            small: Small::llama,
            change: |s| s.set("model_type", json!("unheard-of")),
            says: &["nearest known families: llama"],
            kind: unsupported,
        },
    ];
    for case in cases {
        let mut small = (case.small)();
        (case.change)(&mut small);
        let error = small.convert().unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), case.kind, "{}: {text}", case.name);
        for part in case.says {
            assert!(text.contains(part), "{}: {text}", case.name);
        }
    }
}
