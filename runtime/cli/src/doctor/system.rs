//! Program, system and processor.

use bevel::{cpu, system as machine};

use super::findings::{Findings, Root};

/// What this build can do besides running models on the CPU.
const FEATURES: &[(&str, bool)] = &[
    ("text", cfg!(feature = "text")),
    ("vision", cfg!(feature = "vision")),
    ("speech", cfg!(feature = "speech")),
    ("convert", cfg!(feature = "convert")),
    ("listen", cfg!(feature = "listen")),
    ("microphone", cfg!(feature = "microphone")),
    ("cuda", cfg!(feature = "cuda")),
    ("tensorrt", cfg!(feature = "tensorrt")),
    ("xnnpack", cfg!(feature = "xnnpack")),
    ("acl", cfg!(feature = "acl")),
    ("openvino", cfg!(feature = "openvino")),
    ("coreml", cfg!(feature = "coreml")),
    ("qnn", cfg!(feature = "qnn")),
];

pub fn look(root: &Root, found: &mut Findings) {
    program(found);
    system(root, found);
    processor(found);
}

fn program(found: &mut Findings) {
    let has = FEATURES.iter().filter(|(_, has)| *has);
    let has: Vec<_> = has.map(|(name, _)| *name).collect();
    let version = env!("CARGO_PKG_VERSION");
    let with = match has.is_empty() {
        true => "no optional features".into(),
        false => format!("with {}", has.join(", ")),
    };
    found.ok("bevel", format!("{version}, {with}"));
    found.fact("bevel", version);
    found.fact("features", has);
    found.ok(
        "telemetry",
        "off (ORT_DISABLE_TELEMETRY=1 is set before the library is loaded)",
    );
    found.fact("telemetry", "off");
}

fn system(root: &Root, found: &mut Findings) {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    found.fact("system", format!("{os} {arch}"));
    // Boards with a device tree say what they are; PCs have a vendor's name for the mainboard.
    let board = root.read("/proc/device-tree/model");
    let board = board.or_else(|| root.read("/sys/class/dmi/id/product_name"));
    if let Some(board) = &board {
        found.ok("board", board);
        found.fact("board", board);
    }
    let release = root.read("/etc/os-release").unwrap_or_default();
    let pretty = release.lines().find_map(|l| l.strip_prefix("PRETTY_NAME="));
    let pretty = pretty.map_or(os, |name| name.trim_matches('"'));
    let kernel = root.read("/proc/sys/kernel/osrelease");
    let glibc = machine::glibc().map(|version| version.to_string());
    let known = |version: &Option<String>| version.clone().unwrap_or_else(|| "unknown".into());
    let (kernel_text, glibc_text) = (known(&kernel), known(&glibc));
    let value = format!("{pretty}, {arch}, kernel {kernel_text}, glibc {glibc_text}");
    found.ok("system", value);
    found.fact("kernel", &kernel);
    found.fact("glibc", &glibc);
}

fn processor(found: &mut Findings) {
    let (name, cores) = (cpu::model_name(), cpu::physical_cores());
    let usable = std::thread::available_parallelism().map_or(1, usize::from);
    found.ok(
        "cpu",
        format!("{name}, {cores} physical cores, {usable} threads usable"),
    );
    found.fact("cpu", name);
    found.fact("physical_cores", cores);
    let features = cpu::features();
    let names = |wanted: bool| {
        let names = features.iter().filter(|(_, has)| *has == wanted);
        let names: Vec<_> = names.map(|(name, _)| *name).collect();
        match names.is_empty() {
            true => "none".to_string(),
            false => names.join(" "),
        }
    };
    let missing = names(false);
    found.ok("cpu features", format!("{} (not: {missing})", names(true)));
    for (kind, meaning) in [("int8", int8(&features)), ("fp16", fp16(&features))] {
        found.ok(&format!("  {kind}"), meaning);
    }
    found.fact("cpu_features", &features);
}

fn has(features: &[(&str, bool)], wanted: &[&'static str]) -> Option<&'static str> {
    let has = |name: &&str| features.iter().any(|(n, has)| *has && n == name);
    wanted.iter().copied().find(has)
}

/// What int8 models gain here.
fn int8(features: &[(&str, bool)]) -> String {
    match has(features, &["i8mm", "dotprod", "avx512vnni", "avxvnni"]) {
        Some(name) => format!("fast: multiplied by {name}"),
        None => "a quarter of the memory, little faster than fp32: no byte products; \
                 `bevel bench BUNDLE --choose` measures which variant is best here"
            .into(),
    }
}

/// What fp16 models gain here.
fn fp16(features: &[(&str, bool)]) -> String {
    match has(features, &["fp16"]) {
        Some(_) => "calculated".into(),
        None => "stored only: half the file, calculated as fp32".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::findings::put;
    use super::*;

    #[test]
    fn a_board_says_what_it_is_and_a_bare_root_is_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::at(folder.path());
        let mut found = Findings::default();
        look(&root, &mut found);
        assert!(found.verdict().is_ok());
        put(
            folder.path(),
            "/proc/device-tree/model",
            "Raspberry Pi 5 Model B Rev 1.0\0",
        );
        put(
            folder.path(),
            "/etc/os-release",
            "NAME=Debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
        );
        let mut found = Findings::default();
        look(&root, &mut found);
        let text = found.text();
        assert!(text.contains("Raspberry Pi 5 Model B Rev 1.0\n"), "{text}");
        assert!(text.contains("Debian GNU/Linux 12 (bookworm),"), "{text}");
    }

    #[test]
    fn features_mean_something() {
        assert!(int8(&[("neon", true), ("dotprod", true)]).contains("dotprod"));
        assert!(int8(&[("neon", true), ("dotprod", false)]).contains("--choose"));
        assert_eq!(fp16(&[("fp16", true)]), "calculated");
    }
}
