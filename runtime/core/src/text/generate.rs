//! Text to the text that follows it, the likeliest token at each step. Tensors are those of
//! [`crate::decoder`], one row at a time.

use std::path::Path;
use std::time::Instant;

use bevel_manifest::{Decode, GenerateSpec, Task as TaskName};
use serde::Serialize;
use tokenizers::Tokenizer;

use crate::bundle::Bundle;
use crate::decoder::{Decoder, Prompt, Rules};
use crate::error::{Error, Result};
use crate::library::Runtime;
use crate::pipeline::{Options, Timing};
use crate::registry::{Answer, AnyPipeline, Sample};
use crate::session::Session;
use crate::text::tokenize::load_tokenizer;

/// Tokens behind the prompt where neither caller nor model name a number.
const NEW_TOKENS: usize = 256;

/// Goes on with a text.
///
/// ```no_run
/// use bevel::{Generate, Options};
///
/// let mut generate = Generate::open("gpt2.bevel".as_ref(), &Options::default())?;
/// println!("Once upon a time{}", generate.run("Once upon a time")?.text);
/// # Ok::<(), bevel::Error>(())
/// ```
pub struct Generate {
    tokenizer: Tokenizer,
    decoder: Decoder,
    spec: GenerateSpec,
    rules: Rules,
    /// At most so many tokens behind the prompt.
    new_tokens: usize,
    timing: Timing,
}

/// What follows a prompt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Generated {
    /// The text behind the prompt, without special tokens.
    pub text: String,
    /// Its tokens, without the one that ended it.
    pub ids: Vec<u32>,
}

/// How likely a model finds a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Likelihood {
    /// The sum of the natural logarithms of the probabilities of its tokens, at most 0.
    pub log_probability: f64,
    /// How many tokens that is: all but those that nothing comes before.
    pub tokens: usize,
}

impl Generate {
    /// Opens a bundle directory.
    ///
    /// # Errors
    /// Those of [`Bundle::load`] and [`load`](Self::load).
    pub fn open(path: &Path, options: &Options) -> Result<Self> {
        Self::load(&Bundle::load(path)?, options)
    }

    /// Opens a bundle that is at hand.
    ///
    /// # Errors
    /// [`Error::Model`] for a bundle of another task, or whose graph or tokenizer do not fit; those of
    /// [`Session::load`].
    pub fn load(bundle: &Bundle, options: &Options) -> Result<Self> {
        let manifest = bundle.manifest();
        let (Some(input), Decode::Generate(spec)) = (manifest.input.text(), &manifest.decode)
        else {
            let what = format!("a model for `{}`, asked to `generate`", manifest.task);
            return Err(Error::model(bundle.root(), what));
        };
        let graph = bundle.graph(options.variant.as_deref(), "model")?;
        let file = bundle.file(&input.tokenizer)?;
        // Started here, so that the environment is set while no thread of ours runs.
        Runtime::get()?;
        let (tokenizer, session) = std::thread::scope(|scope| {
            let tokenizer = scope.spawn(|| load_tokenizer(file));
            let session = Session::load(graph, options);
            (tokenizer.join(), session)
        });
        let mut tokenizer =
            tokenizer.map_err(|_| Error::Internal("reading the tokenizer panicked".into()))??;
        // A prompt is never cut in silence, and never filled.
        tokenizer.with_padding(None);
        let whole = tokenizer.with_truncation(None);
        whole.map_err(|e| Error::model(file.path(), e.to_string()))?;
        let new_tokens = options.max_tokens.or(spec.new_tokens);
        Ok(Self {
            tokenizer,
            decoder: Decoder::new(session?)?,
            rules: Rules {
                end_ids: spec.end_ids.clone(),
                repetition_penalty: spec.repetition_penalty,
                ..Rules::default()
            },
            new_tokens: new_tokens.unwrap_or(NEW_TOKENS),
            spec: spec.clone(),
            timing: Timing::default(),
        })
    }

    /// Goes on with a text until a token ends it, the number of new tokens is reached or the model
    /// holds no more.
    ///
    /// # Errors
    /// [`Error::Input`] for a text that is empty or leaves no room, [`Error::Run`] when ONNX Runtime
    /// fails.
    pub fn run(&mut self, text: &str) -> Result<Generated> {
        let start = Instant::now();
        let read = self.ids(text)?;
        let room = self.spec.max_tokens.saturating_sub(read.len());
        if room == 0 {
            return Err(Error::Input(format!(
                "the text is {} tokens long, this model holds {}; shorten it",
                read.len(),
                self.spec.max_tokens
            )));
        }
        let ids: Vec<i64> = read.iter().map(|id| i64::from(*id)).collect();
        let mut timing = Timing {
            prepare: start.elapsed(),
            ..Timing::default()
        };
        let prompt = Prompt {
            ids: &ids,
            mask: None,
            rows: 1,
            hidden: None,
        };
        let limit = self.new_tokens.min(room);
        let chosen = self
            .decoder
            .greedy(prompt, &self.rules, limit, &mut timing.run)?;
        let ended = |id: &u32| self.rules.end_ids.contains(id);
        let ids: Vec<u32> = chosen
            .into_iter()
            .flatten()
            .filter(|id| !ended(id))
            .collect();
        let text = self.text(read, &ids)?;
        timing.decode = start.elapsed() - timing.prepare - timing.run;
        self.timing = timing;
        Ok(Generated { text, ids })
    }

    /// How likely the model finds a text. What is longer than the model holds is read in pieces, each
    /// as if nothing came before it.
    ///
    /// # Errors
    /// [`Error::Input`] for a text that cannot be made tokens of, [`Error::Run`] when ONNX Runtime fails.
    pub fn likelihood(&mut self, text: &str) -> Result<Likelihood> {
        let start = Instant::now();
        let ids = self.ids(text)?;
        let mut timing = Timing {
            prepare: start.elapsed(),
            ..Timing::default()
        };
        let mut found = Likelihood::default();
        for piece in ids.chunks(self.spec.max_tokens.max(2)) {
            let piece: Vec<i64> = piece.iter().map(|id| i64::from(*id)).collect();
            // The first token follows nothing, so a lone one says nothing.
            if piece.len() > 1 {
                found.log_probability += self.decoder.log_probability(&piece, &mut timing.run)?;
                found.tokens += piece.len() - 1;
            }
        }
        timing.decode = start.elapsed() - timing.prepare - timing.run;
        self.timing = timing;
        Ok(found)
    }

    /// The tokens of a text, at least the one that stands for an empty one.
    fn ids(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode_fast(text, true);
        let encoding =
            encoding.map_err(|e| Error::Input(format!("the tokenizer refused the text: {e}")))?;
        let mut ids = encoding.get_ids().to_vec();
        if ids.is_empty() {
            let first = self.spec.start_id.ok_or_else(|| {
                Error::Input("the text is empty, and this model does not begin by itself".into())
            })?;
            ids.push(first);
        }
        Ok(ids)
    }

    /// The text that `new` adds to what was `read`. Tokens may mean another text where they begin one:
    /// many vocabularies drop a space there.
    fn text(&self, read: Vec<u32>, new: &[u32]) -> Result<String> {
        let decode = |ids: &[u32]| {
            let text = self.tokenizer.decode(ids, true);
            text.map_err(|e| Error::Internal(format!("the tokenizer has no text for ids: {e}")))
        };
        let before = decode(&read)?;
        let whole = decode(&[&read, new].concat())?;
        match whole.strip_prefix(&before) {
            Some(added) => Ok(added.to_owned()),
            // A character whose bytes are spread over both.
            None => decode(new),
        }
    }

    /// Where the time of the last run went: `prepare` is the tokenizer's, `run` ONNX Runtime's, `decode`
    /// the choice of tokens and their text.
    pub fn timing(&self) -> Timing {
        self.timing
    }
}

impl AnyPipeline for Generate {
    fn task(&self) -> TaskName {
        TaskName::Generate
    }

    fn run(&mut self, samples: &[Sample<'_>]) -> Result<Vec<Answer>> {
        let mut total = Timing::default();
        let mut answers = Vec::with_capacity(samples.len());
        for sample in samples {
            let text = sample.text().ok_or_else(|| {
                Error::Input(format!("`generate` does not take {}", sample.noun()))
            })?;
            answers.push(Answer::Generate(Self::run(self, text)?));
            total += self.timing;
        }
        self.timing = total;
        Ok(answers)
    }

    fn sessions(&self) -> Vec<&Session> {
        vec![self.decoder.session()]
    }

    fn timing(&self) -> Timing {
        self.timing
    }

    fn likelihood(&mut self, text: &str) -> Result<Likelihood> {
        Self::likelihood(self, text)
    }
}

pub(crate) fn open_boxed(bundle: &Bundle, options: &Options) -> Result<Box<dyn AnyPipeline>> {
    Ok(Box::new(Generate::load(bundle, options)?))
}
