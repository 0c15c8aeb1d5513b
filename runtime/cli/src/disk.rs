//! Room on disks.

use std::path::Path;

/// Bytes that a user may still write to the disk of a folder, if the system tells.
pub fn free(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

/// `850 KiB`, `12.3 MiB` or `3.4 GiB`.
pub fn text(bytes: u64) -> String {
    let of = |unit: u32| bytes as f64 / f64::from(unit);
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", of(1 << 20)),
        _ => format!("{:.1} GiB", of(1 << 30)),
    }
}
