//! What stands between every function of the interface and its caller.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;
use std::thread;

use crate::status::{Failure, Result, bevel_status, remember};

thread_local! {
    /// Whether this thread is inside a function of the interface.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Does the work of a function: an error becomes its status, a panic `BEVEL_INTERNAL`, and the message of
/// either is kept for `bevel_last_error`.
pub(crate) fn guard(work: impl FnOnce() -> Result) -> bevel_status {
    static HOOK: Once = Once::new();
    HOOK.call_once(silence);
    let before = INSIDE.replace(true);
    // Whatever a panic leaves half done is behind a mutex, which refuses from then on.
    let done = catch_unwind(AssertUnwindSafe(work));
    INSIDE.set(before);
    let failure = match done {
        Ok(Ok(())) => return bevel_status::BEVEL_OK,
        Ok(Err(failure)) => failure,
        Err(payload) => {
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or(payload.downcast_ref::<&str>().copied());
            let text = text.unwrap_or("no message");
            let message = format!("internal error, please report it: {text}");
            Failure::new(bevel_status::BEVEL_INTERNAL, message)
        }
    };
    remember(&failure.message);
    failure.status
}

/// Keeps panics off the standard error of the host. `libbevel.so` has a Rust standard library of its own,
/// so no other code is touched; where it is shared, as in a Rust program that this was linked into, panics
/// of other threads are told as they were before.
fn silence() {
    let before = take_hook();
    set_hook(Box::new(move |info| {
        let thread = thread::current();
        // Threads that the library starts are called so, or have no name.
        let ours = thread.name().is_none_or(|name| name.starts_with("bevel"));
        if !ours && !INSIDE.get() {
            before(info);
        }
    }));
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;
    use std::process::Command;

    use super::*;
    use crate::status::bevel_last_error;

    fn last() -> &'static str {
        // SAFETY: never null, with an end, and no call of this thread fails while it is read.
        let text = unsafe { CStr::from_ptr(bevel_last_error()) };
        text.to_str().unwrap()
    }

    #[test]
    fn errors_and_panics_become_a_status_with_their_message() {
        assert_eq!(guard(|| Ok(())), bevel_status::BEVEL_OK);
        let refuse = || Err(Failure::input("with\0in"));
        assert_eq!(guard(refuse), bevel_status::BEVEL_BAD_INPUT);
        assert_eq!(last(), "within");
        let number = 7;
        assert_eq!(guard(|| panic!("{number}")), bevel_status::BEVEL_INTERNAL);
        assert_eq!(last(), "internal error, please report it: 7");
        // Each thread has its own.
        std::thread::scope(|scope| scope.spawn(|| assert_eq!(last(), "")).join().unwrap());
        let panics = || std::panic::panic_any(7);
        assert_eq!(guard(panics), bevel_status::BEVEL_INTERNAL);
        assert!(last().ends_with("no message"), "{}", last());
    }

    #[test]
    fn a_panic_is_not_printed_but_that_of_the_host_is() {
        const INNER: &str = "BEVEL_TEST_INNER";
        const NAME: &str = "guard::tests::a_panic_is_not_printed_but_that_of_the_host_is";
        if std::env::var_os(INNER).is_some() {
            guard(|| panic!("ours"));
            let _ = catch_unwind(|| panic!("theirs"));
            return;
        }
        let mut test = Command::new(std::env::current_exe().unwrap());
        test.args(["--exact", NAME, "--nocapture"]).env(INNER, "1");
        let output = test.output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("theirs"), "{error}");
        assert!(!error.contains("ours"), "{error}");
    }
}
