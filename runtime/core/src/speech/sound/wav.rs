//! Headers of WAV files whose sizes were not known, or too large, when they were written.
//!
//! | header | written by | read as |
//! |---|---|---|
//! | data size 0xFFFFFFFF, or a little below | FFmpeg into a pipe | all that follows |
//! | data size 0x7FFFFFFF or a little beside | SoX and `arecord` into a pipe | all that follows |
//! | data size 0 and no size of the whole | recorders that were switched off | all that follows |
//! | RF64 or BW64 (EBU Tech 3306) | recorders of more than 4 GiB | the size in its `ds64` chunk |
//! | a size of the whole that is not true | many | the data's own size |

use std::io::{Cursor, Read};

use symphonia::core::io::{MediaSource, ReadOnlySource};

use super::decoded::Known;

/// A size that says: to the end.
const OPEN: u32 = u32::MAX;

/// The stream behind its mended header.
pub(super) fn source(
    known: &mut Known,
    mut head: Vec<u8>,
    rest: impl Read + Send + Sync + 'static,
) -> Box<dyn MediaSource> {
    match mend(&mut head) {
        Some(wide) => {
            known.frames = Some(wide.frames);
            let all = Cursor::new(head).chain(rest).take(wide.end);
            Box::new(ReadOnlySource::new(all))
        }
        None => Box::new(ReadOnlySource::new(Cursor::new(head).chain(rest))),
    }
}

/// What a 64-bit header says.
#[derive(Debug, PartialEq)]
struct Wide {
    /// Where its samples end, in bytes from the start.
    end: u64,
    frames: u64,
}

/// Rewrites sizes in the first bytes, up to that of the data, if it is among them.
fn mend(head: &mut [u8]) -> Option<Wide> {
    let riff = word(head, 4)?;
    let (mut at, mut align, mut wide) = (12, None, None);
    loop {
        let size = word(head, at + 4)?;
        match head.get(at..at + 4)? {
            b"data" => break,
            b"fmt " => align = head.get(at + 20..at + 22).map(|b| [b[0], b[1]]),
            b"ds64" => wide = head.get(at + 16..at + 24).and_then(|b| b.try_into().ok()),
            _ => {}
        }
        at = at.checked_add(8 + size as usize + (size as usize & 1))?;
    }
    let start = at + 8;
    let is_wide = !head.starts_with(b"RIFF");
    head[..4].copy_from_slice(b"RIFF");
    head[4..8].copy_from_slice(&OPEN.to_le_bytes());
    let data = word(head, at + 4)?;
    let wide = wide.filter(|_| is_wide && data == OPEN);
    let without_size = data == 0 && (riff == 0 || unknown(riff) || riff as usize == start - 8);
    if without_size || unknown(data) || wide.is_some() {
        head[at + 4..start].copy_from_slice(&OPEN.to_le_bytes());
    }
    let bytes = u64::from_le_bytes(wide?);
    let align = u64::from(u16::from_le_bytes(align?));
    // Zero there is one more way of not knowing.
    let frames = bytes.checked_div(align).filter(|frames| *frames > 0)?;
    Some(Wide {
        end: bytes.checked_add(start as u64)?,
        frames,
    })
}

/// Whether a size stands for one that is not known.
fn unknown(size: u32) -> bool {
    size >= 0xffff_f000 || (0x7fff_f000..=0x8000_0000).contains(&size)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(word.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of 16-bit stereo with notes in front of its data.
    fn header(magic: &[u8; 4], riff: u32, ds64: Option<u64>, data: u32) -> Vec<u8> {
        let mut out = magic.to_vec();
        out.extend(riff.to_le_bytes());
        out.extend(b"WAVE");
        if let Some(bytes) = ds64 {
            out.extend(b"ds64\x1c\0\0\0");
            out.extend(0_u64.to_le_bytes());
            out.extend(bytes.to_le_bytes());
            out.extend([0; 12]);
        }
        // Of odd length, so a byte is added.
        out.extend(b"LIST\x05\0\0\0INFOx\0");
        out.extend(b"fmt \x10\0\0\0\x01\0\x02\0\x80\xbb\0\0\0\xee\x02\0\x04\0\x10\0");
        out.extend(b"data");
        out.extend(data.to_le_bytes());
        out
    }

    #[test]
    fn sizes_that_say_nothing_are_open() {
        const ALL: u32 = 58 - 8;
        for (name, riff, data, expected) in [
            ("true", ALL + 400, 400, 400),
            ("no sound", ALL + 20, 0, 0),
            ("FFmpeg", OPEN, OPEN, OPEN),
            ("SoX", 0x7fff_f024, 0x7fff_f000, OPEN),
            ("arecord", 0x8000_0024, 0x8000_0000, OPEN),
            ("both 0", 0, 0, OPEN),
            ("never finished", ALL, 0, OPEN),
            ("only the whole is wrong", 0, 400, 400),
        ] {
            let mut head = header(b"RIFF", riff, None, data);
            assert_eq!(head.len(), 58);
            assert_eq!(mend(&mut head), None, "{name}");
            assert_eq!(word(&head, 4), Some(OPEN), "{name}");
            assert_eq!(word(&head, 54), Some(expected), "{name}");
        }
    }

    #[test]
    fn a_64_bit_header_becomes_one_that_is_read() {
        let bytes = 5_u64 << 32;
        let mut head = header(b"RF64", OPEN, Some(bytes), OPEN);
        let wide = mend(&mut head).unwrap();
        assert_eq!(wide.frames, bytes / 4);
        assert_eq!(wide.end, bytes + head.len() as u64);
        assert!(head.starts_with(b"RIFF"));
        for unknown in [0, u64::MAX] {
            let mut head = header(b"BW64", OPEN, Some(unknown), OPEN);
            assert_eq!(mend(&mut head), None, "{unknown}");
        }
    }

    #[test]
    fn cut_headers_are_left_alone() {
        let whole = header(b"RIFF", 0, None, 0);
        for length in 0..whole.len() {
            let mut head = whole[..length].to_vec();
            assert_eq!(mend(&mut head), None);
            assert_eq!(head, whole[..length]);
        }
    }
}
