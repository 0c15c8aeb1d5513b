//! Where and how urgently the threads of pools run. Linux gives a thread the processors and the niceness
//! of the thread that makes it, so pools are made by one that has them already.

use crate::error::{Error, Result};
use crate::library::RuntimeOptions;

/// What of [`RuntimeOptions`] is a matter of threads.
#[derive(Debug, Default)]
pub(super) struct Confinement {
    cores: Option<Vec<usize>>,
    nice: Option<u8>,
}

impl Confinement {
    /// # Errors
    /// [`Error::Input`] for values that no system takes, [`Error::Unsupported`] on other systems than
    /// Linux.
    pub(super) fn new(options: &RuntimeOptions) -> Result<Self> {
        let mut cores = options.cores.clone();
        if let Some(cores) = &mut cores {
            cores.sort_unstable();
            cores.dedup();
        }
        let found = Self {
            cores,
            nice: options.nice.filter(|nice| *nice > 0),
        };
        if cfg!(not(target_os = "linux")) && !found.is_none() {
            let what = "cores and nice are for Linux; leave them out here";
            return Err(Error::Unsupported(what.into()));
        }
        if let Some(nice) = found.nice.filter(|nice| *nice > 19) {
            let what = format!("nice {nice} is out of range; it is 0 to 19");
            return Err(Error::Input(what));
        }
        if found.cores.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::Input("cores is an empty list; name one".into()));
        }
        Ok(found)
    }

    fn is_none(&self) -> bool {
        self.cores.is_none() && self.nice.is_none()
    }

    /// Threads of a pool where nobody said how many.
    pub(super) fn threads(&self) -> usize {
        let cores = self.cores.as_ref().map(Vec::len);
        cores.unwrap_or_else(crate::cpu::physical_cores)
    }

    /// Does `work`, in a thread of its own where its children are to be confined.
    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        if self.is_none() {
            return Ok(work());
        }
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.apply()?;
                Ok(work())
            });
            let panicked = |_| Error::Internal("starting ONNX Runtime panicked".into());
            thread.join().map_err(panicked)?
        })
    }

    /// Confines the calling thread.
    #[cfg(target_os = "linux")]
    pub(super) fn apply(&self) -> Result<()> {
        use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

        if let Some(cores) = &self.cores {
            let mut set = CpuSet::new();
            for core in cores {
                if *core >= CpuSet::MAX_CPU {
                    return Err(Error::Input(format!("no processor {core}")));
                }
                set.set(*core);
            }
            sched_setaffinity(None, &set).map_err(|e| {
                let what = format!("no thread may run on processors {cores:?}: {e}");
                Error::Input(what)
            })?;
            // The kernel leaves out those that it does not have.
            let set = sched_getaffinity(None).map_err(|e| Error::Internal(e.to_string()))?;
            if let Some(missing) = cores.iter().find(|core| !set.is_set(**core)) {
                return Err(Error::Input(format!("no processor {missing} to run on")));
            }
        }
        if let Some(nice) = self.nice {
            // Of this thread alone, as Linux understands it.
            let set = rustix::process::nice(i32::from(nice));
            set.map_err(|e| Error::Input(format!("nice {nice} was refused: {e}")))?;
        }
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn apply(&self) -> Result<()> {
        Ok(())
    }
}
