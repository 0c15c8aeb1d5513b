//! Memory of the caller. All that is read from it or written to it goes through here.

use std::ffi::{CStr, c_char};
use std::mem::size_of;
use std::path::Path;
use std::ptr;
use std::slice;

use crate::status::{Failure, Result, bevel_status, c_string};

/// A larger struct than this is garbage.
pub(crate) const MAX_STRUCT_BYTES: usize = 4096;

/// Structs that may grow: they begin with their size as the caller was compiled.
///
/// # Safety
/// `#[repr(C)]`, the first field is `struct_size: usize`, and all fields may be any bits.
pub(crate) unsafe trait Growing: Copy {
    /// Its size in the first release that has it: up to its last field of then.
    const FIRST_SIZE: usize;
    /// What messages call it.
    const NAME: &'static str;
}

/// Reads numbers of the caller's as the enumeration that they are of.
macro_rules! numbered {
    ($enumeration:ident: $($variant:ident),* $(,)?) => {
        impl $enumeration {
            /// # Errors
            /// Where `number` is none of them.
            pub(crate) fn read(number: i32) -> $crate::status::Result<Self> {
                $(if number == Self::$variant as i32 {
                    return Ok(Self::$variant);
                })*
                let name = stringify!($enumeration);
                let what = format!("{number} is no {name}");
                Err($crate::status::Failure::input(what))
            }
        }
    };
}
pub(crate) use numbered;

/// Reads the size that a struct begins with.
///
/// # Safety
/// Where it is not null, so many bytes can be read from `pointer` as its first field says.
unsafe fn size_of_struct<T: Growing>(pointer: *const T) -> Result<usize> {
    if pointer.is_null() {
        return Err(Failure::input(format!("{} is null", T::NAME)));
    }
    // SAFETY: the caller's promise; the address need not be aligned.
    let size = unsafe { pointer.cast::<usize>().read_unaligned() };
    let whole = size.is_multiple_of(align_of::<usize>());
    if size < T::FIRST_SIZE || size > MAX_STRUCT_BYTES || !whole {
        return Err(Failure::input(format!(
            "struct_size of {} is {size}, expected {}; set it with BEVEL_INIT",
            T::NAME,
            size_of::<T>()
        )));
    }
    Ok(size)
}

/// A struct of options. One of an older caller is shorter, and what it lacks is zero, which is the
/// default of everything. One of a newer caller is longer, and what is behind ours must be zero.
///
/// # Safety
/// As [`size_of_struct`].
pub(crate) unsafe fn options<T: Growing>(pointer: *const T) -> Result<T> {
    // SAFETY: the caller's promise.
    let size = unsafe { size_of_struct(pointer) }?;
    // SAFETY: `Growing` may be any bits, zeros among them.
    let mut known: T = unsafe { std::mem::zeroed() };
    let ours = size.min(size_of::<T>());
    // SAFETY: `size` bytes can be read, and no more are than fit.
    unsafe { ptr::copy_nonoverlapping(pointer.cast::<u8>(), (&raw mut known).cast(), ours) };
    // SAFETY: the rest of the same `size` bytes.
    let rest = unsafe { slice::from_raw_parts(pointer.cast::<u8>().add(ours), size - ours) };
    match rest.iter().all(|byte| *byte == 0) {
        true => Ok(known),
        false => Err(Failure::new(
            bevel_status::BEVEL_UNSUPPORTED,
            format!(
                "{} asks for something that this version of libbevel does not know; leave it zero or \
                 take a newer libbevel",
                T::NAME
            ),
        )),
    }
}

/// The same, and defaults for null.
///
/// # Safety
/// As [`options`].
pub(crate) unsafe fn options_or_default<T: Growing>(pointer: *const T) -> Result<T> {
    match pointer.is_null() {
        // SAFETY: `Growing` may be any bits, zeros among them.
        true => Ok(unsafe { std::mem::zeroed() }),
        // SAFETY: the caller's promise.
        false => unsafe { options(pointer) },
    }
}

/// Structs of an array, each as large as the first says.
///
/// # Safety
/// As [`options`], for all of them.
pub(crate) unsafe fn array<T: Growing>(pointer: *const T, count: usize) -> Result<Vec<T>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: the caller's promise for the first.
    let stride = unsafe { size_of_struct(pointer) }?;
    if count > isize::MAX as usize / stride {
        let what = format!("{count} of {} are more than memory holds", T::NAME);
        return Err(Failure::input(what));
    }
    let read = |at: usize| {
        // SAFETY: the caller's promise for each, which is for `stride` bytes.
        let (one, size) = unsafe {
            let one = pointer.byte_add(at * stride);
            (one, one.cast::<usize>().read_unaligned())
        };
        match size == stride {
            // SAFETY: so many bytes are there.
            true => unsafe { options(one) },
            false => Err(Failure::input(format!(
                "{} {at} has struct_size {size}, the first {stride}",
                T::NAME
            ))),
        }
    };
    (0..count).map(read).collect()
}

/// Fills a struct of the caller's as far as both know it.
///
/// # Safety
/// As [`size_of_struct`], and the same bytes can be written to.
pub(crate) unsafe fn answer<T: Growing>(pointer: *mut T, value: &T) -> Result {
    // SAFETY: the caller's promise.
    let size = unsafe { size_of_struct(pointer.cast_const()) }?;
    let head = size_of::<usize>();
    let ours = size.min(size_of::<T>());
    // SAFETY: `size` bytes can be written. The size itself stays, what is behind ours is zero.
    unsafe {
        let from = ptr::from_ref(value).cast::<u8>();
        let to = pointer.cast::<u8>();
        ptr::copy_nonoverlapping(from.add(head), to.add(head), ours - head);
        ptr::write_bytes(to.add(ours), 0, size - ours);
    }
    Ok(())
}

/// Text with a zero at its end.
///
/// # Safety
/// Where it is not null, such a text is behind `pointer` and stays as it is for as long as the result is
/// used.
pub(crate) unsafe fn text<'a>(pointer: *const c_char, name: &str) -> Result<&'a str> {
    if pointer.is_null() {
        return Err(Failure::input(format!("{name} is null")));
    }
    // SAFETY: the caller's promise.
    let bytes = unsafe { CStr::from_ptr(pointer) };
    bytes.to_str().map_err(|e| {
        let at = e.valid_up_to();
        Failure::input(format!("{name} is not UTF-8 (byte {at})"))
    })
}

/// The same, where null is nothing.
///
/// # Safety
/// As [`text`].
pub(crate) unsafe fn text_or_none<'a>(
    pointer: *const c_char,
    name: &str,
) -> Result<Option<&'a str>> {
    match pointer.is_null() {
        true => Ok(None),
        // SAFETY: the caller's promise.
        false => unsafe { text(pointer, name) }.map(Some),
    }
}

/// The path of a file. On Unix it may be any bytes.
///
/// # Safety
/// As [`text`].
pub(crate) unsafe fn path<'a>(pointer: *const c_char, name: &str) -> Result<&'a Path> {
    #[cfg(unix)]
    {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;

        if pointer.is_null() {
            return Err(Failure::input(format!("{name} is null")));
        }
        // SAFETY: the caller's promise.
        let bytes = unsafe { CStr::from_ptr(pointer) }.to_bytes();
        match bytes {
            [] => Err(Failure::input(format!("{name} is empty"))),
            bytes => Ok(Path::new(OsStr::from_bytes(bytes))),
        }
    }
    #[cfg(not(unix))]
    // SAFETY: the caller's promise.
    unsafe { text(pointer, name) }.map(Path::new)
}

/// `count` values.
///
/// # Safety
/// Where it is not null, `count` values are behind `pointer`, and stay as they are for as long as the
/// result is used. `T` may be any bits.
pub(crate) unsafe fn values<'a, T: Copy>(
    pointer: *const T,
    count: usize,
    name: &str,
) -> Result<&'a [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(Failure::input(format!(
            "{name} is null, expected {count} of them"
        )));
    }
    if !pointer.is_aligned() {
        let what = format!(
            "{name} lie at an address that is no multiple of {}",
            align_of::<T>()
        );
        return Err(Failure::input(what));
    }
    if count > isize::MAX as usize / size_of::<T>() {
        let what = format!("{count} of {name} are more than memory holds");
        return Err(Failure::input(what));
    }
    // SAFETY: the caller's promise; neither null, nor out of line, nor longer than memory.
    Ok(unsafe { slice::from_raw_parts(pointer, count) })
}

/// Writes one value.
///
/// # Safety
/// Where it is not null, a `T` can be written behind `pointer`.
pub(crate) unsafe fn put<T>(pointer: *mut T, value: T, name: &str) -> Result {
    if pointer.is_null() {
        return Err(Failure::input(format!("{name} is null")));
    }
    // SAFETY: the caller's promise; the address need not be aligned.
    unsafe { pointer.write_unaligned(value) };
    Ok(())
}

/// A buffer of the caller's: where, how many values it holds, and where to tell how many there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Buffer<T> {
    values: *mut T,
    capacity: usize,
    needed: *mut usize,
}

impl<T: Copy> Buffer<T> {
    pub(crate) fn new(values: *mut T, capacity: usize, needed: *mut usize) -> Self {
        Self {
            values,
            capacity,
            needed,
        }
    }

    /// Tells how many values there are, and copies them where a buffer is given.
    ///
    /// # Safety
    /// Where they are not null, `capacity` values can be written behind `values`, and one behind
    /// `needed`.
    pub(crate) unsafe fn fill(self, from: &[T]) -> Result {
        if self.values.is_null() && self.needed.is_null() {
            let what = "both the buffer and the place for its size are null";
            return Err(Failure::input(what));
        }
        if !self.needed.is_null() {
            // SAFETY: the caller's promise.
            unsafe { self.needed.write_unaligned(from.len()) };
        }
        if self.values.is_null() {
            return Ok(());
        }
        if self.capacity < from.len() {
            return Err(Failure::new(
                bevel_status::BEVEL_BUFFER_TOO_SMALL,
                format!(
                    "the buffer holds {}, needed are {}",
                    self.capacity,
                    from.len()
                ),
            ));
        }
        let bytes = size_of_val(from);
        // SAFETY: so many values fit, and the copy is one of bytes, which need no alignment.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr().cast::<u8>(), self.values.cast(), bytes) };
        Ok(())
    }
}

impl Buffer<c_char> {
    /// The same for text, which gets a zero at its end; it counts.
    ///
    /// # Safety
    /// As [`fill`](Self::fill).
    pub(crate) unsafe fn fill_text(self, text: &str) -> Result {
        let text = c_string(text);
        let bytes = text.as_bytes_with_nul();
        // SAFETY: `c_char` is a byte, signed or not.
        let chars = unsafe { slice::from_raw_parts(bytes.as_ptr().cast::<c_char>(), bytes.len()) };
        // SAFETY: the caller's promise.
        unsafe { self.fill(chars) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Three([usize; 3]);

    // SAFETY: numbers, the first of which is the size.
    unsafe impl Growing for Three {
        const FIRST_SIZE: usize = 2 * size_of::<usize>();
        const NAME: &'static str = "three";
    }

    #[test]
    fn structs_of_older_and_newer_callers_are_understood() {
        struct Case {
            name: &'static str,
            fields: usize,
            beyond: usize,
            expected: Result<[usize; 2], bevel_status>,
        }
        let word = size_of::<usize>();
        let cases = [
            Case {
                name: "ours",
                fields: 3,
                beyond: 9,
                expected: Ok([7, 8]),
            },
            Case {
                name: "older",
                fields: 2,
                beyond: 9,
                expected: Ok([7, 0]),
            },
            Case {
                name: "newer, asking for nothing new",
                fields: 4,
                beyond: 0,
                expected: Ok([7, 8]),
            },
            Case {
                name: "newer, asking for more",
                fields: 4,
                beyond: 9,
                expected: Err(bevel_status::BEVEL_UNSUPPORTED),
            },
            Case {
                name: "older than the first",
                fields: 1,
                beyond: 0,
                expected: Err(bevel_status::BEVEL_BAD_INPUT),
            },
            Case {
                name: "garbage",
                fields: 1 << 40,
                beyond: 0,
                expected: Err(bevel_status::BEVEL_BAD_INPUT),
            },
        ];
        for case in cases {
            let given = [case.fields * word, 7, 8, case.beyond];
            // SAFETY: what is longer than four fields is refused unread.
            let read = unsafe { options(given.as_ptr().cast::<Three>()) };
            let read = read.map(|Three([_, a, b])| [a, b]).map_err(|e| e.status);
            assert_eq!(read, case.expected, "{}", case.name);
        }
        let mut theirs = [4 * word, 1, 1, 1];
        // SAFETY: four fields can be written.
        unsafe { answer(theirs.as_mut_ptr().cast(), &Three([0, 7, 8])) }.unwrap();
        assert_eq!(theirs, [4 * word, 7, 8, 0]);
        let mut theirs = [2 * word, 1, 1, 1];
        // SAFETY: two fields can be written.
        unsafe { answer(theirs.as_mut_ptr().cast(), &Three([0, 7, 8])) }.unwrap();
        assert_eq!(theirs, [2 * word, 7, 1, 1]);
    }

    #[test]
    fn a_buffer_is_filled_whole_or_not_at_all() {
        let (mut chars, mut needed) = ([1_u8; 4], 0);
        let mut buffer =
            |capacity| Buffer::new((&raw mut chars).cast::<c_char>(), capacity, &raw mut needed);
        // SAFETY: four characters and the number can be written.
        let (small, fits) = unsafe { (buffer(3).fill_text("abc"), buffer(4).fill_text("abc")) };
        assert_eq!(
            small.unwrap_err().status,
            bevel_status::BEVEL_BUFFER_TOO_SMALL
        );
        fits.unwrap();
        assert_eq!((chars, needed), (*b"abc\0", 4));
    }
}
