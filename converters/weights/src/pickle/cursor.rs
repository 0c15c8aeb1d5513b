use bytes::Bytes;

use super::Fault;

/// Reads the arguments of opcodes.
pub(super) struct Cursor<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were read.
    pub fn at(&self) -> usize {
        self.at
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match rest.get(..count) {
            Some(taken) => {
                self.at += count;
                Ok(taken)
            }
            None => Err(Fault::Damaged {
                at: self.bytes.len(),
                what: "it ends in the middle of a value",
            }),
        }
    }

    /// The same without a copy, for as long as the file is open.
    pub fn take_shared(&mut self, count: usize) -> Result<Bytes, Fault> {
        Ok(self.bytes.slice_ref(self.take(count)?))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub fn u8(&mut self) -> Result<u8, Fault> {
        self.array().map(|[byte]| byte)
    }

    pub fn u16(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, Fault> {
        self.array().map(i32::from_le_bytes)
    }

    pub fn f64_be(&mut self) -> Result<f64, Fault> {
        self.array().map(f64::from_be_bytes)
    }

    /// A length of one, four or eight bytes.
    pub fn size<const N: usize>(&mut self) -> Result<usize, Fault> {
        let at = self.at;
        let mut wide = [0; 8];
        wide[..N].copy_from_slice(&self.array::<N>()?);
        usize::try_from(u64::from_le_bytes(wide)).map_err(|_| Fault::Damaged {
            at,
            what: "a length is beyond this machine",
        })
    }

    /// Up to the next line feed, which is read and left out.
    pub fn line(&mut self) -> Result<&'a [u8], Fault> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
        let line = self.take(length)?;
        self.u8()?;
        Ok(line)
    }
}
