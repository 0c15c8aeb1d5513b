use std::io::Cursor;

use super::*;

const AARCH64: u16 = 183;
const ARM: u16 = 40;

/// A library of 64 or 32 bits with one mapped segment that begins at the file's first byte, which
/// needs `libraries` with their versions.
fn library(machine: u16, libraries: &[(&str, &[&str])]) -> Vec<u8> {
    let wide = machine != ARM;
    let word = |value: u64| match wide {
        true => value.to_le_bytes().to_vec(),
        false => (value as u32).to_le_bytes().to_vec(),
    };
    let (header, segment, entry) = if wide { (64, 56, 16) } else { (52, 32, 8) };
    let mut names = vec![0u8];
    let mut name = |text: &str| {
        names.extend([text.as_bytes(), b"\0"].concat());
        (names.len() - text.len() - 1) as u32
    };
    let (mut needs, mut needed) = (Vec::new(), Vec::new());
    for (i, (library, versions)) in libraries.iter().enumerate() {
        let at = name(library);
        needed.push((1, u64::from(at)));
        let size = 16 + 16 * versions.len() as u32;
        let next = if i + 1 < libraries.len() { size } else { 0 };
        needs.extend([1u16, versions.len() as u16].map(u16::to_le_bytes).concat());
        needs.extend([at, 16, next].map(u32::to_le_bytes).concat());
        for (i, version) in versions.iter().enumerate() {
            let next = if i + 1 < versions.len() { 16u32 } else { 0 };
            needs.extend(
                [0u32, 0, name(version), next]
                    .map(u32::to_le_bytes)
                    .concat(),
            );
        }
    }
    let count = libraries.len() as u64;
    let tables = header + 2 * segment;
    let dynamic_size = entry * (needed.len() as u64 + 4);
    let needs_at = tables + dynamic_size;
    let names_at = needs_at + needs.len() as u64;
    let size = names_at + names.len() as u64;
    needed.extend([
        (5, names_at),
        (0x6fff_fffe, needs_at),
        (0x6fff_ffff, count),
        (0, 0),
    ]);

    let mut file = vec![0x7f, b'E', b'L', b'F', if wide { 2 } else { 1 }, 1];
    file.resize(16, 0);
    file.extend([3, machine].map(u16::to_le_bytes).concat());
    file.extend(1u32.to_le_bytes());
    file.extend([word(0), word(header), word(size)].concat());
    file.extend([0; 4]);
    let sizes = [header as u16, segment as u16, 2, 0, 0, 0];
    file.extend(sizes.map(u16::to_le_bytes).concat());
    for (kind, at, length) in [(1u32, 0, size), (2, tables, dynamic_size)] {
        file.extend(kind.to_le_bytes());
        if wide {
            file.extend([0; 4]);
        }
        for value in [at, at, at, length, length] {
            file.extend(word(value));
        }
        file.resize((header + segment * u64::from(kind)) as usize, 0);
    }
    for (tag, value) in needed {
        file.extend([word(tag), word(value)].concat());
    }
    file.extend(needs);
    file.extend(names);
    assert_eq!(file.len() as u64, size);
    file
}

const LIBC: (&str, &[&str]) = ("libc.so.6", &["GLIBC_2.17", "GLIBC_2.4", "GLIBC_2.28"]);
const CXX: (&str, &[&str]) = ("libstdc++.so.6", &["GLIBCXX_3.4.21"]);

fn of(file: &[u8]) -> Result<Elf, String> {
    Elf::of(Cursor::new(file)).map_err(|e| e.to_string())
}

#[test]
fn what_a_library_needs_is_read() {
    for (machine, arch) in [(AARCH64, "aarch64"), (ARM, "arm"), (62, "x86_64")] {
        let elf = of(&library(machine, &[LIBC, CXX])).unwrap();
        assert_eq!(elf.arch, arch);
        assert_eq!(elf.libraries, ["libc.so.6", "libstdc++.so.6"]);
        let versions = ["GLIBC_2.17", "GLIBC_2.4", "GLIBC_2.28", "GLIBCXX_3.4.21"];
        assert_eq!(elf.versions, versions);
        // 2.4 is older than 2.28, whatever the alphabet says.
        assert_eq!(elf.glibc().unwrap().to_string(), "2.28");
    }
    let elf = of(&library(AARCH64, &[])).unwrap();
    assert_eq!((elf.glibc(), elf.misfit("aarch64", None)), (None, None));
}

#[test]
fn a_misfit_says_what_does_not_fit() {
    struct Case {
        arch: &'static str,
        glibc: &'static str,
        says: Option<&'static str>,
    }
    let elf = of(&library(AARCH64, &[LIBC])).unwrap();
    let case = |arch, glibc, says| Case { arch, glibc, says };
    for case in [
        case("aarch64", "2.28", None),
        case("aarch64", "2.36", None),
        case("aarch64", "2.27", Some("needs glibc 2.28, not 2.27")),
        case("x86_64", "2.36", Some("is for aarch64, not for x86_64")),
    ] {
        let found = elf.misfit(case.arch, Some(case.glibc.parse().unwrap()));
        assert_eq!(found.as_deref(), case.says, "{} {}", case.arch, case.glibc);
    }
}

#[test]
fn the_running_program_is_read_as_the_loader_did() {
    let elf = Elf::read(&std::env::current_exe().unwrap()).unwrap();
    assert_eq!(
        elf.misfit(std::env::consts::ARCH, crate::system::glibc()),
        None
    );
    assert!(elf.libraries.iter().any(|name| name.starts_with("libc.so")));
}

#[test]
fn what_is_damaged_is_told() {
    struct Case {
        name: &'static str,
        at: usize,
        bytes: &'static [u8],
        says: &'static str,
    }
    let case = |name, at, bytes, says| Case {
        name,
        at,
        bytes,
        says,
    };
    let whole = library(AARCH64, &[LIBC]);
    // Behind the header: a mapped segment at 64, the table for the loader at 120, its entries at 176.
    let cases = [
        case("no ELF", 0, b"\x7fELL", "no ELF header"),
        case("high byte first", 5, b"\x02", "high byte first"),
        case("small headers", 54, b"\x08", "too small"),
        case("many headers", 56, b"\xff\xff", "cut off"),
        case(
            "sections beyond",
            40,
            b"\xff\xff\xff\xff\xff\xff\xff\xff",
            "cut off",
        ),
        case("mapped beyond", 64 + 32, b"\xff\xff\xff", "cut off"),
        case(
            "large table",
            120 + 32,
            b"\xff\xff\xff\xff\xff",
            "too large",
        ),
        case("table beyond", 120 + 8, b"\xff\xff\xff", "beyond the end"),
        case(
            "versions elsewhere",
            176 + 2 * 16 + 8,
            b"\xff\xff\xff",
            "outside of the file",
        ),
        case("name beyond", 176 + 8, b"\xff\xff\xff", "without an end"),
    ];
    for case in cases {
        let mut file = whole.clone();
        file[case.at..case.at + case.bytes.len()].copy_from_slice(case.bytes);
        let error = of(&file).unwrap_err();
        assert!(error.contains(case.says), "{}: {error}", case.name);
    }
    for end in 0..whole.len() {
        assert!(of(&whole[..end]).is_err(), "the first {end} bytes");
    }
}

/// A list of versions that leads back into itself ends.
#[test]
fn a_list_without_an_end_ends() {
    let mut file = library(AARCH64, &[LIBC, CXX]);
    let versions_at = 176 + 16 * 6;
    // 65535 libraries, the first of which is its own next by way of 2^32 - 0.
    file[versions_at + 2..versions_at + 4].copy_from_slice(&u16::MAX.to_le_bytes());
    file[versions_at + 16 + 12..versions_at + 32].copy_from_slice(&0u32.to_le_bytes());
    assert!(of(&file).unwrap_err().contains("too many versions"));
}

/// No file makes it panic: every byte of a good one is changed in turn.
#[test]
fn no_byte_makes_it_panic() {
    let whole = library(AARCH64, &[LIBC, CXX]);
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut file = whole.clone();
            file[at] = value;
            let _ = of(&file);
        }
    }
}
