//! A Debian package (deb(5)): an `ar` archive of the format's version, who the package is, and its files.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use bevel_manifest::Target;
use flate2::Compression;
use flate2::write::GzEncoder;
use tar::EntryType;

use super::archive;
use super::staged::Entry;

/// What is read before the package is unpacked, and run around that.
const SCRIPTS: [(&str, &str); 3] = [
    ("postinst", include_str!("../../assets/deploy/postinst")),
    ("postrm", include_str!("../../assets/deploy/postrm")),
    ("prerm", include_str!("../../assets/deploy/prerm")),
];

/// The folder of units in a deployment; a package puts them where systemd looks.
const UNITS: &str = "systemd/";

/// Who the package is.
pub struct About<'a> {
    pub name: &'a str,
    pub target: &'a Target,
    /// One line.
    pub what: &'a str,
    /// Libraries that the program asks for.
    pub libraries: &'a [String],
    /// The unit that is stopped before the package goes.
    pub unit: &'a str,
}

/// Debian's name of the architecture.
fn architecture(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "armhf",
        other => other,
    }
}

/// Writes the package of a folder.
pub fn write(
    out: impl Write,
    folder: &Path,
    entries: &[Entry],
    about: &About<'_>,
) -> io::Result<()> {
    let mut package = ar::Builder::new(out);
    let mut add = |name: &str, size: u64, content: &mut dyn io::Read| {
        let mut header = ar::Header::new(name.into(), size);
        header.set_mode(0o100_644);
        package.append(&header, content)
    };
    let version = b"2.0\n";
    add(
        "debian-binary",
        version.len() as u64,
        &mut version.as_slice(),
    )?;
    let control = control(entries, about)?;
    add(
        "control.tar.gz",
        control.len() as u64,
        &mut control.as_slice(),
    )?;
    // Its size comes before it, and is known after it.
    let mut data = tempfile::tempfile()?;
    let mut archive = gzip(&mut data);
    files(&mut archive, folder, entries, about.name)?;
    archive.finish()?;
    let size = data.stream_position()?;
    data.seek(SeekFrom::Start(0))?;
    add("data.tar.gz", size, &mut data)
}

/// Every dpkg reads it; of zstd that is true since Debian 12.
fn gzip<W: Write>(out: W) -> GzEncoder<W> {
    GzEncoder::new(out, Compression::default())
}

fn control(entries: &[Entry], about: &About<'_>) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(gzip(Vec::new()));
    let mut add = |name: &str, text: &str, mode| {
        let mut header = archive::header(EntryType::Regular, text.len() as u64, mode);
        archive.append_data(&mut header, format!("./{name}"), text.as_bytes())
    };
    add("control", &fields(entries, about), 0o644)?;
    for (name, template) in SCRIPTS {
        let text = template
            .replace("@UNIT@", about.unit)
            .replace("@NAME@", about.name);
        add(name, &text, 0o755)?;
    }
    archive.into_inner()?.finish()
}

fn fields(entries: &[Entry], about: &About<'_>) -> String {
    let About {
        name,
        target,
        what,
        libraries,
        ..
    } = about;
    let bytes: u64 = entries.iter().map(|entry| entry.size_bytes).sum();
    let mut depends = format!("libc6 (>= {}), libstdc++6", target.glibc);
    if libraries.iter().any(|library| library == "libasound.so.2") {
        depends += ", libasound2 | libasound2t64";
    }
    let maker = std::env::var("DEBEMAIL").ok();
    let maker = maker.filter(|m| m.contains('@') && !m.contains(['\n', '<', '>']));
    let maker = maker.unwrap_or_else(|| "root@localhost".into());
    format!(
        "Package: bevel-{name}\n\
         Version: {}\n\
         Architecture: {}\n\
         Maintainer: bevel deploy <{maker}>\n\
         Installed-Size: {}\n\
         Depends: {depends}\n\
         Section: misc\n\
         Priority: optional\n\
         Description: {what}\n \
         Installs /opt/bevel/{name} with Bevel, ONNX Runtime and the model, and a unit of\n \
         systemd that is not started: systemctl enable --now {}\n",
        env!("CARGO_PKG_VERSION"),
        architecture(target.arch()),
        bytes.div_ceil(1024),
        about.unit
    )
}

fn files<W: Write>(out: &mut W, folder: &Path, entries: &[Entry], name: &str) -> io::Result<()> {
    let opt = format!("./opt/bevel/{name}");
    let mut archive = tar::Builder::new(out);
    let own = entries.iter().map(|entry| (entry, opt.as_str()));
    archive::append(&mut archive, folder, &own.collect::<Vec<_>>())?;
    let mut made = false;
    for entry in entries.iter().filter(|e| e.path.starts_with(UNITS)) {
        let system = "./lib/systemd/system/";
        if !made {
            for parent in ["./lib/", "./lib/systemd/", system] {
                let mut header = archive::header(EntryType::Directory, 0, 0o755);
                archive.append_data(&mut header, parent, io::empty())?;
            }
            made = true;
        }
        let mut header = archive::header(EntryType::Regular, entry.size_bytes, 0o644);
        let path = format!("{system}{}", &entry.path[UNITS.len()..]);
        archive.append_data(&mut header, path, File::open(folder.join(&entry.path))?)?;
    }
    archive.finish()
}
