//! The BERT encoder family (Devlin et al. 2018, arXiv:1810.04805), as `modeling_bert.py` of
//! transformers 5.23 computes it with absolute positions.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | in `input_ids` | N×T | i64 | token ids, 0 ..= V−1 |
//! | in `attention_mask` | N×T | i64 | 1 for tokens, 0 for padding |
//! | in `token_type_ids` | N×T | i64 | segment, 0 or 1 |
//! | out `last_hidden_state` | N×T×D | f32 | without a head |
//! | out `pooler_output` | N×D | f32 | in −1 ..= 1, without a head, where the checkpoint has a pooler |
//! | out `logits` | N×C, N×T×C, N×T×V | f32 | sequence, token classification, masked LM |
//! | out `start_logits`, `end_logits` | N×T | f32 | question answering |

mod config;
mod encoder;

use bevel_manifest::{Input, Task};
use bevel_onnx::{DType, Dim, Graph, Tensor};

use super::text;
use crate::arch::{Built, Family, model};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options};
use config::Config;
use encoder::Encoder;

pub(super) const FAMILY: Family = Family {
    name: NAME,
    marks: &[
        "encoder.layer.",
        "attention.self.query",
        "embeddings.word_embeddings",
        "intermediate.dense",
    ],
    recognises: |source| source.model_type() == Some(NAME),
    build,
};

const NAME: &str = "bert";

/// Classes that `architectures` in `config.json` names, and the task of each.
const HEADS: [(&str, Task); 6] = [
    ("BertModel", Task::Embed),
    ("BertForSequenceClassification", Task::Classify),
    ("BertForTokenClassification", Task::Tag),
    ("BertForQuestionAnswering", Task::Answer),
    ("BertForMaskedLM", Task::Fill),
    ("BertForPreTraining", Task::Fill),
];

/// Prefixes of the weights of heads. Those of another head than the wanted one may be left over
/// when the user chose the task.
const HEAD_WEIGHTS: [&str; 3] = ["cls.", "classifier.", "qa_outputs."];

fn build(source: &Source, options: &Options) -> Result<Built, Error> {
    let config = Config::read(source)?;
    let asked = options.wanted_task();
    let head = asked.map_or_else(|| config.head(), Ok)?;
    let weights = Weights::new(&source.checkpoint, NAME);
    let mut encoder = Encoder::new(&config, &weights);
    let hidden = encoder.build()?;
    let classes = match head {
        Task::Embed | Task::Tensors => base(&mut encoder, &hidden)?,
        Task::Classify => sequence_classification(&mut encoder, &hidden)?,
        Task::Tag => token_classification(&mut encoder, &hidden)?,
        Task::Answer => question_answering(&mut encoder, &hidden)?,
        Task::Fill => masked_lm(&mut encoder, &hidden)?,
        task => {
            let known: Vec<_> = HEADS.iter().take(5).map(|(_, task)| task.name()).collect();
            return Err(Error::Task {
                family: NAME,
                task,
                known: known.join(", "),
            });
        }
    };
    let prefix = encoder.prefix;
    let graph = encoder.graph;
    let pooler = format!("{prefix}pooler.");
    let unused = weights.finish(|name| {
        let buffer = name.ends_with("embeddings.position_ids")
            || name.ends_with("embeddings.token_type_ids");
        let other_head = asked.is_some() && HEAD_WEIGHTS.iter().any(|p| name.starts_with(p));
        // Pre-training also learns whether one sentence follows the other.
        let next_sentence = head == Task::Fill && name.starts_with("cls.seq_relationship.");
        // `cls.predictions.decoder.bias` repeats `cls.predictions.bias`.
        let tied = head == Task::Fill && name.starts_with("cls.predictions.decoder.");
        buffer || other_head || next_sentence || tied || name.starts_with(&pooler)
    })?;

    let mut files = Vec::new();
    let mut notes = Vec::new();
    let tokenizer = text::tokenizer(source, config.vocab)?;
    let task = match (&tokenizer, asked) {
        (None, Some(task)) if task != Task::Tensors => {
            return Err(text::tokenizer_missing(source, task));
        }
        (None, _) => {
            notes.push(text::without_tokenizer());
            Task::Tensors
        }
        (Some(_), _) => head,
    };
    let input = match task {
        Task::Tensors => Input::Tensors,
        _ => Input::Text(text::input(source, config.positions, config.pad_id)?),
    };
    if matches!(task, Task::Classify | Task::Tag) {
        files.push(text::labels(source, options, classes)?);
    }
    files.extend(tokenizer.filter(|_| task != Task::Tensors));
    Ok(Built {
        graphs: model(graph),
        task,
        input,
        decode: text::decode(task, source, options, classes)?,
        files,
        unused: unused.0,
        notes,
    })
}

fn per_token(last: usize) -> [Dim; 3] {
    [
        Dim::named("batch"),
        Dim::named("sequence"),
        Dim::Fixed(last),
    ]
}

fn per_text(last: usize) -> [Dim; 2] {
    [Dim::named("batch"), Dim::Fixed(last)]
}

/// The bare encoder: hidden states, and the pooler's output where there is a pooler.
fn base(encoder: &mut Encoder<'_>, hidden: &str) -> Result<usize, Error> {
    let size = encoder.config.hidden;
    if encoder.has("pooler.dense.weight") {
        let pooled = encoder.pooler(hidden)?;
        encoder
            .graph
            .output(&pooled, "pooler_output", DType::F32, per_text(size));
    }
    let graph = &mut encoder.graph;
    graph.output(hidden, "last_hidden_state", DType::F32, per_token(size));
    graph.outputs.reverse();
    Ok(size)
}

/// `classifier(pooler(hidden))`: N×C.
fn sequence_classification(encoder: &mut Encoder<'_>, hidden: &str) -> Result<usize, Error> {
    let pooled = encoder.pooler(hidden)?;
    let classes = encoder.rows("classifier.weight");
    let logits = encoder.linear(&pooled, "classifier", [encoder.config.hidden, classes])?;
    let graph = &mut encoder.graph;
    graph.output(&logits, "logits", DType::F32, per_text(classes));
    Ok(classes)
}

/// `classifier(hidden)`: N×T×C.
fn token_classification(encoder: &mut Encoder<'_>, hidden: &str) -> Result<usize, Error> {
    let classes = encoder.rows("classifier.weight");
    let logits = encoder.linear(hidden, "classifier", [encoder.config.hidden, classes])?;
    let graph = &mut encoder.graph;
    graph.output(&logits, "logits", DType::F32, per_token(classes));
    Ok(classes)
}

/// `qa_outputs(hidden)`, N×T×2, split into start and end.
fn question_answering(encoder: &mut Encoder<'_>, hidden: &str) -> Result<usize, Error> {
    let both = encoder.linear(hidden, "qa_outputs", [encoder.config.hidden, 2])?;
    let graph = &mut encoder.graph;
    for (index, name) in [(0, "start_logits"), (1, "end_logits")] {
        // A scalar index takes the axis away.
        let index = graph.initializer(Tensor::index("index", index));
        let one = graph.node("Gather", &[&both, &index], [("axis", 2.into())]);
        let dims = [Dim::named("batch"), Dim::named("sequence")];
        graph.output(&one, name, DType::F32, dims);
    }
    Ok(2)
}

/// `decoder(norm(act(dense(hidden))))`: N×T×V, the decoder being the word embedding unless the
/// checkpoint brings its own.
fn masked_lm(encoder: &mut Encoder<'_>, hidden: &str) -> Result<usize, Error> {
    const TRANSFORM: &str = "cls.predictions.transform";
    let (size, vocab) = (encoder.config.hidden, encoder.config.vocab);
    encoder.graph.set_scope(TRANSFORM);
    let dense = format!("{TRANSFORM}.dense");
    let x = encoder.linear(hidden, &dense, [size, size])?;
    let x = encoder.activation(&x);
    let x = encoder.norm(&x, &format!("{TRANSFORM}.LayerNorm"))?;
    encoder.graph.set_scope("cls.predictions");
    let table = encoder.decoder_table()?;
    let own = "cls.predictions.bias";
    let tied = "cls.predictions.decoder.bias";
    let bias = if encoder.weights.contains(own) {
        own
    } else {
        tied
    };
    let bias = encoder.weights.take(bias, &[vocab])?;
    let graph = &mut encoder.graph;
    let bias = graph.initializer(bias);
    // Gemm reads the table as it lies, V×D; a MatMul would need a transposed copy of it.
    let flat = graph.initializer(Tensor::i64s("flat", &[-1, size as i64]));
    let flat = graph.node("Reshape", &[&x, &flat], []);
    let logits = graph.node("Gemm", &[&flat, &table, &bias], [("transB", 1.into())]);
    let [shape] = graph.node_of("Shape", &[&x], [("end", 2.into())]);
    let last = graph.initializer(Tensor::i64s("vocabulary", &[vocab as i64]));
    let shape = graph.node("Concat", &[&shape, &last], [("axis", 0.into())]);
    let logits = graph.node("Reshape", &[&logits, &shape], []);
    graph.output(&logits, "logits", DType::F32, per_token(vocab));
    Ok(vocab)
}

/// Inputs of every head.
fn inputs(graph: &mut Graph) -> [String; 3] {
    ["input_ids", "attention_mask", "token_type_ids"].map(|name| {
        let dims = [Dim::named("batch"), Dim::named("sequence")];
        graph.input(name, DType::I64, dims)
    })
}
