//! `bevel verify`.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use bevel::{Bundle, Devices, Session, Tensor, TensorData};
use bevel_manifest::{ErrorKind, FileEntry};
use safetensors::{Dtype, SafeTensors};
use serde::Serialize;

use crate::args::VerifyArgs;
use crate::failure::fail;
use crate::open;
use crate::show::table;

#[derive(Serialize)]
struct Report {
    files: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    graph: Option<String>,
    outputs: Vec<Compared>,
    ok: bool,
}

/// How one output differs from what was recorded.
#[derive(Serialize)]
struct Compared {
    name: String,
    shape: Vec<usize>,
    values: usize,
    max_abs: f64,
    /// The largest `|a − b| − (atol + rtol · |b|)`; above zero is a breach.
    max_excess: f64,
    ok: bool,
}

/// Compares the hashes of a bundle's files, then with `--io` its answers.
pub fn verify(args: &VerifyArgs) -> anyhow::Result<()> {
    let plain = args.model.is_file();
    let bundle = if plain {
        None
    } else {
        Some(open::bundle(&args.model, None)?)
    };
    let mut report = Report {
        files: 0,
        graph: None,
        outputs: Vec::new(),
        ok: true,
    };
    if let Some(bundle) = &bundle {
        report.files = check_hashes(bundle)?;
    }
    if let Some(io) = &args.io {
        let graph = graph(args, bundle.as_ref())?;
        report.outputs = compare(&graph, io, args.atol, args.rtol)?;
        report.ok = report.outputs.iter().all(|o| o.ok);
        report.graph = Some(graph.display().to_string());
    } else if plain {
        return Err(fail(
            ErrorKind::Input,
            "a plain model has no hashes to check; give --io FILE",
        ));
    }
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print(&report);
    }
    if report.ok {
        return Ok(());
    }
    let names: Vec<_> = report
        .outputs
        .iter()
        .filter(|o| !o.ok)
        .map(|o| o.name.as_str())
        .collect();
    Err(fail(
        ErrorKind::Quality,
        format!(
            "outside {} + {}·|b|: {}",
            args.atol,
            args.rtol,
            names.join(", ")
        ),
    ))
}

/// Reads every file of the bundle and compares its SHA-256. Returns how many there are.
fn check_hashes(bundle: &Bundle) -> anyhow::Result<usize> {
    let files = &bundle.manifest().files;
    for file in files {
        let path = bundle.root().join(&file.path);
        let found = entry(&file.path, &path)?.sha256;
        if found != file.sha256 {
            return Err(fail(
                ErrorKind::Model,
                format!(
                    "{}: SHA-256 {found}, bundle.toml says {}; copy it again",
                    path.display(),
                    file.sha256
                ),
            ));
        }
    }
    Ok(files.len())
}

/// Size and SHA-256 of a file of a model, under the name it has in a bundle.
pub fn entry(name: &str, path: &Path) -> anyhow::Result<FileEntry> {
    let unreadable = |source| bevel::Error::ModelFile {
        path: path.to_path_buf(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    Ok(FileEntry::of(name, file).map_err(unreadable)?)
}

/// The graph to run: the file itself, or that of the named variant, fp32 where there is one.
fn graph(args: &VerifyArgs, bundle: Option<&Bundle>) -> anyhow::Result<PathBuf> {
    let Some(bundle) = bundle else {
        return Ok(args.model.clone());
    };
    let fp32 = bundle
        .manifest()
        .variants
        .iter()
        .any(|v| v.name == "fp32")
        .then_some("fp32");
    let variant = args.variant.as_deref().or(fp32);
    Ok(bundle.graph(variant, &args.graph)?.to_path_buf())
}

fn compare(graph: &Path, io: &Path, atol: f64, rtol: f64) -> anyhow::Result<Vec<Compared>> {
    let tensors = read(io)?;
    let part = |prefix: &str| -> BTreeMap<String, Tensor> {
        let named = tensors
            .iter()
            .filter_map(|(n, t)| Some((n.strip_prefix(prefix)?, t)));
        named.map(|(n, t)| (n.to_string(), t.clone())).collect()
    };
    let (inputs, expected) = (part("input."), part("output."));
    if inputs.is_empty() || expected.is_empty() {
        let what = "holds no tensors `input.NAME` and `output.NAME`";
        return Err(fail(ErrorKind::Input, format!("{}: {what}", io.display())));
    }
    let mut session = Session::load(graph, &Devices::default())?;
    let outputs = session.run_tensors(&inputs)?;
    expected
        .into_iter()
        .map(|(name, expected)| {
            let found = outputs.get(&name).ok_or_else(|| {
                let known: Vec<_> = outputs.keys().map(String::as_str).collect();
                fail(
                    ErrorKind::Model,
                    format!(
                        "the graph has no output `{name}`, only: {}",
                        known.join(", ")
                    ),
                )
            })?;
            Ok(difference(name, found, &expected, atol, rtol))
        })
        .collect()
}

fn difference(name: String, a: &Tensor, b: &Tensor, atol: f64, rtol: f64) -> Compared {
    let (mut max_abs, mut max_excess) = (0.0f64, f64::NEG_INFINITY);
    let same_shape = a.shape == b.shape;
    if same_shape {
        for (a, b) in a.data.to_f64().into_iter().zip(b.data.to_f64()) {
            // Equal covers infinities; a NaN on one side only must not pass as small.
            let gap = match a == b || (a.is_nan() && b.is_nan()) {
                true => 0.0,
                false if a.is_nan() || b.is_nan() => f64::INFINITY,
                false => (a - b).abs(),
            };
            let allowed = if b.is_finite() {
                atol + rtol * b.abs()
            } else {
                atol
            };
            max_abs = max_abs.max(gap);
            max_excess = max_excess.max(gap - allowed);
        }
    } else {
        (max_abs, max_excess) = (f64::INFINITY, f64::INFINITY);
    }
    let ok = same_shape && max_excess <= 0.0;
    Compared {
        name,
        shape: a.shape.clone(),
        values: b.data.len(),
        max_abs,
        max_excess,
        ok,
    }
}

/// All tensors of a safetensors file.
fn read(path: &Path) -> anyhow::Result<BTreeMap<String, Tensor>> {
    let bytes = std::fs::read(path).map_err(|source| bevel::Error::InputFile {
        path: path.to_path_buf(),
        source,
    })?;
    let bad = |what: String| fail(ErrorKind::Input, format!("{}: {what}", path.display()));
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|e| bad(format!("not a safetensors file, or cut off: {e}")))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        macro_rules! values {
            ($kind:ident, $t:ty) => {{
                let chunks = view.data().chunks_exact(size_of::<$t>());
                let value = |c: &[u8]| <$t>::from_le_bytes(c.try_into().unwrap_or_default());
                TensorData::$kind(chunks.map(value).collect())
            }};
        }
        let data = match view.dtype() {
            Dtype::F32 => values!(F32, f32),
            Dtype::F64 => values!(F64, f64),
            Dtype::I64 => values!(I64, i64),
            Dtype::I32 => values!(I32, i32),
            Dtype::I8 => values!(I8, i8),
            Dtype::U8 => values!(U8, u8),
            Dtype::BOOL => TensorData::Bool(view.data().iter().map(|b| *b != 0).collect()),
            other => {
                return Err(bad(format!(
                    "tensor `{name}` is {other:?}, which is not read"
                )));
            }
        };
        tensors.insert(name.to_string(), Tensor::new(view.shape().to_vec(), data)?);
    }
    Ok(tensors)
}

fn print(report: &Report) {
    if report.files > 0 {
        println!("  {} files match bundle.toml", report.files);
    }
    let head = ["output", "values", "max |a-b|", ""]
        .map(String::from)
        .to_vec();
    let row = |o: &Compared| {
        let verdict = if o.ok { "ok" } else { "BREACH" };
        vec![
            o.name.clone(),
            o.values.to_string(),
            format!("{:.2e}", o.max_abs),
            verdict.to_string(),
        ]
    };
    if !report.outputs.is_empty() {
        let rows: Vec<_> = std::iter::once(head)
            .chain(report.outputs.iter().map(row))
            .collect();
        print!("{}", table(&rows));
    }
}
