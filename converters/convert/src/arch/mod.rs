//! Architecture families: one file each, one row of [`FAMILIES`] each.

mod albert;
mod bert;
mod cache;
mod causal;
mod chain;
mod classifier;
mod clip;
mod conv;
mod cross;
mod deepspeech;
mod distilbert;
mod efficientnet;
mod efficientnet_lite;
mod electra;
mod gpt2;
mod heads;
mod image;
mod inception;
mod inverted;
mod layers;
mod llama;
mod lstm_forecast;
mod map;
mod mlp;
mod mlp_policy;
mod mobilenet;
mod moonshine;
mod mpnet;
mod nearest;
mod neumf;
mod nonlinear;
mod onnx;
mod patches;
mod rcnn;
mod recurrent;
mod resnet;
mod roberta;
mod rotary;
mod settings;
mod speech;
mod text;
mod text_encoder;
mod torchvision;
mod transformer;
mod ultralytics;
mod unet;
mod vectors;
mod vgg;
mod vit;
mod wav2vec2;
mod wavenet;
mod whisper;
mod yolox;

use std::collections::BTreeMap;
use std::path::PathBuf;

use bevel_manifest::{AudioInput, Decode, Input, Task, TranscribeSpec};
use bevel_onnx::Graph;
use serde_json::Value;

use crate::source::Source;
use crate::weights::Unused;
use crate::{Error, Options};

/// A model built from a checkpoint, in fp32, with everything a bundle says about it.
pub(crate) struct Built {
    /// Role to graph: `model` where there is one, `encoder` and `decoder` …
    pub graphs: Graphs,
    pub task: Task,
    pub input: Input,
    pub decode: Decode,
    /// Files of the bundle besides the graphs.
    pub files: Vec<BundleFile>,
    /// Tensors of the checkpoint that the graph does not need.
    pub unused: Vec<String>,
    /// What people should know about the conversion.
    pub notes: Vec<String>,
}

impl Built {
    /// A model that takes and answers tensors.
    fn tensors(graphs: Graphs, unused: Unused) -> Self {
        Self {
            graphs,
            task: Task::Tensors,
            input: Input::Tensors,
            decode: Decode::Tensors,
            files: Vec::new(),
            unused: unused.0,
            notes: Vec::new(),
        }
    }

    /// The same, but it hears sound and writes text.
    fn transcribes(
        mut self,
        (input, spec, tokens): (AudioInput, TranscribeSpec, BundleFile),
    ) -> Self {
        self.task = Task::Transcribe;
        self.input = Input::Audio(input);
        self.decode = Decode::Transcribe(spec);
        self.files.push(tokens);
        self
    }
}

/// Refuses a task for a family whose models answer tensors.
fn only_tensors(family: &'static str, options: &Options) -> Result<(), Error> {
    options.task_of(family, &[Task::Tensors]).map(drop)
}

/// The graphs of a model by role.
pub(crate) type Graphs = BTreeMap<&'static str, Graph>;

/// The graphs of a model that has only one.
pub(crate) fn model(graph: Graph) -> Graphs {
    Graphs::from([("model", graph)])
}

/// A file to put into the bundle.
pub(crate) struct BundleFile {
    pub name: String,
    pub content: Content,
}

impl BundleFile {
    /// The file as JSON.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be read, [`Error::SideFile`] when it is no JSON.
    pub fn json(&self) -> Result<Value, Error> {
        let (path, parsed) = match &self.content {
            Content::Copy(path) => {
                let text = std::fs::read(path).map_err(|e| Error::read(path, e))?;
                (path.clone(), serde_json::from_slice(&text))
            }
            Content::Text(text) => (PathBuf::from(&self.name), serde_json::from_str(text)),
        };
        parsed.map_err(|error| Error::SideFile {
            path,
            what: format!("not JSON: {error}; copy it again"),
        })
    }
}

pub(crate) enum Content {
    Copy(PathBuf),
    Text(String),
}

/// One architecture family.
pub(crate) struct Family {
    pub name: &'static str,
    /// Parts of tensor names by which a checkpoint that nobody recognises is likened to this family.
    pub marks: &'static [&'static str],
    /// Whether a checkpoint is of this family, from `config.json` or the names of its weights.
    pub recognises: fn(&Source) -> bool,
    pub build: fn(&Source, &Options) -> Result<Built, Error>,
}

/// ONNX graphs and word vectors go first: a `config.json` that lies beside them says nothing about how
/// to read them. Layers of no particular model go last.
static FAMILIES: &[Family] = &[
    onnx::FAMILY,
    vectors::FAMILY,
    albert::FAMILY,
    bert::FAMILY,
    clip::FAMILY,
    deepspeech::FAMILY,
    distilbert::FAMILY,
    efficientnet::FAMILY,
    efficientnet_lite::FAMILY,
    electra::FAMILY,
    gpt2::FAMILY,
    inception::FAMILY,
    llama::LLAMA,
    llama::MISTRAL,
    llama::QWEN2,
    llama::QWEN3,
    lstm_forecast::FAMILY,
    mlp_policy::FAMILY,
    mobilenet::V2,
    mobilenet::V3,
    moonshine::FAMILY,
    mpnet::FAMILY,
    neumf::FAMILY,
    rcnn::FASTER,
    rcnn::MASK,
    resnet::FAMILY,
    roberta::FAMILY,
    ultralytics::FAMILY,
    unet::FAMILY,
    vgg::FAMILY,
    vit::FAMILY,
    wav2vec2::HUBERT,
    wav2vec2::WAV2VEC2,
    wavenet::FAMILY,
    whisper::FAMILY,
    yolox::FAMILY,
    mlp::FAMILY,
];

/// The family of a checkpoint: the one the user named, or the first that recognises it.
pub(crate) fn family(source: &Source, arch: Option<&str>) -> Result<&'static Family, Error> {
    let known = || {
        let names: Vec<_> = FAMILIES.iter().map(|family| family.name).collect();
        names.join(", ")
    };
    match arch {
        Some(name) => {
            let model = torchvision::model(name);
            let family = model.map_or(name, |model| model.family);
            let found = FAMILIES.iter().find(|known| known.name == family);
            found.ok_or_else(|| {
                Error::Request(format!("no architecture `{name}`; known: {}", known()))
            })
        }
        None => FAMILIES
            .iter()
            .find(|family| (family.recognises)(source))
            .ok_or_else(|| Error::UnknownArchitecture {
                path: source.checkpoint.path().into(),
                found: describe(source),
                tensors: source.checkpoint.names().map(str::to_owned).collect(),
                nearest: nearest::families(source, FAMILIES),
                known: known(),
            }),
    }
}

/// What an unknown checkpoint looks like, for the error.
fn describe(source: &Source) -> String {
    match (source.checkpoint.spec(), source.model_type()) {
        (Some(spec), _) => format!("{} {} of CTranslate2", spec.name, spec.revision),
        (None, Some(model_type)) => format!("model_type `{model_type}` in config.json"),
        (None, None) => "no model_type in config.json beside it".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::FAMILIES;

    #[test]
    fn each_family_is_listed_once_and_by_its_own_name() {
        let mut names = BTreeSet::new();
        for family in FAMILIES {
            assert!(names.insert(family.name), "{} is there twice", family.name);
        }
    }
}
