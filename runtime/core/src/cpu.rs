//! What the processor is: cores for the thread pool, features for `bevel doctor`, and whether this
//! program was built for it.

mod built;

use std::collections::BTreeSet;

use crate::error::{Error, Result};

/// What this program was built for and this processor lacks: the first such feature. It is the first
/// thing that a program asks, before the processor meets an instruction that it does not know and the
/// process dies (`SIGILL`). Programs that are built without `-C target-cpu` and `-C target-feature`
/// run everywhere.
pub fn missing() -> Option<&'static str> {
    built::missing()
}

/// The same as an error.
///
/// # Errors
/// [`Error::Device`] with what the processor lacks.
pub fn check() -> Result<()> {
    match missing() {
        None => Ok(()),
        Some(name) => Err(Error::Device(format!("{BUILT_FOR}{name}{LACKS}"))),
    }
}

/// What is said before the name of a missing feature.
pub const BUILT_FOR: &str = "this program was built for processors with ";
/// What is said behind it.
pub const LACKS: &str = ", which this one lacks; build it without `-C target-cpu` and \
                         `-C target-feature`, as `make cross` does";

/// Whether the processor has a feature of a board profile.
pub fn has(feature: &str) -> bool {
    let names: &[&str] = match feature {
        "vnni" => &["avx512vnni", "avxvnni"],
        _ => &[feature],
    };
    let mut features = features().into_iter();
    features.any(|(name, has)| has && names.contains(&name))
}

/// Processors of the machine, also those that this process may not use; at least 1.
pub fn processors() -> usize {
    let allowed = std::thread::available_parallelism().map_or(1, usize::from);
    let entries = std::fs::read_dir("/sys/devices/system/cpu");
    let names = entries.into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let is_processor = |name: &String| {
        let number = name.strip_prefix("cpu").unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    names.filter(is_processor).count().max(allowed)
}

/// Physical cores that this process may use, at least 1. Two threads on one core slow matrix
/// products down, so hyper-threads do not count.
pub fn physical_cores() -> usize {
    let allowed = std::thread::available_parallelism().map_or(1, usize::from);
    let Ok(cpus) = std::fs::read_dir("/sys/devices/system/cpu") else {
        return allowed;
    };
    let cores: BTreeSet<String> = cpus
        .filter_map(|cpu| {
            std::fs::read_to_string(cpu.ok()?.path().join("topology/thread_siblings_list")).ok()
        })
        .collect();
    if cores.is_empty() {
        allowed
    } else {
        cores.len().min(allowed)
    }
}

/// The processor's name as the system gives it.
pub fn model_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info
        .lines()
        .find(|l| l.starts_with("model name") || l.starts_with("Model"));
    let name = line
        .and_then(|l| l.split_once(':'))
        .map(|(_, name)| name.trim());
    name.unwrap_or(std::env::consts::ARCH).to_string()
}

/// The instruction sets that decide how fast a model runs, and whether this processor has them.
pub fn features() -> Vec<(&'static str, bool)> {
    #[cfg(target_arch = "x86_64")]
    {
        vec![
            ("sse4.1", is_x86_feature_detected!("sse4.1")),
            ("avx", is_x86_feature_detected!("avx")),
            ("avx2", is_x86_feature_detected!("avx2")),
            ("fma", is_x86_feature_detected!("fma")),
            ("f16c", is_x86_feature_detected!("f16c")),
            ("avx512f", is_x86_feature_detected!("avx512f")),
            ("avx512vnni", is_x86_feature_detected!("avx512vnni")),
            ("avxvnni", is_x86_feature_detected!("avxvnni")),
        ]
    }
    #[cfg(target_arch = "aarch64")]
    {
        use std::arch::is_aarch64_feature_detected;
        vec![
            ("neon", is_aarch64_feature_detected!("neon")),
            ("dotprod", is_aarch64_feature_detected!("dotprod")),
            ("fp16", is_aarch64_feature_detected!("fp16")),
            ("i8mm", is_aarch64_feature_detected!("i8mm")),
            ("bf16", is_aarch64_feature_detected!("bf16")),
            ("sve", is_aarch64_feature_detected!("sve")),
        ]
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        built::features()
    }
}

/// Whether products of u8 and s8 can overflow their 16-bit sums here: on x86 without VNNI. Sessions
/// then use the slower exact kernels, for an int8 model must answer the same on every device.
pub fn int8_saturates() -> bool {
    cfg!(target_arch = "x86_64") && !has("vnni")
}

/// Peak resident memory of this process in MiB (`VmHWM`), if the system tells.
pub fn peak_memory_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}
