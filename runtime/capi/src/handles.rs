//! Handles: what callers hold instead of the things themselves.
//!
//! A handle looks like a pointer and is none: it is a number that is looked up. So garbage, a handle of
//! another kind and one that was closed are told apart from those that are open, whatever their value, and
//! closing one that another thread uses waits for nobody: what it stands for goes with the last call.

use std::collections::HashMap;
use std::ptr::{self, without_provenance_mut};
use std::sync::{Arc, PoisonError, RwLock};

use crate::answer::{Answers, bevel_answer};
use crate::caller;
use crate::model::{Model, bevel_model};
use crate::status::{Failure, Result};
#[cfg(feature = "speech")]
use crate::stream::{Stream, bevel_stream};

/// What a handle stands for.
#[derive(Clone)]
pub(crate) enum Thing {
    Model(Arc<Model>),
    #[cfg(feature = "speech")]
    Stream(Arc<Stream>),
    Answers(Arc<Answers>),
}

/// A kind of handle.
pub(crate) trait Handle: Sized {
    /// What it stands for.
    type Of;
    /// What messages call it.
    const NAME: &'static str;

    fn wrap(of: Arc<Self::Of>) -> Thing;

    /// `None` for a thing of another kind.
    fn unwrap(thing: Thing) -> Option<Arc<Self::Of>>;
}

/// One kind a line: handle, thing, variant, name.
macro_rules! handles {
    ($($(#[$when:meta])* $handle:ident = $of:ident, $variant:ident, $name:literal;)*) => {$(
        $(#[$when])*
        impl Handle for $handle {
            type Of = $of;
            const NAME: &'static str = $name;

            fn wrap(of: Arc<$of>) -> Thing {
                Thing::$variant(of)
            }

            fn unwrap(thing: Thing) -> Option<Arc<$of>> {
                match thing {
                    Thing::$variant(of) => Some(of),
                    _ => None,
                }
            }
        }
    )*};
}

handles! {
    bevel_model = Model, Model, "model";
    #[cfg(feature = "speech")]
    bevel_stream = Stream, Stream, "stream";
    bevel_answer = Answers, Answers, "answer";
}

#[derive(Default)]
struct Table {
    /// How many handles there have been.
    made: usize,
    open: HashMap<usize, Thing>,
}

static TABLE: RwLock<Option<Table>> = RwLock::new(None);

/// A new handle.
fn open<H: Handle>(of: H::Of) -> *mut H {
    let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
    let table = table.get_or_insert_default();
    let key = loop {
        table.made = table.made.wrapping_add(1);
        // An odd factor maps numbers to each other one by one, here far from small ones and from each
        // other: what is no handle is hardly ever taken for one (Knuth's multiplicative hashing).
        let key = table.made.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as usize);
        if key != 0 && !table.open.contains_key(&key) {
            break key;
        }
    };
    table.open.insert(key, H::wrap(Arc::new(of)));
    without_provenance_mut(key)
}

/// Makes a thing and writes its handle to `place`, which is null where making it fails.
///
/// # Safety
/// Where it is not null, a pointer can be written behind `place`.
pub(crate) unsafe fn open_at<H: Handle>(
    place: *mut *mut H,
    make: impl FnOnce() -> Result<H::Of>,
) -> Result {
    // SAFETY: the caller's promise.
    unsafe { caller::put(place, ptr::null_mut(), H::NAME) }?;
    let handle = open(make()?);
    // SAFETY: the same.
    unsafe { caller::put(place, handle, H::NAME) }
}

/// What a handle stands for.
pub(crate) fn find<H: Handle>(handle: *const H) -> Result<Arc<H::Of>> {
    let table = TABLE.read().unwrap_or_else(PoisonError::into_inner);
    let thing = table.as_ref().and_then(|t| t.open.get(&handle.addr()));
    let found = thing.cloned().and_then(H::unwrap);
    found.ok_or_else(|| no_handle::<H>(handle))
}

/// Closes a handle; answers what it stood for.
pub(crate) fn close<H: Handle>(handle: *const H) -> Result<Arc<H::Of>> {
    let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
    let open = table.as_mut().map(|table| &mut table.open);
    let taken = open.and_then(|open| {
        let found = H::unwrap(open.get(&handle.addr()).cloned()?)?;
        open.remove(&handle.addr());
        Some(found)
    });
    taken.ok_or_else(|| no_handle::<H>(handle))
}

fn no_handle<H: Handle>(handle: *const H) -> Failure {
    let what = if handle.is_null() {
        "null"
    } else {
        "none that is open"
    };
    Failure::input(format!("the {} is {what}", H::NAME))
}
