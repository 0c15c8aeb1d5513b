//! Board profiles: those that come with the program, and files.

use std::path::Path;

use anyhow::Context;
use bevel_manifest::{ErrorKind, Target};

use crate::failure::fail;

/// The files of `targets/`.
const PROFILES: [&str; 14] = [
    include_str!("../../../targets/generic-aarch64.toml"),
    include_str!("../../../targets/generic-armv7.toml"),
    include_str!("../../../targets/generic-x86_64.toml"),
    include_str!("../../../targets/imx8m.toml"),
    include_str!("../../../targets/jetson-nano.toml"),
    include_str!("../../../targets/jetson-orin.toml"),
    include_str!("../../../targets/n100.toml"),
    include_str!("../../../targets/rk3588.toml"),
    include_str!("../../../targets/rpi-zero-2w.toml"),
    include_str!("../../../targets/rpi3.toml"),
    include_str!("../../../targets/rpi4.toml"),
    include_str!("../../../targets/rpi5.toml"),
    include_str!("../../../targets/x86-64-v3.toml"),
    include_str!("../../../targets/x86-64-vnni.toml"),
];

/// A profile by its name, or by its file.
pub fn find(wanted: &Path) -> anyhow::Result<Target> {
    if wanted.extension().is_some_and(|e| e == "toml") {
        let unreadable = || {
            fail(
                ErrorKind::Input,
                format!("cannot read {}", wanted.display()),
            )
        };
        let text = std::fs::read_to_string(wanted).with_context(unreadable)?;
        return Target::from_toml(&text).with_context(|| wanted.display().to_string());
    }
    let mut known = Vec::new();
    for profile in PROFILES {
        let target = Target::from_toml(profile)?;
        if Path::new(&target.name) == wanted {
            return Ok(target);
        }
        known.push(target.name);
    }
    Err(fail(
        ErrorKind::Input,
        format!(
            "no target `{}`; known: {}; or give a profile FILE.toml",
            wanted.display(),
            known.join(", ")
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_listed_and_reads() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../targets");
        let mut count = 0;
        for file in folder.read_dir().unwrap() {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap();
            assert_eq!(find(Path::new(name)).unwrap(), find(&path).unwrap());
            count += 1;
        }
        assert_eq!(count, PROFILES.len());
        assert!(find(Path::new("toaster")).is_err());
    }
}
