//! The machine that a program runs on, beside what a board profile says.

use bevel_manifest::{Glibc, Target};

use crate::cpu;

/// The C library of this process; `None` where it is not GNU's.
pub fn glibc() -> Option<Glibc> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    return gnu_version();
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    None
}

/// Neither the standard library nor rustix tells this version, and files of the system that do are
/// not at the same place everywhere.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn gnu_version() -> Option<Glibc> {
    unsafe extern "C" {
        fn gnu_get_libc_version() -> *const std::ffi::c_char;
    }
    // SAFETY: glibc documents a text that ends in 0 and lives as long as the process.
    let version = unsafe { std::ffi::CStr::from_ptr(gnu_get_libc_version()) };
    version.to_str().ok()?.parse().ok()
}

/// Memory of this machine in MiB, if the system tells.
pub fn memory_mib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024)
}

/// Where this machine has less than a board profile says, one line each; none where what is made for
/// the board suits it.
pub fn mismatches(target: &Target) -> Vec<String> {
    let mut found = Vec::new();
    let (name, arch) = (&target.name, std::env::consts::ARCH);
    if arch != target.arch() {
        // Nothing else can be compared.
        return vec![format!(
            "{name} is of {}, this program of {arch}",
            target.arch()
        )];
    }
    for feature in &target.cpu_features {
        if !cpu::has(feature) {
            found.push(format!(
                "the processor of {name} has {feature}, this one not"
            ));
        }
    }
    match glibc() {
        Some(has) if has < target.glibc => found.push(format!(
            "{name} has glibc {} or newer, this system {has}",
            target.glibc
        )),
        Some(_) => {}
        None => found.push(format!(
            "{name} has glibc {}, this system none",
            target.glibc
        )),
    }
    // Not those of this process alone: a service is confined to the fast ones.
    let cpus = cpu::processors();
    let needed = target
        .cores
        .iter()
        .max()
        .map_or(target.threads, |last| last + 1);
    if cpus < needed {
        found.push(format!(
            "{name} has {needed} cores or more, this machine {cpus}"
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(triple: &str, from: &str, to: &str) -> Target {
        let text = r#"
name = "b"
board = "Board"
triple = "TRIPLE"
glibc = "2.17"
threads = 1
memory_cap_mib = 1
providers = ["cpu"]
quantization = ["fp32"]
"#;
        let text = text.replace("TRIPLE", triple).replace(from, to);
        Target::from_toml(&text).unwrap()
    }

    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn what_this_machine_lacks_is_told() {
        let here = match std::env::consts::ARCH {
            "arm" => "armv7-unknown-linux-gnueabihf".to_string(),
            arch => format!("{arch}-unknown-linux-gnu"),
        };
        let there = if here.starts_with("aarch64") {
            "x86_64"
        } else {
            "aarch64"
        };
        let there = format!("{there}-unknown-linux-gnu");
        assert_eq!(mismatches(&target(&here, "", "")), [""; 0]);
        for (from, to, says) in [
            ("2.17", "9.9", "glibc 9.9 or newer, this system 2."),
            ("threads = 1", "threads = 9999", "9999 cores or more"),
            ("threads = 1", "threads = 1\ncores = [7777]", "7778 cores"),
        ] {
            let found = mismatches(&target(&here, from, to));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(says), "{found:?}");
        }
        let found = mismatches(&target(&there, "2.17", "9.9"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("this program of"), "{found:?}");
    }
}
