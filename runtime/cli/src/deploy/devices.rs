//! Where a board runs models.

use bevel::Devices;
use bevel_manifest::{ErrorKind, Target};

use crate::failure::fail;

/// Providers that are in ONNX Runtime's library, or whose own library is copied from beside it.
const BROUGHT: [&str; 5] = ["cpu", "cuda", "tensorrt", "xnnpack", "acl"];
const NVIDIA: [&str; 2] = ["cuda", "tensorrt"];

/// The providers of a profile.
///
/// # Errors
/// When one is none of Bevel's, or needs libraries that a deployment does not bring: without it the board
/// would use its CPU and nobody would know.
pub fn of(target: &Target) -> anyhow::Result<Devices> {
    let refused = |kind, what: String| fail(kind, format!("profile {}: {what}", target.name));
    let devices: Devices = target
        .providers
        .join(",")
        .parse()
        .map_err(|e| refused(ErrorKind::Input, format!("{e}")))?;
    // They become part of a script.
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.,:=+/".contains(c);
    if !devices.to_string().chars().all(fits) {
        let what = format!("no character but letters, digits and -_.,:=+/ in `{devices}`");
        return Err(refused(ErrorKind::Input, what));
    }
    for device in devices.iter() {
        let name = device.provider().name;
        if !BROUGHT.contains(&name) {
            let known = BROUGHT.join(", ");
            let what =
                format!("a deployment does not bring provider `{name}`; it can bring {known}");
            return Err(refused(ErrorKind::Unsupported, what));
        }
    }
    Ok(devices)
}

/// Whether one of them is an NVIDIA GPU.
pub fn need_nvidia(devices: &Devices) -> bool {
    devices
        .iter()
        .any(|device| NVIDIA.contains(&device.provider().name))
}
