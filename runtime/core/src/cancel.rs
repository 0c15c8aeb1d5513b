use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};

use ort::session::RunOptions;

use crate::error::{Error, Result, internal};

/// Stops what a model does, from any thread.
///
/// Clones belong together. A graph that runs ends at its next operator, and whatever the model was asked
/// fails with [`Error::Cancelled`], now and until [`reset`](Self::reset) is called.
///
/// ```
/// use bevel::{Cancel, Options};
///
/// let mut options = Options::default();
/// let cancel = Cancel::default();
/// options.cancel = cancel.clone();
/// // A model is opened with `options`, and runs in another thread.
/// cancel.cancel();
/// assert!(cancel.is_cancelled());
/// ```
#[derive(Clone, Default)]
pub struct Cancel(Arc<Inner>);

#[derive(Default)]
struct Inner {
    cancelled: AtomicBool,
    /// What running graphs look at; not before ONNX Runtime is loaded.
    options: OnceLock<RunOptions>,
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancel").field(&self.is_cancelled()).finish()
    }
}

impl Cancel {
    /// Stops what runs, and what is asked from now on.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, SeqCst);
        if let Some(options) = self.0.options.get() {
            // It only sets a flag; there is nothing it could fail on.
            let _ = options.terminate();
        }
    }

    /// Lets models run again.
    pub fn reset(&self) {
        if let Some(options) = self.0.options.get() {
            let _ = options.unterminate();
        }
        self.0.cancelled.store(false, SeqCst);
    }

    /// Whether it was cancelled and not reset.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(SeqCst)
    }

    /// Fails when it was cancelled.
    pub(crate) fn check(&self) -> Result<()> {
        match self.is_cancelled() {
            true => Err(Error::Cancelled),
            false => Ok(()),
        }
    }

    /// What is given to runs. ONNX Runtime must be loaded.
    pub(crate) fn options(&self) -> Result<&RunOptions> {
        if self.0.options.get().is_none() {
            let options = RunOptions::new().map_err(internal)?;
            let _ = self.0.options.set(options);
        }
        let options = self.0.options.get();
        options.ok_or_else(|| Error::Internal("no run options".into()))
    }
}
