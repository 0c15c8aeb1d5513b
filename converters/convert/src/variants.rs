//! The precisions of one model: which are built, which stay, which one runs.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use bevel_manifest::{Measured, Target, Variant};
use bevel_onnx::{DType, Graph};

use crate::arch::Graphs;
use crate::convert::file_name;
use crate::gate::Gate;
use crate::judge::Quality;
use crate::report::{Trial, VariantReport};
use crate::search::Time;
use crate::{Error, Options, Quantize, Scheme};

/// The schemes to build, in order, and what happens to them.
pub(crate) struct Wanted {
    /// Besides the model as it came.
    pub others: Vec<Scheme>,
    /// Those that the user wants in the bundle.
    ship: Vec<Scheme>,
    /// Whether a scheme that fails is dropped rather than an error.
    pub optional: bool,
    /// Whether somebody measures.
    judged: bool,
    /// Whether what is slower than fp32 on this machine is dropped.
    pub must_be_faster: bool,
    /// The scheme that suits the target, where there is one.
    preferred: Option<Vec<Scheme>>,
}

impl Wanted {
    /// What the caller asks for, of a model that is in fp32 or stays as it is.
    pub fn new(options: &Options, judged: bool, base: Scheme, graphs: &Graphs) -> Self {
        let optional = options.quantize == Quantize::Auto;
        let ship = match &options.quantize {
            _ if base == Scheme::AsShipped => vec![base],
            Quantize::Auto => [
                vec![base],
                Scheme::sensible(graphs, options.target.as_ref()),
            ]
            .concat(),
            Quantize::List(schemes) if !schemes.is_empty() => schemes.clone(),
            Quantize::List(_) | Quantize::None => vec![base],
        };
        Self {
            others: ship.iter().copied().filter(|s| *s != base).collect(),
            ship,
            optional,
            judged,
            must_be_faster: optional && options.target.is_none(),
            preferred: options.target.as_ref().map(Scheme::preferred),
        }
    }
}

/// How inputs with a key/value cache begin.
const PAST: &str = "past_key_values";

/// Operators of models that were quantised before they came here.
const QUANTIZED: [&str; 12] = [
    "ConvInteger",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "DynamicQuantizeMatMul",
    "MatMulInteger",
    "MatMulIntegerToFloat",
    "MatMulNBits",
    "QAttention",
    "QGemm",
    "QLinearConv",
    "QLinearMatMul",
    "QuantizeLinear",
];

impl Scheme {
    /// What graphs are in before anything is done to them.
    pub(crate) fn of(graphs: &Graphs) -> Self {
        let mut quantized = false;
        let (mut halves, mut floats) = (0, 0);
        for graph in graphs.values() {
            graph.visit(&mut |node| quantized |= QUANTIZED.contains(&node.op_type()));
            for tensor in &graph.initializers {
                match tensor.dtype {
                    DType::F16 | DType::Bf16 => halves += tensor.data.len(),
                    DType::F32 | DType::F64 => floats += tensor.data.len(),
                    _ => {}
                }
            }
        }
        match quantized || halves > floats {
            true => Self::AsShipped,
            false => Self::Fp32,
        }
    }

    /// The schemes in the order that suits a board.
    fn preferred(target: &Target) -> Vec<Self> {
        let names = target.quantization.iter();
        names.filter_map(|name| Self::named(name)).collect()
    }

    /// The schemes that are worth trying on these graphs.
    fn sensible(graphs: &Graphs, target: Option<&Target>) -> Vec<Self> {
        let (mut products, mut convolutions) = (0, 0);
        for graph in graphs.values() {
            let sizes: HashMap<&str, usize> = graph
                .initializers
                .iter()
                .map(|tensor| (tensor.name.as_str(), tensor.data.len()))
                .collect();
            graph.visit(&mut |node| {
                let weight = node.input_at(1).and_then(|name| sizes.get(name));
                match (node.op_type(), weight) {
                    ("MatMul" | "Gemm", Some(size)) => products += size,
                    ("Conv", Some(size)) => convolutions += size,
                    _ => {}
                }
            });
        }
        let many = |part: usize| part > 0 && part * 3 > products + convolutions;
        // A decoder waits for its weights, one token at a time.
        let caches = |graph: &Graph| graph.inputs.iter().any(|i| i.name.starts_with(PAST));
        let decodes = graphs.len() == 1 && graphs.values().any(caches);
        let schemes = [
            (many(products), Self::Int8),
            (decodes, Self::Int8Weights),
            (many(convolutions), Self::Int8Static),
            (target.is_some_and(Target::calculates_halves), Self::Fp16),
        ];
        schemes.into_iter().filter(|s| s.0).map(|s| s.1).collect()
    }
}

/// A variant on its way into the bundle.
pub(crate) struct Candidate {
    pub scheme: Scheme,
    /// Role to file.
    pub graphs: BTreeMap<String, String>,
    pub files: Vec<String>,
    pub size_bytes: u64,
    /// How it was quantised; empty for fp32.
    pub way: String,
    /// Layers that stay in float, though the scheme could take them.
    pub kept_float: Vec<String>,
    /// Where it was measured.
    pub machine: String,
    /// How far its outputs are from fp32's.
    pub error: Option<f64>,
    pub quality: Option<Quality>,
    pub times: Vec<Time>,
    /// Everything that was tried on the way to it.
    pub trials: Vec<Trial>,
    /// Why it does not stay.
    pub dropped: Option<String>,
}

impl Candidate {
    /// Saves the graphs into the folder of the bundle; with ONNX Runtime's own operators unless they
    /// are to be portable.
    pub fn write(
        scheme: Scheme,
        graphs: &Graphs,
        portable: bool,
        dir: &Path,
    ) -> Result<Self, Error> {
        let mut written = Vec::new();
        for (role, graph) in graphs {
            let mut graph = graph.clone();
            if !portable {
                graph.fuse();
            }
            written.extend(graph.save(&dir.join(graph_file(role, scheme)))?);
        }
        let size = |path: &PathBuf| std::fs::metadata(path).map(|m| m.len());
        let sizes: Result<Vec<u64>, _> = written.iter().map(size).collect();
        Ok(Self {
            scheme,
            graphs: graphs
                .keys()
                .map(|role| ((*role).to_owned(), graph_file(role, scheme)))
                .collect(),
            size_bytes: sizes.map_err(|e| Error::read(dir, e))?.iter().sum(),
            files: written.iter().map(|path| file_name(path)).collect(),
            way: String::new(),
            kept_float: Vec::new(),
            machine: String::new(),
            error: None,
            quality: None,
            times: Vec::new(),
            trials: Vec::new(),
            dropped: None,
        })
    }

    /// What was measured of this one, of the files of another.
    pub fn with_files_of(self, written: Self) -> Self {
        Self {
            graphs: written.graphs,
            files: written.files,
            size_bytes: written.size_bytes,
            ..self
        }
    }

    /// Decides whether the variant stays.
    pub fn verdict(&mut self, wanted: &Wanted, gate: &Gate) -> Result<(), Error> {
        if !wanted.ship.contains(&self.scheme) {
            self.dropped = Some("built only to compare with".into());
            return Ok(());
        }
        if self.scheme.is_reference() {
            return Ok(());
        }
        let Some(quality) = &self.quality else {
            if wanted.judged && wanted.optional {
                self.dropped = Some(
                    "there is nothing to measure it on; give data with --calibrate or --eval"
                        .into(),
                );
            }
            return Ok(());
        };
        if let Err(why) = gate.verdict(quality) {
            if !wanted.optional {
                return Err(Error::Quality {
                    variant: self.scheme.to_string(),
                    why,
                    samples: quality.samples,
                });
            }
            self.dropped = Some(why);
            return Ok(());
        }
        let slower = self.ratio().filter(|ratio| *ratio >= 1.0);
        if let Some(ratio) = slower.filter(|_| wanted.optional && wanted.must_be_faster) {
            self.dropped = Some(format!(
                "{ratio:.2} of fp32's time here, so nothing is gained"
            ));
        }
        Ok(())
    }

    pub fn name(&self) -> String {
        self.scheme.to_string()
    }

    pub fn variant(&self) -> Variant {
        Variant {
            name: self.scheme.to_string(),
            scheme: self.description(),
            graphs: self.graphs.clone(),
            measured: self.measured(),
        }
    }

    pub fn report(self) -> VariantReport {
        VariantReport {
            name: self.scheme.to_string(),
            scheme: self.description(),
            size_bytes: self.size_bytes,
            kept: self.dropped.is_none(),
            measured: self.measured(),
            layers_kept_float: self.kept_float,
            trials: self.trials,
            dropped: self.dropped,
        }
    }

    fn description(&self) -> String {
        let scheme = self.scheme.description();
        match (self.way.is_empty(), self.kept_float.len()) {
            (true, _) => scheme.into(),
            (false, 0) => format!("{scheme} ({})", self.way),
            (false, 1) => format!("{scheme} ({}; 1 layer in float)", self.way),
            (false, n) => format!("{scheme} ({}; {n} layers in float)", self.way),
        }
    }

    /// Time of all graphs divided by fp32's, each as often as it ran; `None` where no one took it.
    pub fn ratio(&self) -> Option<f64> {
        let total = |of: fn(&Time) -> f64| -> f64 {
            let times = self.times.iter();
            times.map(|time| time.runs as f64 * of(time)).sum()
        };
        (!self.times.is_empty()).then(|| total(|t| t.own_ms) / total(|t| t.fp32_ms))
    }

    fn measured(&self) -> Option<Measured> {
        let (quality, latency_ratio) = (self.quality.as_ref()?, self.ratio()?);
        let ratios = self.times.iter();
        let ratios = ratios.map(|time| (time.role.clone(), time.own_ms / time.fp32_ms));
        let runs = self.times.iter().map(|t| t.runs as f64);
        let spent: f64 = runs
            .clone()
            .zip(&self.times)
            .map(|(runs, t)| runs * t.own_ms)
            .sum();
        Some(Measured {
            metric: quality.metric.clone(),
            value: quality.value,
            interval: quality.interval,
            reference: quality.reference,
            worst: quality.worst,
            agreement: quality.agreement,
            samples: quality.samples,
            latency_ratio,
            latency_ms: spent / runs.fold(1.0, f64::max),
            machine: self.machine.clone(),
            graphs: match self.times.len() {
                ..=1 => BTreeMap::new(),
                _ => ratios.collect(),
            },
        })
    }
}

const SUITS: &str = "the processor of the target calculates it fastest; `bevel bench --choose` measures \
                     it there";

/// The variant that runs, and why: the fastest of those that were timed, or the first.
pub(crate) fn choose(variants: &[Candidate], wanted: &Wanted) -> (String, String) {
    let kept: Vec<&Candidate> = variants.iter().filter(|c| c.dropped.is_none()).collect();
    let Some(first) = kept.first() else {
        return Default::default();
    };
    if let Some(preferred) = &wanted.preferred {
        let suits = |scheme: &Scheme| kept.iter().find(|c| c.scheme == *scheme);
        let best = preferred.iter().find_map(suits).unwrap_or(first);
        return (best.name(), SUITS.into());
    }
    let timed = kept.iter().filter_map(|c| Some((c, c.ratio()?)));
    let fastest = timed.min_by(|a, b| a.1.total_cmp(&b.1));
    let (chosen, why) = match fastest {
        _ if kept.len() == 1 => {
            let others = variants
                .iter()
                .filter_map(|c| Some((c, c.dropped.as_ref()?)));
            let others: Vec<String> = others
                .map(|(c, why)| format!("{}: {why}", c.name()))
                .collect();
            match others.is_empty() || !wanted.optional {
                true => (first, "the only variant".into()),
                false => (first, format!("nothing better: {}", others.join("; "))),
            }
        }
        Some((best, ratio)) if ratio < 1.0 => (
            best,
            format!("the fastest that passes its gate, {ratio:.2} of fp32's time"),
        ),
        Some(_) => (first, "no other is faster here".into()),
        None => (first, "nothing was measured, so the most exact".into()),
    };
    (chosen.name(), why)
}

fn graph_file(role: &str, scheme: Scheme) -> String {
    match scheme {
        Scheme::Fp32 | Scheme::AsShipped => format!("{role}.onnx"),
        other => format!("{role}-{other}.onnx"),
    }
}
