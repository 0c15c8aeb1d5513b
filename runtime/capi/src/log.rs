//! What the library and ONNX Runtime have to tell besides results.

use std::ffi::{c_char, c_void};
use std::fmt::{Debug, Write};
use std::sync::{Once, PoisonError, RwLock};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::caller::numbered;
use crate::guard::guard;
use crate::status::{bevel_status, c_string};

/// How important a message is.
#[repr(i32)]
pub enum bevel_log_level {
    /// Something failed.
    BEVEL_LOG_ERROR = 1,
    /// Something is odd, and was gone on with.
    BEVEL_LOG_WARNING = 2,
    /// What happens.
    BEVEL_LOG_INFO = 3,
    /// What happens in detail.
    BEVEL_LOG_DEBUG = 4,
}

numbered! {
    bevel_log_level:
    BEVEL_LOG_ERROR,
    BEVEL_LOG_WARNING,
    BEVEL_LOG_INFO,
    BEVEL_LOG_DEBUG,
}

/// Hears messages: `user` as it was given, a bevel_log_level, and one line of UTF-8 text that lives for the
/// length of the call. It is called from any thread, several at once, and in the middle of calls. It must
/// return, throw nothing, and call no function of this header.
pub type bevel_log_callback =
    Option<unsafe extern "C" fn(user: *mut c_void, level: i32, message: *const c_char)>;

/// Who hears messages.
struct Sink {
    call: unsafe extern "C" fn(*mut c_void, i32, *const c_char),
    user: *mut c_void,
    level: i32,
}

// SAFETY: whoever sets a sink promises that it may be called from any thread.
unsafe impl Send for Sink {}
// SAFETY: the same.
unsafe impl Sync for Sink {}

static SINK: RwLock<Option<Sink>> = RwLock::new(None);

/// Hands messages of `level` and more important ones to `callback`; null for nobody. What was set before
/// is no longer called when this returns. ONNX Runtime itself tells warnings and errors. Without a
/// callback messages are dropped; nothing is ever printed. Under a memory cap ONNX Runtime may tell of an error
/// in a run that then succeeds, because it is tried again once what lies idle was given back.
///
/// Thread-safe. Errors: BEVEL_BAD_INPUT for a level that is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_set_log(
    callback: bevel_log_callback,
    user: *mut c_void,
    level: i32,
) -> bevel_status {
    guard(|| {
        if callback.is_some() {
            bevel_log_level::read(level)?;
        }
        static SUBSCRIBER: Once = Once::new();
        SUBSCRIBER.call_once(|| {
            // A Rust program that this was linked into may have one of its own, which then hears.
            let _ = tracing::subscriber::set_global_default(Messages);
        });
        let sink = callback.map(|call| Sink { call, user, level });
        // Waits for calls that are under way.
        *SINK.write().unwrap_or_else(PoisonError::into_inner) = sink;
        Ok(())
    })
}

/// Hands events to the sink; spans are nothing to it.
struct Messages;

fn number(level: Level) -> i32 {
    let level = match level {
        Level::ERROR => bevel_log_level::BEVEL_LOG_ERROR,
        Level::WARN => bevel_log_level::BEVEL_LOG_WARNING,
        Level::INFO => bevel_log_level::BEVEL_LOG_INFO,
        _ => bevel_log_level::BEVEL_LOG_DEBUG,
    };
    level as i32
}

impl Subscriber for Messages {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // The level may change.
        Interest::sometimes()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let sink = SINK.read().unwrap_or_else(PoisonError::into_inner);
        let heard = sink
            .as_ref()
            .is_some_and(|s| number(*metadata.level()) <= s.level);
        heard && metadata.is_event()
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let text = c_string(&line.0.replace(['\n', '\r'], " "));
        let level = number(*event.metadata().level());
        let sink = SINK.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(sink) = sink.as_ref().filter(|sink| level <= sink.level) {
            // SAFETY: whoever set it promises so; the text lives while it is called.
            unsafe { (sink.call)(sink.user, level, text.as_ptr()) };
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// An event on one line: what it says, then its fields.
#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let space = if self.0.is_empty() { "" } else { " " };
        // A string takes whatever is written.
        let _ = match field.name() {
            "message" => write!(self.0, "{space}{value:?}"),
            name => write!(self.0, "{space}{name}={value:?}"),
        };
    }
}
