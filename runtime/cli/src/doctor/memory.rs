//! Memory, what of it this process may use, and space on disks.

use std::path::Path;

use bevel_manifest::ErrorKind;

use super::findings::{Findings, Root};
use crate::disk;

const MIB: u64 = 1 << 20;

/// Less than this, and even small models may not fit.
const SCARCE: u64 = 128 * MIB;

/// Less than this, and caches and transcripts may not fit.
const LITTLE_SPACE: u64 = 256 * MIB;

/// Bytes of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    pub total: u64,
    /// What can be had without swapping, and within the limit.
    pub available: u64,
    /// Of the control group, which a container or a service has.
    pub limit: Option<u64>,
}

pub fn look(root: &Root, bundle: Option<&Path>, found: &mut Findings) {
    if let Some(memory) = memory(root) {
        let Memory {
            total,
            available,
            limit,
        } = memory;
        let mut value = format!("{} free of {}", disk::text(available), disk::text(total));
        if let Some(limit) = limit {
            value += &format!(", limited to {} by the control group", disk::text(limit));
        }
        match available {
            SCARCE.. => found.ok("memory", value),
            _ => found.warning(
                "memory",
                value,
                "end other programs, raise the limit, or use a smaller model or an int8 variant",
            ),
        }
        found.fact("memory_mib", total / MIB);
        found.fact("memory_available_mib", available / MIB);
        found.fact("memory_limit_mib", limit.map(|bytes| bytes / MIB));
    }
    if !limits_work(root) {
        found.warning(
            "memory limits",
            "the kernel has them switched off, so `MemoryMax` of services does nothing",
            "add `cgroup_enable=memory` to the kernel's command line, on a Raspberry Pi \
             /boot/firmware/cmdline.txt, and start again",
        );
    }
    if let Some(cores) = quota(root) {
        found.ok(
            "cpu quota",
            format!("{cores:.1} cores by the control group"),
        );
        found.fact("cpu_quota", cores);
    }
    disks(bundle, found);
}

/// As the system tells; `None` where it does not.
pub fn memory(root: &Root) -> Option<Memory> {
    let text = root.read("/proc/meminfo")?;
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
        kib.checked_mul(1024)
    };
    let total = bytes("MemTotal:")?;
    // Kernels before 3.14 do not estimate it.
    let free = bytes("MemAvailable:").or_else(|| bytes("MemFree:"))?;
    let group = limit(root).filter(|group| group.limit < total);
    let left = group.as_ref().map(|g| g.limit.saturating_sub(g.used));
    Some(Memory {
        total,
        available: left.map_or(free, |left| left.min(free)),
        limit: group.map(|g| g.limit),
    })
}

/// Whether control groups of version 2 can limit memory; true where there are none.
fn limits_work(root: &Root) -> bool {
    let controllers = root.read("/sys/fs/cgroup/cgroup.controllers");
    controllers.is_none_or(|names| names.split_whitespace().any(|name| name == "memory"))
}

struct Group {
    limit: u64,
    used: u64,
}

/// The tightest limit of the control groups that this process is in: version 2, else 1.
fn limit(root: &Root) -> Option<Group> {
    let groups = folders(root).into_iter().filter_map(|folder| {
        let limit = root.number(&format!("{folder}/memory.max"));
        let used = root.number(&format!("{folder}/memory.current"));
        Some((limit?, used.unwrap_or(0)))
    });
    let old = "/sys/fs/cgroup/memory";
    let first = || {
        let limit = root.number(&format!("{old}/memory.limit_in_bytes"))?;
        let used = root.number(&format!("{old}/memory.usage_in_bytes"));
        Some((limit, used.unwrap_or(0)))
    };
    let tightest = groups.min_by_key(|(limit, _)| *limit).or_else(first);
    tightest.map(|(limit, used)| Group { limit, used })
}

/// The fewest cores that control groups allow in the long run.
fn quota(root: &Root) -> Option<f64> {
    let of = |folder: String| {
        let text = root.read(&format!("{folder}/cpu.max"))?;
        let (quota, period) = text.split_once(' ')?;
        let cores = quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?;
        cores.is_finite().then_some(cores)
    };
    folders(root).into_iter().filter_map(of).reduce(f64::min)
}

/// The folders of this process's control group (version 2) and of those around it.
fn folders(root: &Root) -> Vec<String> {
    let text = root.read("/proc/self/cgroup").unwrap_or_default();
    let own = text.lines().find_map(|line| line.strip_prefix("0::/"));
    let mut own = own.unwrap_or_default();
    let mut folders = Vec::new();
    while !own.is_empty() {
        folders.push(format!("/sys/fs/cgroup/{own}"));
        own = own.rsplit_once('/').map_or("", |(outer, _)| outer);
    }
    // In a container its own group is mounted here.
    folders.push("/sys/fs/cgroup".into());
    folders
}

/// Space where Bevel writes: beside a bundle, temporary files, and pulled models.
fn disks(bundle: Option<&Path>, found: &mut Findings) {
    let mut places = vec![("temporary files", std::env::temp_dir())];
    if let Some(bundle) = bundle.filter(|bundle| bundle.is_dir()) {
        places.push(("bundle", bundle.to_owned()));
    }
    #[cfg(feature = "convert")]
    if let Ok(models) = crate::catalog::folder() {
        places.push(("models", models));
    }
    for (what, folder) in places {
        // A folder that is made later is on the disk of the one around it.
        let Some(there) = folder.ancestors().find(|folder| folder.is_dir()) else {
            continue;
        };
        let Some(free) = disk::free(there) else {
            continue;
        };
        let value = format!(
            "{} free for {what} in {}",
            disk::text(free),
            folder.display()
        );
        match free {
            LITTLE_SPACE.. => found.ok("disk", value),
            _ => found.warning("disk", value, "make room there"),
        }
    }
}

/// Whether a model of this size in bytes can be loaded: its weights, once more while they are packed, and
/// room for what flows through it.
pub fn fits(weights: u64, root: &Root, found: &mut Findings) {
    let Some(memory) = memory(root) else { return };
    let (least, likely) = (weights, weights.saturating_mul(2).saturating_add(32 * MIB));
    let have = disk::text(memory.available);
    let value = format!("{} of weights, {have} free", disk::text(weights));
    if memory.available < least {
        found.problem("  memory", ErrorKind::Device, value);
        found.advise("use a smaller variant or model, or end other programs");
    } else if memory.available < likely {
        let advice = format!(
            "loading may need up to {}; use a smaller variant, or end other programs",
            disk::text(likely)
        );
        found.warning("  memory", value, advice);
    } else {
        found.ok("  memory", value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::findings::{Verdict, put};
    use super::*;

    const MEMINFO: &str = "MemTotal:        1024000 kB\nMemFree:   80000 kB\n\
                           MemAvailable:     512000 kB\n";

    #[test]
    fn limits_of_control_groups_count() {
        struct Case {
            name: &'static str,
            files: &'static [(&'static str, &'static str)],
            expected: Option<Memory>,
        }
        let free = |available, limit| {
            Some(Memory {
                total: 1_024_000 * 1024,
                available,
                limit,
            })
        };
        let cases = [
            Case {
                name: "nothing there",
                files: &[],
                expected: None,
            },
            Case {
                name: "no limit",
                files: &[
                    ("/proc/meminfo", MEMINFO),
                    ("/proc/self/cgroup", "0::/user.slice\n"),
                    ("/sys/fs/cgroup/user.slice/memory.max", "max\n"),
                ],
                expected: free(512_000 * 1024, None),
            },
            Case {
                name: "the group around it is tighter",
                files: &[
                    ("/proc/meminfo", MEMINFO),
                    ("/proc/self/cgroup", "0::/system.slice/a.service\n"),
                    (
                        "/sys/fs/cgroup/system.slice/a.service/memory.max",
                        "500000000",
                    ),
                    ("/sys/fs/cgroup/system.slice/memory.max", "200000000"),
                    ("/sys/fs/cgroup/system.slice/memory.current", "50000000"),
                ],
                expected: free(150_000_000, Some(200_000_000)),
            },
            Case {
                name: "version 1",
                files: &[
                    ("/proc/meminfo", MEMINFO),
                    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "100000000"),
                    ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "100000001"),
                ],
                expected: free(0, Some(100_000_000)),
            },
        ];
        for case in cases {
            let folder = tempfile::tempdir().unwrap();
            for (path, text) in case.files {
                put(folder.path(), path, text);
            }
            let root = Root::at(folder.path());
            assert_eq!(memory(&root), case.expected, "{}", case.name);
        }
    }

    #[test]
    fn limits_that_are_switched_off_are_told() {
        for (controllers, works) in [
            (None, true),
            (Some("cpuset cpu io memory pids\n"), true),
            (Some("cpuset cpu io pids\n"), false),
        ] {
            let folder = tempfile::tempdir().unwrap();
            if let Some(names) = controllers {
                put(folder.path(), "/sys/fs/cgroup/cgroup.controllers", names);
            }
            assert_eq!(
                limits_work(&Root::at(folder.path())),
                works,
                "{controllers:?}"
            );
        }
    }

    #[test]
    fn a_model_that_does_not_fit_is_a_problem() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "/proc/meminfo", MEMINFO);
        put(folder.path(), "/sys/fs/cgroup/cpu.max", "150000 100000\n");
        let root = Root::at(folder.path());
        for (weights, expected) in [
            (100 * MIB, Verdict::Ok),
            (300 * MIB, Verdict::Warning),
            (600 * MIB, Verdict::Problem),
            (u64::MAX, Verdict::Problem),
        ] {
            let mut found = Findings::default();
            fits(weights, &root, &mut found);
            assert_eq!(found.lines[0].verdict, expected, "{weights}");
        }
        assert_eq!(quota(&root), Some(1.5));
    }
}
