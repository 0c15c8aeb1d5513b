//! ONNX Runtime and its execution providers.

use bevel::Runtime;
use bevel::device::{self, Survey};
use bevel::elf::Elf;
use bevel_manifest::ErrorKind;
use serde::Serialize;

use super::findings::Findings;
use super::real;

/// What programs read of it.
#[derive(Serialize)]
struct Library {
    usable: bool,
    path: Option<String>,
    version: Option<String>,
    build: Option<String>,
    problem: Option<String>,
}

/// Whether ONNX Runtime can be used.
pub fn look(found: &mut Findings) -> bool {
    let runtime = match Runtime::get() {
        Ok(runtime) => runtime,
        Err(error) => {
            let problem = error.to_string();
            // It says itself what to do.
            found.problem("ONNX Runtime", ErrorKind::Device, &problem);
            found.fact(
                "onnxruntime",
                Library {
                    usable: false,
                    path: Runtime::find().ok().map(|path| real(&path)),
                    version: None,
                    build: None,
                    problem: Some(problem),
                },
            );
            found.fact("providers", Vec::<Survey>::new());
            return false;
        }
    };
    let (path, version) = (real(runtime.path()), runtime.version());
    let number = version.as_deref().unwrap_or("of unknown version");
    found.ok("ONNX Runtime", format!("{number}, {path}"));
    if let Some(needs) = Elf::read(runtime.path()).ok().and_then(|elf| elf.glibc()) {
        found.ok("  needs", format!("glibc {needs}"));
    }
    found.ok("  build", runtime.build_info());
    found.ok("  threads", runtime.threads().to_string());
    found.fact(
        "onnxruntime",
        Library {
            usable: true,
            path: Some(path),
            version,
            build: Some(runtime.build_info().to_string()),
            problem: None,
        },
    );
    let providers = device::survey().unwrap_or_default();
    let usable = providers.iter().filter(|provider| provider.usable);
    let usable: Vec<_> = usable.map(|provider| provider.title).collect();
    found.ok("providers", usable.join(" "));
    for provider in &providers {
        if let Some(reason) = &provider.reason {
            found.ok(&format!("  not {}", provider.title), reason.as_str());
            if let Some(install) = provider.install {
                found.advise(install);
            }
        }
    }
    found.fact("providers", &providers);
    true
}
