//! `bevel info`.

use std::collections::BTreeMap;
use std::path::Path;

use bevel::{Bundle, Devices, ModelFile, Options, Session, TensorInfo};
use bevel_manifest::Manifest;
use serde::Serialize;

use crate::args::InfoArgs;
use crate::open;
use crate::placement::{self, Placed};
use crate::show::{quality, table};

#[derive(Serialize)]
struct Report {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<Manifest>,
    graphs: Vec<Graph>,
}

#[derive(Serialize)]
struct Graph {
    /// `variant/role`, or the file's name.
    name: String,
    file: String,
    size_bytes: u64,
    inputs: Vec<Io>,
    outputs: Vec<Io>,
    /// How many nodes there are of each operator; only for ONNX files, and not in device builds.
    #[serde(skip_serializing_if = "Option::is_none")]
    operators: Option<BTreeMap<String, usize>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opset: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    placement: Option<Placed>,
}

#[derive(Serialize)]
struct Io {
    name: String,
    dtype: &'static str,
    shape: Vec<Option<usize>>,
}

/// Prints what a model is.
pub fn info(args: &InfoArgs) -> anyhow::Result<()> {
    let devices = args.placement.then_some(&args.device);
    let report = match args.model.is_file() {
        true => {
            let name = args
                .model
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            Report {
                path: args.model.display().to_string(),
                manifest: None,
                graphs: vec![graph(name, &args.model.as_path().into(), devices)?],
            }
        }
        false => of_bundle(&open::bundle(&args.model, None)?, devices)?,
    };
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print(&report);
    }
    Ok(())
}

fn of_bundle(bundle: &Bundle, devices: Option<&Devices>) -> anyhow::Result<Report> {
    let mut graphs = Vec::new();
    for variant in &bundle.manifest().variants {
        for role in variant.graphs.keys() {
            let file = bundle.graph(Some(&variant.name), role)?;
            graphs.push(graph(format!("{}/{role}", variant.name), file, devices)?);
        }
    }
    Ok(Report {
        path: bundle.root().display().to_string(),
        manifest: Some(bundle.manifest().clone()),
        graphs,
    })
}

fn graph(name: String, file: &ModelFile, devices: Option<&Devices>) -> anyhow::Result<Graph> {
    let session = Session::load(file, &Options::default())?;
    let path = file.path();
    let list = |tensors: &[TensorInfo]| {
        let io = |t: &TensorInfo| Io {
            name: t.name.clone(),
            dtype: t.dtype,
            shape: t.shape.clone(),
        };
        tensors.iter().map(io).collect()
    };
    let (operators, opset) = operators(path).unzip();
    Ok(Graph {
        name,
        file: path.display().to_string(),
        size_bytes: size_bytes(file)?,
        inputs: list(session.inputs()),
        outputs: list(session.outputs()),
        operators,
        opset,
        placement: devices
            .map(|devices| placement::of(file, devices))
            .transpose()?,
    })
}

/// Size of a graph with its weights.
pub fn size_bytes(graph: &ModelFile) -> anyhow::Result<u64> {
    Ok(graph.size_bytes()? + beside(graph.path()))
}

/// Size of the file beside a graph that holds its weights, where there is one.
fn beside(path: &Path) -> u64 {
    let mut data = path.as_os_str().to_owned();
    data.push(".data");
    std::fs::metadata(data).map_or(0, |m| m.len())
}

#[cfg(feature = "convert")]
fn operators(path: &Path) -> Option<(BTreeMap<String, usize>, i64)> {
    let graph = bevel_onnx::Graph::load(path).ok()?;
    let mut counts = BTreeMap::new();
    for node in &graph.nodes {
        *counts.entry(node.op_type().to_string()).or_insert(0) += 1;
    }
    Some((counts, graph.opsets.get("").copied().unwrap_or(0)))
}

#[cfg(not(feature = "convert"))]
fn operators(_: &Path) -> Option<(BTreeMap<String, usize>, i64)> {
    None
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn print(report: &Report) {
    println!("{}", report.path);
    if let Some(manifest) = &report.manifest {
        let row = |name: &str, value: &str| vec![name.to_string(), value.to_string()];
        let mut rows = vec![
            row("name", &manifest.name),
            row("task", manifest.task.name()),
            row("family", &manifest.family),
        ];
        if let Some(from) = &manifest.provenance {
            rows.push(row("checkpoint", &from.checkpoint));
            rows.push(row("  sha256", &from.sha256));
            rows.push(row("licence", &from.license));
            rows.push(row("made by", &from.tool));
        }
        rows.retain(|r| !r[1].is_empty());
        print!("{}", table(&rows));
        print!("{}", variants(manifest));
    }
    for graph in &report.graphs {
        let opset = graph
            .opset
            .map(|o| format!(", opset {o}"))
            .unwrap_or_default();
        println!("{} ({}{opset})", graph.name, mib(graph.size_bytes));
        let io = |kind: &str, t: &Io| {
            let axes: Vec<_> = t
                .shape
                .iter()
                .map(|d| d.map_or("?".into(), |d| d.to_string()))
                .collect();
            vec![
                kind.into(),
                t.name.clone(),
                t.dtype.into(),
                format!("[{}]", axes.join(", ")),
            ]
        };
        let inputs = graph.inputs.iter().map(|t| io("in", t));
        let rows: Vec<_> = inputs
            .chain(graph.outputs.iter().map(|t| io("out", t)))
            .collect();
        print!("{}", table(&rows));
        if let Some(operators) = &graph.operators {
            let mut counts: Vec<_> = operators.iter().collect();
            counts.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
            let list: Vec<_> = counts
                .iter()
                .map(|(name, n)| format!("{name} {n}"))
                .collect();
            println!("  operators: {}", list.join(", "));
        }
        if let Some(placed) = &graph.placement {
            placement::print(placed);
        }
    }
}

fn variants(manifest: &Manifest) -> String {
    let head = ["variant", "scheme", "quality", "latency", "", ""]
        .map(String::from)
        .to_vec();
    let rows = manifest.variants.iter().map(|v| {
        let chosen = if v.name == manifest.variant {
            "chosen"
        } else {
            ""
        };
        let (quality, latency, machine) = match &v.measured {
            None => (String::new(), String::new(), String::new()),
            Some(m) => (
                quality(m),
                format!("{:.2} ms, {:.2} × fp32", m.latency_ms, m.latency_ratio),
                m.machine.clone(),
            ),
        };
        vec![
            v.name.clone(),
            v.scheme.clone(),
            quality,
            latency,
            chosen.into(),
            machine,
        ]
    });
    table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}
