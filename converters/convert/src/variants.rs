//! The precisions of one model: which are built, which stay, which one runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bevel_manifest::{Measured, Variant};
use bevel_onnx::DType;

use crate::arch::Graphs;
use crate::convert::file_name;
use crate::quantize::{Request, Seen, dynamic};
use crate::report::VariantReport;
use crate::{Error, Quantize, Scheme, judge};

/// A scheme that covers less of the weights than this is not worth a variant.
const MIN_COVERED: f64 = 0.5;

/// The schemes to build, in order, and what happens to them.
pub(crate) struct Wanted {
    pub build: Vec<Scheme>,
    /// Those that the user wants in the bundle.
    pub ship: Vec<Scheme>,
    /// Whether a scheme that fails is dropped rather than an error.
    pub optional: bool,
    /// Whether somebody measures.
    judged: bool,
}

impl Wanted {
    /// What `quantize` asks for, of a model that is in fp32 or stays as it is.
    pub fn new(quantize: &Quantize, judged: bool, base: Scheme) -> Self {
        let ship = match quantize {
            _ if base == Scheme::AsShipped => vec![base],
            Quantize::Auto => vec![Scheme::Fp32, Scheme::Int8],
            Quantize::List(schemes) if !schemes.is_empty() => schemes.clone(),
            Quantize::List(_) | Quantize::None => vec![Scheme::Fp32],
        };
        let mut build = ship.clone();
        // A judge compares with fp32, so it is built even where it is not shipped.
        if judged && !build.contains(&base) {
            build.insert(0, base);
        }
        Self {
            build,
            ship,
            optional: *quantize == Quantize::Auto,
            judged,
        }
    }
}

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

    /// The graphs under this scheme, or why they are not worth having.
    pub(crate) fn apply(self, graphs: &Graphs) -> Result<Graphs, String> {
        let rewrite = match self {
            Self::Fp32 | Self::AsShipped => return Ok(graphs.clone()),
            Self::Int8 => dynamic::quantize,
        };
        let seen = Seen::default();
        let (mut covered, mut total) = (0.0, 0.0);
        let rewritten = graphs.iter().map(|(role, graph)| {
            let quantized = rewrite(&Request::all(graph, &seen));
            covered += quantized.covered * graph.weight_bytes() as f64;
            total += graph.weight_bytes() as f64;
            (*role, quantized.graph)
        });
        let rewritten = rewritten.collect();
        let covered = covered / total.max(1.0);
        if covered >= MIN_COVERED {
            return Ok(rewritten);
        }
        Err(format!(
            "it reaches {:.0} % of the weights; convolutions need calibration, small matrices stay f32",
            covered * 100.0
        ))
    }
}

/// A variant on its way into the bundle.
pub(crate) struct Candidate {
    scheme: Scheme,
    /// Role to file.
    graphs: BTreeMap<String, String>,
    pub files: Vec<String>,
    size_bytes: u64,
    pub measured: Option<Measured>,
    /// Why it does not stay.
    pub dropped: Option<String>,
}

impl Candidate {
    /// Saves the graphs into the folder of the bundle.
    pub fn write(scheme: Scheme, graphs: &Graphs, dir: &Path) -> Result<Self, Error> {
        let mut written = Vec::new();
        for (role, graph) in graphs {
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
            measured: None,
            dropped: None,
        })
    }

    /// Decides whether the variant stays.
    pub fn verdict(&mut self, wanted: &Wanted) -> Result<(), Error> {
        if !wanted.ship.contains(&self.scheme) {
            self.dropped = Some("built only to compare with".into());
            return Ok(());
        }
        if self.measured.is_none()
            && wanted.judged
            && wanted.optional
            && !self.scheme.is_reference()
        {
            self.dropped = Some("it could not be measured here".into());
            return Ok(());
        }
        let slower = self.measured.as_ref().filter(|m| m.latency_ratio >= 1.0);
        if let Some(measured) = slower.filter(|_| wanted.optional && !self.scheme.is_reference()) {
            self.dropped = Some(format!(
                "{:.2} of fp32's time here, so nothing is gained",
                measured.latency_ratio
            ));
            return Ok(());
        }
        let failing = self.measured.as_ref().filter(|m| !judge::passes(m));
        let Some(measured) = failing.filter(|_| !self.scheme.is_reference()) else {
            return Ok(());
        };
        let needed = judge::gate(&measured.metric);
        if !wanted.optional {
            return Err(Error::Quality {
                variant: self.scheme.to_string(),
                metric: measured.metric.clone(),
                value: measured.value,
                worst: measured.worst,
                samples: measured.samples,
                needed,
            });
        }
        self.dropped = Some(format!(
            "{} {:.4} is below the gate of {needed}",
            measured.metric, measured.value
        ));
        Ok(())
    }

    pub fn name(&self) -> String {
        self.scheme.to_string()
    }

    pub fn variant(&self) -> Variant {
        Variant {
            name: self.scheme.to_string(),
            scheme: self.scheme.description().into(),
            graphs: self.graphs.clone(),
            measured: self.measured.clone(),
        }
    }

    pub fn report(self) -> VariantReport {
        VariantReport {
            name: self.scheme.to_string(),
            scheme: self.scheme.description().into(),
            size_bytes: self.size_bytes,
            kept: self.dropped.is_none(),
            dropped: self.dropped,
            measured: self.measured,
        }
    }

    /// fp32 is the unit even where nobody measured it.
    fn latency_ratio(&self) -> f64 {
        match &self.measured {
            Some(measured) => measured.latency_ratio,
            None if self.scheme.is_reference() => 1.0,
            None => f64::INFINITY,
        }
    }
}

/// The fastest of the measured variants, or the first without measurement; and why.
pub(crate) fn choose(variants: &[Candidate], measured: bool) -> (String, String) {
    let mut kept = variants.iter().filter(|c| c.dropped.is_none());
    let first = kept.clone().next().map(|c| c.scheme.to_string());
    let first = first.unwrap_or_default();
    if kept.clone().count() == 1 {
        return (first, "the only variant".into());
    }
    if !measured {
        return (first, "nothing was measured, so the most exact".into());
    }
    let fastest = kept.by_ref().reduce(|best, candidate| {
        match candidate.latency_ratio() < best.latency_ratio() {
            true => candidate,
            false => best,
        }
    });
    match fastest {
        Some(best) => (
            best.scheme.to_string(),
            format!(
                "the fastest that passes its gate, {:.2} of fp32's time",
                best.latency_ratio()
            ),
        ),
        None => (first, "the only variant".into()),
    }
}

fn graph_file(role: &str, scheme: Scheme) -> String {
    match scheme {
        Scheme::Fp32 | Scheme::AsShipped => format!("{role}.onnx"),
        other => format!("{role}-{other}.onnx"),
    }
}
