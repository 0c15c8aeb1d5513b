//! The parts of an ELF file that say what it needs, read one by one.

use std::io::{self, Read, Seek, SeekFrom};

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    #[error("no program or library of Linux (no ELF header)")]
    NotElf,
    #[error("cut off: {size} of {end} bytes; fetch it again")]
    Cut { size: u64, end: u64 },
    #[error("damaged: {0}; fetch it again")]
    Damaged(&'static str),
}

/// What the loader reads at most, where a file is honest; more is damage.
const MAX_ENTRIES: u64 = 4096;
const TOO_MANY: Broken = Broken::Damaged("too many versions");
/// The longest name of a library or a version.
const MAX_NAME: u64 = 512;

const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_VERNEED: u64 = 0x6fff_fffe;
const DT_VERNEEDNUM: u64 = 0x6fff_ffff;

/// Where the numbers of the headers stand in files of 32 and of 64 bits.
struct Layout {
    /// Bytes of an address.
    word: usize,
    program_table: usize,
    section_table: usize,
    /// Two bytes each: size and number of program headers, size and number of section headers.
    table_sizes: usize,
    /// In a program header: offset in the file, address, size in the file.
    segment: [usize; 3],
}

const NARROW: Layout = Layout {
    word: 4,
    program_table: 28,
    section_table: 32,
    table_sizes: 42,
    segment: [4, 8, 16],
};
const WIDE: Layout = Layout {
    word: 8,
    program_table: 32,
    section_table: 40,
    table_sizes: 54,
    segment: [8, 16, 32],
};

/// A part of the file that is mapped, or tells something.
#[derive(Clone, Copy)]
struct Segment {
    kind: u64,
    offset: u64,
    address: u64,
    size: u64,
}

/// An open file whose headers were read.
pub(super) struct Image<F> {
    file: F,
    layout: &'static Layout,
    segments: Vec<Segment>,
    pub arch: &'static str,
}

/// What the loader is told: pairs of tag and value.
pub(super) struct Dynamic(Vec<(u64, u64)>);

impl Dynamic {
    fn get(&self, tag: u64) -> Option<u64> {
        let entry = self.0.iter().find(|(t, _)| *t == tag);
        entry.map(|(_, value)| *value)
    }
}

impl<F: Read + Seek> Image<F> {
    /// Reads the headers.
    pub fn open(mut file: F) -> Result<Self, Broken> {
        let size = file.seek(SeekFrom::End(0)).map_err(Broken::Unreadable)?;
        let mut head = [0; 64];
        let length = head.len().min(usize::try_from(size).unwrap_or(usize::MAX));
        file.rewind().map_err(Broken::Unreadable)?;
        let read = file.read_exact(&mut head[..length]);
        read.map_err(Broken::Unreadable)?;
        if head[..4] != *b"\x7fELF" {
            return Err(Broken::NotElf);
        }
        // Class 1 is 32 bits, data 1 is the low byte first, as on every processor known here.
        let layout = match (head[4], head[5]) {
            (1, 1) => &NARROW,
            (2, 1) => &WIDE,
            _ => {
                return Err(Broken::Damaged(
                    "neither 32 nor 64 bits, or high byte first",
                ));
            }
        };
        // Five numbers of two bytes end the header.
        let end = layout.table_sizes as u64 + 10;
        if size < end {
            return Err(Broken::Cut { size, end });
        }
        let arch = match (number(&head, 18, 2), layout.word) {
            (3, 4) => "x86",
            (40, 4) => "arm",
            (62, 8) => "x86_64",
            (183, 8) => "aarch64",
            (243, 8) => "riscv64",
            _ => "another architecture",
        };
        let sizes = [0, 2, 4, 6].map(|at| number(&head, layout.table_sizes + at, 2));
        let [segment_size, segments, section_size, sections] = sizes;
        let table = number(&head, layout.program_table, layout.word);
        let mut image = Self {
            file,
            layout,
            segments: Vec::new(),
            arch,
        };
        // The section table stands at the end of the file.
        let last = number(&head, layout.section_table, layout.word);
        let mut end = last.saturating_add(section_size * sections);
        if segments > 0 && segment_size < (layout.segment[2] + layout.word) as u64 {
            return Err(Broken::Damaged("program headers that are too small"));
        }
        let table_size = segments * segment_size;
        end = end.max(table.saturating_add(table_size));
        if end > size {
            return Err(Broken::Cut { size, end });
        }
        let headers = image.bytes(table, table_size)?;
        for header in headers.chunks_exact(segment_size.max(1) as usize) {
            let [offset, address, length] =
                layout.segment.map(|at| number(header, at, layout.word));
            let kind = number(header, 0, 4);
            // What is mapped from beyond the end kills the process when it is touched.
            end = offset.saturating_add(length);
            if kind == PT_LOAD && end > size {
                return Err(Broken::Cut { size, end });
            }
            image.segments.push(Segment {
                kind,
                offset,
                address,
                size: length,
            });
        }
        Ok(image)
    }

    /// What the loader is told; nothing in a program that is linked statically.
    pub fn dynamic(&mut self) -> Result<Dynamic, Broken> {
        let segment = self.segments.iter().find(|s| s.kind == PT_DYNAMIC).copied();
        let Some(segment) = segment else {
            return Ok(Dynamic(Vec::new()));
        };
        let word = self.layout.word;
        let bytes = self.bytes(segment.offset, segment.size)?;
        let entries = bytes.chunks_exact(2 * word);
        let pairs = entries.map(|entry| (number(entry, 0, word), number(entry, word, word)));
        Ok(Dynamic(pairs.take_while(|(tag, _)| *tag != 0).collect()))
    }

    /// Names of the libraries that are loaded along.
    pub fn libraries(&mut self, dynamic: &Dynamic) -> Result<Vec<String>, Broken> {
        let names = dynamic.0.iter().filter(|(tag, _)| *tag == DT_NEEDED);
        names.map(|(_, name)| self.text(dynamic, *name)).collect()
    }

    /// Versions of symbols that those libraries have to offer.
    pub fn versions(&mut self, dynamic: &Dynamic) -> Result<Vec<String>, Broken> {
        let mut versions = Vec::new();
        let (Some(address), Some(count)) = (dynamic.get(DT_VERNEED), dynamic.get(DT_VERNEEDNUM))
        else {
            return Ok(versions);
        };
        // A list of libraries, each with a list of versions, linked by distances.
        let mut library = self.offset(address)?;
        let mut left = MAX_ENTRIES;
        let mut one_more = || {
            left = left.checked_sub(1)?;
            Some(())
        };
        for _ in 0..count {
            one_more().ok_or(TOO_MANY)?;
            let entry = self.bytes(library, 16)?;
            let [names, first, next] =
                [(2, 2), (8, 4), (12, 4)].map(|(at, n)| number(&entry, at, n));
            let mut version = library.saturating_add(first);
            for _ in 0..names {
                one_more().ok_or(TOO_MANY)?;
                let entry = self.bytes(version, 16)?;
                versions.push(self.text(dynamic, number(&entry, 8, 4))?);
                version = version.saturating_add(number(&entry, 12, 4));
            }
            if next == 0 {
                break;
            }
            library = library.saturating_add(next);
        }
        Ok(versions)
    }

    /// The text at a distance into the table of names.
    fn text(&mut self, dynamic: &Dynamic, at: u64) -> Result<String, Broken> {
        let table = dynamic
            .get(DT_STRTAB)
            .ok_or(Broken::Damaged("no table of names"))?;
        let start = self.offset(table)?.saturating_add(at);
        let mut bytes = Vec::new();
        let read = self.file.seek(SeekFrom::Start(start)).and_then(|_| {
            let mut rest = (&mut self.file).take(MAX_NAME);
            rest.read_to_end(&mut bytes)
        });
        read.map_err(Broken::Unreadable)?;
        let end = bytes.iter().position(|b| *b == 0);
        let name = end.ok_or(Broken::Damaged("a name without an end"))?;
        Ok(String::from_utf8_lossy(&bytes[..name]).into_owned())
    }

    /// Where in the file the byte is that is mapped to an address.
    fn offset(&self, address: u64) -> Result<u64, Broken> {
        let mut mapped = self.segments.iter().filter(|s| s.kind == PT_LOAD);
        let inside = |s: &&Segment| address >= s.address && address - s.address < s.size;
        let segment = mapped.find(inside);
        let segment = segment.ok_or(Broken::Damaged("an address outside of the file"))?;
        Ok(segment.offset.saturating_add(address - segment.address))
    }

    fn bytes(&mut self, offset: u64, length: u64) -> Result<Vec<u8>, Broken> {
        // The largest is a table of 65535 headers, or the table for the loader.
        let wanted = usize::try_from(length).ok().filter(|l| *l <= 1 << 22);
        let wanted = wanted.ok_or(Broken::Damaged("a table that is too large"))?;
        let mut bytes = vec![0; wanted];
        let sought = self.file.seek(SeekFrom::Start(offset));
        match sought.and_then(|_| self.file.read_exact(&mut bytes)) {
            Ok(()) => Ok(bytes),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                Err(Broken::Damaged("a table beyond the end of the file"))
            }
            Err(e) => Err(Broken::Unreadable(e)),
        }
    }
}

/// The unsigned number in `bytes[at..at + length]`, low byte first; 0 beyond the end.
fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    let bytes = bytes.get(at..at + length).unwrap_or_default();
    let digits = bytes.iter().rev();
    digits.fold(0, |n, b| n << 8 | u64::from(*b))
}
