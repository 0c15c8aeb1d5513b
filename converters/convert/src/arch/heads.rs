//! Heads of text encoders: what stands between `last_hidden_state` and the answer.

use bevel_manifest::Task;
use bevel_onnx::{DType, Dim};

use super::layers::Activation;
use super::settings::Settings;
use super::text_encoder::Encoder;
use crate::Error;

/// What a model answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// Hidden states, and the pooler's output where the checkpoint has one.
    Base,
    /// Classes of the text.
    Sequence,
    /// Classes of each token.
    Token,
    /// Where an answer starts and ends.
    Span,
    /// The word at each token.
    MaskedLm,
    /// Whether each token was put there by a generator (ELECTRA).
    Replaced,
}

/// Heads by the ending of their classes' names, and the task of each.
pub(super) const HEADS: [(&str, Head, Task); 5] = [
    ("Model", Head::Base, Task::Embed),
    ("ForSequenceClassification", Head::Sequence, Task::Classify),
    ("ForTokenClassification", Head::Token, Task::Tag),
    ("ForQuestionAnswering", Head::Span, Task::Answer),
    ("ForMaskedLM", Head::MaskedLm, Task::Fill),
];

const PRE_TRAINING: &str = "ForPreTraining";

/// What one family calls the weights of its heads. Token classification is `classifier` and question
/// answering `qa_outputs` in all of them.
pub(super) struct Heads {
    /// `tanh(pooler(first token))`, its name below the encoder.
    pub pooler: Option<&'static str>,
    pub summary: Summary,
    /// From the summary to the classes of the text.
    pub sequence: &'static str,
    pub masked: MaskedLm,
    /// The head of the class `…ForPreTraining`.
    pub pre_training: Option<Head>,
    /// Beginnings of the names of all weights of heads. Those of another head than the wanted one
    /// may be left over when the user chose the task.
    pub weights: &'static [&'static str],
}

/// What a classifier of texts makes of the first token before its last layer.
pub(super) enum Summary {
    /// The pooler's output.
    Pooler,
    /// `activation(dense(x))`.
    Dense(&'static str, Activation),
}

/// `decoder(norm(activation(dense(x)))) + bias`: N×T×V.
pub(super) struct MaskedLm {
    pub dense: &'static str,
    /// The encoder's own where none is given.
    pub activation: Option<Activation>,
    pub norm: &'static str,
    /// V×E, the word embedding unless the checkpoint brings its own.
    pub decoder: &'static str,
    /// Where the bias is kept besides `{decoder}.bias`.
    pub bias: Option<&'static str>,
    /// Beginning of the names of what pre-training learns besides.
    pub beside: Option<&'static str>,
}

impl Heads {
    /// The head that `architectures` names; none means the bare encoder.
    pub fn named(&self, settings: &Settings<'_>, classes: &[&str]) -> Result<Head, Error> {
        let Some(name) = settings.architecture() else {
            return Ok(Head::Base);
        };
        let usual = HEADS.map(|(ending, head, _)| (ending, head));
        let pre_training = self.pre_training.map(|head| (PRE_TRAINING, head));
        let rows: Vec<_> = usual.into_iter().chain(pre_training).collect();
        let mut endings = classes.iter().filter_map(|class| name.strip_prefix(class));
        let found = endings.find_map(|ending| rows.iter().find(|(known, _)| *known == ending));
        found.map(|(_, head)| *head).ok_or_else(|| {
            let class = classes.first().copied().unwrap_or_default();
            let known: Vec<_> = rows
                .iter()
                .map(|(end, _)| format!("{class}{end}"))
                .collect();
            settings.unsupported(
                format!("architecture `{name}` of config.json"),
                format!("known: {}; or choose a head with --task", known.join(", ")),
            )
        })
    }

    /// Whether a weight may be left over: `name`, and what it is called `below` the encoder. Those of
    /// other heads only where the head was `chosen`, not found.
    pub fn spare(&self, name: &str, below: &str, head: Head, chosen: bool) -> bool {
        let begins = |with: &str| name.starts_with(with);
        let pooler = self.pooler.is_some_and(|pooler| {
            let part = below.strip_prefix(pooler);
            part.is_some_and(|part| part.starts_with('.'))
        });
        let other = chosen && self.weights.iter().any(|with| begins(with));
        // The decoder's table and bias repeat others where they are tied.
        let masked = &self.masked;
        let beside = masked.beside.into_iter().chain(masked.bias);
        let mut repeated = beside.chain([masked.decoder]);
        pooler || other || (head == Head::MaskedLm && repeated.any(begins))
    }
}

impl Head {
    /// The head for a task that the user chose.
    pub fn of(task: Task, family: &'static str) -> Result<Self, Error> {
        if task == Task::Tensors {
            return Ok(Self::Base);
        }
        let row = HEADS.iter().find(|(_, _, known)| *known == task);
        row.map(|(_, head, _)| *head).ok_or_else(|| Error::Task {
            family,
            task,
            known: HEADS.map(|(_, _, task)| task.name()).join(", "),
        })
    }

    pub fn task(self) -> Task {
        let row = HEADS.iter().find(|(_, head, _)| *head == self);
        row.map_or(Task::Tensors, |(_, _, task)| *task)
    }

    /// Writes the head behind `hidden`, N×T×D, and answers its number of classes.
    pub fn build(self, encoder: &mut Encoder<'_>, hidden: &str) -> Result<usize, Error> {
        encoder.net.graph.set_scope("head");
        match self {
            Self::Base => base(encoder, hidden),
            Self::Sequence => sequence(encoder, hidden),
            Self::Token => token(encoder, hidden),
            Self::Span => span(encoder, hidden),
            Self::MaskedLm => masked_lm(encoder, hidden),
            Self::Replaced => replaced(encoder, hidden),
        }
    }
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

/// The bare encoder.
fn base(encoder: &mut Encoder<'_>, hidden: &str) -> Result<usize, Error> {
    let size = encoder.shape.hidden;
    let name = encoder.layout.heads.pooler.map(|name| encoder.named(name));
    let has = |name: &String| encoder.net.weights.contains(&format!("{name}.weight"));
    let pooled = match name.filter(has) {
        Some(name) => Some(dense_of_first(encoder, hidden, &name, Activation::Tanh)?),
        None => None,
    };
    let graph = &mut encoder.net.graph;
    graph.output(hidden, "last_hidden_state", DType::F32, per_token(size));
    if let Some(pooled) = pooled {
        graph.output(&pooled, "pooler_output", DType::F32, per_text(size));
    }
    Ok(size)
}

/// `activation(dense(x[:, 0]))`: N×D.
fn dense_of_first(
    encoder: &mut Encoder<'_>,
    x: &str,
    name: &str,
    activation: Activation,
) -> Result<String, Error> {
    let net = &mut encoder.net;
    // An index without dimensions takes the axis away.
    let first = net.index(0);
    let first = net.graph.node("Gather", &[x, &first], [("axis", 1.into())]);
    let dense = net.linear(&first, name, [encoder.shape.hidden; 2])?;
    Ok(net.activation(&dense, activation))
}

/// `sequence(summary(hidden))`: N×C.
fn sequence(encoder: &mut Encoder<'_>, hidden: &str) -> Result<usize, Error> {
    let heads = &encoder.layout.heads;
    let (name, activation) = match heads.summary {
        Summary::Dense(name, activation) => (name.to_owned(), activation),
        Summary::Pooler => {
            let pooler = heads.pooler.unwrap_or_default();
            (encoder.named(pooler), Activation::Tanh)
        }
    };
    let summary = dense_of_first(encoder, hidden, &name, activation)?;
    let net = &mut encoder.net;
    let classes = net.rows(&format!("{}.weight", heads.sequence));
    let logits = net.linear(&summary, heads.sequence, [encoder.shape.hidden, classes])?;
    let graph = &mut net.graph;
    graph.output(&logits, "logits", DType::F32, per_text(classes));
    Ok(classes)
}

/// `classifier(hidden)`: N×T×C.
fn token(encoder: &mut Encoder<'_>, hidden: &str) -> Result<usize, Error> {
    let net = &mut encoder.net;
    let classes = net.rows("classifier.weight");
    let logits = net.linear(hidden, "classifier", [encoder.shape.hidden, classes])?;
    let graph = &mut net.graph;
    graph.output(&logits, "logits", DType::F32, per_token(classes));
    Ok(classes)
}

/// `qa_outputs(hidden)`, N×T×2, split into start and end.
fn span(encoder: &mut Encoder<'_>, hidden: &str) -> Result<usize, Error> {
    let net = &mut encoder.net;
    let both = net.linear(hidden, "qa_outputs", [encoder.shape.hidden, 2])?;
    for (index, name) in [(0, "start_logits"), (1, "end_logits")] {
        let index = net.index(index);
        let axis = [("axis", 2.into())];
        let one = net.graph.node("Gather", &[&both, &index], axis);
        let dims = [Dim::named("batch"), Dim::named("sequence")];
        net.graph.output(&one, name, DType::F32, dims);
    }
    Ok(2)
}

fn masked_lm(encoder: &mut Encoder<'_>, hidden: &str) -> Result<usize, Error> {
    let masked = &encoder.layout.heads.masked;
    let shape = encoder.shape;
    let net = &mut encoder.net;
    let x = net.linear(hidden, masked.dense, [shape.hidden, shape.embedding])?;
    let x = net.activation(&x, masked.activation.unwrap_or(shape.activation));
    let x = net.layer_norm(&x, masked.norm, shape.embedding, shape.norm_epsilon)?;
    let table = decoder(encoder)?;
    let usual = format!("{}.bias", masked.decoder);
    let net = &mut encoder.net;
    // Two names of one bias, unless nothing is tied: then only the decoder's is read.
    let bias = match masked.bias {
        Some(other) if !net.weights.contains(&usual) => other,
        Some(other) if shape.tied && net.weights.contains(other) => other,
        _ => usual.as_str(),
    };
    let bias = net.table(bias, &[shape.vocab])?;
    let size = [shape.embedding, shape.vocab];
    let logits = net.tied(&x, &table, Some(&bias), size);
    let graph = &mut net.graph;
    graph.output(&logits, "logits", DType::F32, per_token(shape.vocab));
    Ok(shape.vocab)
}

/// The V×E table of the masked LM: the word embedding itself, or the checkpoint's own.
fn decoder(encoder: &mut Encoder<'_>) -> Result<String, Error> {
    let words = encoder.words()?;
    let name = format!("{}.weight", encoder.layout.heads.masked.decoder);
    let shape = encoder.shape;
    let dims = [shape.vocab, shape.embedding];
    encoder.net.output_table(&name, &words, &dims, shape.tied)
}

/// `dense_prediction(activation(dense(hidden)))`: N×T, above 0 for a token that was replaced.
fn replaced(encoder: &mut Encoder<'_>, hidden: &str) -> Result<usize, Error> {
    const HEAD: &str = "discriminator_predictions";
    let size = encoder.shape.hidden;
    let net = &mut encoder.net;
    let x = net.linear(hidden, &format!("{HEAD}.dense"), [size; 2])?;
    let x = net.activation(&x, encoder.shape.activation);
    let x = net.linear(&x, &format!("{HEAD}.dense_prediction"), [size, 1])?;
    let last = net.i64s(&[2]);
    let logits = net.graph.node("Squeeze", &[&x, &last], []);
    let dims = [Dim::named("batch"), Dim::named("sequence")];
    net.graph.output(&logits, "logits", DType::F32, dims);
    Ok(1)
}
