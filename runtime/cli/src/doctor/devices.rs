//! Device files: accelerators and cameras, and whether this user may open them.

use std::os::unix::fs::MetadataExt;

use rustix::fs::Access;
use serde::Serialize;

use super::findings::{Findings, Root};

/// Folder, beginning of the name, and what it is.
const NODES: [(&str, &str, &str); 13] = [
    ("/dev", "nvidia0", "NVIDIA GPU"),
    ("/dev", "nvhost-gpu", "NVIDIA GPU of a Jetson"),
    ("/dev", "nvmap", "memory of a Jetson's GPU"),
    ("/dev", "nvhost-nvdla", "NVIDIA DLA of a Jetson"),
    ("/dev", "kfd", "AMD GPU"),
    ("/dev/dri", "renderD", "GPU"),
    ("/dev", "mali", "Mali GPU"),
    ("/dev", "galcore", "Vivante GPU or NPU of an i.MX"),
    ("/dev", "rknpu", "Rockchip NPU"),
    ("/dev/accel", "accel", "accelerator, such as an Intel NPU"),
    ("/dev", "apex_", "Coral TPU"),
    ("/dev", "hailo", "Hailo NPU"),
    ("/dev", "video", "camera or video codec"),
];

#[derive(Serialize)]
struct Node {
    path: String,
    what: &'static str,
    usable: bool,
}

pub fn look(root: &Root, found: &mut Findings) {
    let mut nodes = Vec::new();
    for (folder, start, what) in NODES {
        let paths = root.names(folder, start);
        let paths = paths.iter().map(|name| format!("{folder}/{name}"));
        let (usable, refused): (Vec<_>, Vec<_>) = paths.partition(|path| may_use(root, path));
        if !usable.is_empty() {
            found.ok("device", format!("{what}: {}", usable.join(" ")));
        }
        if let Some(first) = refused.first() {
            let value = format!("{what}: {} may not be opened", refused.join(" "));
            found.warning("device", value, join_group(root, first));
        }
        let node = |usable: bool| move |path| Node { path, what, usable };
        nodes.extend(usable.into_iter().map(node(true)));
        nodes.extend(refused.into_iter().map(node(false)));
    }
    found.fact("devices", nodes);
}

/// Whether this user may read and write a device. It is not opened: some start when they are.
pub fn may_use(root: &Root, path: &str) -> bool {
    rustix::fs::access(root.path(path), Access::READ_OK | Access::WRITE_OK).is_ok()
}

/// How to get the right to use a device: mostly by the group that it belongs to.
pub fn join_group(root: &Root, path: &str) -> String {
    let group = root.path(path).metadata().ok().map(|data| data.gid());
    let groups = root.read("/etc/group").unwrap_or_default();
    let name = groups.lines().find_map(|line| {
        let mut parts = line.split(':');
        let (name, id) = (parts.next()?, parts.nth(1)?);
        (id.parse().ok() == group).then_some(name)
    });
    match name {
        Some(name) if name != "root" => format!(
            "it belongs to the group {name}: `sudo usermod -aG {name} $USER`, then log in again; in a \
             container pass the device on"
        ),
        _ => "only root may open it; give it a group with a udev rule".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::findings::{Verdict, put};
    use super::*;

    #[test]
    fn devices_are_named_with_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "/dev/dri/renderD128", "");
        put(folder.path(), "/dev/dri/card0", "");
        put(folder.path(), "/dev/video0", "");
        put(folder.path(), "/dev/video10", "");
        let mut found = Findings::default();
        look(&Root::at(folder.path()), &mut found);
        let lines: Vec<_> = found
            .lines
            .iter()
            .map(|line| (line.verdict, line.value.as_str()))
            .collect();
        assert_eq!(
            lines,
            [
                (Verdict::Ok, "GPU: /dev/dri/renderD128"),
                (
                    Verdict::Ok,
                    "camera or video codec: /dev/video0 /dev/video10"
                ),
            ]
        );
    }

    #[test]
    fn the_group_of_a_device_is_the_advice() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "/dev/video0", "");
        let gid = folder.path().join("dev/video0").metadata().unwrap().gid();
        let root = Root::at(folder.path());
        assert!(join_group(&root, "/dev/video0").contains("udev"));
        put(
            folder.path(),
            "/etc/group",
            &format!("nothing\nvideo:x:{gid}:me\n"),
        );
        let advice = join_group(&root, "/dev/video0");
        assert!(advice.contains("usermod -aG video "), "{advice}");
    }
}
