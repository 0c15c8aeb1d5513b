//! Small checkpoints for tests, written as safetensors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Names and shapes of a checkpoint; the elements are a fixed pattern between −0.1 and 0.1.
pub(crate) type Shapes = BTreeMap<String, Vec<usize>>;

pub(crate) fn write_safetensors(path: &Path, shapes: &Shapes) {
    let mut header = serde_json::Map::new();
    let mut data: Vec<u8> = Vec::new();
    let mut state = 1u32;
    for (name, shape) in shapes {
        let begin = data.len();
        for _ in 0..shape.iter().product() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let x = (state >> 8) as f32 / (1u32 << 24) as f32 * 0.2 - 0.1;
            data.extend_from_slice(&x.to_le_bytes());
        }
        let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()]});
        header.insert(name.clone(), entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(&header);
    file.extend_from_slice(&data);
    std::fs::write(path, file).unwrap();
}

/// A folder with a BERT of one layer, wide enough to be quantised.
pub(crate) struct Bert {
    pub dir: tempfile::TempDir,
    pub config: Value,
    pub tokenizer: Value,
    pub shapes: Shapes,
}

impl Bert {
    pub const HIDDEN: usize = 128;
    pub const VOCAB: usize = 2100;

    /// `prefix` is `""` for the bare encoder, `"bert."` below a head.
    pub fn new(architecture: &str, prefix: &str) -> Self {
        let mut shapes = Shapes::new();
        let d = Self::HIDDEN;
        let mut linear = |name: &str, rows: usize, cols: usize| {
            shapes.insert(format!("{prefix}{name}.weight"), vec![rows, cols]);
            shapes.insert(format!("{prefix}{name}.bias"), vec![rows]);
        };
        let layer = "encoder.layer.0";
        for of in ["self.query", "self.key", "self.value", "output.dense"] {
            linear(&format!("{layer}.attention.{of}"), d, d);
        }
        linear(&format!("{layer}.intermediate.dense"), 2 * d, d);
        linear(&format!("{layer}.output.dense"), d, 2 * d);
        linear("pooler.dense", d, d);
        for norm in [
            "embeddings.LayerNorm",
            "encoder.layer.0.attention.output.LayerNorm",
            "encoder.layer.0.output.LayerNorm",
        ] {
            shapes.insert(format!("{prefix}{norm}.weight"), vec![d]);
            shapes.insert(format!("{prefix}{norm}.bias"), vec![d]);
        }
        for (table, rows) in [("word", Self::VOCAB), ("position", 64), ("token_type", 2)] {
            let name = format!("{prefix}embeddings.{table}_embeddings.weight");
            shapes.insert(name, vec![rows, d]);
        }
        shapes.insert(format!("{prefix}embeddings.position_ids"), vec![1, 64]);
        Self {
            dir: tempfile::tempdir().unwrap(),
            config: json!({
                "model_type": "bert", "architectures": [architecture], "hidden_size": d,
                "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 2 * d,
                "vocab_size": Self::VOCAB, "max_position_embeddings": 64, "pad_token_id": 0,
            }),
            tokenizer: json!({"model": {"vocab": {"[PAD]": 0, "a": 1}}, "added_tokens": []}),
            shapes,
        }
    }

    pub fn classifier(classes: usize) -> Self {
        let mut bert = Self::new("BertForSequenceClassification", "bert.");
        let weight = vec![classes, Self::HIDDEN];
        bert.shapes.insert("classifier.weight".into(), weight);
        bert.shapes.insert("classifier.bias".into(), vec![classes]);
        bert
    }

    /// Writes the files and answers their folder.
    pub fn write(&self) -> PathBuf {
        let dir = self.dir.path().join("checkpoint");
        std::fs::create_dir_all(&dir).unwrap();
        let json = |name: &str, value: &Value| {
            std::fs::write(dir.join(name), value.to_string()).unwrap();
        };
        json("config.json", &self.config);
        json("tokenizer.json", &self.tokenizer);
        write_safetensors(&dir.join("model.safetensors"), &self.shapes);
        dir
    }

    pub fn out(&self) -> PathBuf {
        self.dir.path().join("out.bevel")
    }
}
