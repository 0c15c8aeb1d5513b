//! The ONNX Runtime shared library: found, checked and loaded once per process.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock};

use crate::error::{Error, Result, one_line};

mod check;
mod confinement;
mod memory;

use confinement::Confinement;
use memory::Arena;
pub(crate) use memory::said_full;

/// What holds for the whole process, because ONNX Runtime has one environment per process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuntimeOptions {
    /// The ONNX Runtime library; searched for when not given, see [`Runtime::find`].
    pub library: Option<PathBuf>,
    /// Threads of a pool; the physical cores when not given.
    pub threads: Option<usize>,
    /// Which threads run the graphs.
    pub pool: Pool,
    /// The most bytes that ONNX Runtime may hold for weights and results of all models of the process,
    /// on the CPU. What needs more fails with [`Error::Memory`]. No limit when not given. Weights that
    /// are mapped from a file do not count.
    pub memory_cap_bytes: Option<usize>,
    /// Processors, counted from 0 as the system does, on which the threads of pools run; all when not
    /// given. The thread that asks a model takes part and stays where it is. Linux only.
    pub cores: Option<Vec<usize>>,
    /// How much the threads of pools give way to others, 1 ..= 19 as `nice` counts. Linux only.
    pub nice: Option<u8>,
}

/// Which threads run the graphs. Either way they sleep between runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pool {
    /// One pool for all graphs of the process, which bounds its threads however many models are
    /// open. Threads sleep also while they wait for each other inside a run.
    #[default]
    Shared,
    /// A pool for each graph, whose threads wait for each other actively inside a run and sleep when
    /// it ends. For a process that runs one model: 0.7 of the time of a small graph for a tenth
    /// more processor time (YOLOX-nano, 2 threads). Useless with one thread, and harmful where
    /// several models run at once on the same cores.
    PerGraph,
}

impl RuntimeOptions {
    /// Puts the calling thread, and those that it makes from now on, on `cores` and makes it give way by
    /// `nice`: for programs whose threads all work for models.
    ///
    /// # Errors
    /// [`Error::Input`] for processors or a niceness that the system refuses, [`Error::Unsupported`] on
    /// other systems than Linux.
    pub fn confine_this_thread(&self) -> Result<()> {
        Confinement::new(self)?.apply()
    }

    /// Sets the number of threads of the shared pool.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Sets which threads run the graphs.
    #[must_use]
    pub fn with_pool(mut self, pool: Pool) -> Self {
        self.pool = pool;
        self
    }
}

/// The loaded library and its one environment.
pub struct Runtime {
    pub(crate) environment: ort::environment::Environment,
    arena: Option<Arena>,
    confinement: Confinement,
    path: PathBuf,
    threads: usize,
    /// What it was started with.
    pub(crate) options: RuntimeOptions,
}

static RUNTIME: OnceLock<Runtime> = OnceLock::new();
static START: Mutex<()> = Mutex::new(());

#[cfg(target_os = "macos")]
const NAMES: [&str; 2] = ["libonnxruntime.dylib", "libonnxruntime.1.dylib"];
#[cfg(windows)]
const NAMES: [&str; 1] = ["onnxruntime.dll"];
#[cfg(not(any(target_os = "macos", windows)))]
const NAMES: [&str; 2] = ["libonnxruntime.so", "libonnxruntime.so.1"];

impl Runtime {
    /// The runtime, started with defaults if nothing started it yet.
    ///
    /// # Errors
    /// [`Error::Library`] when the library cannot be found, read or loaded.
    pub fn get() -> Result<&'static Self> {
        match RUNTIME.get() {
            Some(runtime) => Ok(runtime),
            None => Self::start(&RuntimeOptions::default()),
        }
    }

    /// Starts the runtime with options. Starting it again returns what runs already, with the pool
    /// of the first start.
    ///
    /// Sets `ORT_DISABLE_TELEMETRY=1` in the process's environment first: official builds of ONNX
    /// Runtime from 1.29 on send telemetry otherwise. In a threaded host that calls `setenv` or
    /// `getenv` elsewhere, set the variable before the threads start.
    ///
    /// # Errors
    /// [`Error::Library`] when the library cannot be found, read or loaded, or when the runtime is
    /// up with other values than are given here; [`RuntimeOptions::pool`] is not compared.
    pub fn start(options: &RuntimeOptions) -> Result<&'static Self> {
        let _one_at_a_time = lock(&START);
        if let Some(runtime) = RUNTIME.get() {
            return match runtime.differs(options) {
                Some(what) => Err(Error::Library(format!(
                    "ONNX Runtime already runs with {what} in this process; start it with what you want \
                     before the first model is opened"
                ))),
                None => Ok(runtime),
            };
        }
        let path = match &options.library {
            Some(path) => path.clone(),
            None => Self::find()?,
        };
        let confinement = Confinement::new(options)?;
        let threads = options.threads.unwrap_or_else(|| confinement.threads());
        let threads = threads.max(1);
        check::before_loading(&path)?;
        disable_telemetry();
        let start = || start_environment(&path, threads, options.pool);
        let environment = confinement.run(start)??;
        let cap = options.memory_cap_bytes;
        let arena = cap
            .map(|bytes| Arena::new(&environment, bytes))
            .transpose()?;
        Ok(RUNTIME.get_or_init(|| Self {
            environment,
            arena,
            confinement,
            path,
            threads,
            options: options.clone(),
        }))
    }

    /// Which of the values that are given is not the one that it runs with.
    fn differs(&self, given: &RuntimeOptions) -> Option<String> {
        let has = &self.options;
        if given.threads.is_some_and(|threads| threads != self.threads) {
            return Some(format!("{} threads", self.threads));
        }
        if given.memory_cap_bytes.is_some() && given.memory_cap_bytes != has.memory_cap_bytes {
            return Some(match has.memory_cap_bytes {
                Some(bytes) => format!("a memory cap of {bytes} bytes"),
                None => "no memory cap".into(),
            });
        }
        if given
            .library
            .as_ref()
            .is_some_and(|path| *path != self.path)
        {
            return Some(format!("the library {}", self.path.display()));
        }
        let other_cores = given.cores.is_some() && given.cores != has.cores;
        let other_nice = given.nice.is_some() && given.nice != has.nice;
        (other_cores || other_nice).then(|| "other cores or niceness".into())
    }

    /// Where the library is: `ORT_DYLIB_PATH`, beside the program, in `../lib` of it, then the
    /// system's library folders.
    ///
    /// # Errors
    /// [`Error::Library`] with the places that were looked at.
    pub fn find() -> Result<PathBuf> {
        if let Some(path) = std::env::var_os("ORT_DYLIB_PATH").filter(|p| !p.is_empty()) {
            return Ok(PathBuf::from(path));
        }
        let mut folders = Vec::new();
        if let Some(folder) = std::env::current_exe()
            .ok()
            .as_deref()
            .and_then(Path::parent)
        {
            folders.push(folder.to_path_buf());
            folders.push(folder.join("../lib"));
        }
        let arch = std::env::consts::ARCH;
        folders.extend(["/usr/local/lib", "/usr/lib"].map(PathBuf::from));
        folders.push(PathBuf::from(format!("/usr/lib/{arch}-linux-gnu")));
        for folder in &folders {
            for name in NAMES {
                let path = folder.join(name);
                if path.is_file() {
                    return Ok(path);
                }
            }
        }
        let places: Vec<_> = folders.iter().map(|f| f.display().to_string()).collect();
        Err(Error::Library(format!(
            "no ONNX Runtime: {} is not in {}; set ORT_DYLIB_PATH to the library, or put it beside \
             the program (the PyPI package onnxruntime==1.28.0 holds it; `make setup` fetches it)",
            NAMES[0],
            places.join(", ")
        )))
    }

    /// Does `work` in a thread whose children run where threads of pools are to run.
    pub(crate) fn confined<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        // Where the pool is shared providers still have threads of their own.
        self.confinement.run(work)
    }

    /// What ONNX Runtime says when the memory cap is reached, as an error of that kind.
    pub(crate) fn out_of_memory(&self, what: &str) -> Option<Error> {
        self.arena.as_ref().and_then(|arena| arena.refusal(what))
    }

    /// Fails when what was loaded takes more memory than there may be.
    pub(crate) fn check_memory(&self, session: &ort::session::Session) -> Result<()> {
        let arena = self.arena.as_ref();
        arena.map_or(Ok(()), |arena| arena.fits(&self.environment, session))
    }

    /// After something failed because the memory cap was reached: frees what can be freed.
    ///
    /// # Errors
    /// [`Error::Library`] when ONNX Runtime refuses.
    pub(crate) fn make_room(&self) -> Result<()> {
        let arena = self.arena.as_ref();
        arena.map_or(Ok(()), |arena| arena.give_back(&self.environment))
    }

    /// Whether all sessions share an arena.
    pub(crate) fn is_capped(&self) -> bool {
        self.arena.is_some()
    }

    /// The library that was loaded.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Threads of a pool.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// How ONNX Runtime was built.
    pub fn build_info(&self) -> &'static str {
        ort::info()
    }

    /// ONNX Runtime's version, such as `1.28.0`, from the symbol version that its exports carry;
    /// `None` where the library has none. Reads the whole file.
    pub fn version(&self) -> Option<String> {
        const MARK: &[u8] = b"VERS_1.";
        let bytes = std::fs::read(&self.path).ok()?;
        let at = bytes
            .windows(MARK.len())
            .position(|window| window == MARK)?
            + 5;
        let digit = |b: &&u8| b.is_ascii_digit() || **b == b'.';
        let version = bytes[at..].iter().take(24).take_while(digit);
        Some(version.map(|b| char::from(*b)).collect())
    }
}

fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The one use of `unsafe` in this crate: the variable must be set before the library is loaded,
/// and the standard library offers no safe way to set one.
#[allow(unsafe_code)]
fn disable_telemetry() {
    const NAME: &str = "ORT_DISABLE_TELEMETRY";
    if std::env::var_os(NAME).is_some_and(|value| value == "1") {
        return;
    }
    // SAFETY: under a lock, before ONNX Runtime exists. The command line calls it before it starts a
    // thread; hosts with threads of their own are told in `Runtime::start`.
    unsafe { std::env::set_var(NAME, "1") };
}

fn start_environment(
    path: &Path,
    threads: usize,
    pool: Pool,
) -> Result<ort::environment::Environment> {
    use ort::environment::GlobalThreadPoolOptions;

    let builder = ort::init_from(path).map_err(|e| match &e {
        // What the loader said is a cause of this one alone.
        ort::LoadDynamicError::Dlopen { error, .. } => check::not_loaded(path, error),
        e => check::not_loaded(path, e),
    })?;
    let build = || -> ort::Result<_> {
        let builder = builder.with_name("bevel").with_telemetry(false);
        let builder = match pool {
            Pool::PerGraph => builder,
            // Threads that spin between runs burn a battery for a few microseconds of latency.
            Pool::Shared => builder.with_global_thread_pool(
                GlobalThreadPoolOptions::default()
                    .with_intra_threads(threads)?
                    .with_inter_threads(1)?
                    .with_spin_control(false)?,
            ),
        };
        builder.build()
    };
    let environment = build().map_err(|e| Error::Library(one_line(&e.to_string())))?;
    // Verbose messages would otherwise be formatted only to be dropped.
    environment.set_log_level(ort::logging::LogLevel::Warning);
    Ok(environment)
}
