//! The program and the library for a board: where they are, and whether they run there.

use std::path::{Path, PathBuf};

use bevel::elf::Elf;
use bevel::{Device, Devices};
use bevel_manifest::{ErrorKind, Target};

use super::devices;
use crate::failure::fail;

/// A file that runs on the board.
pub struct Part {
    pub path: PathBuf,
    pub elf: Elf,
}

/// The program that was given, or the one that `make cross` has built for the board or for every board of
/// its kind, which has no providers besides the CPU.
///
/// # Errors
/// Of kind `Device` where there is none, or it does not run on the board.
pub fn program(given: Option<&Path>, target: &Target, devices: &Devices) -> anyhow::Result<Part> {
    let name = &target.name;
    let processor = target.triple.split('-').next().unwrap_or_default();
    let next = format!("`make cross T={name}` builds one; --program FILE takes another");
    let path = match given {
        Some(given) => given.to_owned(),
        None => {
            let places = build_folders().into_iter().flat_map(|folder| {
                let generic = devices.iter().all(Device::is_cpu);
                let generic = generic.then(|| format!("generic-{processor}"));
                let names = [Some(name.clone()), generic].into_iter().flatten();
                names.map(move |name| folder.join("cross").join(name).join("bevel"))
            });
            first(places, &format!("no program for {name}"), &next)?
        }
    };
    part(path, target, &next)
}

/// The library that was given, or the one that `make setup` has fetched.
///
/// # Errors
/// As [`program`].
pub fn library(given: Option<&Path>, target: &Target) -> anyhow::Result<Part> {
    let arch = target.arch();
    let next = match arch {
        "arm" => "there is no wheel for it: build one and give --onnxruntime FILE".into(),
        _ => {
            format!("`scripts/onnxruntime.sh {arch}` fetches one; --onnxruntime FILE takes another")
        }
    };
    let path = match given {
        Some(given) => given.to_owned(),
        None => {
            let places = build_folders().into_iter();
            let places =
                places.map(|folder| folder.join(format!("onnxruntime/{arch}/libonnxruntime.so")));
            first(places, &format!("no ONNX Runtime for {arch}"), &next)?
        }
    };
    part(path, target, &next)
}

/// The libraries of providers beside ONNX Runtime, and licences.
///
/// # Errors
/// Of kind `Device` where one that the board's devices need is not there: it would use its CPU.
pub fn beside(library: &Path, target: &Target, devices: &Devices) -> anyhow::Result<Vec<PathBuf>> {
    // Behind a link are the other files of the same release.
    let library = library.canonicalize()?;
    let folder = library.parent().unwrap_or(Path::new(""));
    let mut wanted = vec!["LICENSE", "ThirdPartyNotices.txt"];
    if devices::need_nvidia(devices) {
        let mut needed = vec![
            "libonnxruntime_providers_shared.so",
            "libonnxruntime_providers_cuda.so",
        ];
        if devices.iter().any(|d| d.provider().name == "tensorrt") {
            needed.push("libonnxruntime_providers_tensorrt.so");
        }
        if let Some(missing) = needed.iter().find(|name| !folder.join(name).is_file()) {
            let what = format!(
                "{} has no {missing} beside it, which `{devices}` needs; give --onnxruntime FILE of a build \
                 with CUDA and TensorRT for the board, or a profile with providers = [\"cpu\"]",
                library.display()
            );
            return Err(fail(ErrorKind::Device, what));
        }
        for name in &needed {
            let next = "take all of them of one build for the board";
            part(folder.join(name), target, next)?;
        }
        wanted.extend(needed);
    }
    let paths = wanted.into_iter().map(|name| folder.join(name));
    Ok(paths.filter(|path| path.is_file()).collect())
}

/// Where builds of a checkout go: `target` around this program, and in this folder.
fn build_folders() -> Vec<PathBuf> {
    let program = std::env::current_exe().and_then(|path| path.canonicalize());
    let mut folders: Vec<PathBuf> = Vec::new();
    if let Ok(program) = program {
        let around = program.ancestors().filter(|f| f.ends_with("target"));
        folders.extend(around.map(Path::to_path_buf));
    }
    folders.push("target".into());
    folders
}

fn first(places: impl Iterator<Item = PathBuf>, what: &str, next: &str) -> anyhow::Result<PathBuf> {
    let places: Vec<_> = places.collect();
    if let Some(found) = places.iter().find(|path| path.is_file()) {
        return Ok(found.clone());
    }
    let places: Vec<_> = places.iter().map(|p| p.display().to_string()).collect();
    let what = format!("{what}: looked for {}; {next}", places.join(", "));
    Err(fail(ErrorKind::Device, what))
}

fn part(path: PathBuf, target: &Target, next: &str) -> anyhow::Result<Part> {
    let elf = Elf::read(&path)?;
    if let Some(misfit) = elf.misfit(target.arch(), Some(target.glibc)) {
        let (path, board) = (path.display(), &target.name);
        let what = format!("{path} does not run on {board}: it {misfit}; {next}");
        return Err(fail(ErrorKind::Device, what));
    }
    Ok(Part { path, elf })
}
