//! Speech as it is spoken.

use std::ffi::{c_char, c_void};
use std::mem::offset_of;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bevel::speech::{Event, Live, LiveInput, LiveOptions, LiveOutput};
use bevel::{Bundle, Cancel};

use crate::caller::{self, Buffer, Growing};
use crate::guard::guard;
use crate::options::{bevel_model_options, flag};
use crate::status::{self, Failure, Result, bevel_status};
use crate::{handles, model, start};

/// Speech that is being heard.
pub struct bevel_stream {
    _private: [u8; 0],
}

/// What may be chosen for a stream. Zero is the default, for every field.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct bevel_stream_options {
    /// Set by BEVEL_INIT.
    pub struct_size: usize,
    /// Rate of the samples that are pushed, 1000 to 384000; 16000 by default.
    pub sample_rate_hz: u32,
    /// Speech starts at this probability, more than 0 and less than 1; the model's by default.
    pub threshold: f32,
    /// A pause of this length ends an utterance, 100 to 10000; 500 by default.
    pub min_silence_ms: u32,
    /// After so much of a pause the text is made in advance; 300 by default.
    pub advance_after_ms: u32,
    /// New sound between two partial texts, at least; 300 by default.
    pub partial_every_ms: u32,
    /// 1 for no partial texts, which spares the work for them.
    pub no_partials: i32,
    /// Sound that is kept while the model is busy, 1000 to 600000; 20000 by default.
    pub buffer_ms: u32,
}

// SAFETY: as it asks for; numbers, and the size first.
unsafe impl Growing for bevel_stream_options {
    const FIRST_SIZE: usize = offset_of!(Self, buffer_ms) + size_of::<u32>();
    const NAME: &'static str = "bevel_stream_options";
}

impl bevel_stream_options {
    fn options(&self) -> Result<LiveOptions> {
        let mut options = LiveOptions::default();
        let set = |to: &mut Duration, ms: u32| {
            if ms > 0 {
                *to = Duration::from_millis(ms.into());
            }
        };
        if self.sample_rate_hz > 0 {
            options.sample_rate_hz = self.sample_rate_hz;
        }
        options.threshold = Some(self.threshold).filter(|t| *t != 0.0);
        set(&mut options.min_silence, self.min_silence_ms);
        set(&mut options.advance_after, self.advance_after_ms);
        set(&mut options.buffer, self.buffer_ms);
        if let Some(every) = &mut options.partial_every {
            set(every, self.partial_every_ms);
        }
        if flag(self.no_partials, "no_partials")? {
            options.partial_every = None;
        }
        Ok(options)
    }
}

/// What happens in a stream. An utterance is one STARTED, any number of PARTIAL, and then FINAL, once or
/// several times, or EMPTY.
#[repr(i32)]
pub enum bevel_event_kind {
    /// Nothing has happened yet.
    BEVEL_EVENT_NONE = 0,
    /// Somebody speaks, since start_s.
    BEVEL_EVENT_STARTED = 1,
    /// What the utterance is so far: its text, of which the first agreed_bytes do not change any more.
    BEVEL_EVENT_PARTIAL = 2,
    /// What was said.
    BEVEL_EVENT_FINAL = 3,
    /// The utterance has no words.
    BEVEL_EVENT_EMPTY = 4,
    /// Sound was refused because the model is too slow and the buffer was full: from start_s to end_s.
    BEVEL_EVENT_DROPPED = 5,
    /// Something failed at start_s; status and text tell what. The stream goes on.
    BEVEL_EVENT_ERROR = 6,
    /// The stream was finished, and everything in it is written down.
    BEVEL_EVENT_ENDED = 7,
}

/// What happened in a stream. Its text is told by bevel_stream_event_text.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct bevel_event {
    /// Set by BEVEL_INIT.
    pub struct_size: usize,
    /// What it is, see bevel_event_kind.
    pub kind: i32,
    /// What failed, a bevel_status; BEVEL_OK for all but errors.
    pub status: i32,
    /// Start in seconds since the stream began.
    pub start_s: f64,
    /// End.
    pub end_s: f64,
    /// Final texts: how long after the sound was pushed that decided that speech had ended.
    pub latency_s: f64,
    /// Bytes of the text, without the zero at its end.
    pub text_bytes: usize,
    /// Of those, the ones that do not change any more in later events of the utterance.
    pub agreed_bytes: usize,
}

// SAFETY: as it asks for; numbers, and the size first.
unsafe impl Growing for bevel_event {
    const FIRST_SIZE: usize = offset_of!(Self, agreed_bytes) + size_of::<usize>();
    const NAME: &'static str = "bevel_event";
}

/// What a handle stands for.
pub(crate) struct Stream {
    input: Mutex<LiveInput>,
    output: LiveOutput,
    cancel: Cancel,
    /// The event that was polled last.
    current: Mutex<Option<Event>>,
}

impl Stream {
    fn open(bundle: &Bundle, options: &bevel::Options, live: &LiveOptions) -> Result<Self> {
        start::start(None)?;
        let (input, output) = Live::load(bundle, options, live)?.split();
        Ok(Self {
            input: Mutex::new(input),
            output,
            cancel: options.cancel.clone(),
            current: Mutex::new(None),
        })
    }

    fn current(&self) -> MutexGuard<'_, Option<Event>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn input(&self) -> Result<MutexGuard<'_, LiveInput>> {
        self.input.try_lock().map_err(|_| {
            let what = "another thread pushes into the stream";
            Failure::new(bevel_status::BEVEL_BUSY, what)
        })
    }
}

/// The text of an event, and how much of it does not change any more.
fn text(event: &Event) -> (String, usize) {
    match event {
        Event::Partial { agreed, rest, .. } => (format!("{agreed}{rest}"), agreed.len()),
        Event::Final { segment, .. } => (segment.text.clone(), segment.text.len()),
        Event::Error { what, .. } => (what.clone(), what.len()),
        _ => (String::new(), 0),
    }
}

fn plain(event: Option<&Event>) -> bevel_event {
    use bevel_event_kind::*;

    let mut plain = bevel_event {
        struct_size: 0,
        kind: BEVEL_EVENT_NONE as i32,
        status: bevel_status::BEVEL_OK as i32,
        start_s: 0.0,
        end_s: 0.0,
        latency_s: 0.0,
        text_bytes: 0,
        agreed_bytes: 0,
    };
    let Some(event) = event else {
        return plain;
    };
    let (text, agreed_bytes) = text(event);
    (plain.text_bytes, plain.agreed_bytes) = (text.len(), agreed_bytes);
    let (kind, start, end) = match *event {
        Event::Started { start } => (BEVEL_EVENT_STARTED, start, start),
        Event::Partial { start, end, .. } => (BEVEL_EVENT_PARTIAL, start, end),
        Event::Final {
            ref segment,
            latency,
            ..
        } => {
            plain.latency_s = latency.after_decision;
            (BEVEL_EVENT_FINAL, segment.start, segment.end)
        }
        Event::Empty { start, end } => (BEVEL_EVENT_EMPTY, start, end),
        Event::Dropped { start, seconds } => (BEVEL_EVENT_DROPPED, start, start + seconds),
        Event::Error { at, kind, .. } => {
            plain.status = status::of(kind) as i32;
            (BEVEL_EVENT_ERROR, at, at)
        }
        Event::Ended => (BEVEL_EVENT_ENDED, 0.0, 0.0),
        // An event that this interface has no number for yet.
        _ => (BEVEL_EVENT_NONE, 0.0, 0.0),
    };
    (plain.kind, plain.start_s, plain.end_s) = (kind as i32, start, end);
    plain
}

/// Opens a speech model to hear sound as it comes. See bevel_model_open for the path and what of it
/// concerns errors and threads; `options` and `stream_options` may be null. A thread of the library hears
/// what is pushed, and sleeps when there is nothing. `*stream` is null where it fails.
///
/// Owned by the caller: close it with bevel_stream_close. Thread-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_stream_open(
    path: *const c_char,
    options: *const bevel_model_options,
    stream_options: *const bevel_stream_options,
    stream: *mut *mut bevel_stream,
) -> bevel_status {
    guard(|| {
        let open = || {
            // SAFETY: the caller's promise.
            unsafe {
                let chosen = caller::options_or_default(options)?;
                let live = caller::options_or_default(stream_options)?.options()?;
                let bundle = model::bundle(path, &chosen)?;
                Stream::open(&bundle, &chosen.options()?, &live)
            }
        };
        // SAFETY: the same.
        unsafe { handles::open_at(stream, open) }
    })
}

/// The same for a packed bundle in memory, see bevel_model_open_memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_stream_open_memory(
    data: *const c_void,
    size_bytes: usize,
    options: *const bevel_model_options,
    stream_options: *const bevel_stream_options,
    stream: *mut *mut bevel_stream,
) -> bevel_status {
    guard(|| {
        let open = || {
            // SAFETY: the caller's promise.
            unsafe {
                let chosen = caller::options_or_default(options)?;
                let live = caller::options_or_default(stream_options)?.options()?;
                let bundle = model::packed(data, size_bytes, &chosen)?;
                Stream::open(&bundle, &chosen.options()?, &live)
            }
        };
        // SAFETY: the same.
        unsafe { handles::open_at(stream, open) }
    })
}

/// Closes a stream; what was not polled is lost. The model is stopped, whoever polls is told
/// BEVEL_CANCELLED, and memory is free when the last call on it has ended. Null is nothing to close.
///
/// Thread-safe. Errors: BEVEL_BAD_INPUT for what is no open stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_stream_close(stream: *mut bevel_stream) -> bevel_status {
    guard(|| {
        if !stream.is_null() {
            let stream = handles::close(stream)?;
            stream.cancel.cancel();
            stream.output.close();
        }
        Ok(())
    })
}

/// Pushes samples, one channel in -1 to 1, and tells in `*taken`, which may be null, how many were taken.
///
/// It waits for no model and allocates nothing, so that it may be called where sound is recorded. All
/// samples are taken unless the buffer is full because the model is too slow for the machine. Then the rest
/// is lost, as is what comes until a quarter of the buffer is free again, and an event tells where. Who can
/// wait, such as a reader of files, asks for bevel_stream_room first.
///
/// One thread pushes, others may poll and give orders meanwhile. Errors: BEVEL_BAD_INPUT; BEVEL_BUSY
/// where another thread pushes at this moment, and nothing is taken then. Samples that are no numbers or
/// far beyond 1 are told by an event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_stream_push(
    stream: *mut bevel_stream,
    samples: *const f32,
    count: usize,
    taken: *mut usize,
) -> bevel_status {
    guard(|| {
        let stream = handles::find(stream)?;
        // SAFETY: the caller's promise.
        let samples = unsafe { caller::values(samples, count, "samples") }?;
        let pushed = stream.input()?.push(samples);
        match taken.is_null() {
            true => Ok(()),
            // SAFETY: the caller's promise.
            false => unsafe { caller::put(taken, pushed, "taken") },
        }
    })
}

/// How many samples bevel_stream_push would take now.
///
/// For the thread that pushes. Errors: as bevel_stream_push.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_stream_room(
    stream: *mut bevel_stream,
    room: *mut usize,
) -> bevel_status {
    guard(|| {
        let found = handles::find(stream)?.input()?.room();
        // SAFETY: the caller's promise.
        unsafe { caller::put(room, found, "room") }
    })
}

/// The next event, for which it waits at most `timeout_ms`, asleep: 0 does not wait, UINT32_MAX waits for
/// ever. Its kind is BEVEL_EVENT_NONE where nothing has happened. `*event` is made ready by BEVEL_INIT.
///
/// One thread polls, others may push and give orders meanwhile. Errors: BEVEL_BAD_INPUT; BEVEL_CANCELLED
/// where the stream is closed meanwhile; BEVEL_INTERNAL where a defect has ended it, at once and for ever.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_stream_poll(
    stream: *mut bevel_stream,
    timeout_ms: u32,
    event: *mut bevel_event,
) -> bevel_status {
    guard(|| {
        let stream = handles::find(stream)?;
        // Before an event is taken that could not be told.
        // SAFETY: the caller's promise.
        unsafe { caller::answer(event, &plain(None)) }?;
        let timeout = match timeout_ms {
            u32::MAX => Duration::MAX,
            ms => Duration::from_millis(ms.into()),
        };
        let found = stream.output.poll_timeout(timeout);
        if found.is_none() && stream.cancel.is_cancelled() {
            return Err(bevel::Error::Cancelled.into());
        }
        if found.is_none() && stream.output.is_over() {
            let what = "the thread that hears has panicked; close the stream and open it again";
            return Err(Failure::new(bevel_status::BEVEL_INTERNAL, what));
        }
        // SAFETY: the caller's promise.
        unsafe { caller::answer(event, &plain(found.as_ref())) }?;
        *stream.current() = found;
        Ok(())
    })
}

/// The text of the event that was polled last; empty where it has none. See the rules of buffers.
///
/// For the thread that polls. Errors: BEVEL_BAD_INPUT, BEVEL_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_stream_event_text(
    stream: *const bevel_stream,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> bevel_status {
    guard(|| {
        let stream = handles::find(stream)?;
        let text = stream
            .current()
            .as_ref()
            .map_or(String::new(), |event| text(event).0);
        // SAFETY: the caller's promise.
        unsafe { Buffer::new(buffer, capacity, needed).fill_text(&text) }
    })
}

/// The event that was polled last as a JSON object, with the words of a final text where they were asked
/// for; "null" where nothing has happened. See the rules of buffers.
///
/// For the thread that polls. Errors: BEVEL_BAD_INPUT, BEVEL_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_stream_event_json(
    stream: *const bevel_stream,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> bevel_status {
    guard(|| {
        let stream = handles::find(stream)?;
        let json = serde_json::to_string(&*stream.current())
            .map_err(|e| Failure::new(bevel_status::BEVEL_INTERNAL, e.to_string()))?;
        // SAFETY: the caller's promise.
        unsafe { Buffer::new(buffer, capacity, needed).fill_text(&json) }
    })
}

/// Ends speech that is going on in what was pushed so far, as a pause would. Its text is an event.
///
/// Thread-safe, and waits for nothing. Errors: BEVEL_BAD_INPUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_stream_flush(stream: *mut bevel_stream) -> bevel_status {
    guard(|| {
        handles::find(stream)?.output.flush();
        Ok(())
    })
}

/// Ends the stream: what was pushed so far is written down, and BEVEL_EVENT_ENDED is its last event. What
/// is pushed from then on is another stream, whose times begin at 0.
///
/// Thread-safe, and waits for nothing. Errors: BEVEL_BAD_INPUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_stream_finish(stream: *mut bevel_stream) -> bevel_status {
    guard(|| {
        handles::find(stream)?.output.end();
        Ok(())
    })
}

/// Forgets what was pushed and not polled; what is pushed then is another stream. Waits for the model where
/// it is at work.
///
/// Thread-safe. Errors: BEVEL_BAD_INPUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_stream_reset(stream: *mut bevel_stream) -> bevel_status {
    guard(|| {
        handles::find(stream)?.output.reset();
        Ok(())
    })
}

/// How loud it is, in dB of full scale: -100 (silence) to 0.
///
/// Thread-safe. Errors: BEVEL_BAD_INPUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_stream_level(
    stream: *const bevel_stream,
    level_db: *mut f32,
) -> bevel_status {
    guard(|| {
        let found = handles::find(stream)?.output.level_db();
        // SAFETY: the caller's promise.
        unsafe { caller::put(level_db, found, "level_db") }
    })
}
