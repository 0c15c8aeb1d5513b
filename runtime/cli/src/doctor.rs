//! `bevel doctor`.

use std::path::Path;

use bevel::device::{self, Survey};
use bevel::{Runtime, cpu};
use bevel_manifest::ErrorKind;
use serde::Serialize;

use crate::args::DoctorArgs;
use crate::failure::fail;
use crate::show::table;

#[derive(Serialize)]
struct Report {
    bevel: &'static str,
    system: String,
    cpu: String,
    physical_cores: usize,
    cpu_features: Vec<(&'static str, bool)>,
    memory_mib: Option<u64>,
    onnxruntime: Library,
    providers: Vec<Survey>,
    microphones: Microphones,
    telemetry: &'static str,
}

#[derive(Serialize)]
struct Microphones {
    /// As `listen --device-name` takes them.
    devices: Vec<String>,
    /// Why there are none.
    problem: Option<String>,
}

#[derive(Serialize)]
struct Library {
    usable: bool,
    path: Option<String>,
    version: Option<String>,
    build: Option<String>,
    problem: Option<String>,
}

/// Prints what of this machine can be used; fails when ONNX Runtime cannot.
pub fn doctor(args: &DoctorArgs) -> anyhow::Result<()> {
    let report = look();
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print(&report);
    }
    match report.onnxruntime.problem {
        None => Ok(()),
        Some(problem) => Err(fail(ErrorKind::Device, problem)),
    }
}

fn look() -> Report {
    let (onnxruntime, providers) = match Runtime::get() {
        Ok(runtime) => (
            Library {
                usable: true,
                path: Some(real(runtime.path())),
                version: runtime.version(),
                build: Some(runtime.build_info().to_string()),
                problem: None,
            },
            device::survey().unwrap_or_default(),
        ),
        Err(error) => (
            Library {
                usable: false,
                path: Runtime::find().ok().map(|p| real(&p)),
                version: None,
                build: None,
                problem: Some(error.to_string()),
            },
            Vec::new(),
        ),
    };
    Report {
        bevel: env!("CARGO_PKG_VERSION"),
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        cpu: cpu::model_name(),
        physical_cores: cpu::physical_cores(),
        cpu_features: cpu::features(),
        memory_mib: memory_mib(),
        microphones: microphones(),
        onnxruntime,
        providers,
        telemetry: "off (ORT_DISABLE_TELEMETRY=1 is set before the library is loaded)",
    }
}

fn print(report: &Report) {
    let names = |list: &[(&str, bool)], wanted: bool| {
        let names: Vec<_> = list
            .iter()
            .filter(|(_, b)| *b == wanted)
            .map(|(n, _)| *n)
            .collect();
        if names.is_empty() {
            "none".to_string()
        } else {
            names.join(" ")
        }
    };
    let row = |name: &str, value: String| vec![name.to_string(), value];
    let library = &report.onnxruntime;
    let mut rows = vec![
        row("bevel", report.bevel.to_string()),
        row("system", report.system.clone()),
        row(
            "cpu",
            format!("{}, {} physical cores", report.cpu, report.physical_cores),
        ),
        row("cpu features", names(&report.cpu_features, true)),
        row("  missing", names(&report.cpu_features, false)),
        row(
            "memory",
            report
                .memory_mib
                .map_or("unknown".into(), |m| format!("{m} MiB")),
        ),
        row(
            "ONNX Runtime",
            library.path.clone().unwrap_or_else(|| "not found".into()),
        ),
        row(
            "  usable",
            if library.usable {
                "yes".into()
            } else {
                "no".into()
            },
        ),
    ];
    if let Some(build) = &library.build {
        let version = library.version.clone().unwrap_or_else(|| "unknown".into());
        rows.push(row("  version", version));
        rows.push(row("  build", build.clone()));
        let usable = report.providers.iter().filter(|p| p.usable);
        let usable: Vec<_> = usable.map(|p| p.title).collect();
        rows.push(row("providers", usable.join(" ")));
        for provider in &report.providers {
            if let Some(reason) = &provider.reason {
                let install = provider
                    .install
                    .map(|i| format!("; {i}"))
                    .unwrap_or_default();
                rows.push(row(
                    &format!("  not {}", provider.title),
                    format!("{reason}{install}"),
                ));
            }
        }
    }
    let microphones = match &report.microphones.problem {
        Some(problem) => format!("none: {problem}"),
        None => report.microphones.devices.join("  "),
    };
    rows.push(row("microphones", microphones));
    rows.push(row("telemetry", report.telemetry.to_string()));
    print!("{}", table(&rows));
}

#[cfg(feature = "microphone")]
fn microphones() -> Microphones {
    use crate::listen::microphone;
    let devices: Vec<_> = microphone::inputs().into_iter().map(|(id, _)| id).collect();
    let problem = devices
        .is_empty()
        .then(|| microphone::nothing().to_string());
    Microphones { devices, problem }
}

#[cfg(not(feature = "microphone"))]
fn microphones() -> Microphones {
    Microphones {
        devices: Vec::new(),
        problem: Some("this build has no feature `microphone`".into()),
    }
}

/// The path without links and `..`, whose file name tells the version.
fn real(path: &Path) -> String {
    path.canonicalize()
        .unwrap_or_else(|_| path.to_path_buf())
        .display()
        .to_string()
}

fn memory_mib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("MemTotal:"))?;
    line.split_whitespace()
        .nth(1)?
        .parse::<u64>()
        .ok()
        .map(|kib| kib / 1024)
}
